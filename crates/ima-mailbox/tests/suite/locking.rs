//! Who changes a folder excludes all others, and who reads it those who change it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::sync::mpsc::{self, Sender};
use std::thread;

use ima_mailbox::Delivered::Duplicate;
use ima_mailbox::Folder;
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
