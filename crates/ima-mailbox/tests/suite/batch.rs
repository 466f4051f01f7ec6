//! Many messages at once, and what a mailbox tells about itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use ima_mailbox::{Mailbox, MailboxError};
use ima_message::{DateTime, Entry, FolderName};

use crate::letter::{Letter, Parts, octets};
use crate::place::{Place, assert_modes, inode, names};

fn at(seconds: i64) -> DateTime {
    DateTime::utc(1_800_000_000 + seconds).unwrap()
}

fn adds(place: &Place) -> Vec<(String, i64)> {
    let journal = place.journal();
    let entries = journal.lines().skip(1);
    entries
        .map(|line| match Entry::parse(line.as_bytes()).unwrap() {
            Entry::Add { digest, time, .. } => (digest.to_string(), time.unix_seconds()),
            other => panic!("{other}"),
        })
        .collect()
}

#[test]
fn many_messages_appear_together_with_the_time_of_each() {
    let place = Place::new();
    let folder = place.open();
    // More than are synced one by one, and more files than keep descriptors.
    let picture = octets(7, 200_000);
    let letters: Vec<Letter> = (0..150)
        .map(|n: u64| {
            Parts::default()
                .inline(format!("This is {n}.\n").as_bytes())
                .attach(&picture)
                .attach(&octets(n, 1000))
                .letter(&n.to_string())
        })
        .collect();
    let mut batch = folder.batch().unwrap();
    assert!(batch.is_empty());
    for (n, letter) in letters.iter().enumerate() {
        let time = at(i64::try_from(n).unwrap());
        batch
            .stage(&letter.header, &mut &*letter.data, time)
            .unwrap();
    }
    let whole: usize = letters.iter().map(|letter| letter.whole().len()).sum();
    assert_eq!((batch.len(), batch.octets()), (150, whole as u64));
    // Nobody sees anything yet.
    assert_eq!(place.journal().lines().count(), 1);
    assert!(place.names("messages").is_empty());
    assert_eq!(batch.commit().unwrap().new, 150);
    place.holds_exactly(&letters.iter().collect::<Vec<_>>());
    assert!(place.names("tmp").is_empty());
    assert_modes(&place.inbox);
    let expected: Vec<_> = letters
        .iter()
        .map(Letter::name)
        .zip(1_800_000_000..)
        .collect();
    assert_eq!(adds(&place), expected);
    // The picture is there once.
    let inodes = letters
        .iter()
        .map(|letter| inode(&place.path(&format!("messages/{}.2", letter.name()))));
    let mut inodes: Vec<u64> = inodes.collect();
    inodes.dedup();
    assert_eq!(inodes.len(), 1);
}

#[test]
fn a_batch_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let before = place.tree();
    let folder = place.open();
    let mut batch = folder.batch().unwrap();
    for n in 0..300 {
        let letter = Letter::plain(&n.to_string());
        batch
            .stage(&letter.header, &mut &*letter.data, at(n))
            .unwrap();
    }
    drop(batch);
    assert_eq!(place.tree(), before);
}

#[test]
fn a_batch_that_cannot_be_committed_leaves_nothing() {
    let place = Place::new();
    let folder = place.open();
    let letters = [Letter::full("1"), Letter::full("2"), Letter::plain("3")];
    let stage = || {
        let mut batch = folder.batch().unwrap();
        for letter in &letters {
            batch
                .stage(&letter.header, &mut &*letter.data, at(0))
                .unwrap();
        }
        batch
    };
    // The last one finds something else in its place.
    let batch = stage();
    let blocked = place.path(&format!("messages/{}", letters[2].name()));
    fs::create_dir(&blocked).unwrap();
    let before = place.tree();
    assert!(!batch.commit().unwrap_err().is_refusal());
    assert_eq!(place.tree(), before);
    fs::remove_dir(&blocked).unwrap();
    // And here it is the journal.
    let batch = stage();
    let journal = place.journal();
    fs::write(place.path("journal"), "ima-mailbox 2\n").unwrap();
    let before = place.tree();
    assert!(!batch.commit().unwrap_err().is_refusal());
    assert_eq!(place.tree(), before);
    fs::write(place.path("journal"), journal).unwrap();
    assert_eq!(stage().commit().unwrap().new, 3);
    place.holds_exactly(&letters.iter().collect::<Vec<_>>());
}

#[test]
fn a_message_that_is_not_what_it_says_spoils_no_other() {
    let place = Place::new();
    let folder = place.open();
    let (good, bad) = (Letter::full("good"), Letter::full("bad"));
    let mut batch = folder.batch().unwrap();
    batch.stage(&good.header, &mut &*good.data, at(0)).unwrap();
    let mut data = bad.data.clone();
    *data.last_mut().unwrap() ^= 1;
    for data in [&data[..], &data[..1000], &[&bad.data[..], b"x"].concat()] {
        let error = batch.stage(&bad.header, &mut &*data, at(0)).unwrap_err();
        assert!(error.is_refusal(), "{error}");
    }
    assert_eq!(batch.commit().unwrap().new, 1);
    place.holds_exactly(&[&good]);
}

#[test]
fn what_is_there_or_was_deleted_is_passed_over() {
    let place = Place::new();
    let (known, deleted, new) = (Letter::full("1"), Letter::plain("2"), Letter::plain("3"));
    place.deliver(&known).unwrap();
    let gone = place.path(&format!("gone/{}", deleted.name()));
    fs::write(&gone, "").unwrap();
    fs::set_permissions(&gone, fs::Permissions::from_mode(0o600)).unwrap();
    let folder = place.open();
    assert!(folder.was_removed(deleted.header.digest()).unwrap());
    assert!(!folder.was_removed(new.header.digest()).unwrap());
    let mut batch = folder.batch().unwrap();
    for letter in [&known, &deleted, &new, &new] {
        batch
            .stage(&letter.header, &mut &*letter.data, at(0))
            .unwrap();
    }
    assert_eq!(batch.commit().unwrap().new, 1);
    place.holds_exactly(&[&known, &new]);
}

#[test]
fn an_add_that_a_dead_process_did_not_write_is_written_again() {
    let place = Place::new();
    let letter = Letter::plain("1");
    let empty = place.journal();
    place.deliver(&letter).unwrap();
    fs::write(place.path("journal"), empty).unwrap();
    let folder = place.open();
    let mut batch = folder.batch().unwrap();
    let size = letter.whole().len() as u64;
    batch.add_again(letter.header.digest(), at(5), size);
    // And none of a message that is not there.
    batch.add_again(Letter::plain("2").header.digest(), at(5), size);
    assert_eq!((batch.len(), batch.is_empty()), (0, false));
    assert_eq!(batch.commit().unwrap().new, 0);
    place.holds_exactly(&[&letter]);
    assert_eq!(adds(&place), [(letter.name(), 1_800_000_005)]);
}

#[test]
fn a_mailbox_knows_its_folders_and_what_they_hold() {
    let place = Place::new();
    let root = place.dir.path().join("bob");
    let mailbox = Mailbox::open(&root).unwrap();
    let name = |name: &str| name.parse::<FolderName>().unwrap();
    mailbox.create_folder(&name("Entwürfe")).unwrap();
    assert!(matches!(
        mailbox.create_folder(&name("inbox")),
        Err(MailboxError::Exists(_))
    ));
    // What is no folder is none; what took a folder's place is found by who opens it.
    fs::write(root.join("mailbox.toml"), "").unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join(".fetch-mail")).unwrap();
    symlink(root.join("inbox"), root.join("link")).unwrap();
    assert_eq!(
        mailbox.names().unwrap(),
        [name("Entwürfe"), name("inbox"), name("link")]
    );
    assert!(mailbox.folder(&name("nothing")).unwrap().is_none());
    assert!(mailbox.folder(&name("link")).is_err());
    // The mailbox stays what it was, whatever the path leads to now.
    fs::rename(&root, place.dir.path().join("moved")).unwrap();
    fs::create_dir(&root).unwrap();
    assert_eq!(mailbox.names().unwrap().len(), 3);
    assert!(matches!(
        Mailbox::open(&root.join("x")),
        Err(MailboxError::NoMailbox(_))
    ));
    let made = Mailbox::create(&place.dir.path().join("new")).unwrap();
    made.create_folder(&name("inbox")).unwrap();
    assert_eq!(names(made.path()), ["inbox"]);
    assert!(Mailbox::create(&place.dir.path().join("new")).is_err());
}
