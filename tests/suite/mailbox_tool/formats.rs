//! Out and back: the stream, Maildir and mbox.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Bob, stream};
use crate::site::{code, letter, letter_with, stderr};

/// A mailbox with all that a message may have.
fn furnished() -> Bob {
    let bob = Bob::new();
    let file = bob.path("Grüße, \"r\".bin");
    let octets: Vec<u8> = (0..40_000_u32)
        .map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0])
        .collect();
    fs::write(&file, octets).expect("written");
    let html = bob.path("x.html");
    fs::write(&html, "<p>Füße</p>\r\n").expect("written");
    let (file, html) = (file.to_str().expect("UTF-8"), html.to_str().expect("UTF-8"));
    let options = [
        "--attach",
        file,
        "--html",
        html,
        "--cc",
        "дима@пример.test Дима",
    ];
    let one = bob.gets(&letter_with(
        &["bob@b.test"],
        "Lunch?\n\nFrom here\n>From there",
        &options,
    ));
    bob.does(&["flag", "bob/inbox", "+seen", "+flagged", "+answered", &one]);
    bob.gets(&letter(&["bob@b.test"], "no line end"));
    let three = bob.gets(&letter(&["bob@b.test"], "From me\n"));
    bob.does(&["move", "bob/inbox", "bob/trash", &three]);
    bob
}

fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for place in ["cur", "new"] {
        for entry in fs::read_dir(dir.join(place)).expect("a Maildir") {
            let name = entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8");
            found.insert(format!("{place}/{name}"));
        }
    }
    found
}

#[test]
fn a_maildir_goes_out_and_comes_back() {
    let bob = furnished();
    bob.does(&["export", "--maildir", "out", "bob"]);
    assert_eq!(files(&bob.path("out/inbox")).len(), 2);
    assert!(
        files(&bob.path("out/inbox"))
            .iter()
            .any(|name| name.ends_with(":2,FRS"))
    );
    let before = files(&bob.path("out/trash"));
    bob.does(&["export", "--maildir", "out", "bob"]);
    assert_eq!(files(&bob.path("out/trash")), before);

    bob.does(&["create", "eve/inbox"]);
    bob.does(&["import", "--maildir", "out", "eve/inbox"]);
    bob.does(&["import", "--maildir", "out", "eve/inbox"]);
    assert_eq!(bob.list("eve/inbox"), bob.list("bob/inbox"));
    assert_eq!(bob.list("eve/trash"), bob.list("bob/trash"));
    bob.does(&["check", "eve"]);

    // What is missing is written, and nothing else; what was deleted comes back.
    let gone = files(&bob.path("out/inbox")).pop_first().expect("a file");
    fs::remove_file(bob.path("out/inbox").join(&gone)).expect("removed");
    fs::write(bob.path("out/inbox/new/other"), "x").expect("written");
    bob.does(&["export", "--maildir", "out/inbox", "bob/inbox"]);
    assert_eq!(files(&bob.path("out/inbox")).len(), 3);
    let (digest, _) = bob.list("eve/inbox").pop_first().expect("a message");
    bob.does(&["delete", "eve/inbox", &digest]);
    let said = bob.fails(1, &["import", "--maildir", "out/inbox", "eve/inbox"], b"");
    assert!(
        said.contains("out/inbox/new/other: it does not begin with a header field"),
        "{said}"
    );
    assert!(
        said.ends_with(
            "1 not imported, for the reasons given above; 1 stored, 1 were there already\n"
        ),
        "{said}"
    );
    assert_eq!(bob.list("eve/inbox").len(), 2);
}

#[test]
fn an_mbox_goes_out_and_comes_back() {
    let bob = furnished();
    bob.does(&["export", "--mbox", "all.mbox", "bob"]);
    let said = bob.fails(2, &["export", "--mbox", "all.mbox", "bob"], b"");
    assert!(said.contains("cannot make all.mbox"), "{said}");
    let text = fs::read(bob.path("all.mbox")).expect("an mbox");
    assert_eq!(
        bob.runs(&["export", "--mbox", "-", "bob"], b"").stdout,
        text
    );
    bob.does(&["create", "eve/inbox"]);
    bob.does(&["import", "--mbox", "all.mbox", "eve/inbox"]);
    let output = bob.runs(&["import", "--mbox", "-", "eve/inbox"], &text);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    let mut wanted = bob.list("bob/inbox");
    wanted.extend(bob.list("bob/trash"));
    assert_eq!(bob.list("eve/inbox"), wanted);
    let said = bob.fails(
        2,
        &["import", "--mbox", "Grüße, \"r\".bin", "eve/inbox"],
        b"",
    );
    assert!(said.contains("so it is no mbox"), "{said}");
    assert!(
        bob.fails(2, &["import", "--mbox", "none", "eve/inbox"], b"")
            .contains("cannot open none")
    );
    assert!(
        bob.fails(2, &["import", "--maildir", "bob", "eve/inbox"], b"")
            .contains("neither a Maildir")
    );
}

#[test]
fn a_stream_goes_out_and_comes_back() {
    let bob = furnished();
    let stream = bob.runs(&["export", "bob"], b"").stdout;
    bob.does(&["create", "eve/inbox"]);
    let output = bob.runs(&["import", "eve/inbox"], &stream);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    let mut wanted = bob.flags("bob/inbox");
    wanted.extend(bob.flags("bob/trash"));
    let found = bob.flags("eve/inbox");
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>()
    );
    assert_eq!(bob.runs(&["export", "eve"], b"").stdout.len(), stream.len());
    bob.does(&["check", "eve"]);
}

#[test]
fn a_stream_that_is_damaged_says_where() {
    let bob = Bob::new();
    let one = letter(&["bob@b.test"], "one");
    let mut wrong = letter(&["bob@b.test"], "two");
    *wrong.last_mut().expect("data") ^= 1;
    let three = stream(1);
    let said = bob.fails(
        1,
        &["import", "bob/inbox"],
        &[&one[..], &wrong, &three].concat(),
    );
    assert!(
        said.contains("standard input, message 2, ") && said.contains("do not match its digest"),
        "{said}"
    );
    assert!(
        said.contains("1 not imported, for the reasons given above; 2 stored"),
        "{said}"
    );
    assert_eq!(bob.list("bob/inbox").len(), 2);
    let said = bob.fails(
        1,
        &["import", "bob/trash"],
        &[&one[..], b"rubbish\n"].concat(),
    );
    assert!(said.contains("message 2: line 1"), "{said}");
    assert_eq!(bob.list("bob/trash").len(), 1);
    let cut = letter(&["bob@b.test"], "two");
    let said = bob.fails(2, &["import", "bob/trash"], &cut[..cut.len() - 1]);
    assert!(said.contains("ends within message 1"), "{said}");
    assert_eq!(bob.list("bob/trash").len(), 1);
}

#[test]
fn a_damaged_message_is_named_and_the_others_go_out() {
    let bob = furnished();
    let (digest, _) = bob.list("bob/trash").pop_first().expect("a message");
    fs::write(bob.path("bob/trash/messages").join(&digest), "ima: 1\n").expect("written");
    for options in [&["--maildir", "out"][..], &["--mbox", "-"], &[]] {
        let said = bob.fails(2, &[&["export"], options, &["bob"]].concat(), b"");
        let wanted = format!("{digest} in bob/trash cannot be exported: `ima-mailbox check` says");
        assert!(said.contains(&wanted), "{said}");
    }
    assert_eq!(files(&bob.path("out/inbox")).len(), 2);
}

#[test]
fn the_quota_holds_for_an_import() {
    let bob = Bob::new();
    fs::write(bob.path("bob/mailbox.toml"), "quota = \"1KiB\"\n").expect("written");
    let said = bob.fails(2, &["import", "bob/inbox"], &stream(100));
    assert!(said.contains("quota"), "{said}");
    assert!(bob.list("bob/inbox").is_empty());
}
