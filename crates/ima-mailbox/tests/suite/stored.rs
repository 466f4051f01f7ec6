//! Reading a message as a whole.

use std::fs;
use std::io::{ErrorKind, Read as _};

use ima_mailbox::{Act, Folder, MailboxError, Unsound};
use ima_message::{DataError, MessageDigest};

use crate::letter::{Letter, Parts, octets, sha256};
use crate::place::Place;

#[test]
fn a_message_is_read_octet_for_octet() {
    let place = Place::new();
    let big = octets(1, 300_000);
    let parts = Parts::default().inline(b"Hello\n").attach(&big);
    let letter = parts.attach(b"").attach(&big).letter("1");
    place.deliver(&letter).unwrap();
    let folder = place.open();
    let stored = folder.stored(letter.header.digest()).unwrap().unwrap();
    let wanted = letter.whole();
    assert_eq!(stored.octets(), wanted.len() as u64);
    // From its beginning each time, however far somebody has read before.
    for _ in 0..2 {
        let mut found = Vec::new();
        stored.whole().read_to_end(&mut found).unwrap();
        assert!(found == wanted);
    }
    let nobodys = "ab".repeat(32).parse().unwrap();
    assert!(folder.stored(nobodys).unwrap().is_none());
}

/// Once the file of a message alone was taken for all of it.
#[test]
fn a_message_is_whole_with_all_its_attachments() {
    let attached = octets(2, 1000);
    let one = Parts::default().inline(b"One\n").attach(&attached);
    let letter = one.attach(b"two").letter("1");
    let (digest, name) = (
        letter.header.digest(),
        format!("messages/{}", letter.name()),
    );
    let (second, third) = (format!("{name}.2"), format!("{name}.3"));
    /// What is done to the folder.
    type Damage<'a> = &'a dyn Fn(&Place);
    let damages: [Damage<'_>; 7] = [
        &|place| fs::remove_file(place.path(&name)).unwrap(),
        &|place| fs::write(place.path(&name), "").unwrap(),
        &|place| fs::write(place.path(&name), letter.header.as_bytes()).unwrap(),
        &|place| fs::remove_file(place.path(&second)).unwrap(),
        &|place| fs::write(place.path(&second), "").unwrap(),
        &|place| fs::remove_file(place.path(&third)).unwrap(),
        &|place| {
            fs::remove_file(place.path(&third)).unwrap();
            fs::create_dir(place.path(&third)).unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        let place = Place::new();
        assert!(!place.open().has_whole(digest).unwrap());
        place.deliver(&letter).unwrap();
        assert!(place.open().has_whole(digest).unwrap());
        damage(&place);
        assert!(!place.open().has_whole(digest).unwrap(), "{number}");
        if place.path(&third).is_dir() {
            continue;
        }
        let folder = place.open();
        let mut batch = folder.batch_of_user().unwrap();
        batch.add_again(digest, letter.header.date().clone(), 1);
        assert_eq!(batch.commit().unwrap().missing, [digest], "{number}");
        place.deliver(&letter).unwrap();
        assert!(folder.has_whole(digest).unwrap(), "{number}");
    }
}

#[test]
fn what_is_wrong_with_a_message_is_named() {
    let attachment = octets(2, 1000);
    let one = Parts::default().inline(b"One\n").attach(&attachment);
    let (one, two) = (one.letter("1"), Letter::plain("2"));
    let name = |of: &str| format!("messages/{of}");
    let kept = format!("attachments/{}", sha256(&attachment));
    let (first, second) = (one.name(), two.name());
    /// What is done to the folder.
    type Damage<'a> = &'a dyn Fn(&Place);
    let damages: [(Damage<'_>, Unsound); 5] = [
        (
            &|place| fs::write(place.path(&name(&first)), "").unwrap(),
            Unsound::Empty,
        ),
        (
            &|place| {
                fs::copy(place.path(&name(&second)), place.path(&name(&first))).unwrap();
            },
            Unsound::Digest,
        ),
        (
            &|place| {
                let mut octets = fs::read(place.path(&name(&first))).unwrap();
                octets.push(b'x');
                fs::write(place.path(&name(&first)), octets).unwrap();
            },
            Unsound::Length,
        ),
        (
            &|place| fs::remove_file(place.path(&kept)).unwrap(),
            Unsound::NoAttachment,
        ),
        (
            &|place| fs::write(place.path(&kept), "short").unwrap(),
            Unsound::AttachmentLength,
        ),
    ];
    for (damage, wanted) in damages {
        let place = Place::new();
        place.deliver(&one).unwrap();
        place.deliver(&two).unwrap();
        damage(&place);
        let folder = place.open();
        match folder.stored(one.header.digest()) {
            Err(MailboxError::Unsound { path, source }) => {
                assert_eq!(source, wanted);
                assert!(path.ends_with(name(&first)), "{path:?}");
            }
            other => panic!("{wanted}: {other:?}"),
        }
        assert!(folder.stored(two.header.digest()).unwrap().is_some());
    }
}

/// Once the digests were left to readers that did not verify them.
#[test]
fn what_is_read_is_what_was_verified() {
    let attachment = octets(3, 300_000);
    let one = Parts::default().inline(b"One\n").attach(&attachment);
    let letter = one.attach(b"").attach(&attachment).letter("1");
    let digest = letter.header.digest();
    let wanted = letter.whole();
    let body = format!("messages/{}", letter.name());
    let kept = format!("attachments/{}", sha256(&attachment));
    for (name, part) in [(&body, 1), (&kept, 2)] {
        let place = Place::new();
        place.deliver(&letter).unwrap();
        let mut changed = fs::read(place.path(name)).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(place.path(name), changed).unwrap();
        assert!(place.open().stored(digest).unwrap().is_some());
        let wanted = Unsound::Data(DataError::Digest { part });
        assert_eq!(unsound(&place.open(), digest), wanted);
    }

    let place = Place::new();
    place.deliver(&letter).unwrap();
    let folder = place.open();
    let verified = folder.verified(digest).unwrap();
    folder.apply(&[Act::Delete { digest }]).unwrap();
    folder.compact().unwrap();
    assert!(place.names("attachments").is_empty());
    for _ in 0..2 {
        let mut found = Vec::new();
        verified.whole().read_to_end(&mut found).unwrap();
        assert!(found == wanted);
        for (_, part) in verified.header().attachments() {
            let mut found = Vec::new();
            let mut read = verified.attachment(part).unwrap();
            read.read_to_end(&mut found).unwrap();
            assert_eq!(found.len() as u64, part.length());
        }
    }
    assert!(unsound(&folder, digest).is_absence());

    // What is lost after that is a fault, and no end.
    let place = Place::new();
    place.deliver(&letter).unwrap();
    let folder = place.open();
    let verified = folder.verified(digest).unwrap();
    let file = fs::File::options().write(true).open(place.path(&kept));
    file.unwrap().set_len(1000).unwrap();
    let error = verified.whole().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(unsound(&folder, digest), Unsound::AttachmentLength);
    fs::remove_file(place.path(&kept)).unwrap();
    assert_eq!(unsound(&folder, digest), Unsound::NoAttachment);
    fs::remove_file(place.path(&body)).unwrap();
    assert_eq!(unsound(&folder, digest), Unsound::NoFile);
}

fn unsound(folder: &Folder, digest: MessageDigest) -> Unsound {
    match folder.verified(digest) {
        Err(MailboxError::Unsound { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}
