//! Folders that are none any more, in commands for a whole mailbox.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::{Bob, stream};
use crate::site::{code, letter, run, stderr, stdout};

/// What is done to bob's inbox.
type Damage = fn(&Bob);

const DAMAGES: [(&str, Damage); 4] = [
    ("a link", |bob| {
        fs::rename(bob.path("bob/inbox"), bob.path("moved")).expect("moved");
        symlink("../moved", bob.path("bob/inbox")).expect("a link");
    }),
    ("a pipe", |bob| {
        fs::remove_dir_all(bob.path("bob/inbox")).expect("removed");
        let made = Command::new("mkfifo").arg(bob.path("bob/inbox")).status();
        assert!(made.expect("mkfifo runs").success());
    }),
    ("a file", |bob| {
        fs::remove_dir_all(bob.path("bob/inbox")).expect("removed");
        fs::write(bob.path("bob/inbox"), "").expect("written");
    }),
    (NO_JOURNAL, |bob| {
        fs::remove_file(bob.path("bob/inbox/journal")).expect("removed");
    }),
];
const NO_JOURNAL: &str = "no journal";

/// An inbox with a message, and two in the trash.
fn place() -> Bob {
    let bob = Bob::new();
    bob.gets(&letter(&["bob@b.test"], "1"));
    assert_eq!(code(&bob.runs(&["import", "bob/trash"], &stream(2))), 0);
    bob
}

/// The command says what is wrong with the inbox, and nothing else; gives its output.
fn names_the_inbox(bob: &Bob, what: &str, arguments: &[&str]) -> String {
    let output = bob.runs(arguments, b"");
    let said = stderr(&output);
    assert_eq!(code(&output), 2, "{what}, {arguments:?}: {said}");
    assert!(
        said.starts_with("ima-mailbox: bob/inbox is left out: ")
            && said.contains("`ima-mailbox repair` mends")
            && said.lines().count() == 1,
        "{what}, {arguments:?}: {said}"
    );
    stdout(&output)
}

/// Once nothing was said, all others were taken for all, and it was a success.
#[test]
fn a_folder_that_is_none_any_more_is_named_and_the_others_are_done() {
    for (what, damage) in DAMAGES {
        let bob = place();
        damage(&bob);
        let trash = bob.does(&["export", "bob/trash"]);
        assert_eq!(names_the_inbox(&bob, what, &["export", "bob"]), trash);
        names_the_inbox(&bob, what, &["export", "--maildir", "out", "bob"]);
        assert!(!bob.path("out/inbox").exists(), "{what}");
        let mails = fs::read_dir(bob.path("out/trash/new")).expect("a Maildir");
        assert_eq!(mails.count(), 2, "{what}");
        names_the_inbox(&bob, what, &["export", "--mbox", "out.mbox", "bob"]);
        let mbox = fs::read_to_string(bob.path("out.mbox")).expect("an mbox");
        assert_eq!(mbox.matches("X-IMA-Digest: ").count(), 2, "{what}");

        let journal = || fs::read(bob.path("bob/trash/journal")).expect("a journal");
        let before = journal();
        names_the_inbox(&bob, what, &["compact", "bob"]);
        assert_ne!(journal(), before, "{what}: it was not compacted");
        fs::remove_dir(bob.path("bob/trash/gone")).expect("removed");
        if what == NO_JOURNAL {
            bob.does(&["repair", "bob"]);
            assert_eq!(bob.list("bob/inbox").len(), 1);
            bob.does(&["check", "--quiet", "bob"]);
        } else {
            assert!(!names_the_inbox(&bob, what, &["repair", "bob"]).is_empty());
            let seen = bob.runs(&["check", "bob"], b"");
            assert_eq!(code(&seen), 1, "{what}: {}", stdout(&seen));
            assert!(stdout(&seen).starts_with("bob/inbox: "), "{what}");
        }
        assert_eq!(bob.list("bob/trash").len(), 2, "{what}");
    }
}

/// By itself, too.
#[test]
fn a_folder_without_a_journal_is_no_mailbox() {
    let bob = place();
    fs::remove_file(bob.path("bob/inbox/journal")).expect("removed");
    for arguments in [&["export", "bob/inbox"][..], &["compact", "bob/inbox"]] {
        assert_eq!(names_the_inbox(&bob, "by itself", arguments), "");
    }
    assert!(
        !run("ima-mailbox", &["list".into(), bob.path("bob/inbox")], b"")
            .status
            .success()
    );
}

#[test]
fn what_never_was_a_folder_is_passed_over() {
    let bob = place();
    fs::create_dir(bob.path("bob/empty")).expect("made");
    fs::create_dir(bob.path("bob/.hidden")).expect("made");
    symlink("inbox", bob.path("bob/.link")).expect("a link");
    fs::write(bob.path("bob/mailbox.toml"), "").expect("written");
    let all = bob.does(&["export", "bob"]);
    assert_eq!(all.matches("ima: 1\n").count(), 3);
    bob.does(&["compact", "bob"]);
    bob.does(&["repair", "bob"]);
}
