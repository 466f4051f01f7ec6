//! ima-mailbox(1): what is in a folder is changed, goes out and comes back.

mod damage;
mod export;
mod formats;
mod mail;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::pages::examples;
use crate::site::{code, letter, letter_with, program, run, stderr, stdout};

/// A mailbox with inbox and trash.
pub struct Bob {
    dir: TempDir,
}

/// A line of `list`: arrival, octets and flags.
type Listed = BTreeMap<String, (String, String, String)>;

impl Bob {
    pub fn new() -> Self {
        let bob = Self {
            dir: TempDir::new().expect("a folder"),
        };
        bob.does(&["create", "bob/inbox"]);
        bob.does(&["create", "bob/trash"]);
        bob
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Gives the inbox a message.
    pub fn gets(&self, message: &[u8]) -> String {
        let before = self.list("bob/inbox");
        let inbox = self.path("bob/inbox");
        let output = run("server-give-recipient", &[inbox], message);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let mut list = self.list("bob/inbox");
        list.retain(|digest, _| !before.contains_key(digest));
        list.pop_first().expect("a new message").0
    }

    /// Runs a command of the program in the folder of the test.
    pub fn runs(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut command = std::process::Command::new(program("ima-mailbox"));
        command.current_dir(self.dir.path()).args(arguments);
        crate::site::feed(command, stdin)
    }

    /// The same, where nothing is wrong and nothing is said of it.
    pub fn does(&self, arguments: &[&str]) -> String {
        let output = self.runs(arguments, b"");
        assert_eq!(
            (code(&output), stderr(&output)),
            (0, String::new()),
            "{arguments:?}"
        );
        stdout(&output)
    }

    /// What it says where it ends with a code.
    pub fn fails(&self, wanted: i32, arguments: &[&str], stdin: &[u8]) -> String {
        let output = self.runs(arguments, stdin);
        let said = stderr(&output);
        assert_eq!(code(&output), wanted, "{arguments:?}: {said}");
        said
    }

    pub fn list(&self, folder: &str) -> Listed {
        let listed = self.does(&["list", folder]);
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words.len(), 4, "{line}");
            let rest = (
                words[1].to_owned(),
                words[2].to_owned(),
                words[3].to_owned(),
            );
            (words[0].to_owned(), rest)
        };
        listed.lines().map(line).collect()
    }

    /// The flags of each message of a folder.
    pub fn flags(&self, folder: &str) -> BTreeMap<String, String> {
        let list = self.list(folder).into_iter();
        list.map(|(digest, (.., flags))| (digest, flags)).collect()
    }
}

/// So many messages, one behind the other.
pub fn stream(count: usize) -> Vec<u8> {
    let message = |number: usize| {
        format!(
            "ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\nid: {number}@a.test\nsize: 0\n\n"
        )
    };
    (0..count).map(message).collect::<String>().into_bytes()
}

#[test]
fn flags_are_set_and_removed() {
    let bob = Bob::new();
    let (one, two) = (
        bob.gets(&letter(&["bob@b.test"], "1")),
        bob.gets(&letter(&["bob@b.test"], "2")),
    );
    bob.does(&["flag", "bob/inbox", "+seen", "+my-own", &one, &two]);
    bob.does(&["flag", "bob/inbox", &one, "-seen", "+flagged"]);
    let wanted = [
        (one.clone(), "flagged,my-own".to_owned()),
        (two.clone(), "my-own,seen".to_owned()),
    ];
    assert_eq!(bob.flags("bob/inbox"), BTreeMap::from(wanted));

    let nowhere = "ab".repeat(32);
    let said = bob.fails(1, &["flag", "bob/inbox", "-my-own", &nowhere, &one], b"");
    assert_eq!(
        said,
        format!("ima-mailbox: {nowhere} is not in bob/inbox\n")
    );
    assert_eq!(bob.flags("bob/inbox")[&one], "flagged");
    for (words, wanted) in [
        (&["+Seen", &one][..], "\"+Seen\" is no flag"),
        (&["+seen"], "at least one DIGEST"),
        (&[&one], "at least one +FLAG"),
        (&["+seen", "x"], "\"x\" is no message digest"),
    ] {
        let said = bob.fails(2, &[&["flag", "bob/inbox"], words].concat(), b"");
        assert!(said.contains(wanted), "{said}");
    }
    assert!(
        bob.fails(2, &["flag", "bob/none", "+seen", &one], b"")
            .contains("there is no folder bob/none")
    );
}

#[test]
fn messages_are_moved_with_their_flags_and_deleted() {
    let bob = Bob::new();
    let (one, two) = (
        bob.gets(&letter(&["bob@b.test"], "1")),
        bob.gets(&letter(&["bob@b.test"], "2")),
    );
    bob.does(&["flag", "bob/inbox", "+seen", &one]);
    let said = bob.fails(
        1,
        &["move", "bob/inbox", "bob/trash", &one, &"00".repeat(32)],
        b"",
    );
    assert!(said.contains("000 is not in bob/inbox"), "{said}");
    assert_eq!(
        bob.flags("bob/trash"),
        BTreeMap::from([(one.clone(), "seen".to_owned())])
    );
    assert_eq!(bob.flags("bob/inbox").keys().collect::<Vec<_>>(), [&two]);
    bob.does(&["create", "eve/inbox"]);
    let said = bob.fails(2, &["move", "bob/inbox", "eve/inbox", &two], b"");
    assert!(said.contains("are not in one mailbox"), "{said}");
    bob.does(&["delete", "bob/inbox", &two]);
    assert!(bob.flags("bob/inbox").is_empty());
    let said = bob.fails(1, &["delete", "bob/inbox", &two], b"");
    assert!(
        said.contains(&format!("{two} is not in bob/inbox")),
        "{said}"
    );
    bob.does(&["check", "bob"]);
}

/// One lock and one write, and a list as long as a folder may be.
#[test]
fn digests_come_on_standard_input() {
    let bob = Bob::new();
    let count = 1500;
    let output = bob.runs(&["import", "bob/inbox"], &stream(count));
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    let digests: String = bob
        .list("bob/inbox")
        .keys()
        .map(|digest| format!("{digest}\n"))
        .collect();
    let output = bob.runs(&["flag", "bob/inbox", "+seen", "-"], digests.as_bytes());
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert!(bob.flags("bob/inbox").values().all(|flags| flags == "seen"));
    let output = bob.runs(&["move", "bob/inbox", "bob/trash", "-"], digests.as_bytes());
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert_eq!(bob.list("bob/trash").len(), count);
    let output = bob.runs(&["delete", "bob/trash", "-"], digests.as_bytes());
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert!(bob.list("bob/trash").is_empty());
    let said = bob.fails(2, &["delete", "bob/trash", "-"], b"\n");
    assert!(said.contains("\"\" is no message digest"), "{said}");
}

#[test]
fn journals_are_written_anew_and_mended() {
    let bob = Bob::new();
    let one = bob.gets(&letter(&["bob@b.test"], "1"));
    for _ in 0..20 {
        bob.does(&["flag", "bob/inbox", "+seen", "-seen", "+flagged", &one]);
    }
    let before = bob.list("bob/inbox");
    let length = |bob: &Bob| {
        fs::metadata(bob.path("bob/inbox/journal"))
            .expect("a journal")
            .len()
    };
    let long = length(&bob);
    bob.does(&["compact", "bob"]);
    assert!(length(&bob) * 4 < long);
    bob.does(&["compact", "bob/inbox"]);
    assert_eq!(bob.list("bob/inbox"), before);

    assert_eq!(bob.does(&["repair", "bob"]), "");
    let journal = fs::read_to_string(bob.path("bob/inbox/journal")).expect("a journal");
    let said = bob.does(&["repair", "--new-generation", "bob/inbox"]);
    assert!(said.contains("new generation"), "{said}");
    let again = fs::read_to_string(bob.path("bob/inbox/journal")).expect("a journal");
    assert_ne!(journal.lines().next(), again.lines().next());
    fs::write(bob.path("bob/inbox/journal"), format!("{again}nonsense\n")).expect("written");
    assert!(bob.does(&["repair", "bob"]).contains("left out"));
    bob.does(&["check", "--quiet", "bob"]);
    for command in ["compact", "repair"] {
        let said = bob.fails(2, &[command, "bob/none"], b"");
        assert!(said.contains("bob/none"), "{said}");
        bob.fails(2, &[command, "."], b"");
    }
}

#[test]
fn a_mailbox_in_the_place_of_a_folder_is_told_by_its_folders() {
    let bob = Bob::new();
    let digest = bob.gets(&letter(&["bob@b.test"], "1"));
    for arguments in [
        &["list", "bob"][..],
        &["flag", "bob", "+seen", &digest],
        &["delete", "bob", &digest],
        &["move", "bob", "bob/trash", &digest],
        &["move", "bob/inbox", "bob", &digest],
    ] {
        let said = bob.fails(2, arguments, b"");
        let wanted = "bob is a mailbox and no folder; its folders are bob/inbox, bob/trash";
        assert!(said.contains(wanted), "{said}");
    }
    let said = bob.fails(2, &["list", "bob/none"], b"");
    assert!(!said.contains("is a mailbox"), "{said}");
    assert_eq!(bob.list("bob/inbox").len(), 1);
}

/// Those of the page that need no more than this program.
#[test]
fn examples_of_the_page() {
    let bob = Bob::new();
    let old = bob.gets(&letter_with(
        &["bob@b.test"],
        "1",
        &["--date", "2020-01-01T00:00:00Z"],
    ));
    fs::create_dir(bob.path("Maildir")).expect("made");
    for name in [
        "cur",
        "new",
        "tmp",
        ".Sent Items",
        ".Sent Items/cur",
        ".Sent Items/new",
    ] {
        fs::create_dir(bob.path("Maildir").join(name)).expect("made");
    }
    fs::write(
        bob.path("Maildir/.Sent Items/cur/1.x:2,S"),
        "From: bob@b.test\nBcc:\n\nHi\n",
    )
    .expect("written");
    let examples = examples("ima-mailbox.1");
    let shell = |number: usize, folder: &Path| {
        let script = examples[number]
            .replace("$ ima-mailbox create bob/inbox\n", "")
            .replace("$ ", "");
        let mut shell = std::process::Command::new("sh");
        let beside = program("ima-mailbox");
        let path = format!(
            "{}:/usr/bin:/bin",
            beside.parent().expect("a folder").display()
        );
        shell
            .args(["-ec", &script])
            .current_dir(folder)
            .env("PATH", path);
        let output = crate::site::feed(shell, b"");
        assert_eq!(code(&output), 0, "{script}{}", stderr(&output));
    };
    shell(3, bob.dir.path());
    assert_eq!(bob.list("bob/Sent_Items").len(), 1);
    // It arrived now, whatever its author says.
    bob.does(&["flag", "bob/inbox", "+seen", &old]);
    shell(4, bob.dir.path());
    assert!(bob.list("bob/inbox").contains_key(&old));
}
