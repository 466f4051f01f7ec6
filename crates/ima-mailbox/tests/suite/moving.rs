//! Messages that go to another folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use ima_mailbox::{Act, Folder, MailboxError, Moved};
use ima_message::FolderName;

use crate::letter::{Letter, Parts, sha256};
use crate::place::{Place, assert_modes, deliver, findings, flags, flags_of, inbox, inode, live};

/// A mailbox with a folder `archive` beside its inbox.
fn two() -> (Place, FolderName, std::path::PathBuf) {
    let place = Place::new();
    let (name, path) = place.folder("archive");
    (place, name, path)
}

fn read(folder: &Path, letter: &Letter) -> Vec<u8> {
    let message = folder.join("messages").join(letter.name());
    let mut octets = fs::read(&message).unwrap();
    for (number, _) in letter.header.attachments() {
        octets.extend(fs::read(message.with_extension(number.to_string())).unwrap());
    }
    octets
}

fn flag(folder: &Path, letter: &Letter, text: &str) {
    let digest = letter.header.digest();
    let changes = flags(text);
    let folder = Folder::open(folder).unwrap();
    folder.apply(&[Act::Flag { digest, changes }]).unwrap();
}

fn assert_done(moved: Moved) {
    assert!(matches!(moved, Moved::Done { .. }), "{moved:?}");
}

#[test]
fn a_message_goes_with_its_attachments_its_flags_and_its_time() {
    let (place, archive, path) = two();
    let (letter, other) = (Letter::full("1"), Letter::plain("2"));
    place.deliver(&letter).unwrap();
    place.deliver(&other).unwrap();
    flag(&place.inbox, &letter, "+seen +x");
    let before = live(&place.inbox)[&letter.header.digest()].clone();
    let file = inode(&place.path("messages").join(letter.name()));
    let (from, to) = (place.open(), Folder::open(&path).unwrap());
    let tokens = (from.token().unwrap(), to.token().unwrap());
    let moved = place
        .mailbox()
        .move_message(&inbox(), letter.header.digest(), &archive)
        .unwrap();
    let Moved::Done {
        here: Some(here),
        there: Some(there),
    } = moved
    else {
        panic!("{moved:?}")
    };
    assert_eq!((here.from, there.from), tokens);
    assert_eq!(
        (here.to, there.to),
        (from.token().unwrap(), to.token().unwrap())
    );
    assert_eq!(live(&path)[&letter.header.digest()], before);
    assert_eq!(read(&path, &letter), letter.whole());
    assert_eq!(inode(&path.join("messages").join(letter.name())), file);
    assert!(findings(&path).is_empty());
    assert_modes(&path);
    assert!(!live(&place.inbox).contains_key(&letter.header.digest()));
    assert_eq!(place.names("gone"), [letter.name()]);
    from.compact().unwrap();
    place.holds_exactly(&[&other]);
    // And back, where it was deleted.
    let back = place
        .mailbox()
        .move_message(&archive, letter.header.digest(), &inbox())
        .unwrap();
    assert_done(back);
    assert!(place.names("gone").is_empty());
    assert_eq!(live(&place.inbox)[&letter.header.digest()], before);
    place.holds_exactly(&[&letter, &other]);
}

#[test]
fn a_message_that_is_there_already_has_the_flags_of_both() {
    let (place, archive, path) = two();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    deliver(&path, &letter, None).unwrap();
    flag(&place.inbox, &letter, "+seen +x");
    flag(&path, &letter, "+y");
    let digest = letter.header.digest();
    let mailbox = place.mailbox();
    assert_done(mailbox.move_message(&inbox(), digest, &archive).unwrap());
    assert_eq!(flags_of(&path, &letter).unwrap(), "seen x y");
    assert!(live(&place.inbox).is_empty());
    assert!(findings(&path).is_empty());
    // What is no longer here cannot be moved again.
    for to in [&archive, &inbox()] {
        let moved = mailbox.move_message(&inbox(), digest, to).unwrap();
        assert_eq!(moved, Moved::NoMessage);
    }
    let nowhere: FolderName = "nowhere".parse().unwrap();
    for (from, to) in [
        (&archive, &nowhere),
        (&nowhere, &archive),
        (&nowhere, &nowhere),
    ] {
        let moved = mailbox.move_message(from, digest, to).unwrap();
        assert_eq!(moved, Moved::NoFolder);
    }
    // Where it is it stays.
    let before = place.tree();
    let moved = mailbox.move_message(&archive, digest, &archive).unwrap();
    let nothing = Moved::Done {
        here: None,
        there: None,
    };
    assert_eq!(moved, nothing);
    assert_eq!(place.tree(), before);
}

#[test]
fn a_copy_leaves_the_message_where_it_was() {
    let (place, archive, path) = two();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    flag(&place.inbox, &letter, "+seen");
    let before = place.journal();
    let moved = place
        .mailbox()
        .copy_message(&inbox(), letter.header.digest(), &archive)
        .unwrap();
    let Moved::Done {
        here: None,
        there: Some(_),
    } = moved
    else {
        panic!("{moved:?}")
    };
    assert_eq!(place.journal(), before);
    assert_eq!(live(&path), live(&place.inbox));
    place.holds_exactly(&[&letter]);
    assert!(findings(&path).is_empty());
}

#[test]
fn many_go_by_one_write_of_each_journal() {
    let (place, archive, path) = two();
    let letters: Vec<Letter> = (0..50).map(|n| Letter::plain(&n.to_string())).collect();
    for letter in &letters[1..] {
        place.deliver(letter).unwrap();
    }
    let digests: Vec<_> = letters.iter().map(|l| l.header.digest()).collect();
    let mailbox = place.mailbox();
    let transfer = mailbox.move_messages(&inbox(), &digests, &archive).unwrap();
    let transfer = transfer.unwrap();
    assert_eq!(transfer.missing, digests[..1]);
    assert!(live(&place.inbox).is_empty());
    assert_eq!(live(&path).len(), 49);
    assert!(findings(&path).is_empty());
    let here = transfer.here.unwrap();
    assert_eq!(here.to.offset - here.from.offset, 49 * 69);
}

#[test]
fn a_message_that_cannot_be_whole_there_stays_here() {
    let (place, archive, path) = two();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    let part = place.path("messages").join(format!("{}.3", letter.name()));
    fs::remove_file(part).unwrap();
    let digest = letter.header.digest();
    let mailbox = place.mailbox();
    // It can be had from attachments/ still, and then no longer.
    assert_done(mailbox.copy_message(&inbox(), digest, &archive).unwrap());
    assert_eq!(read(&path, &letter), letter.whole());
    let folder = Folder::open(&path).unwrap();
    folder.apply(&[Act::Delete { digest }]).unwrap();
    folder.compact().unwrap();
    for name in place.names("attachments") {
        fs::remove_file(place.path("attachments").join(name)).unwrap();
    }
    let before = place.tree();
    let moved = mailbox.move_message(&inbox(), digest, &archive).unwrap();
    assert_eq!(moved, Moved::NoMessage);
    assert_eq!(place.tree(), before);
    // It holds up no other.
    let (second, third) = (Letter::plain("2"), Letter::plain("3"));
    place.deliver(&second).unwrap();
    place.deliver(&third).unwrap();
    let digests = [&second, &letter, &third].map(|letter| letter.header.digest());
    let transfer = mailbox.move_messages(&inbox(), &digests, &archive);
    assert_eq!(transfer.unwrap().unwrap().missing, [digest]);
    let left: Vec<_> = live(&place.inbox).into_keys().collect();
    assert_eq!(left, [digest]);
    assert_eq!(live(&path).len(), 2);
}

#[test]
fn a_name_that_is_a_link_is_refused() {
    let letter = Letter::full("1");
    let name = letter.name();
    for at in [
        format!("inbox/messages/{name}"),
        format!("inbox/messages/{name}.3"),
        format!("inbox/gone/{name}"),
        format!("archive/messages/{name}"),
        format!("archive/messages/{name}.3"),
        format!("archive/attachments/{}", sha256(b"small")),
        "archive/journal".to_owned(),
        "archive/lock".to_owned(),
    ] {
        let (place, archive, _) = two();
        place.deliver(&letter).unwrap();
        let path = place.dir.path().join("bob").join(&at);
        let outside = place.dir.path().join("outside");
        match path.exists() {
            true => fs::rename(&path, &outside).unwrap(),
            false => fs::write(&outside, "").unwrap(),
        }
        symlink(&outside, &path).unwrap();
        let octets = fs::read(&outside).unwrap();
        let moved = place
            .mailbox()
            .move_message(&inbox(), letter.header.digest(), &archive);
        let error = moved.unwrap_err();
        assert!(matches!(error, MailboxError::Kind { .. }), "{at}: {error}");
        assert_eq!(fs::read(&outside).unwrap(), octets, "{at}");
        assert!(live(&place.inbox).contains_key(&letter.header.digest()));
    }
}

#[test]
fn an_attachment_with_as_many_names_as_it_can_have_is_copied() {
    let (place, archive, path) = two();
    let letter = Parts::default().inline(b"1").attach(b"popular").letter("1");
    place.deliver(&letter).unwrap();
    let elsewhere = place.dir.path().join("names");
    fs::create_dir(&elsewhere).unwrap();
    // Most file systems have a limit that can be reached; ext4 has 65,000.
    for file in [letter.name(), format!("{}.2", letter.name())] {
        let file = place.path("messages").join(&file);
        let place = tempfile::tempdir_in(&elsewhere).unwrap().keep();
        let _ = (0..66_000).any(|n: u32| fs::hard_link(&file, place.join(n.to_string())).is_err());
    }
    let moved = place
        .mailbox()
        .move_message(&inbox(), letter.header.digest(), &archive)
        .unwrap();
    assert_done(moved);
    assert_eq!(read(&path, &letter), letter.whole());
    assert!(findings(&path).is_empty());
    assert!(live(&place.inbox).is_empty());
}

/// What a move leaves that was killed between its two halves.
#[test]
fn a_move_that_was_killed_leaves_the_message_in_both_and_can_be_made_again() {
    let (place, archive, path) = two();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    flag(&place.inbox, &letter, "+seen");
    let digest = letter.header.digest();
    let mailbox = place.mailbox();
    assert_done(mailbox.copy_message(&inbox(), digest, &archive).unwrap());
    assert_done(mailbox.move_message(&inbox(), digest, &archive).unwrap());
    assert_eq!(flags_of(&path, &letter).unwrap(), "seen");
    assert!(live(&place.inbox).is_empty());
    assert!(findings(&path).is_empty());
}

#[test]
fn moves_in_both_directions_at_once_come_to_an_end_and_lose_nothing() {
    let (place, archive, path) = two();
    let letters: Vec<Letter> = (0..12).map(|n| Letter::full(&n.to_string())).collect();
    for letter in &letters {
        place.deliver(letter).unwrap();
    }
    thread::scope(|scope| {
        for thread in 0..4 {
            let (place, archive, letters) = (&place, &archive, &letters);
            scope.spawn(move || {
                let mailbox = place.mailbox();
                for round in 0..8 {
                    for letter in letters.iter().skip(thread % 2) {
                        let digest = letter.header.digest();
                        let (from, to) = match (round + thread) % 2 {
                            0 => (&inbox(), archive),
                            _ => (archive, &inbox()),
                        };
                        mailbox.move_message(from, digest, to).unwrap();
                    }
                }
            });
        }
    });
    let (here, there) = (live(&place.inbox), live(&path));
    for letter in &letters {
        let digest = letter.header.digest();
        assert!(here.contains_key(&digest) != there.contains_key(&digest));
        let folder = match here.contains_key(&digest) {
            true => &place.inbox,
            false => &path,
        };
        assert_eq!(read(folder, letter), letter.whole());
    }
    for path in [&place.inbox, &path] {
        Folder::open(path).unwrap().compact().unwrap();
        assert!(findings(path).is_empty());
    }
}
