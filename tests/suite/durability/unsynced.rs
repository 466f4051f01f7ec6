//! What a program has left that died: lines that everybody sees and a power cut
//! may take, and files in `tmp/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::disk::{CUTS, Cut, Disk, KINDS, Kind, TOOLS};
use super::ground::{self, NotAllowed};
use super::letter::Letter;
use super::place::{Place, expect};
use super::promise::Promises;
use super::served::Office;
use super::traced::under_strace;
use super::{Build, none};
use crate::site::feed;

/// Runs a test on every disk, with every cut.
fn everywhere(test: &str, body: impl Fn(Kind, Cut) -> Result<(), NotAllowed>) {
    let tools = [TOOLS, &["strace"]].concat();
    ground::run(module_path!(), test, &tools, || {
        for kind in KINDS {
            for how in CUTS {
                body(kind, how)?;
            }
        }
        Ok(())
    });
}

/// Runs a command that is killed in place of this call.
fn die_at(command: &Command, octets: &[u8], call: &str, number: usize) {
    let dies = format!("inject={call}:error=EIO:signal=SIGKILL:when={number}");
    let nowhere = Path::new("/dev/null");
    let output = feed(under_strace(command, nowhere, &["-e", &dies]), octets);
    assert!(!output.status.success(), "{output:?}");
}

/// Delivers a letter, up to the sync of the journal.
fn deliver_unsynced(place: &Place, letter: &Letter) {
    let (command, octets) = place.delivery("bob/inbox", letter);
    // The message, its directory, the journal.
    die_at(&command, &octets, "fsync", 3);
    last_line_is(place, &format!("add {} ", letter.digest));
}

/// Deletes a letter, up to the sync of the journal.
fn delete_unsynced(place: &Place, letter: &Letter) {
    // The directory in which it is noted, the journal.
    let command = place.tool("delete", &["bob/inbox"], &[&letter.digest]);
    die_at(&command, b"", "fsync", 2);
    last_line_is(place, &format!("del {}", letter.digest));
}

fn last_line_is(place: &Place, line: &str) {
    let journal = fs::read_to_string(place.folder("bob/inbox/journal")).unwrap();
    let last = journal.lines().last().unwrap();
    assert!(last.starts_with(line), "{last}");
}

#[test]
fn a_token_that_was_handed_out_means_the_same_after_a_power_cut() {
    let test = "a_token_that_was_handed_out_means_the_same_after_a_power_cut";
    everywhere(test, |kind, how| {
        let disk = Disk::new(kind)?;
        let place = Place::furnished(&disk.path(), &Build::default());
        let office = Office::new(&disk.path());
        disk.start();
        let mut promises = Promises::of(&place);
        let server = office.b.start_office();
        let mut caller = office.caller(&server);
        let unsynced = Letter::plain("unsynced");
        deliver_unsynced(&place, &unsynced);
        let before = place.journals();
        let told = caller.lines("FOLDERS");
        assert_eq!(place.journals(), before);
        let inbox = place.folder("bob/inbox");
        let token = format!(".{}", before[&inbox].len());
        let said = |line: &String| line.starts_with("+ inbox ") && line.ends_with(&token);
        assert!(told.iter().any(said), "{told:?}, {token}");
        promises.add_letter(inbox, unsynced);
        promises.note(&place);
        disk.cut(how);
        drop((caller, server));
        disk.start();
        none(&promises.broken(&place));
        Ok(())
    });
}

#[test]
fn a_duplicate_of_what_was_not_synced_is_acknowledged_when_it_is() {
    let test = "a_duplicate_of_what_was_not_synced_is_acknowledged_when_it_is";
    everywhere(test, |kind, how| {
        let disk = Disk::new(kind)?;
        let place = Place::furnished(&disk.path(), &Build::default());
        disk.start();
        let mut promises = Promises::of(&place);
        let letter = Letter::plain("twice");
        deliver_unsynced(&place, &letter);
        let (command, octets) = place.delivery("bob/inbox", &letter);
        expect(0, &feed(command, &octets));
        promises.add_letter(place.folder("bob/inbox"), letter);
        promises.note(&place);
        disk.cut(how);
        disk.start();
        none(&promises.broken(&place));
        Ok(())
    });
}

/// A message gets its name before it is synced: whoever finds it does that.
#[test]
fn what_has_its_name_and_was_not_synced_is_acknowledged_when_it_is() {
    let test = "what_has_its_name_and_was_not_synced_is_acknowledged_when_it_is";
    everywhere(test, |kind, how| {
        let disk = Disk::new(kind)?;
        let place = Place::furnished(&disk.path(), &Build::default());
        disk.start();
        let mut promises = Promises::of(&place);
        // In place of its own sync, and of that of its directory.
        for (number, name) in [(1, "file"), (2, "directory")] {
            for imports in [false, true] {
                let letter = Letter::plain(&format!("{name} {imports}"));
                let (command, octets) = place.delivery("bob/inbox", &letter);
                die_at(&command, &octets, "fsync", number);
                let linked = place.folder("bob/inbox/messages").join(&letter.digest);
                assert!(linked.exists());
                let again = match imports {
                    false => command,
                    true => place.tool("import", &["bob/inbox"], &[]),
                };
                expect(0, &feed(again, &octets));
                promises.add_letter(place.folder("bob/inbox"), letter);
                promises.note(&place);
                disk.cut(how);
                disk.start();
                none(&promises.broken(&place));
            }
        }
        Ok(())
    });
}

/// A compaction that is cut off has removed nothing that the journal has still.
#[test]
fn a_compaction_removes_no_message_whose_deletion_is_not_on_the_disk() {
    let test = "a_compaction_removes_no_message_whose_deletion_is_not_on_the_disk";
    everywhere(test, |kind, how| {
        let disk = Disk::new(kind)?;
        let place = Place::furnished(&disk.path(), &Build::default());
        disk.start();
        delete_unsynced(&place, &Letter::full("deleted"));
        let compact = place.tool("compact", &["bob/inbox"], &[]);
        // Its new journal is whole then, and has not its name yet.
        die_at(&compact, b"", "renameat", 1);
        disk.cut(how);
        disk.start();
        let broken = place.damage();
        none(
            &broken
                .iter()
                .map(|text| format!("{kind:?}, {how:?}: {text}"))
                .collect::<Vec<_>>(),
        );
        let command = place.tool("compact", &["bob/inbox"], &[]);
        expect(0, &feed(command, b""));
        none(&place.damage());
        Ok(())
    });
}

#[test]
fn what_a_killed_delivery_has_left_in_tmp_is_swept_after_a_day() {
    let test = "what_a_killed_delivery_has_left_in_tmp_is_swept_after_a_day";
    let tools = [TOOLS, &["strace"]].concat();
    ground::run(module_path!(), test, &tools, || {
        let disk = Disk::new(Kind::Ext4)?;
        let place = Place::furnished(&disk.path(), &Build::default());
        let tmp = place.folder("bob/inbox/tmp");
        let (command, octets) = place.delivery("bob/inbox", &Letter::crowded("killed"));
        let left = |expected: usize| {
            let entries = fs::read_dir(&tmp).unwrap();
            let names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            assert_eq!(names.len(), expected, "{names:?}");
            names
        };
        // The message, and each of its attachments but the last.
        die_at(&command, &octets, "fsync", 71);
        let old = left(71);
        die_at(&command, &octets, "fsync", 71);
        left(142);
        let compact = || place.tool("compact", &["bob/inbox"], &[]);
        expect(0, &feed(compact(), b""));
        left(142);
        disk.start_with_old(&old);
        expect(0, &feed(compact(), b""));
        left(71);
        expect(0, &feed(command, &octets));
        none(&place.damage());
        Ok(())
    });
}
