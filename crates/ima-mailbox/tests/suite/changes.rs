//! Flags and deletions.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use ima_mailbox::{Act, Applied, Changes, Delivered, MailboxError, Moved, Written};
use ima_message::{DateTime, Entry};

use crate::letter::{Letter, Parts};
use crate::place::{Place, assert_modes, flags, flags_of, live};

fn flag(letter: &Letter, text: &str) -> Act {
    Act::Flag {
        digest: letter.header.digest(),
        changes: flags(text),
    }
}

fn delete(letter: &Letter) -> Act {
    Act::Delete {
        digest: letter.header.digest(),
    }
}

#[test]
fn flags_are_set_and_removed_in_their_order() {
    let place = Place::new();
    let letter = Letter::plain("1");
    place.deliver(&letter).unwrap();
    let folder = place.open();
    let before = folder.token().unwrap();
    let applied = folder
        .apply(&[
            flag(&letter, "+seen +x -x"),
            flag(&letter, "-seen +flagged"),
        ])
        .unwrap();
    assert_eq!(flags_of(&place.inbox, &letter).unwrap(), "flagged");
    let written = applied.written.unwrap();
    assert_eq!(
        (written.from, written.to),
        (before, folder.token().unwrap())
    );
    // What was written is what stands between the two tokens.
    let Changes::Since(entries, _) = folder.changes(Some(&written.from)).unwrap() else {
        panic!("the token means nothing")
    };
    let lines: Vec<String> = entries.map(|e| e.unwrap().entry.to_string()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        format!("flag {} +seen +x -x", letter.header.digest())
    );
    place.holds_exactly(&[&letter]);
}

#[test]
fn what_is_not_here_is_named_and_nothing_is_written_of_it() {
    let place = Place::new();
    let (here, missing) = (Letter::plain("1"), Letter::plain("2"));
    place.deliver(&here).unwrap();
    let folder = place.open();
    let before = place.journal();
    assert_eq!(folder.apply(&[]).unwrap(), Applied::default());
    let absent = missing.header.digest();
    let applied = folder
        .apply(&[flag(&missing, "+seen"), delete(&missing)])
        .unwrap();
    assert_eq!(applied.missing, [absent, absent]);
    assert_eq!(applied.written, None);
    assert_eq!(place.journal(), before);
    assert!(place.names("gone").is_empty());
    // A flag without a name makes no line that nobody can read.
    let applied = folder.apply(&[flag(&here, "")]).unwrap();
    assert_eq!(applied, Applied::default());
    assert_eq!(place.journal(), before);
    // And one that is there does not suffer from one that is not.
    let applied = folder
        .apply(&[
            flag(&missing, "+seen"),
            flag(&here, "+seen"),
            delete(&here),
            flag(&here, "+x"),
            delete(&here),
        ])
        .unwrap();
    let gone = here.header.digest();
    assert_eq!(applied.missing, [absent, gone, gone]);
    assert!(live(&place.inbox).is_empty());
    assert_eq!(place.findings(), Vec::<String>::new());
}

#[test]
fn a_deleted_message_is_gone_and_does_not_come_back_from_its_sender() {
    let place = Place::new();
    let (letter, other) = (Letter::full("1"), Letter::full("2"));
    place.deliver(&letter).unwrap();
    place.deliver(&other).unwrap();
    let folder = place.open();
    let applied = folder.apply(&[delete(&letter)]).unwrap();
    assert!(applied.missing.is_empty() && applied.written.is_some());
    place.holds_exactly(&[&other]);
    assert_eq!(place.names("gone"), [letter.name()]);
    assert_modes(&place.inbox);
    assert!(folder.was_removed(letter.header.digest()).unwrap());
    assert_eq!(place.deliver(&letter).unwrap(), Delivered::Duplicate);
    place.holds_exactly(&[&other]);
    assert!(
        place
            .journal()
            .ends_with(&format!("del {}\n", letter.name()))
    );
}

#[test]
fn a_very_long_list_of_flags_makes_lines_that_can_be_read_and_no_more_flags_than_may_be() {
    let place = Place::new();
    let letter = Letter::plain("1");
    place.deliver(&letter).unwrap();
    let names: Vec<String> = (0..1000).map(|n| format!("{n:032}")).collect();
    let text: String = names.iter().map(|name| format!("+{name} ")).collect();
    place.open().apply(&[flag(&letter, &text)]).unwrap();
    assert_eq!(
        flags_of(&place.inbox, &letter).unwrap(),
        names[..100].join(" ")
    );
    assert!(place.journal().lines().all(|line| line.len() < 8192));
    // Those that mail programs know are none of them.
    let folder = place.open();
    folder.apply(&[flag(&letter, "+seen +flagged")]).unwrap();
    assert_eq!(folder.status().unwrap().unseen, 0);
    let change = format!("-{} +more +yet-more", names[0]);
    folder.apply(&[flag(&letter, &change)]).unwrap();
    let flags = flags_of(&place.inbox, &letter).unwrap();
    let expected = format!("{} flagged more seen", names[1..100].join(" "));
    assert_eq!(flags, expected);
    folder.compact().unwrap();
    assert_eq!(flags_of(&place.inbox, &letter).unwrap(), expected);
    // What a move writes is bounded, however many lines were written before.
    let (archive, path) = place.folder("archive");
    let digest = letter.header.digest();
    for _ in 0..100 {
        folder.apply(&[flag(&letter, &text)]).unwrap();
    }
    let mailbox = place.mailbox();
    let moved = mailbox.move_message(&crate::place::inbox(), digest, &archive);
    let Moved::Done { there, .. } = moved.unwrap() else {
        panic!("not moved");
    };
    let Written { from, to } = there.unwrap();
    assert!(to.offset - from.offset < 4096);
    assert_eq!(flags_of(&path, &letter).unwrap(), expected);
}

#[test]
fn its_user_brings_back_what_was_deleted() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    let folder = place.open();
    folder
        .apply(&[flag(&letter, "+seen"), delete(&letter)])
        .unwrap();
    let time = DateTime::utc(1_800_000_000).unwrap();
    let stage = |sender: bool, bringing: &str| {
        let mut batch = match sender {
            true => folder.batch().unwrap(),
            false => folder.batch_of_user().unwrap(),
        };
        let flags = flags(bringing).into_iter().map(|change| change.flag);
        batch
            .stage_flagged(
                &letter.header,
                &mut &*letter.data,
                time.clone(),
                flags.collect(),
            )
            .unwrap();
        batch.commit().unwrap()
    };
    assert_eq!(stage(true, ""), ima_mailbox::Committed::default());
    assert!(place.names("messages").is_empty());
    let committed = stage(false, "+draft +x");
    assert_eq!(committed.new, 1);
    assert_eq!(committed.written.unwrap().to, folder.token().unwrap());
    place.holds_exactly(&[&letter]);
    assert!(place.names("gone").is_empty());
    assert_eq!(flags_of(&place.inbox, &letter).unwrap(), "draft x");
    // What is there takes the flags all the same.
    assert_eq!(stage(false, "+y").new, 0);
    assert_eq!(flags_of(&place.inbox, &letter).unwrap(), "draft x y");
    assert_eq!(place.deliver(&letter).unwrap(), Delivered::Duplicate);
    place.holds_exactly(&[&letter]);
}

#[test]
fn an_add_that_cannot_be_repeated_is_named() {
    let place = Place::new();
    let folder = place.open();
    let (here, missing) = (Letter::plain("1"), Letter::plain("2"));
    place.deliver(&here).unwrap();
    let mut batch = folder.batch_of_user().unwrap();
    let time = DateTime::utc(0).unwrap();
    for letter in [&here, &missing] {
        let octets = letter.whole().len() as u64;
        batch.add_again(letter.header.digest(), time.clone(), octets);
    }
    let committed = batch.commit().unwrap();
    assert_eq!(committed.missing, [missing.header.digest()]);
    assert_eq!(committed.new, 0);
    place.holds_exactly(&[&here]);
}

/// What a deletion leaves that was killed after each of its steps.
#[test]
fn a_deletion_that_was_killed_is_none_or_is_completed() {
    let letter = Letter::full("1");
    // After gone/ was written: the message is there, and can be deleted.
    let place = Place::new();
    place.deliver(&letter).unwrap();
    fs::write(place.path("gone").join(letter.name()), "").unwrap();
    assert_eq!(place.deliver(&letter).unwrap(), Delivered::Duplicate);
    assert!(live(&place.inbox).contains_key(&letter.header.digest()));
    place.open().compact().unwrap();
    assert!(place.names("gone").is_empty(), "it hides nothing");
    assert_eq!(place.read(&letter), letter.whole());
    place.open().apply(&[delete(&letter)]).unwrap();
    assert!(place.names("messages").is_empty());
    // After the journal was, and after some files went.
    for removed in 0..3 {
        let place = Place::new();
        place.deliver(&letter).unwrap();
        let gone = place.path("gone").join(letter.name());
        fs::write(&gone, "").unwrap();
        fs::set_permissions(&gone, fs::Permissions::from_mode(0o600)).unwrap();
        let line = format!("{}del {}\n", place.journal(), letter.name());
        fs::write(place.path("journal"), line).unwrap();
        for name in &place.names("messages")[..removed] {
            fs::remove_file(place.path("messages").join(name)).unwrap();
        }
        assert!(live(&place.inbox).is_empty());
        assert_eq!(place.deliver(&letter).unwrap(), Delivered::Duplicate);
        let swept = place.open().compact().unwrap().swept;
        assert_eq!((swept.messages, swept.attachments), (3 - removed, 2));
        assert!(place.names("messages").is_empty());
        assert_eq!(place.names("gone"), [letter.name()]);
        place.holds_exactly(&[]);
    }
}

#[test]
fn a_message_whose_file_is_lost_can_be_deleted_and_not_flagged() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    fs::remove_file(place.path("messages").join(letter.name())).unwrap();
    let folder = place.open();
    let applied = folder.apply(&[flag(&letter, "+seen")]).unwrap();
    assert_eq!(applied.missing, [letter.header.digest()]);
    let applied = folder.apply(&[delete(&letter)]).unwrap();
    assert!(applied.missing.is_empty());
    folder.compact().unwrap();
    place.holds_exactly(&[]);
    assert!(place.names("messages").is_empty());
}

#[test]
fn a_message_with_a_damaged_header_block_is_deleted_whole() {
    let place = Place::new();
    let (letter, other) = (Letter::full("1"), Letter::full("2"));
    place.deliver(&letter).unwrap();
    place.deliver(&other).unwrap();
    fs::write(place.path("messages").join(letter.name()), "x").unwrap();
    place.open().apply(&[delete(&letter)]).unwrap();
    place.holds_exactly(&[&other]);
}

#[test]
fn what_cannot_be_written_leaves_all_as_it_was() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    let sound = place.journal();
    fs::write(place.path("journal"), "ima-mailbox 2\n").unwrap();
    let before = place.tree();
    for act in [flag(&letter, "+seen"), delete(&letter)] {
        assert!(!place.open().apply(&[act]).unwrap_err().is_refusal());
        assert_eq!(place.tree(), before);
    }
    fs::write(place.path("journal"), sound).unwrap();
    // Names that were replaced by links.
    for name in [
        "journal".to_owned(),
        "lock".to_owned(),
        format!("gone/{}", letter.name()),
        format!("messages/{}", letter.name()),
    ] {
        let place = Place::new();
        place.deliver(&letter).unwrap();
        let outside = place.dir.path().join("outside");
        let path = place.path(&name);
        if path.exists() {
            fs::rename(&path, &outside).unwrap();
        } else {
            fs::write(&outside, "").unwrap();
        }
        symlink(&outside, &path).unwrap();
        let before = place.tree();
        let error = place.open().apply(&[delete(&letter)]).unwrap_err();
        assert!(
            matches!(error, MailboxError::Kind { .. }),
            "{name}: {error}"
        );
        assert_eq!(place.tree(), before, "{name}");
    }
}

#[test]
fn attachments_of_others_stay() {
    let place = Place::new();
    let parts = |text: &[u8]| Parts::default().inline(text).attach(b"shared");
    let (first, second) = (parts(b"1").letter("1"), parts(b"2").letter("2"));
    place.deliver(&first).unwrap();
    place.deliver(&second).unwrap();
    let folder = place.open();
    folder.apply(&[delete(&first)]).unwrap();
    folder.compact().unwrap();
    place.holds_exactly(&[&second]);
    assert_eq!(place.names("attachments").len(), 1);
    folder.apply(&[delete(&second)]).unwrap();
    assert_eq!(folder.compact().unwrap().swept.attachments, 1);
    assert!(place.names("attachments").is_empty());
}

#[test]
fn the_state_at_a_token_is_what_it_was_then() {
    let place = Place::new();
    let letter = Letter::plain("1");
    let folder = place.open();
    let mut states = vec![(folder.token().unwrap(), live(&place.inbox))];
    place.deliver(&letter).unwrap();
    states.push((folder.token().unwrap(), live(&place.inbox)));
    for act in [
        flag(&letter, "+seen +x"),
        flag(&letter, "-seen"),
        delete(&letter),
    ] {
        folder.apply(&[act]).unwrap();
        states.push((folder.token().unwrap(), live(&place.inbox)));
    }
    for (token, state) in &states {
        assert_eq!(folder.live(Some(token)).unwrap().as_ref(), Some(state));
    }
    let message = &states[2].1[&letter.header.digest()];
    assert_eq!(message.octets, letter.whole().len() as u64);
    assert_eq!(message.flags.len(), 2);
    folder.compact().unwrap();
    assert_eq!(folder.live(Some(&states[1].0)).unwrap(), None);
    let Changes::Reset(_) = folder.changes(Some(&states[1].0)).unwrap() else {
        panic!("the token means something")
    };
    let mut entries = match folder.changes(None).unwrap() {
        Changes::Since(entries, _) => entries,
        Changes::Reset(_) => panic!(),
    };
    let only = entries.next().unwrap().unwrap().entry;
    assert!(matches!(only, Entry::Del { .. }), "{only}");
    assert!(entries.next().is_none());
}

#[test]
fn of_two_acts_on_a_lost_message_one_is_done() {
    let place = Place::new();
    let letter = Letter::plain("1");
    place.deliver(&letter).unwrap();
    fs::remove_file(place.path("messages").join(letter.name())).unwrap();
    let acts = [flag(&letter, "+seen"), delete(&letter), delete(&letter)];
    let applied = place.open().apply(&acts).unwrap();
    assert_eq!(applied.undone, [0, 2]);
    let digest = letter.header.digest();
    assert_eq!(applied.missing, [digest, digest]);
    assert!(
        place
            .journal()
            .ends_with(&format!("del {}\n", letter.name()))
    );
}
