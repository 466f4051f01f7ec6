//! Delivery where something goes wrong: nothing is visible then.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::chown;

use ima_mailbox::check::Rule;
use ima_mailbox::{Folder, MailboxError};
use ima_message::DataError;
use rustix::process::geteuid;

use crate::letter::{Letter, Parts, octets};
use crate::place::{Place, findings};

fn changed(letter: &Letter, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut data = letter.data.clone();
    change(&mut data);
    data
}

#[test]
fn data_that_are_not_those_announced_are_refused_and_leave_nothing() {
    let place = Place::new();
    let before = place.tree();
    let few = Letter::full("1");
    let many = (0..100).fold(Parts::default().inline(b"x"), |parts, n: u64| {
        parts.attach(&octets(n, 100))
    });
    for letter in [&few, &many.letter("2")] {
        let last = letter.header.parts().len();
        for (data, expected) in [
            (
                changed(letter, |data| data[0] ^= 1),
                DataError::Digest { part: 1 },
            ),
            (
                changed(letter, |data| *data.last_mut().unwrap() ^= 1),
                DataError::Digest { part: last },
            ),
            (
                changed(letter, |data| data.truncate(data.len() - 1)),
                DataError::Short { missing: 1 },
            ),
            (
                Vec::new(),
                DataError::Short {
                    missing: letter.data.len() as u128,
                },
            ),
            (changed(letter, |data| data.push(0)), DataError::Long),
        ] {
            let error = place
                .open()
                .deliver(&letter.header, &mut &*data, None)
                .unwrap_err();
            assert!(error.is_refusal());
            assert!(
                matches!(&error, MailboxError::Data(found) if *found == expected),
                "{error:?}"
            );
            assert_eq!(place.tree(), before);
        }
    }
}

#[test]
fn an_empty_part_with_a_wrong_digest_is_refused() {
    let place = Place::new();
    let text = String::from_utf8(
        Parts::default()
            .attach(b"")
            .letter("1")
            .header
            .as_bytes()
            .to_vec(),
    )
    .unwrap();
    let text = text.replace("sha256:e3b0", "sha256:0000");
    let header = ima_message::HeaderBlock::parse(text.as_bytes()).unwrap();
    let error = place
        .open()
        .deliver(&header, &mut io::empty(), None)
        .unwrap_err();
    assert!(
        matches!(error, MailboxError::Data(DataError::Digest { part: 1 })),
        "{error}"
    );
    assert!(place.names("messages").is_empty());
}

#[test]
fn a_source_that_cannot_be_read_is_a_fault() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let place = Place::new();
    let before = place.tree();
    let letter = Letter::full("1");
    let mut data = (&letter.data[..1000]).chain(Broken);
    let error = place
        .open()
        .deliver(&letter.header, &mut data, None)
        .unwrap_err();
    assert!(
        !error.is_refusal() && matches!(error, MailboxError::Read(_)),
        "{error}"
    );
    assert_eq!(place.tree(), before);
}

#[test]
fn a_folder_that_is_not_there_says_so() {
    let place = tempfile::tempdir().unwrap();
    for path in [place.path().join("inbox"), place.path().join("bob/inbox")] {
        let error = Folder::open(&path).unwrap_err();
        assert!(
            matches!(&error, MailboxError::NoFolder(at) if *at == path),
            "{error}"
        );
        assert!(!error.is_refusal());
    }
}

#[test]
fn a_directory_that_is_missing_is_a_fault_and_leaves_nothing() {
    for directory in ["messages", "attachments", "tmp"] {
        let place = Place::new();
        let folder = place.open();
        fs::remove_dir(place.path(directory)).unwrap();
        let before = place.tree();
        let letter = Letter::full("1");
        let error = folder
            .deliver(&letter.header, &mut &*letter.data, None)
            .unwrap_err();
        assert!(!error.is_refusal(), "{error}");
        assert_eq!(place.tree(), before, "{directory}");
        assert!(Folder::open(&place.inbox).is_err());
    }
}

#[test]
fn a_lock_or_journal_that_is_missing_or_broken_is_a_fault_and_leaves_nothing() {
    for (name, text) in [
        ("lock", None),
        ("journal", None),
        ("journal", Some("")),
        ("journal", Some("add \n")),
    ] {
        let place = Place::new();
        fs::remove_file(place.path(name)).unwrap();
        if let Some(text) = text {
            fs::write(place.path(name), text).unwrap();
        }
        let before = place.tree();
        let error = place.deliver(&Letter::full("1")).unwrap_err();
        assert!(!error.is_refusal(), "{error}");
        assert_eq!(place.tree(), before, "{name}");
        assert!(place.open().can_take(1).is_err());
    }
}

#[test]
fn a_line_that_a_power_cut_left_is_cut_off() {
    let place = Place::new();
    let sound = place.journal();
    fs::write(place.path("journal"), format!("{sound}add 0123")).unwrap();
    let letter = Letter::plain("1");
    place.deliver(&letter).unwrap();
    place.holds_exactly(&[&letter]);
    let journal = place.journal();
    assert!(
        journal.starts_with(&format!("{sound}add {} ", letter.name())),
        "{journal}"
    );
}

#[test]
fn room_is_forecast() {
    let place = Place::new();
    place.open().can_take(4096).unwrap();
    for octets in [1 << 62, u64::MAX] {
        let error = place.open().can_take(octets).unwrap_err();
        assert!(matches!(error, MailboxError::Full { .. }), "{error}");
    }
}

#[test]
fn root_stores_nothing_in_the_folder_of_another() {
    let place = Place::new();
    let letter = Letter::full("1");
    if !geteuid().is_root() {
        place.deliver(&letter).unwrap();
        return place.holds_exactly(&[&letter]);
    }
    chown(&place.inbox, Some(4711), None).unwrap();
    let before = place.tree();
    for error in [
        place.deliver(&letter).unwrap_err(),
        place.open().can_take(1).unwrap_err(),
    ] {
        assert!(
            matches!(error, MailboxError::Owner { owner: 4711, .. }),
            "{error}"
        );
    }
    assert_eq!(place.tree(), before);
    // Nor does it make folders there, and one that is root's is damage.
    let mailbox = place.dir.path().join("bob");
    let folder = mailbox.join("sent");
    Folder::create(&folder).unwrap();
    chown(&mailbox, Some(4711), None).unwrap();
    let error = place.mailbox().create_folder(&"new".parse().unwrap());
    let error = error.unwrap_err();
    assert!(matches!(error, MailboxError::Owner { .. }), "{error}");
    assert!(!mailbox.join("new").exists());
    let findings = findings(&mailbox);
    let finding = findings.iter().find(|found| found.path() == folder);
    assert!(
        matches!(
            finding.unwrap().rule(),
            Rule::Owner {
                expected: 4711,
                found: 0
            }
        ),
        "{findings:?}"
    );
}
