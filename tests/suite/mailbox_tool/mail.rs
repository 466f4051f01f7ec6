//! Mail of others.

use std::collections::BTreeSet;
use std::fs;

use super::Bob;
use crate::site::{code, program, run, stdout};

const MAIL: &str = "Return-Path: <carol@c.test>\r\nReceived: by mx.test; Mon, 1 Jul 2013 08:00:00 -0700\r\n\
    From: Carol =?iso-8859-1?Q?M=FCller?= <carol@c.test>\r\nTo: undisclosed-recipients:;\r\n\
    Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\nMessage-ID: <1@c.test>\r\nDate: Mon, 1 Jul 2013 16:59:00 +0200\r\n\
    Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6ne Gr=FC=DFe\r\n--x\r\n\
    Content-Type: application/pdf; name=\"../plan.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--x--\r\n";

/// A message of a folder as show-ima-message prints it.
fn shown(bob: &Bob, folder: &str) -> String {
    let stream = bob.runs(&["export", folder], b"").stdout;
    stdout(&run("show-ima-message", &[] as &[&str], &stream))
}

#[test]
fn mail_becomes_a_message() {
    let bob = Bob::new();
    fs::write(bob.path("bob/mailbox.toml"), "owner = \"bob@b.test\"\n").expect("written");
    fs::create_dir_all(bob.path("in/cur")).expect("made");
    fs::create_dir_all(bob.path("in/new")).expect("made");
    fs::write(bob.path("in/cur/1372690800.1.mx:2,RS"), MAIL).expect("written");
    bob.does(&["import", "--maildir", "in", "bob/inbox"]);
    let shown = shown(&bob, "bob/inbox");
    for wanted in [
        "carol@c.test",
        "Carol Müller",
        "Grüße",
        "2013",
        "Schöne Grüße",
        ".._plan.pdf",
        "original-header.txt",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    let flags = bob.flags("bob/inbox");
    assert_eq!(flags.values().collect::<Vec<_>>(), ["answered,seen"]);
    let (digest, _) = flags.first_key_value().expect("a message");
    let message =
        fs::read_to_string(bob.path("bob/inbox/messages").join(digest)).expect("a message");
    assert!(message.contains("\ndeliver: bob@b.test\n"), "{message}");
    assert!(
        message.contains("\nx-original-to: undisclosed-recipients:;\n"),
        "{message}"
    );

    // The same mail, as another program keeps it, is the same message.
    let mbox = format!(
        "From carol@c.test Mon Jul  1 15:00:00 2013\nStatus: RO\n{}\n",
        MAIL.replace('\r', "")
    );
    fs::write(bob.path("in.mbox"), mbox).expect("written");
    bob.does(&[
        "import",
        "--mbox",
        "in.mbox",
        "--owner",
        "bob@b.test",
        "bob/inbox",
    ]);
    assert_eq!(bob.list("bob/inbox").len(), 1);
    bob.does(&["check", "bob"]);
}

#[test]
fn folders_are_made_of_maildirs_in_maildirs() {
    let bob = Bob::new();
    for name in [
        ".",
        ".Sent",
        ".Work.2013",
        "Lists/rust users",
        "Lists/a+b",
        ".-x",
    ] {
        for part in ["cur", "new"] {
            fs::create_dir_all(bob.path("in").join(name).join(part)).expect("made");
        }
        let mail = format!("From: a@a.test\nSubject: {name}\n\n");
        fs::write(bob.path("in").join(name).join("new/1"), mail).expect("written");
    }
    let said = bob.fails(1, &["import", "--maildir", "in", "bob/inbox"], b"");
    assert!(
        said.contains("in/Lists/a+b: not imported, since \"Lists-a+b\" cannot be a folder's name"),
        "{said}"
    );
    assert!(said.contains("in/.-x: not imported"), "{said}");
    let folders = ["inbox", "sent", "Work-2013", "Lists-rust_users"];
    for folder in folders {
        assert_eq!(bob.list(&format!("bob/{folder}")).len(), 1, "{folder}");
    }
    let made = fs::read_dir(bob.path("bob")).expect("a mailbox");
    assert_eq!(made.count(), folders.len() + 1);
}

#[test]
fn what_cannot_be_imported_is_named_and_the_others_are() {
    let bob = Bob::new();
    let deep: String = (0..50)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"))
        .collect();
    let line = "From x@y.test Mon Jul  1 15:00:00 2013\n";
    let mbox = format!(
        "{line}From: a@a.test\n\nfine\n\n{line}{deep}\n\n{line}no field\n\n{line}From: b@b.test\n\nfine\n"
    );
    let said = bob.fails(1, &["import", "--mbox", "-", "bob/inbox"], mbox.as_bytes());
    assert!(
        said.contains("-, line 6: its parts lie more than 32 deep in one another"),
        "{said}"
    );
    assert!(
        said.contains("it does not begin with a header field"),
        "{said}"
    );
    assert!(
        said.contains(
            "2 not imported, for the reasons given above; 2 stored, 0 were there already"
        ),
        "{said}"
    );
    assert_eq!(bob.list("bob/inbox").len(), 2);
}

/// Killed wherever it is, an import is run again, and then all is there once.
#[test]
fn an_import_that_is_interrupted_is_run_again() {
    let bob = Bob::new();
    let line = "From x@y.test Mon Jul  1 15:00:00 2013\n";
    let mail = |n: usize| {
        format!(
            "{line}From: a@a.test\nSubject: {n}\n\n{}\n\n",
            "text ".repeat(50)
        )
    };
    let count = 1200;
    fs::write(
        bob.path("in.mbox"),
        (0..count).map(mail).collect::<String>(),
    )
    .expect("written");
    let mut child = std::process::Command::new(program("ima-mailbox"))
        .current_dir(bob.path("."))
        .args(["import", "--mbox", "in.mbox", "bob/inbox"])
        .spawn()
        .expect("it starts");
    let journal = bob.path("bob/inbox/journal");
    let lines = || {
        fs::read_to_string(&journal)
            .expect("a journal")
            .lines()
            .count()
    };
    crate::site::wait_until("some are stored", || lines() > 1);
    child.kill().expect("killed");
    child.wait().expect("ended");
    bob.does(&["import", "--mbox", "in.mbox", "bob/inbox"]);
    let list = bob.list("bob/inbox");
    assert_eq!(list.len(), count);
    let octets: BTreeSet<_> = list.values().map(|(arrived, ..)| arrived.clone()).collect();
    assert_eq!(
        octets.into_iter().collect::<Vec<_>>(),
        ["2013-07-01T15:00:00Z"]
    );
    let output = bob.runs(&["check", "--quiet", "bob"], b"");
    assert_eq!(code(&output), 0, "{}", stdout(&output));
}
