//! Attachments are kept once.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;

use ima_mailbox::Delivered::Stored;
use ima_mailbox::{Folder, Shared};

use crate::letter::{Letter, Parts, octets, sha256};
use crate::place::{Place, deliver, findings, inode};

#[test]
fn twenty_folders_share_one_copy_of_an_attachment() {
    for at_once in [false, true] {
        let place = Place::new();
        let folders: Vec<_> = (0..20)
            .map(|n| place.dir.path().join(format!("user{n}/inbox")))
            .collect();
        for folder in &folders {
            Folder::create(folder).unwrap();
        }
        let letter = Letter::full("1");
        let shared = Shared::new();
        let store =
            |folder: &Path| assert_eq!(deliver(folder, &letter, Some(&shared)).unwrap(), Stored);
        if at_once {
            thread::scope(|scope| {
                folders
                    .iter()
                    .for_each(|folder| drop(scope.spawn(|| store(folder))))
            });
        } else {
            folders.iter().for_each(|folder| store(folder));
        }
        drop(shared);
        let kept = letter
            .header
            .attachments()
            .next()
            .unwrap()
            .1
            .digest()
            .to_string();
        let first = folders[0].join("attachments").join(&kept);
        assert_eq!(
            fs::metadata(&first).unwrap().nlink(),
            40,
            "two names in each folder"
        );
        for folder in &folders {
            assert_eq!(
                inode(&folder.join("attachments").join(&kept)),
                inode(&first)
            );
            assert!(findings(folder).is_empty());
        }
    }
}

#[test]
fn folders_on_two_file_systems_have_a_copy_each() {
    let place = Place::new();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let other = memory.path().join("inbox");
    Folder::create(&other).unwrap();
    let letter = Letter::full("1");
    let shared = Shared::new();
    for folder in [&place.inbox, &other] {
        assert_eq!(deliver(folder, &letter, Some(&shared)).unwrap(), Stored);
        assert!(findings(folder).is_empty());
    }
    place.holds_exactly(&[&letter]);
}

#[test]
fn a_message_that_is_not_valid_shares_nothing() {
    let place = Place::new();
    let (first, second) = (place.inbox.clone(), place.dir.path().join("carol/inbox"));
    Folder::create(&second).unwrap();
    let letter = Parts::default()
        .attach(b"one")
        .attach(&octets(2, 5000))
        .letter("1");
    let shared = Shared::new();
    let cut = &letter.data[..4000];
    let error = Folder::open(&first)
        .unwrap()
        .deliver(&letter.header, &mut &*cut, Some(&shared))
        .unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert_eq!(deliver(&second, &letter, Some(&shared)).unwrap(), Stored);
    assert!(findings(&second).is_empty());
    place.holds_exactly(&[]);
}

#[test]
fn an_attachment_that_is_there_is_not_stored_again() {
    let place = Place::new();
    let attached = octets(3, 10_000);
    let letters: Vec<_> = (0..3)
        .map(|n: u32| {
            Parts::default()
                .inline(b"x")
                .attach(&attached)
                .attach(&attached)
                .letter(&n.to_string())
        })
        .collect();
    for letter in &letters {
        assert_eq!(place.deliver(letter).unwrap(), Stored);
    }
    place.holds_exactly(&letters.iter().collect::<Vec<_>>());
    let kept = place
        .path("attachments")
        .join(sha256(&attached).to_string());
    assert_eq!(
        fs::metadata(kept).unwrap().nlink(),
        7,
        "its own name and two for each message"
    );
}

/// Data behind whose last octet something happens.
struct ThenDo<'a, F: FnMut()>(&'a [u8], F);

impl<F: FnMut()> Read for ThenDo<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            (self.1)();
        }
        self.0.read(buffer)
    }
}

#[test]
fn an_attachment_that_goes_while_the_message_is_read_is_stored_all_the_same() {
    // With few attachments by descriptor, with many by name.
    for count in [2, 100] {
        let place = Place::new();
        let parts = |text: &[u8]| {
            (0..count).fold(Parts::default().inline(text), |parts, n: u64| {
                parts.attach(&octets(n, 100))
            })
        };
        let (first, second) = (parts(b"x").letter("1"), parts(b"y").letter("2"));
        place.deliver(&first).unwrap();
        let sweep = || {
            for directory in ["messages", "attachments"] {
                for name in place.names(directory) {
                    fs::remove_file(place.path(directory).join(name)).unwrap();
                }
            }
            let line = format!("{}del {}\n", place.journal(), first.name());
            fs::write(place.path("journal"), line).unwrap();
        };
        let mut data = ThenDo(&second.data, sweep);
        assert_eq!(
            place
                .open()
                .deliver(&second.header, &mut data, None)
                .unwrap(),
            Stored
        );
        place.holds_exactly(&[&second]);
        assert!(place.names("tmp").is_empty());
    }
}

#[test]
fn an_attachment_that_is_there_is_not_written_again() {
    // So many that each is seen in tmp/ while the message is read.
    let place = Place::new();
    let parts = |text: &[u8]| {
        (0..100).fold(Parts::default().inline(text), |parts, n: u64| {
            parts.attach(&octets(n, 100))
        })
    };
    place.deliver(&parts(b"x").letter("1")).unwrap();
    let second = parts(b"y").letter("2");
    let mut written = Vec::new();
    let look = || {
        let tmp = place.path("tmp");
        let names = place.names("tmp").into_iter().map(|name| tmp.join(name));
        written = names
            .map(|path| fs::metadata(path).unwrap().nlink())
            .collect();
        written.sort_unstable();
    };
    let mut data = ThenDo(&second.data, look);
    place
        .open()
        .deliver(&second.header, &mut data, None)
        .unwrap();
    // Beside its name in tmp/ each has those that it had.
    assert_eq!(
        written, [3; 100],
        "the message itself is written at the end"
    );
}

#[test]
fn a_kept_attachment_of_the_wrong_length_is_replaced() {
    let place = Place::new();
    let letter = Letter::full("1");
    let digest = letter
        .header
        .attachments()
        .next()
        .unwrap()
        .1
        .digest()
        .to_string();
    let kept = place.path("attachments").join(digest);
    fs::write(&kept, "cut").unwrap();
    assert_eq!(place.deliver(&letter).unwrap(), Stored);
    assert_eq!(place.read(&letter), letter.whole());
    place.holds_exactly(&[&letter]);
}

#[test]
fn an_attachment_with_as_many_names_as_it_can_have_is_copied() {
    let place = Place::new();
    let (first, second, third) = (
        Parts::default().inline(b"1").attach(b"popular").letter("1"),
        Parts::default().inline(b"2").attach(b"popular").letter("2"),
        Parts::default().inline(b"3").attach(b"popular").letter("3"),
    );
    place.deliver(&first).unwrap();
    let kept = place
        .path("attachments")
        .join(sha256(b"popular").to_string());
    let before = inode(&kept);
    let elsewhere = place.dir.path().join("names");
    fs::create_dir(&elsewhere).unwrap();
    // Most file systems have a limit that can be reached; ext4 has 65,000.
    let full =
        (0..66_000).any(|n: u32| fs::hard_link(&kept, elsewhere.join(n.to_string())).is_err());
    for letter in [&second, &third] {
        assert_eq!(place.deliver(letter).unwrap(), Stored);
    }
    place.holds_exactly(&[&first, &second, &third]);
    assert_eq!(
        inode(&kept) != before,
        full,
        "the next messages link the copy"
    );
    let name = |letter: &Letter| place.path("messages").join(format!("{}.2", letter.name()));
    assert_eq!(inode(&name(&second)), inode(&kept));
    assert_eq!(inode(&name(&third)), inode(&kept));
    assert!(place.names("tmp").is_empty());
}
