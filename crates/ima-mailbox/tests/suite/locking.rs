//! Who changes a folder excludes all others, and who reads it those who change it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ima_mailbox::Delivered::Duplicate;
use ima_mailbox::{Act, Folder, MailboxError};
use ima_message::DateTime;
use rustix::fs::{FlockOperation, flock};

use crate::letter::{Letter, octets};
use crate::place::Place;

/// Says so when the data were read to their end.
struct Telling<'a>(&'a [u8], Sender<()>);

impl Read for Telling<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            self.1.send(()).unwrap();
        }
        self.0.read(buffer)
    }
}

fn lock(place: &Place, operation: FlockOperation) -> File {
    let file = File::options()
        .read(true)
        .write(true)
        .open(place.path("lock"))
        .unwrap();
    flock(&file, operation).unwrap();
    file
}

/// Takes a while, in which whoever does not wait for the lock goes on.
fn dawdle(place: &Place) {
    let file = File::create(place.dir.path().join("slow")).unwrap();
    for n in 0..10 {
        (&file).write_all(&octets(n, 100_000)).unwrap();
        file.sync_all().unwrap();
    }
}

#[test]
fn a_delivery_waits_for_readers_and_writers() {
    for operation in [FlockOperation::LockShared, FlockOperation::LockExclusive] {
        let place = Place::new();
        let letter = Letter::full("1");
        let held = lock(&place, operation);
        let (sender, receiver) = mpsc::channel();
        let delivered = thread::scope(|scope| {
            let delivery = scope.spawn(|| {
                let mut data = Telling(&letter.data, sender);
                place.open().deliver(&letter.header, &mut data, None)
            });
            receiver.recv().unwrap();
            dawdle(&place);
            // Had it not waited, it would not have seen this.
            fs::write(place.path("gone").join(letter.name()), "").unwrap();
            drop(held);
            delivery.join().unwrap().unwrap()
        });
        assert_eq!(delivered, Duplicate);
        assert!(place.names("messages").is_empty());
    }
}

#[test]
fn who_asks_for_a_token_waits_for_writers_and_for_no_reader() {
    let place = Place::new();
    let folder: Folder = place.open();
    let reader = lock(&place, FlockOperation::LockShared);
    let before = folder.token().unwrap();
    drop(reader);
    let writer = lock(&place, FlockOperation::LockExclusive);
    let (sender, receiver) = mpsc::channel();
    let token = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            sender.send(()).unwrap();
            folder.token().unwrap()
        });
        receiver.recv().unwrap();
        dawdle(&place);
        let mut journal = OpenOptions::new()
            .append(true)
            .open(place.path("journal"))
            .unwrap();
        writeln!(journal, "del {}", "ab".repeat(32)).unwrap();
        drop(writer);
        asking.join().unwrap()
    });
    assert_ne!(token, before);
    assert_eq!(token, folder.token().unwrap());
}

/// Once whoever served a mailbox to strangers waited without end.
#[test]
fn who_has_no_more_patience_hears_that_the_folder_is_locked() {
    let place = Place::new();
    let quota = place.dir.path().join("bob/mailbox.toml");
    fs::write(&quota, "quota = 1000000\n").unwrap();
    let limit = Duration::from_millis(30);
    let mailbox = place.mailbox().waiting_at_most(limit);
    let name = "inbox".parse().unwrap();
    let folder = mailbox.folder(&name).unwrap().unwrap();
    let letter = Letter::full("1");
    let acts = [Act::Delete {
        digest: letter.header.digest(),
    }];
    let store = || {
        let mut batch = folder.batch_of_user()?;
        let time = DateTime::utc(1_790_000_000).unwrap();
        batch.stage(&letter.header, &mut &letter.data[..], time)?;
        batch.commit().map(drop)
    };
    let (other, _) = place.folder("other");
    let is_locked = |outcome: Result<(), MailboxError>| {
        let error = outcome.unwrap_err();
        let MailboxError::Locked { path, limit: known } = &error else {
            panic!("{error}");
        };
        assert_eq!(*known, limit);
        assert!(path.starts_with(place.dir.path().join("bob")), "{error}");
    };
    let held = lock(&place, FlockOperation::LockExclusive);
    is_locked(folder.token().map(drop));
    is_locked(folder.status().map(drop));
    is_locked(folder.changes(None).map(drop));
    is_locked(folder.apply(&acts).map(drop));
    is_locked(folder.compact().map(drop));
    is_locked(store());
    is_locked(
        mailbox
            .move_messages(&name, &[letter.header.digest()], &other)
            .map(drop),
    );
    drop(held);
    // Of the mailbox, whoever adds messages waits for this.
    let held = File::options().read(true).write(true).open(&quota).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    is_locked(store());
    folder.token().unwrap();
    drop(held);
    store().unwrap();
    assert_eq!(
        place.names("messages").len(),
        1 + letter.header.attachments().count()
    );
}

/// Once for each lock, and not once for each question.
#[test]
fn who_has_waited_in_vain_waits_again_only_once_it_was_to_be_had() {
    let place = Place::new();
    let limit = Duration::from_millis(300);
    let mailbox = place.mailbox().waiting_at_most(limit);
    let name = "inbox".parse().unwrap();
    let token = || mailbox.folder(&name).unwrap().unwrap().token();
    let takes = |wanted: fn(&Duration, &Duration) -> bool| {
        let held = lock(&place, FlockOperation::LockExclusive);
        let begin = Instant::now();
        assert!(token().is_err());
        let took = begin.elapsed();
        assert!(wanted(&took, &limit), "{took:?}");
        drop(held);
    };
    takes(Duration::ge);
    takes(Duration::lt);
    token().unwrap();
    takes(Duration::ge);
}
