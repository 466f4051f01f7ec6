//! Delivery where all goes well.

use std::fs;
use std::io::Write as _;
use std::sync::Barrier;
use std::thread;

use ima_mailbox::Delivered::{Duplicate, Stored};
use ima_message::Entry;

use crate::letter::{Letter, Parts, octets, sha256};
use crate::place::{Place, assert_modes, inode};

#[test]
fn what_is_stored_is_what_was_given() {
    let place = Place::new();
    let letter = Letter::full("1");
    assert_eq!(place.deliver(&letter).unwrap(), Stored);
    place.holds_exactly(&[&letter]);
    assert_modes(&place.inbox);
    let name = letter.name();
    assert_eq!(
        place.names("messages"),
        [name.clone(), format!("{name}.3"), format!("{name}.4")]
    );
    for (number, part) in letter.header.attachments() {
        let kept = place.path("attachments").join(part.digest().to_string());
        assert_eq!(sha256(&fs::read(&kept).unwrap()), part.digest());
        assert_eq!(
            inode(&kept),
            inode(&place.path(&format!("messages/{name}.{number}")))
        );
    }
    assert!(place.names("tmp").is_empty());
    let journal = place.journal();
    let line = journal.lines().nth(1).unwrap();
    let Ok(Entry::Add { digest, octets, .. }) = Entry::parse(line.as_bytes()) else {
        panic!("{line}")
    };
    assert_eq!(
        (digest, octets),
        (letter.header.digest(), letter.whole().len() as u64)
    );
}

#[test]
fn empty_things_are_stored_too() {
    let place = Place::new();
    let letters = [
        Parts::default().letter("no-parts"),
        Parts::default()
            .inline(b"")
            .attach(b"")
            .attach(b"")
            .letter("empty-parts"),
        Parts::default().attach(b"x").letter("no-text"),
    ];
    for letter in &letters {
        assert_eq!(place.deliver(letter).unwrap(), Stored);
    }
    place.holds_exactly(&letters.iter().collect::<Vec<_>>());
}

#[test]
fn a_message_that_is_there_is_a_duplicate_whatever_its_transport_fields() {
    let place = Place::new();
    let parts = || Parts::default().inline(b"x").attach(b"attached");
    let first = parts().letter("1");
    assert_eq!(place.deliver(&first).unwrap(), Stored);
    let again = parts().letter_with("1", "deliver: bob@b.test\n");
    assert_eq!(again.name(), first.name());
    assert_eq!(place.deliver(&again).unwrap(), Duplicate);
    place.holds_exactly(&[&first]);
    let journal = place.journal();
    let octets: Vec<_> = journal
        .lines()
        .skip(1)
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(
        octets,
        [
            first.whole().len().to_string(),
            first.whole().len().to_string()
        ]
    );
}

#[test]
fn a_message_that_was_deleted_is_a_duplicate() {
    let place = Place::new();
    let letter = Letter::full("1");
    fs::write(place.path("gone").join(letter.name()), "").unwrap();
    let before = place.tree();
    assert_eq!(place.deliver(&letter).unwrap(), Duplicate);
    assert_eq!(place.tree(), before);
}

#[test]
fn two_threads_with_one_message_store_it_once() {
    for round in 0..20 {
        let place = Place::new();
        let letter = Letter::full(&round.to_string());
        let barrier = Barrier::new(2);
        let outcomes = thread::scope(|scope| {
            let deliver = || {
                barrier.wait();
                place.deliver(&letter).unwrap()
            };
            let (a, b) = (scope.spawn(deliver), scope.spawn(deliver));
            [a.join().unwrap(), b.join().unwrap()]
        });
        assert!(
            outcomes.contains(&Stored) && outcomes.contains(&Duplicate),
            "{outcomes:?}"
        );
        place.holds_exactly(&[&letter]);
        assert!(place.names("tmp").is_empty());
    }
}

#[test]
fn fifty_writers_leave_fifty_messages() {
    let place = Place::new();
    let folder = place.open();
    // Half of them share a handle; all share an attachment.
    let letters: Vec<_> = (0..50)
        .map(|n: u32| {
            let own = octets(n.into(), 1000);
            Parts::default()
                .inline(b"x")
                .attach(&own)
                .attach(b"the same")
                .letter(&n.to_string())
        })
        .collect();
    let barrier = Barrier::new(letters.len());
    thread::scope(|scope| {
        for (n, letter) in letters.iter().enumerate() {
            let (place, folder, barrier) = (&place, &folder, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let delivered = if n % 2 == 0 {
                    place.deliver(letter)
                } else {
                    folder.deliver(&letter.header, &mut &*letter.data, None)
                };
                assert_eq!(delivered.unwrap(), Stored);
            });
        }
    });
    place.holds_exactly(&letters.iter().collect::<Vec<_>>());
    assert_eq!(place.journal().lines().count(), 51);
    assert_eq!(place.names("attachments").len(), 51);
}

#[test]
fn a_pipe_is_a_source() {
    let place = Place::new();
    let letter = Letter::full("1");
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let folder = place.open();
    thread::scope(|scope| {
        let data = &letter.data;
        scope.spawn(move || {
            data.chunks(777)
                .for_each(|chunk| writer.write_all(chunk).unwrap())
        });
        assert_eq!(
            folder.deliver(&letter.header, &mut reader, None).unwrap(),
            Stored
        );
    });
    place.holds_exactly(&[&letter]);
}

#[test]
fn more_attachments_than_descriptors_are_stored() {
    let place = Place::new();
    let many = |id: &str, text: &[u8]| {
        let parts = (0..900).fold(Parts::default().inline(text), |parts, n: u64| {
            parts.attach(&octets(n, 100))
        });
        parts.letter(id)
    };
    let (first, second) = (many("1", b"x"), many("2", b"y"));
    let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    assert_eq!(
        place.deliver(&first).unwrap(),
        Stored,
        "with {soft:?} descriptors"
    );
    assert_eq!(place.deliver(&second).unwrap(), Stored);
    place.holds_exactly(&[&first, &second]);
    assert!(place.names("tmp").is_empty());
    assert_eq!(place.names("attachments").len(), 900);
}

#[test]
fn what_a_killed_delivery_left_is_completed() {
    let place = Place::new();
    let letter = Letter::full("1");
    let name = letter.name();
    // It had linked an attachment, and died.
    fs::write(
        place.path(&format!("messages/{name}.3")),
        "of an unfinished delivery",
    )
    .unwrap();
    assert_eq!(place.deliver(&letter).unwrap(), Stored);
    place.holds_exactly(&[&letter]);
    // It had linked the message, too, but not written its line.
    let journal = place.journal();
    let first_line = journal.lines().next().unwrap();
    fs::write(
        place.path("journal"),
        format!("{first_line}\nadd {name} 2026-11-22T09:"),
    )
    .unwrap();
    assert_eq!(place.deliver(&letter).unwrap(), Duplicate);
    place.holds_exactly(&[&letter]);
    assert_eq!(place.journal().lines().count(), 2);
}
