//! The cells of ima-mailbox(1).

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Provoke, bobs_letter, broken_letter};
use crate::site::{code, run, stdout};

/// A message that is in no folder.
const NOBODYS: &str = "3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f";

pub const CELLS: &[(&str, i32, Provoke)] = &[
    ("ima-mailbox check", 0, || on(nothing, &["check", "inbox"])),
    ("ima-mailbox check", 1, || on(damage, &["check", "inbox"])),
    ("ima-mailbox check", 2, || on(remove, &["check", "inbox"])),
    ("ima-mailbox create", 0, || on(remove, &["create", "inbox"])),
    ("ima-mailbox create", 2, || {
        on(nothing, &["create", "inbox"])
    }),
    ("ima-mailbox list", 0, || on(nothing, &["list", "inbox"])),
    ("ima-mailbox list", 2, || on(remove, &["list", "inbox"])),
    ("ima-mailbox flag", 0, || {
        on(nothing, &["flag", "inbox", "+seen", "-junk", "DIGEST"])
    }),
    ("ima-mailbox flag", 1, || {
        on(nothing, &["flag", "inbox", "+seen", NOBODYS])
    }),
    ("ima-mailbox flag", 2, || {
        on(nothing, &["flag", "inbox", "+Seen", "DIGEST"])
    }),
    ("ima-mailbox delete", 0, || {
        on(nothing, &["delete", "inbox", "DIGEST"])
    }),
    ("ima-mailbox delete", 1, || {
        on(nothing, &["delete", "inbox", "DIGEST", NOBODYS])
    }),
    ("ima-mailbox delete", 2, || {
        on(nothing, &["delete", "inbox", "1"])
    }),
    ("ima-mailbox move", 0, || {
        on(nothing, &["move", "inbox", "sent", "DIGEST"])
    }),
    ("ima-mailbox move", 1, || {
        on(nothing, &["move", "inbox", "sent", NOBODYS])
    }),
    ("ima-mailbox move", 2, || {
        on(nothing, &["move", "inbox", "trash", "DIGEST"])
    }),
    ("ima-mailbox export", 0, || on(nothing, &["export", "."])),
    ("ima-mailbox export", 2, || on(damage, &["export", "."])),
    ("ima-mailbox import", 0, || fed(&bobs_letter())),
    ("ima-mailbox import", 1, || fed(&broken_letter())),
    ("ima-mailbox import", 2, || {
        on(nothing, &["import", "trash"])
    }),
    ("ima-mailbox compact", 0, || on(nothing, &["compact", "."])),
    ("ima-mailbox compact", 2, || {
        on(spoil_the_journal, &["compact", "."])
    }),
    ("ima-mailbox repair", 0, || {
        on(spoil_the_journal, &["repair", "."])
    }),
    ("ima-mailbox repair", 2, || on(remove, &["repair", "inbox"])),
];

/// ima-mailbox in a mailbox with a letter in its inbox and an empty folder `sent`,
/// after a change of the inbox. `DIGEST` stands for the letter.
fn on(change: fn(&Path), arguments: &[&str]) -> i32 {
    let mailbox = mailbox();
    let inbox = mailbox.path().join("inbox");
    let listed = stdout(&run(
        "ima-mailbox",
        &["list".as_ref(), inbox.as_os_str()],
        b"",
    ));
    let digest = listed.split(' ').next().expect("a digest");
    change(&inbox);
    let (command, arguments) = arguments.split_first().expect("a command");
    let argument = |word: &&str| match *word {
        "DIGEST" => digest.to_owned(),
        "." | "inbox" | "sent" | "trash" => mailbox.path().join(word).display().to_string(),
        word => word.to_owned(),
    };
    let mut line = vec![(*command).to_owned()];
    line.extend(arguments.iter().map(argument));
    code(&run("ima-mailbox", &line, b""))
}

fn fed(messages: &[u8]) -> i32 {
    let mailbox = mailbox();
    let folder = mailbox.path().join("sent");
    code(&run(
        "ima-mailbox",
        &["import".as_ref(), folder.as_os_str()],
        messages,
    ))
}

fn mailbox() -> TempDir {
    let dir = TempDir::new().expect("a folder");
    for name in ["inbox", "sent"] {
        let folder = dir.path().join(name);
        let made = run("ima-mailbox", &["create".as_ref(), folder.as_os_str()], b"");
        assert_eq!(code(&made), 0);
    }
    let inbox = dir.path().join("inbox");
    let given = run("server-give-recipient", &[inbox], &bobs_letter());
    assert_eq!(code(&given), 0);
    dir
}

fn nothing(_: &Path) {}

fn damage(inbox: &Path) {
    for message in fs::read_dir(inbox.join("messages")).expect("messages") {
        fs::write(message.expect("an entry").path(), "ima: 2\n\n").expect("written");
    }
}

fn remove(inbox: &Path) {
    fs::remove_dir_all(inbox).expect("removed");
}

fn spoil_the_journal(inbox: &Path) {
    let journal = inbox.join("journal");
    let mut text = fs::read_to_string(&journal).expect("a journal");
    text.push_str("add nothing\n");
    fs::write(journal, text).expect("written");
}
