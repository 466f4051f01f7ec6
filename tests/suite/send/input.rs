//! What it is given to send.

use std::fs;

use super::{Place, Sent};
use crate::peer::split;
use crate::site::{letter, letter_with};

#[test]
fn nobody_is_dialled_for_what_is_no_message() {
    let place = Place::new();
    let b = place.taking("b.test");
    let letter = letter(&["bob@b.test"], "Hello\n");
    let text = String::from_utf8(letter.clone()).unwrap();
    let (block, _) = split(&letter);
    let (size, digest) = (
        text.replace("size: 6", "size: 5"),
        text.replace("Hello\n", "hello\n"),
    );
    let cases: [(&[u8], i32, &str); 7] = [
        (b"", 2, "empty"),
        (b"To: bob@b.test\n\nHello\n", 1, "line 1, column 1"),
        (size.as_bytes(), 1, "line "),
        (&block[..block.len() - 1], 1, "standard input"),
        (block, 1, "6 octets too early"),
        (&letter[..letter.len() - 1], 1, "1 octets too early"),
        (digest.as_bytes(), 1, "part 1"),
    ];
    for (octets, exit, why) in cases {
        place.send(octets).is(exit, &[]).explains(why);
    }
    assert_eq!(b.connections(), 0);
    place.send(&letter).is(0, &["OK bob@b.test"]);
}

#[test]
fn messages_come_from_files_and_from_standard_input() {
    let place = Place::new();
    let b = place.taking("b.test");
    let path = |name: &str| place.site.path().join(name).to_str().unwrap().to_owned();
    for name in ["one", "two"] {
        fs::write(
            path(name),
            letter(&[&format!("{name}@b.test")], &format!("{name}\n")),
        )
        .unwrap();
    }
    let piped = letter(&["piped@b.test"], "piped\n");
    Sent::of(&place.a.send(&piped, &["-"])).is(0, &["OK piped@b.test"]);
    Sent::of(&place.a.send(&piped, &[&path("one")])).is(0, &["OK one@b.test"]);
    let sent = Sent::of(&place.a.send(&piped, &[&path("one"), "-", &path("two")]));
    sent.is(0, &["OK one@b.test", "OK piped@b.test", "OK two@b.test"]);
    assert_eq!(
        b.octets("DATA"),
        [&b"piped\n"[..], b"one\n", b"one\n", b"piped\n", b"two\n"]
    );

    // One that is not there, or no message, holds up none of the others.
    let sent = Sent::of(&place.a.send(b"", &[&path("none"), &path("one")]));
    sent.is(2, &["OK one@b.test"])
        .explains("none: cannot be read");
    fs::write(path("bad"), "ima: 2\n\n").unwrap();
    let sent = Sent::of(&place.a.send(b"", &[&path("bad"), &path("one")]));
    sent.is(2, &["OK one@b.test"]).explains("bad: ");
    Sent::of(&place.a.send(b"", &[&path("bad")])).is(1, &[]);
    Sent::of(&place.a.send(b"", &[&path("")])).is(2, &[]);
    // A file on stdin is read from where it stands.
    let mut command = place.a.command("server-send-mail");
    command.stdin(fs::File::open(path("two")).unwrap());
    Sent::of(&command.output().unwrap()).is(0, &["OK two@b.test"]);
}

#[test]
fn what_was_received_is_sent_without_that_line() {
    let place = Place::new();
    let b = place.taking("b.test");
    let letter = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let received = "\nreceived: a.test 2026-11-22T09:30:02Z from=x.test address=192.0.2.7 tls=TLSv1.3 author=host\n\n";
    place
        .send(letter.replacen("\n\n", received, 1).as_bytes())
        .is(0, &["OK bob@b.test"]);
    assert_eq!(b.octets("HEADERS"), [split(letter.as_bytes()).0]);
}

#[test]
fn who_may_not_send_for_a_host_says_which() {
    let place = Place::new();
    let b = place.taking("b.test");
    let letter = String::from_utf8(letter_with(&["bob@b.test"], "Hello\n", &[])).unwrap();
    place
        .send(letter.replace("alice@a.test", "alice@x.test").as_bytes())
        .is(
            2,
            &["DEFER bob@b.test - 60 86400 no [[identity]] for x.test"],
        )
        .explains("no [[identity]] for x.test in /")
        .explains("/server-send-mail.toml, so nobody would believe it");
    // The return path is the last mailer's.
    let passed_on = letter.replacen("\n\n", "\nmailer: staff@list.test\n\n", 1);
    place
        .send(passed_on.as_bytes())
        .is(2, &["DEFER bob@b.test - "])
        .explains("no [[identity]] for list.test");
    assert_eq!(b.connections(), 0);
}

#[test]
fn a_wrong_configuration_or_usage_delays_mail() {
    let place = Place::new();
    place.taking("b.test");
    let letter = letter(&["bob@b.test"], "Hello\n");
    Sent::of(&place.a.send(&letter, &["--no-such-option"])).is(2, &[]);
    Sent::of(&place.a.send(&letter, &["--config", "/no/such/file.toml"]))
        .is(2, &[])
        .explains("/no/such/file.toml");
    place.set("idle-timeuot", "\"60s\"");
    place.send(&letter).is(2, &[]).explains("idle-timeuot");
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_a_fault_and_no_refusal() {
    let place = Place::new();
    let a = place.site.host_in("with-alice", "a.test", &["alice"]);
    let file = place.site.path().join("letter.ima");
    let letter = letter(&["alice@a.test"], "Hello\n");
    fs::write(&file, &letter).unwrap();
    // The check runs between the verification and the data.
    let change = format!(
        "printf X | dd of={} bs=1 seek={} conv=notrunc 2>/dev/null",
        file.display(),
        letter.len() - 2
    );
    a.set(
        "server-send-mail.toml",
        "check",
        &format!("[\"sh\", \"-c\", \"{change}\"]"),
    );
    let mut command = a.command("server-send-mail");
    let sent = Sent::of(&command.arg(&file).output().unwrap());
    sent.is(2, &["DEFER alice@a.test - 60 86400 "]);
    assert!(a.messages("alice").is_empty());
}

#[test]
fn what_a_check_says_of_a_recipient_reaches_the_user() {
    let place = Place::new();
    let a = place.site.host_in("with-alice", "a.test", &["alice"]);
    let check = "[\"sh\", \"-c\", \"echo FAIL alice@a.test the mailbox is full; exit 1\"]";
    a.set("server-send-mail.toml", "check", check);
    let sent = Sent::of(&a.send(&letter(&["alice@a.test"], "Hello\n"), &[]));
    sent.is(1, &["FAIL alice@a.test the mailbox is full"])
        .explains("a.test says of alice@a.test: the mailbox is full");
}
