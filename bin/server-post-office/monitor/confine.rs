//! A session that reaches one mailbox and nothing else, where the kernel can do that.

use ima_program::confinement::Confinement;
use ima_program::log;

/// Says in the log that sessions will not be confined, where the kernel cannot.
pub fn announce() {
    if !Confinement::is_possible() {
        log::warn("no-landlock")
            .field("consequence", "sessions are confined by this program alone")
            .emit();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs::{self, File};
    use std::thread;

    use ima_mailbox::{Act, Mailbox, Moved, Removal};
    use ima_message::{DateTime, Digester, HeaderBlock};

    use super::*;

    /// A message with an attachment, which has no name before it is linked.
    fn letter() -> (HeaderBlock, &'static [u8]) {
        let data = b"Hello\nattached";
        let digest = |octets: &[u8]| {
            let mut digester = Digester::new();
            digester.update(octets);
            digester.finish()
        };
        let header = format!(
            "ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\nid: 1@a.test\n\
             part: text/plain 6 sha256:{}\n\
             part: application/octet-stream 8 sha256:{} name=a\nsize: 14\n\n",
            digest(&data[..6]),
            digest(&data[6..]),
        );
        (HeaderBlock::parse(header.as_bytes()).unwrap(), data)
    }

    #[test]
    fn a_confined_thread_changes_a_mailbox_in_every_way() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bob");
        Mailbox::make_personal(&path).unwrap();
        let (inbox, trash) = ("inbox".parse().unwrap(), "trash".parse().unwrap());
        let own = "own".parse().unwrap();
        let (header, data) = letter();
        let digest = header.digest();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mailbox = Mailbox::open(&path).unwrap();
                let left = Confinement::default().changes(File::open(&path).unwrap());
                left.enter().unwrap();
                let folder = mailbox.folder(&inbox).unwrap().unwrap();
                let mut batch = folder.batch_of_user().unwrap();
                let time = DateTime::utc(1_700_000_000).unwrap();
                batch.stage(&header, &mut &data[..], time).unwrap();
                assert_eq!(batch.commit().unwrap().new, 1);
                // A line that was not written whole is cut off by the next one.
                let journal = path.join("inbox/journal");
                let whole = fs::read(&journal).unwrap();
                fs::write(path.join("inbox/tmp/x"), "").unwrap();
                fs::OpenOptions::new()
                    .append(true)
                    .open(&journal)
                    .and_then(|mut file| std::io::Write::write_all(&mut file, b"flag 0"))
                    .unwrap();
                let seen = "seen".parse().unwrap();
                let changes = vec![ima_message::FlagChange {
                    flag: seen,
                    set: true,
                }];
                let applied = folder.apply(&[Act::Flag { digest, changes }]).unwrap();
                assert_eq!(applied.missing, []);
                let now = fs::read_to_string(&journal).unwrap();
                assert_eq!(
                    now.strip_prefix(std::str::from_utf8(&whole).unwrap()),
                    Some(&*format!("flag {digest} +seen\n"))
                );
                let moved = mailbox.move_message(&inbox, digest, &trash).unwrap();
                assert!(matches!(moved, Moved::Done { .. }));
                mailbox.create_folder(&own).unwrap();
                assert_eq!(mailbox.remove_folder(&own).unwrap(), Removal::Removed);
                let folder = mailbox.folder(&trash).unwrap().unwrap();
                folder.apply(&[Act::Delete { digest }]).unwrap();
                folder.compact().unwrap();
                assert_eq!(mailbox.remove_folder(&trash).unwrap(), Removal::Removed);
                assert_eq!(mailbox.names().unwrap().len(), 5);
            });
        });
    }
}
