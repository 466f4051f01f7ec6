//! What is told as stored rests on no octets that have rotted where they lie.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ima_mailbox::Delivered::{Duplicate, Stored};
use ima_mailbox::repair::{self, Tokens};
use ima_mailbox::{Act, Moved};
use ima_message::DateTime;

use crate::letter::{Letter, Parts, octets, sha256};
use crate::place::{Place, damage, deliver, findings, flags, inbox, inode};

/// Changes an octet of a file, whose length stays.
fn rot(path: &Path, place: usize) {
    let mut octets = fs::read(path).unwrap();
    octets[place] ^= 1;
    fs::write(path, octets).unwrap();
}

fn part(place: &Place, octets: &[u8]) -> PathBuf {
    place.path("attachments").join(sha256(octets).to_string())
}

fn mend(place: &Place) {
    repair::directory(&place.inbox, Tokens::Kept, &mut |_| {}).unwrap();
}

#[test]
fn a_new_message_does_not_rest_on_a_rotten_attachment() {
    let big = octets(7, 300_000);
    let letters = |more: u64| {
        let letter = |id: &str, text: &[u8]| {
            let parts = Parts::default().inline(text).attach(&big);
            (0..more)
                .fold(parts, |parts, n| parts.attach(&octets(n, 10)))
                .letter(id)
        };
        (
            letter("1", b"one"),
            letter("2", b"two"),
            letter("3", b"three"),
        )
    };
    // So many attachments that they have no descriptors.
    for more in [0, 80] {
        let (first, second, third) = letters(more);
        for at in [0, 131_071, 131_072, 299_999] {
            let place = Place::new();
            place.deliver(&first).unwrap();
            let kept = part(&place, &big);
            rot(&kept, at);
            assert_eq!(place.deliver(&second).unwrap(), Stored);
            assert_eq!(place.read(&second), second.whole(), "octet {at}");
            assert_eq!(fs::read(&kept).unwrap(), big);
            assert_eq!(damage(&place.inbox), 1, "{:?}", findings(&place.inbox));
            mend(&place);
            fs::remove_dir_all(place.path("damaged")).unwrap();
            assert_eq!(place.deliver(&third).unwrap(), Stored);
            place.holds_exactly(&[&first, &second, &third]);
            let link = place.path("messages").join(format!("{}.2", third.name()));
            assert_eq!(inode(&link), inode(&kept));
            assert!(place.names("tmp").is_empty());
        }
    }
}

#[test]
fn a_batch_does_not_either() {
    let place = Place::new();
    let letter = |n: u8| Parts::default().inline(&[n]).attach(b"popular");
    let letters: Vec<Letter> = (0..30).map(|n| letter(n).letter(&n.to_string())).collect();
    place.deliver(&letters[0]).unwrap();
    rot(&part(&place, b"popular"), 3);
    let folder = place.open();
    let mut batch = folder.batch_of_user().unwrap();
    for letter in &letters {
        let time = DateTime::utc(0).unwrap();
        batch
            .stage(&letter.header, &mut &*letter.data, time)
            .unwrap();
    }
    assert_eq!(batch.commit().unwrap().new, 29);
    place.holds_exactly(&letters.iter().collect::<Vec<_>>());
}

/// Reads, and does something before the end.
struct Meanwhile<'a, F: FnMut()> {
    data: &'a [u8],
    act: F,
}

impl<F: FnMut()> Read for Meanwhile<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.data.read(buffer)?;
        if octets == 0 {
            (self.act)();
        }
        Ok(octets)
    }
}

#[test]
fn a_rotten_attachment_that_comes_meanwhile_is_no_good_either() {
    let place = Place::new();
    let letter = Letter::full("1");
    let kept = part(&place, b"small");
    let mut data = Meanwhile {
        data: &letter.data,
        act: || fs::write(&kept, "slmal").unwrap(),
    };
    let delivered = place.open().deliver(&letter.header, &mut data, None);
    assert_eq!(delivered.unwrap(), Stored);
    assert_eq!(place.read(&letter), letter.whole());
    assert_eq!(fs::read(&kept).unwrap(), b"small");
}

#[test]
fn a_message_that_is_here_and_damaged_is_made_whole() {
    let letter = Letter::full("1");
    let name = letter.name();
    for (file, damage) in [
        (
            name.clone(),
            &(|_: &[u8]| Vec::new()) as &dyn Fn(&[u8]) -> Vec<u8>,
        ),
        (name.clone(), &|octets| octets[..20].to_vec()),
        (name.clone(), &|octets| octets[..octets.len() - 1].to_vec()),
        (name.clone(), &|octets| [octets, b"x"].concat()),
        (name.clone(), &|octets| {
            [&octets[..octets.len() - 1], b"x"].concat()
        }),
        (format!("{name}.3"), &|octets| octets[1..].to_vec()),
        (format!("{name}.3"), &|octets| [b"x", &octets[1..]].concat()),
        (format!("{name}.4"), &|_| b"slmal".to_vec()),
    ] {
        for is_apart in [false, true] {
            for by_user in [false, true] {
                let place = Place::new();
                place.deliver(&letter).unwrap();
                let path = place.path("messages").join(&file);
                let damaged = damage(&fs::read(&path).unwrap());
                if is_apart {
                    // As on a file system that has no links.
                    fs::remove_file(&path).unwrap();
                }
                fs::write(&path, damaged).unwrap();
                if by_user {
                    let folder = place.open();
                    let mut batch = folder.batch_of_user().unwrap();
                    let time = DateTime::utc(0).unwrap();
                    batch
                        .stage(&letter.header, &mut &*letter.data, time)
                        .unwrap();
                    assert_eq!(batch.commit().unwrap().new, 0);
                } else {
                    assert_eq!(place.deliver(&letter).unwrap(), Duplicate);
                }
                assert_eq!(place.read(&letter), letter.whole(), "{file}");
                assert_eq!(crate::place::live(&place.inbox).len(), 1);
            }
        }
    }
}

#[test]
fn a_message_that_is_moved_does_not_rest_on_a_rotten_attachment() {
    let place = Place::new();
    let (archive, path) = place.folder("archive");
    let (first, second) = (
        Parts::default().inline(b"1").attach(b"popular").letter("1"),
        Parts::default().inline(b"2").attach(b"popular").letter("2"),
    );
    deliver(&path, &first, None).unwrap();
    rot(
        &path
            .join("attachments")
            .join(sha256(b"popular").to_string()),
        0,
    );
    place.deliver(&second).unwrap();
    let mailbox = place.mailbox();
    let moved = mailbox.move_message(&inbox(), second.header.digest(), &archive);
    assert!(matches!(moved.unwrap(), Moved::Done { .. }));
    let moved = path.join("messages").join(format!("{}.2", second.name()));
    assert_eq!(fs::read(moved).unwrap(), b"popular");
}

#[test]
fn a_journal_with_a_second_name_is_brought_onto_the_disk_first() {
    let place = Place::new();
    let (archive, _) = place.folder("archive");
    let letter = Letter::plain("1");
    let digest = letter.header.digest();
    let changes = flags("+seen");
    let steps: [&dyn Fn(); 4] = [
        &|| assert_eq!(place.deliver(&letter).unwrap(), Stored),
        &|| {
            let changes = changes.clone();
            drop(
                place
                    .open()
                    .apply(&[Act::Flag { digest, changes }])
                    .unwrap(),
            );
        },
        &|| {
            let moved = place.mailbox().move_message(&inbox(), digest, &archive);
            assert!(matches!(moved.unwrap(), Moved::Done { .. }));
        },
        &|| assert_eq!(place.open().compact().unwrap().swept.messages, 0),
    ];
    for step in steps {
        let journal = place.path("journal");
        assert_eq!(fs::metadata(&journal).unwrap().nlink(), 1);
        // As whoever made it leaves it, and is killed.
        fs::hard_link(&journal, place.path("tmp/journal-0.new")).unwrap();
        step();
        assert_eq!(fs::metadata(&journal).unwrap().nlink(), 1);
        assert!(place.names("tmp").is_empty());
    }
}
