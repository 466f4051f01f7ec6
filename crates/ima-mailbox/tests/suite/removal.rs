//! Folders that are removed.

use std::fs;
use std::sync::Barrier;
use std::thread;

use ima_mailbox::{Act, Delivered, Folder, MailboxError, Removal};

use crate::letter::Letter;
use crate::place::{Place, deliver, live, names};

#[test]
fn a_folder_without_messages_is_removed_and_can_be_made_again() {
    let place = Place::new();
    let mailbox = place.mailbox();
    let (name, path) = place.folder("lists");
    let letter = Letter::full("1");
    deliver(&path, &letter, None).unwrap();
    assert_eq!(mailbox.remove_folder(&name).unwrap(), Removal::NotEmpty);
    let folder = Folder::open(&path).unwrap();
    let digest = letter.header.digest();
    folder.apply(&[Act::Delete { digest }]).unwrap();
    let token = folder.token().unwrap();
    // What a killed delivery left is no mail.
    fs::write(path.join("messages").join("ab".repeat(32)), "x").unwrap();
    fs::write(path.join("tmp/x"), "x").unwrap();
    let by_another_way = Folder::open(&path.join("tmp/..")).unwrap();
    assert_eq!(mailbox.remove_folder(&name).unwrap(), Removal::Removed);
    assert_eq!(names(&place.dir.path().join("bob")), ["inbox"]);
    assert_eq!(mailbox.remove_folder(&name).unwrap(), Removal::NoFolder);
    // Whoever has it open stores nothing in it.
    for error in [
        folder
            .deliver(&letter.header, &mut &*letter.data, None)
            .unwrap_err(),
        folder.token().unwrap_err(),
        by_another_way.token().unwrap_err(),
        folder.status().unwrap_err(),
        folder.compact().unwrap_err(),
    ] {
        assert!(!error.is_refusal());
        assert!(matches!(error, MailboxError::NoFolder(_)), "{error}");
    }
    let made = mailbox.create_folder(&name).unwrap();
    assert_ne!(made.token().unwrap().generation, token.generation);
    assert!(made.changes(Some(&token)).is_ok());
    assert_eq!(deliver(&path, &letter, None).unwrap(), Delivered::Stored);
    // And the old handle is not one of the new folder.
    assert!(matches!(folder.token(), Err(MailboxError::NoFolder(_))));
}

#[test]
fn the_inbox_stays_and_so_does_what_somebody_keeps() {
    let place = Place::new();
    let mailbox = place.mailbox();
    let inbox = "inbox".parse().unwrap();
    assert_eq!(mailbox.remove_folder(&inbox).unwrap(), Removal::Inbox);
    let (name, path) = place.folder("lists");
    fs::create_dir(path.join("damaged")).unwrap();
    fs::write(path.join("damaged/journal-1"), "x").unwrap();
    assert_eq!(mailbox.remove_folder(&name).unwrap(), Removal::NotEmpty);
    fs::remove_file(path.join("damaged/journal-1")).unwrap();
    assert_eq!(mailbox.remove_folder(&name).unwrap(), Removal::Removed);
}

#[test]
fn what_a_killed_removal_leaves_is_found_and_goes() {
    let place = Place::new();
    let (_, path) = place.folder("lists");
    let left = place.dir.path().join("bob/.old-0123456789abcdef");
    fs::rename(path, &left).unwrap();
    let said = crate::place::findings(&place.dir.path().join("bob"));
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].path(), left);
    place.open().compact().unwrap();
    assert_eq!(names(&place.dir.path().join("bob")), ["inbox"]);
}

/// A delivery that waits for the lock of a folder that is being removed is not
/// acknowledged, or its message is there.
#[test]
fn no_message_is_acknowledged_into_a_folder_that_goes() {
    let place = Place::new();
    let letter = Letter::full("1");
    let (mut removed, mut kept) = (0, 0);
    for round in 0..60 {
        let (name, path) = place.folder(&format!("lists{round}"));
        let start = Barrier::new(3);
        let (delivered, removal) = thread::scope(|scope| {
            let deliveries = [0, 1].map(|_| {
                scope.spawn(|| {
                    let folder = Folder::open(&path).unwrap();
                    start.wait();
                    folder.deliver(&letter.header, &mut &*letter.data, None)
                })
            });
            let removal = scope.spawn(|| {
                start.wait();
                place.mailbox().remove_folder(&name).unwrap()
            });
            (
                deliveries.map(|one| one.join().unwrap()),
                removal.join().unwrap(),
            )
        });
        match removal {
            Removal::Removed => {
                removed += 1;
                for delivered in delivered {
                    let error = delivered.unwrap_err();
                    assert!(matches!(error, MailboxError::NoFolder(_)), "{error}");
                }
            }
            Removal::NotEmpty => {
                kept += 1;
                for delivered in delivered {
                    delivered.unwrap();
                }
                assert!(live(&path).contains_key(&letter.header.digest()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(removed > 0, "{kept} kept");
}

/// Somebody put a copy in the place of a directory while a message was on its way:
/// it would have been linked where nobody looks.
#[test]
fn a_directory_that_was_put_in_the_place_of_another_gets_no_message_of_who_came_before() {
    for name in ["messages", "attachments", "gone", "tmp"] {
        let place = Place::new();
        let (_, path) = place.folder("lists");
        let letter = Letter::full("1");
        let folder = Folder::open(&path).unwrap();
        fs::rename(path.join(name), path.join("before")).unwrap();
        fs::create_dir(path.join(name)).unwrap();
        let error = folder.deliver(&letter.header, &mut &*letter.data, None);
        let error = error.unwrap_err();
        assert!(!error.is_refusal());
        assert!(
            matches!(&error, MailboxError::Replaced(at) if *at == path.join(name)),
            "{error}"
        );
        fs::remove_dir_all(path.join("before")).unwrap();
        assert_eq!(deliver(&path, &letter, None).unwrap(), Delivered::Stored);
    }
}
