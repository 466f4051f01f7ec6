//! A session that reaches one mailbox and nothing else, by Landlock
//! (landlock(7)), where the kernel has it.

use std::os::fd::AsFd;

use ima_program::log;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, make_bitflags,
};

/// What is taken away: all that is done to files by name, and connections.
const KNOWN: ABI = ABI::V5;

/// Says in the log that sessions will not be confined, where the kernel cannot.
pub fn announce() {
    let probe = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    if probe.is_err() {
        log::warn("no-landlock")
            .field("consequence", "sessions are confined by this program alone")
            .emit();
    }
}

/// From here on the calling thread opens files only beneath this directory, and
/// no connection. Other threads are as they were. Where the kernel has no
/// Landlock nothing happens.
///
/// # Errors
/// Where the kernel has it, and it does not work.
pub fn to(directory: impl AsFd) -> Result<(), RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .create()?
        .add_rule(PathBeneath::new(directory, needed()))?
        .restrict_self()
        .map(drop)
}

/// Reading; files made in one directory, written, and linked or renamed into
/// another; a journal's unfinished last line cut off; folders made and removed.
/// Nothing is run, and no link, pipe, socket or device made.
fn needed() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir
            | Refer
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::thread;

    use ima_mailbox::{Act, Mailbox, Moved, Removal};
    use ima_message::{DateTime, Digester, HeaderBlock};

    use super::*;

    fn kind<T>(outcome: std::io::Result<T>) -> Option<ErrorKind> {
        outcome.err().map(|error| error.kind())
    }

    #[test]
    fn one_thread_reaches_one_folder() {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("bob"), place.path().join("carol"));
        for folder in [&inside, &outside] {
            fs::create_dir_all(folder.join("tmp")).unwrap();
            fs::write(folder.join("journal"), "").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let denied = match Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(KNOWN))
        {
            Ok(_) => Some(ErrorKind::PermissionDenied),
            // A kernel that has less of it: what is inside must work there too.
            Err(_) => None,
        };
        let open = File::open(outside.join("journal")).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                to(File::open(&inside).unwrap()).unwrap();
                // As a summary is written.
                fs::write(inside.join("tmp/summary-1"), "1").unwrap();
                fs::rename(inside.join("tmp/summary-1"), inside.join("summary")).unwrap();
                fs::write(inside.join("tmp/summary-2"), "2").unwrap();
                fs::rename(inside.join("tmp/summary-2"), inside.join("summary")).unwrap();
                assert_eq!(fs::read_to_string(inside.join("summary")).unwrap(), "2");
                assert_eq!(fs::read_dir(&inside).unwrap().count(), 3);
                open.sync_all().unwrap();
                if denied.is_none() {
                    return;
                }
                let journal = outside.join("journal");
                for outcome in [
                    kind(fs::read(&journal)),
                    kind(fs::read_dir(&outside)),
                    kind(fs::read("/etc/passwd")),
                    kind(fs::write(outside.join("new"), "")),
                    kind(fs::remove_file(&journal)),
                    kind(fs::rename(inside.join("summary"), outside.join("summary"))),
                    kind(fs::create_dir(outside.join("new"))),
                    kind(fs::hard_link(
                        inside.join("summary"),
                        outside.join("linked"),
                    )),
                    kind(fs::remove_dir(outside.join("tmp"))),
                    kind(std::os::unix::fs::symlink("x", inside.join("link"))),
                    kind(UnixListener::bind(inside.join("socket"))),
                    kind(TcpStream::connect(address)),
                    kind(TcpListener::bind("127.0.0.1:0")),
                ] {
                    assert_eq!(outcome, denied);
                }
            });
        });
        assert_eq!(kind(fs::read(Path::new("/etc/passwd"))), None);
        assert_eq!(kind(TcpStream::connect(address)), None);
    }

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
                to(&mailbox).unwrap();
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
