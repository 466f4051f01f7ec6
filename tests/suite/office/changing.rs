//! What a user changes is changed in the mailbox, and nothing else.

use std::fs;

use super::{Place, bob};
use crate::peer::{Caller, Ending, login};
use crate::post::PASSWORD;
use crate::site::{feed, letter_with, run, wait_until};

/// The lines of a folder's journal behind the first.
fn journal(place: &Place, folder: &str) -> Vec<String> {
    let file = place.b.mailbox("bob").join(folder).join("journal");
    let text = fs::read_to_string(file).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// `ima-mailbox check` finds nothing wrong.
fn is_sound(place: &Place, folder: &str) {
    let folder = place.b.mailbox("bob").join(folder);
    let output = run("ima-mailbox", &["check".as_ref(), folder.as_os_str()], b"");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn each_change_is_done_and_logged() {
    let place = Place::new();
    let first = place.deliver("one\n", &[b"attached\n"]);
    let second = place.deliver("two\n", &[]);
    let server = place.b.start_office();
    let mut caller = bob(&server);
    let mut says = |command: String| caller.lines(&command).pop().unwrap();

    assert_eq!(
        says(format!("FLAG inbox {first} +seen +my-own -junk")),
        "OK"
    );
    assert_eq!(
        journal(&place, "inbox").last().unwrap(),
        &format!("flag {first} +seen +my-own -junk")
    );
    assert_eq!(says("CREATE archive".to_owned()), "OK");
    assert_eq!(
        says("CREATE archive".to_owned()),
        "FAIL there is a folder of this name"
    );
    assert_eq!(says(format!("MOVE inbox {first} archive")), "OK");
    assert_eq!(
        journal(&place, "inbox").last().unwrap(),
        &format!("del {first}")
    );
    let there = journal(&place, "archive");
    assert!(there[0].starts_with(&format!("add {first} ")), "{there:?}");
    assert_eq!(there[1], format!("flag {first} +my-own +seen"));
    assert_eq!(
        says("REMOVE archive".to_owned()),
        "FAIL the folder holds messages"
    );
    assert_eq!(says("REMOVE inbox".to_owned()), "FAIL the inbox stays");
    assert_eq!(says(format!("DELETE archive {first}")), "OK");
    assert_eq!(says(format!("DELETE inbox {second}")), "OK");
    for command in [
        format!("FLAG inbox {second} +seen"),
        format!("DELETE inbox {second}"),
        format!("MOVE inbox {second} archive"),
        format!("MOVE archive {first} inbox"),
    ] {
        assert_eq!(says(command), "FAIL no such message");
    }
    is_sound(&place, "inbox");
    is_sound(&place, "archive");
    assert_eq!(says("REMOVE archive".to_owned()), "OK");
    assert!(!place.b.mailbox("bob").join("archive").exists());
    assert_eq!(says("REMOVE archive".to_owned()), "FAIL no such folder");
    assert_eq!(caller.lines("FOLDERS").len(), 2);
    caller.say("DONE");
    assert_eq!(caller.rest().1, Ending::Proper);
    let closed = server.log.wait_for("event=closed");
    assert!(
        closed.contains(" stored=0 moved=1 deleted=2 flagged=1"),
        "{closed}"
    );
}

#[test]
fn what_was_deleted_does_not_come_back_by_itself() {
    let place = Place::new();
    let options = ["--id", "1@a.test", "--date", "2026-11-22T10:30:00Z"];
    let letter = letter_with(&["bob@b.test"], "again\n", &options);
    let deliver = || {
        let mut command = place.b.command("server-give-recipient");
        command.arg(place.b.inbox("bob"));
        assert!(feed(command, &letter).status.success());
    };
    deliver();
    let digest = place.b.messages("bob").pop().unwrap();
    let server = place.b.start_office();
    let mut caller = bob(&server);
    assert_eq!(caller.lines(&format!("DELETE inbox {digest}")), ["OK"]);
    deliver();
    assert_eq!(place.names("messages"), [""; 0]);
    // The user can have it back.
    caller.say(&format!("STORE inbox {}", letter.len()));
    caller.send(&letter);
    assert_eq!(caller.line(), format!("OK {digest}"));
    assert_eq!(place.names("messages"), [&*digest]);
    assert_eq!(place.names("gone"), [""; 0]);
}

#[test]
fn any_split_of_the_same_changes_gives_the_same() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    let other = "ab".repeat(32);
    let server = place.b.start_office();
    let octets = [
        login("bob@b.test", PASSWORD),
        format!(
            "CREATE archive\nFLAG inbox {digest} +seen\nFLAG inbox {other} +seen\n\
             FLAG inbox {digest} -seen\nMOVE inbox {digest} archive\nMOVE inbox {digest} archive\n\
             FLAG archive {digest} +flagged -flagged\nMOVE archive {digest} inbox\n\
             DELETE archive {digest}\nREMOVE archive\nSTORE inbox 4\nx\n\nyDONE\n"
        )
        .into_bytes(),
    ]
    .concat();
    for (record, segment) in [(16 << 10, usize::MAX), (1, 1), (3, 2), (50, 7)] {
        let mut caller = Caller::dial(server.address, None);
        caller.set_pieces(record, segment);
        caller.send(&octets);
        let (said, ending) = caller.rest();
        assert_eq!(ending, Ending::Proper);
        let (changes, stored) = said.rsplit_once("FAIL not a valid message").unwrap();
        assert!(
            stored.ends_with('\n') && stored.lines().count() == 1,
            "{said}"
        );
        assert_eq!(
            changes,
            "OK\nOK\nOK\nFAIL no such message\nOK\nOK\nFAIL no such message\nOK\nOK\n\
             FAIL no such message\nOK\n",
            "{record} {segment}"
        );
    }
    is_sound(&place, "inbox");
}

#[test]
fn thousands_of_changes_at_once() {
    let place = Place::new();
    let digests: Vec<String> = (0..3)
        .map(|n| place.deliver(&format!("{n}\n"), &[]))
        .collect();
    let other = "ab".repeat(32);
    let server = place.b.start_office();
    let mut caller = bob(&server);
    let mut input = String::new();
    for n in 0..1000 {
        for digest in digests.iter().chain([&other]) {
            let sign = if n % 2 == 0 { '+' } else { '-' };
            input += &format!("FLAG inbox {digest} {sign}seen\n");
        }
    }
    caller.send(input.as_bytes());
    for n in 0..4000 {
        let expected = match n % 4 {
            3 => "FAIL no such message",
            _ => "OK",
        };
        assert_eq!(caller.line(), expected, "{n}");
    }
    let told = caller.lines("FOLDERS");
    assert!(told[0].starts_with("+ inbox 3 3 "), "{told:?}");
    caller.say("DONE");
    assert_eq!(caller.rest().1, Ending::Proper);
    // Most of the journal says what is no longer so: the end of the session
    // leaves a new one.
    wait_until("the journal is short", || {
        journal(&place, "inbox").len() < 10
    });
    let told = bob(&server).lines("FOLDERS");
    assert!(told[0].starts_with("+ inbox 3 3 "), "{told:?}");
    is_sound(&place, "inbox");
}

#[test]
fn a_mailbox_has_only_so_many_folders() {
    let place = Place::new();
    let mailbox = ima_mailbox::Mailbox::open(&place.b.mailbox("bob")).unwrap();
    for number in 0..998 {
        let name = format!("folder-{number}");
        let folder = place.b.mailbox("bob").join(&name);
        fs::create_dir(&folder).unwrap();
        for directory in ["messages", "attachments", "gone", "tmp"] {
            fs::create_dir(folder.join(directory)).unwrap();
        }
        fs::write(folder.join("lock"), "").unwrap();
        fs::write(
            folder.join("journal"),
            format!("ima-mailbox 1 {number:016x}\n"),
        )
        .unwrap();
    }
    assert_eq!(mailbox.names().unwrap().len(), 999);
    let server = place.b.start_office();
    let mut caller = bob(&server);
    assert_eq!(caller.lines("CREATE one"), ["OK"]);
    let full = ["FAIL a mailbox has at most 1000 folders here"];
    assert_eq!(caller.lines("CREATE two"), full);
    assert_eq!(caller.lines("REMOVE folder-0"), ["OK"]);
    assert_eq!(caller.lines("CREATE two"), ["OK"]);
    assert_eq!(caller.lines("CREATE three"), full);
    assert_eq!(caller.lines("FOLDERS").len(), 1001);
}

/// Lines of a journal behind those that are there, some 17 MB.
fn write_lines(place: &Place, line: impl Fn(usize) -> String) {
    let journal = place.b.inbox("bob").join("journal");
    let mut text = fs::read_to_string(&journal).unwrap();
    for number in 0.. {
        text += &line(number);
        if text.len() > 17 << 20 {
            break;
        }
    }
    fs::write(&journal, text).unwrap();
}

#[test]
fn flags_without_end_find_an_end() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    let server = place.b.start_office();
    let flag = format!("FLAG inbox {digest} +seen");
    let mut caller = bob(&server);
    write_flags(&place, &digest);
    assert_eq!(caller.lines(&flag), ["OK"]);
    assert!(place.stored("journal").len() < 10_000);
    let told = caller.lines("FOLDERS");
    assert!(told[0].starts_with("+ inbox 1 0 "), "{told:?}");
    // Whoever comes by another way finds the same.
    let letter = letter_with(&["bob@b.test"], "another\n", &[]);
    let mut store = |folder: &str| {
        caller.say(&format!("STORE {folder} {}", letter.len()));
        caller.send(&letter);
        caller.line().strip_prefix("OK ").unwrap().to_owned()
    };
    write_flags(&place, &digest);
    let other = store("inbox");
    assert!(place.stored("journal").len() < 10_000);
    assert_eq!(caller.lines("CREATE archive"), ["OK"]);
    assert_eq!(caller.lines(&format!("MOVE inbox {other} archive")), ["OK"]);
    write_flags(&place, &digest);
    assert_eq!(caller.lines(&format!("MOVE archive {other} inbox")), ["OK"]);
    assert!(place.stored("journal").len() < 10_000);
    is_sound(&place, "inbox");
}

/// As many changes of a message's flags, which come to nothing, as make a journal of
/// some 17 MB.
fn write_flags(place: &Place, digest: &str) {
    let flags: String = (0..60).map(|n| format!(" -{n:032}")).collect();
    write_lines(place, |_| format!("flag {digest}{flags}\n"));
}

/// A journal is long or short for all sessions, whichever made it so.
#[test]
fn what_others_wrote_counts_as_well() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    let server = place.b.start_office();
    let flag = format!("FLAG inbox {digest} +seen");
    let mut caller = bob(&server);
    assert_eq!(caller.lines(&flag), ["OK"]);
    write_flags(&place, &digest);
    assert_eq!(caller.lines(&flag), ["OK"]);
    assert!(place.stored("journal").len() < 10_000);
}

#[test]
fn a_broken_journal_is_a_fault_to_who_changes_it() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    fs::write(place.b.inbox("bob").join("journal"), "something else\n").unwrap();
    let server = place.b.start_office();
    for command in [
        format!("FLAG inbox {digest} +seen"),
        format!("DELETE inbox {digest}"),
        format!("MOVE inbox {digest} inbox"),
    ] {
        let mut caller = bob(&server);
        caller.say(&command);
        let (said, ending) = caller.rest();
        assert_eq!(said, "ERROR a fault here; try again later\n", "{command}");
        assert_eq!(ending, Ending::Proper);
    }
    let line = server.log.wait_for("event=mailbox-fault");
    assert!(line.contains("user=bob@b.test"), "{line}");
    assert_eq!(place.names("messages"), [&*digest]);
    assert_eq!(place.names("gone"), [""; 0]);
}
