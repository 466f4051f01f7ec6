//! What a repair mends, and what it keeps.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use ima_mailbox::repair::{self, Deed, Mended, Tokens};
use ima_mailbox::{Act, Changes, MailboxError};

use crate::letter::{Letter, Parts, sha256};
use crate::place::{Place, damage, deliver, findings, flags, flags_of, live, names};

fn repair_with(path: &Path, tokens: Tokens) -> Vec<Mended> {
    let mut done = Vec::new();
    repair::directory(path, tokens, &mut |mended| done.push(mended)).unwrap();
    done
}

fn repair(place: &Place) -> Vec<Mended> {
    repair_with(&place.inbox, Tokens::Kept)
}

/// A folder with two messages that share an attachment, one of them flagged.
fn sound() -> (Place, Letter, Letter) {
    let place = Place::new();
    let letter = Letter::full("1");
    let other = Parts::default().inline(b"2").attach(b"small").letter("2");
    place.deliver(&letter).unwrap();
    place.deliver(&other).unwrap();
    let digest = letter.header.digest();
    let changes = flags("+seen");
    let acts = [Act::Flag { digest, changes }];
    place.open().apply(&acts).unwrap();
    (place, letter, other)
}

/// What was set aside, and is looked at by nobody else.
fn aside(place: &Place) -> Vec<PathBuf> {
    let damaged = place.path("damaged");
    let names = names(&damaged);
    names.into_iter().map(|name| damaged.join(name)).collect()
}

fn is_sound_but_for_what_is_aside(place: &Place) {
    let found = findings(&place.inbox);
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(found[0].path(), place.path("damaged"));
}

#[test]
fn what_is_sound_is_left_as_it_is() {
    let (place, letter, other) = sound();
    place.open().status().unwrap();
    let before = place.tree();
    assert!(repair(&place).is_empty());
    assert_eq!(place.tree(), before);
    place.holds_exactly(&[&letter, &other]);
}

#[test]
fn lines_that_nobody_can_read_are_left_out_and_kept() {
    let (place, letter, other) = sound();
    let journal = place.journal();
    let token = place.open().token().unwrap();
    let mut lines: Vec<&str> = journal.lines().collect();
    lines.insert(2, "nonsense");
    let long = "x".repeat(20_000);
    lines.push(&long);
    let damaged = format!("{}\nadd 01", lines.join("\n"));
    fs::write(place.path("journal"), &damaged).unwrap();
    let done = repair(&place);
    let said: Vec<String> = done.iter().map(ToString::to_string).collect();
    assert_eq!(done.len(), 5, "{said:?}");
    assert!(matches!(done[0].deed(), Deed::LeftOut { offset, .. } if *offset > 31));
    assert!(matches!(done[1].deed(), Deed::LeftOut { .. }));
    assert!(matches!(done[2].deed(), Deed::Cut { octets: 6 }));
    let Deed::OldJournal { place: kept } = done[3].deed() else {
        panic!("{said:?}")
    };
    assert!(matches!(done[4].deed(), Deed::NewGeneration));
    assert_eq!(fs::read_to_string(kept).unwrap(), damaged);
    assert_eq!(place.journal()[31..], journal[31..]);
    assert_ne!(place.journal()[..31], journal[..31]);
    assert_eq!(flags_of(&place.inbox, &letter).unwrap(), "seen");
    assert!(flags_of(&place.inbox, &other).is_some());
    let folder = place.open();
    assert!(matches!(
        folder.changes(Some(&token)).unwrap(),
        Changes::Reset(_)
    ));
    is_sound_but_for_what_is_aside(&place);
    assert!(repair(&place).is_empty());
}

#[test]
fn a_journal_without_its_first_line_is_read_all_the_same() {
    for first in [
        "",
        "ima-mailbox 1 0123\n",
        "ima-mailbox 2 0123456789abcdef\n",
    ] {
        let (place, letter, other) = sound();
        let journal = place.journal();
        fs::write(place.path("journal"), format!("{first}{}", &journal[31..])).unwrap();
        let done = repair(&place);
        assert!(
            matches!(done[0].deed(), Deed::LeftOut { offset: 0, .. }),
            "{}",
            done[0]
        );
        assert_eq!(place.journal()[31..], journal[31..]);
        assert_eq!(live(&place.inbox).len(), 2);
        is_sound_but_for_what_is_aside(&place);
        assert_eq!(place.read(&letter), letter.whole());
        assert_eq!(place.read(&other), other.whole());
    }
}

#[test]
fn what_is_missing_is_made_and_a_lost_journal_has_every_message() {
    let (place, letter, other) = sound();
    for name in ["journal", "lock", "summary"] {
        fs::remove_file(place.path(name)).unwrap_or_default();
    }
    for name in ["gone", "tmp"] {
        fs::remove_dir(place.path(name)).unwrap();
    }
    fs::remove_dir_all(place.path("attachments")).unwrap();
    let done = repair(&place);
    let made = |name: &str| {
        done.iter().any(|mended| {
            mended.path() == place.path(name) && matches!(mended.deed(), Deed::Made(_))
        })
    };
    for name in ["journal", "lock", "gone", "tmp", "attachments"] {
        assert!(made(name), "{name}");
    }
    place.holds_exactly(&[&letter, &other]);
    assert_eq!(live(&place.inbox).len(), 2);
    assert_eq!(place.names("attachments").len(), 2);
    place.deliver(&Letter::plain("3")).unwrap();
}

#[test]
fn a_message_that_the_journal_lacks_is_added_with_the_time_of_its_file() {
    let (place, letter, other) = sound();
    let journal = place.journal();
    let lines: Vec<&str> = journal
        .lines()
        .filter(|line| !line.contains(&letter.name()))
        .collect();
    fs::write(place.path("journal"), lines.join("\n") + "\n").unwrap();
    let token = place.open().token().unwrap();
    let file = fs::File::options()
        .write(true)
        .open(place.path("messages").join(letter.name()))
        .unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    file.set_modified(time).unwrap();
    let done = repair(&place);
    assert_eq!(done.len(), 1);
    assert!(matches!(done[0].deed(), Deed::Added));
    let message = &live(&place.inbox)[&letter.header.digest()];
    assert_eq!(message.time.unix_seconds(), 1_700_000_000);
    assert_eq!(message.octets, letter.whole().len() as u64);
    // Nobody has to read it all again for that.
    assert!(matches!(
        place.open().changes(Some(&token)).unwrap(),
        Changes::Since(..)
    ));
    place.holds_exactly(&[&letter, &other]);
}

#[test]
fn what_was_deleted_or_is_not_whole_is_not_added() {
    let (place, letter, other) = sound();
    let name = letter.name();
    // Deleted, and killed before its files went.
    let journal = place.journal();
    fs::write(place.path("journal"), format!("{journal}del {name}\n")).unwrap();
    // Never added, and an attachment is nowhere.
    let third = Parts::default().inline(b"3").attach(b"three").letter("3");
    fs::write(
        place.path("messages").join(third.name()),
        &third.whole()[..third.whole().len() - 5],
    )
    .unwrap();
    repair(&place);
    let held: Vec<_> = live(&place.inbox).into_keys().collect();
    assert_eq!(held, [other.header.digest()]);
}

#[test]
fn a_deletion_whose_line_is_lost_is_one_again() {
    let (place, letter, other) = sound();
    let digest = letter.header.digest();
    place.open().apply(&[Act::Delete { digest }]).unwrap();
    let journal = place.journal();
    fs::write(place.path("journal"), journal.replace("del ", "dex ")).unwrap();
    let done = repair(&place);
    assert!(done.iter().any(|one| matches!(one.deed(), Deed::Deleted)));
    assert!(
        place
            .journal()
            .ends_with(&format!("del {}\n", letter.name()))
    );
    assert_eq!(live(&place.inbox).len(), 1);
    place.open().compact().unwrap();
    is_sound_but_for_what_is_aside(&place);
    assert_eq!(place.read(&other), other.whole());
}

#[test]
fn octets_that_the_journal_has_wrong_are_corrected() {
    let (place, letter, other) = sound();
    let size = letter.whole().len();
    let journal = place.journal();
    let wrong = journal.replace(&format!(" {size}\n"), &format!(" {}\n", size + 7));
    assert_ne!(wrong, journal);
    fs::write(place.path("journal"), wrong).unwrap();
    let done = repair(&place);
    assert!(matches!(done[0].deed(), Deed::Octets { .. }), "{}", done[0]);
    assert_eq!(place.journal()[31..], journal[31..]);
    place.holds_exactly(&[&letter, &other]);
}

#[test]
fn a_message_with_other_octets_is_set_aside_and_not_deleted() {
    for damaged in [&b""[..], b"ima: 1\n", b"\0\0\0"] {
        let (place, letter, _) = sound();
        let path = place.path("messages").join(letter.name());
        fs::write(&path, damaged).unwrap();
        let before = place.journal();
        let done = repair(&place);
        assert_eq!(done.len(), 1, "{}", done[0]);
        assert!(matches!(done[0].deed(), Deed::SetAside { .. }));
        assert!(!path.exists());
        let aside = aside(&place);
        assert_eq!(fs::read(&aside[0]).unwrap(), damaged);
        assert!(done[0].to_string().contains(aside[0].to_str().unwrap()));
        // A client that has it must not take it for deleted.
        assert_eq!(place.journal(), before);
        assert!(live(&place.inbox).contains_key(&letter.header.digest()));
        let digest = letter.header.digest();
        let folder = place.open();
        folder.compact().unwrap();
        assert!(live(&place.inbox).contains_key(&digest));
        // Delivered again it is whole.
        deliver(&place.inbox, &letter, None).unwrap();
        assert_eq!(place.read(&letter), letter.whole());
        is_sound_but_for_what_is_aside(&place);
    }
}

#[test]
fn an_attachment_is_brought_back_from_its_other_names() {
    let flip = |path: &Path| {
        let mut octets = fs::read(path).unwrap();
        octets[0] ^= 1;
        // Not through the other names.
        fs::remove_file(path).unwrap();
        fs::write(path, octets).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    };
    let small = sha256(b"small").to_string();
    for does in 0..6 {
        let (place, letter, other) = sound();
        let held = place.path("messages").join(format!("{}.4", letter.name()));
        let kept = place.path("attachments").join(&small);
        match does {
            0 => fs::remove_file(&held).unwrap(),
            1 => fs::remove_file(&kept).unwrap(),
            2 => flip(&held),
            3 => flip(&kept),
            4 => fs::write(&held, "cut").unwrap(),
            _ => {
                flip(&held);
                flip(&kept);
            }
        }
        if does == 4 {
            // Every name of it is the same file: it is lost.
            repair(&place);
            assert_eq!(aside(&place).len(), 3);
            assert!(damage(&place.inbox) > 0);
            continue;
        }
        assert!(damage(&place.inbox) > 0);
        let done = repair(&place);
        assert!(
            done.iter()
                .any(|one| matches!(one.deed(), Deed::Linked { .. })),
            "{does}"
        );
        assert_eq!(place.read(&letter), letter.whole(), "{does}");
        assert_eq!(place.read(&other), other.whole(), "{does}");
        if does < 2 {
            place.holds_exactly(&[&letter, &other]);
        } else {
            is_sound_but_for_what_is_aside(&place);
        }
        assert!(repair(&place).is_empty());
    }
}

#[test]
fn modes_are_its_owners_alone() {
    let (place, letter, other) = sound();
    for (name, mode) in [
        ("", 0o755),
        ("messages", 0o777),
        ("gone", 0o500),
        ("journal", 0o644),
        ("lock", 0o666),
    ] {
        fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
    }
    let message = place.path("messages").join(letter.name());
    fs::set_permissions(message, Permissions::from_mode(0o400)).unwrap();
    let done = repair(&place);
    assert_eq!(done.len(), 6);
    assert!(
        done.iter()
            .all(|one| matches!(one.deed(), Deed::Mode { .. }))
    );
    place.holds_exactly(&[&letter, &other]);
}

#[test]
fn a_mailbox_from_a_backup_has_new_generations() {
    let (place, letter, other) = sound();
    let (_, path) = place.folder("archive");
    let before = place.journal();
    let token = place.open().token().unwrap();
    let done = repair_with(&place.dir.path().join("bob"), Tokens::Void);
    assert_eq!(done.len(), 2);
    assert!(
        done.iter()
            .all(|one| matches!(one.deed(), Deed::NewGeneration))
    );
    assert_eq!(done[0].path(), path.join("journal"));
    assert_eq!(place.journal()[31..], before[31..]);
    assert!(matches!(
        place.open().changes(Some(&token)).unwrap(),
        Changes::Reset(_)
    ));
    place.holds_exactly(&[&letter, &other]);
}

#[test]
fn it_follows_no_link_and_makes_no_folder_of_what_is_none() {
    for name in ["messages", "attachments", "gone", "tmp", "lock", "journal"] {
        let (place, _, _) = sound();
        let outside = place.dir.path().join("outside");
        fs::rename(place.path(name), &outside).unwrap();
        symlink(&outside, place.path(name)).unwrap();
        let before = place.tree();
        let error = repair::directory(&place.inbox, Tokens::Kept, &mut |_| {}).unwrap_err();
        assert!(
            matches!(error, MailboxError::Kind { .. }),
            "{name}: {error}"
        );
        assert_eq!(place.tree(), before, "{name}");
    }
    let (place, letter, _) = sound();
    let outside = place.dir.path().join("outside");
    fs::write(&outside, "x").unwrap();
    for name in [
        format!("messages/{}", "ab".repeat(32)),
        format!("messages/{}.2", letter.name()),
        "summary".to_owned(),
    ] {
        fs::remove_file(place.path(&name)).unwrap_or_default();
        symlink(&outside, place.path(&name)).unwrap();
    }
    fs::set_permissions(&outside, Permissions::from_mode(0o644)).unwrap();
    repair(&place);
    assert_eq!(fs::read(&outside).unwrap(), b"x");
    assert_eq!(crate::place::mode(&outside), 0o644);
    // Nor where it sets aside.
    let elsewhere = place.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, place.path("damaged")).unwrap();
    fs::write(place.path("messages").join(letter.name()), "x").unwrap();
    let error = repair::directory(&place.inbox, Tokens::Kept, &mut |_| {}).unwrap_err();
    assert!(matches!(error, MailboxError::Kind { .. }), "{error}");
    assert!(names(&elsewhere).is_empty());
    fs::remove_file(place.path("damaged")).unwrap();
    let bob = place.dir.path().join("bob");
    fs::create_dir(bob.join("photos")).unwrap();
    repair_with(&bob, Tokens::Kept);
    assert!(names(&bob.join("photos")).is_empty());
    assert!(matches!(
        repair::directory(&bob.join("photos"), Tokens::Kept, &mut |_| {}),
        Err(MailboxError::NoFolder(_))
    ));
}
