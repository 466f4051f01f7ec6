//! A line for each recipient, and the exit code.

use std::io::pipe;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Place, Sent};
use crate::peer::Peer;
use crate::site::{code, letter, letter_with, stderr};

#[test]
fn a_recipient_s_own_line_counts_and_the_first_of_them() {
    let place = Place::new();
    let answer = "+ FAIL bob@b.test the box is full\n\
        + OK BOB@b.test\n\
        + DEFER bill@b.test 0123456789abcdef 5 600 later\n\
        + OK mallory@c.test\n\
        + NORECIPIENT nina@b.test\n\
        + any other text\n\
        PARTIAL";
    place.answering("b.test", "ACCEPT", answer);
    let recipients = ["bob@b.test", "bill@b.test", "nina@b.test", "rest@b.test"];
    place.send(&letter(&recipients, "Hello\n")).is(
        2,
        &[
            "DEFER bill@b.test 0123456789abcdef 5 600 later",
            "DEFER rest@b.test - 60 86400",
            "FAIL bob@b.test the box is full",
            "FAIL nina@b.test no such recipient",
        ],
    );
}

#[test]
fn the_rest_take_the_final_answer() {
    let cases = [
        ("OK", 0, ["OK bill@b.test", "OK bob@b.test"]),
        ("FAIL", 1, ["FAIL bill@b.test", "FAIL bob@b.test"]),
        (
            "PARTIAL",
            2,
            ["DEFER bill@b.test - ", "DEFER bob@b.test - "],
        ),
        (
            "+ OK bob@b.test\nPARTIAL",
            2,
            ["DEFER bill@b.test - ", "OK bob@b.test"],
        ),
        (
            "+ OK bob@b.test\nFAIL",
            2,
            ["FAIL bill@b.test", "OK bob@b.test"],
        ),
        (
            "+ FAIL bob@b.test no\nOK",
            2,
            ["FAIL bob@b.test no", "OK bill@b.test"],
        ),
        (
            "+ the disk is on fire\nFAIL",
            1,
            [
                "FAIL bill@b.test the disk is on fire",
                "FAIL bob@b.test the disk is on fire",
            ],
        ),
        (
            "+ alive\n+ alive\nOK",
            0,
            ["OK bill@b.test", "OK bob@b.test"],
        ),
    ];
    let place = Place::new();
    let letter = letter(&["bob@b.test", "bill@b.test"], "Hello\n");
    for (answer, exit, lines) in cases {
        place.answering("b.test", "ACCEPT", answer);
        let sent = place.send(&letter);
        sent.is(exit, &lines);
        let said = match answer.ends_with("PARTIAL") {
            true => "server-send-mail: b.test does not deliver it now: the host does not say why\n",
            false => "",
        };
        assert_eq!(sent.said, said, "{answer}");
    }
}

#[test]
fn our_own_hosts_are_served_by_commands() {
    let place = Place::new();
    let b = place.taking("b.test");
    let folder = place.site.path().display().to_string();
    let script = |script: &str| {
        format!(
            "[\"/bin/sh\", \"-c\", {:?}]",
            script.replace("{dir}", &folder)
        )
    };
    place.set("local-hosts", "[\"a.test\", \"c.test\"]");
    place.set("check", &script("cat >{dir}/check"));
    place.set(
        "handler",
        &script("cat >{dir}/handler; echo OK carol@c.test; exit 1"),
    );
    let letter = letter(&["bob@b.test", "carol@c.test", "cyril@c.test"], "Hello\n");
    place.send(&letter).is(
        2,
        &["FAIL cyril@c.test", "OK bob@b.test", "OK carol@c.test"],
    );
    assert_eq!(b.octets("DATA"), [b"Hello\n"]);
    let given = std::fs::read_to_string(place.site.path().join("handler")).unwrap();
    let (block, data) = given.split_once("\n\n").unwrap();
    assert_eq!(data, "Hello\n");
    let received = block.lines().last().unwrap();
    assert!(received.starts_with("received: c.test "), "{received}");
    assert!(
        received.ends_with(" from=a.test address=local tls=none author=local"),
        "{received}"
    );
    let checked = std::fs::read_to_string(place.site.path().join("check")).unwrap();
    assert_eq!(checked, format!("{block}\n\n"));

    // A refusal here too is one for all.
    place.set("check", &script("echo REJECT policy no; exit 1"));
    place
        .send(&letter)
        .is(
            1,
            &[
                "FAIL bob@b.test not sent to anyone",
                "FAIL carol@c.test policy no",
                "FAIL cyril@c.test policy no",
            ],
        )
        .explains("c.test refused: policy no");
    for (check, exit) in [("exit 2", 2), ("exit 3", 2), ("exit 127", 2), ("exit 1", 1)] {
        place.set("check", &script(check));
        let sent = place.send(&letter);
        assert_eq!(sent.exit, exit, "{check}: {sent:?}");
    }
    assert_eq!(b.words().iter().filter(|word| *word == "DATA").count(), 1);
}

#[test]
fn a_host_of_ours_that_only_sends_to_itself_needs_no_server() {
    let site = crate::site::Site::new();
    let b = site.host("b.test", &["bob"]);
    let sent = Sent::of(&b.send(&letter(&["bob@b.test"], "Hello\n"), &[]));
    // alice@a.test is somebody else's.
    sent.is(
        2,
        &["DEFER bob@b.test - 60 86400 no [[identity]] for a.test"],
    )
    .explains("no [[identity]] for a.test");
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let own = text.replace("alice@a.test", "bob@b.test");
    Sent::of(&b.send(own.as_bytes(), &[])).is(0, &["OK bob@b.test"]);
    assert_eq!(b.messages("bob").len(), 1);
}

#[test]
fn lines_that_nobody_reads_leave_it_unfinished() {
    let place = Place::new();
    let b = place.taking("b.test");
    let file = place.site.path().join("letter");
    std::fs::write(&file, letter(&["bob@b.test"], "Hello\n")).unwrap();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = place.a.command("server-send-mail");
    let output = command
        .arg(file)
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cannot print"),
        "{}",
        stderr(&output)
    );
    assert_eq!(b.words(), ["HEADERS", "DATA", "DONE"]);
}

#[test]
fn terminal_sequences_do_not_get_through() {
    let place = Place::new();
    // A bidirectional override is text, and still not for a terminal.
    place.answering("b.test", "REJECT policy \u{202e}yawa og", "OK");
    let sent = place.send(&letter(&["bob@b.test"], "Hello\n"));
    sent.is(1, &["FAIL bob@b.test policy "])
        .explains("b.test refused: policy ");
    assert!(
        !sent.lines[0].contains('\u{202e}') && !sent.said.contains('\u{202e}'),
        "{sent:?}"
    );
    place.answering("b.test", "REJECT policy \u{1b}[2J", "OK");
    let sent = place.send(&letter(&["bob@b.test"], "Hello\n"));
    sent.is(2, &["DEFER bob@b.test - "]);
    assert!(
        !sent.lines[0].contains('\u{1b}') && !sent.said.contains('\u{1b}'),
        "{sent:?}"
    );
}

#[test]
fn a_host_in_two_spellings_is_one_and_so_is_a_recipient() {
    let place = Place::new();
    let b = place.taking("b.test");
    let options = ["--cc", "BOB@B.TEST", "--bcc", "Bill@b.Test"];
    let letter = letter_with(&["bob@b.test"], "Hello\n", &options);
    place
        .send(&letter)
        .is(0, &["OK Bill@b.Test", "OK bob@b.test"]);
    assert_eq!(b.words(), ["HEADERS", "DATA", "DONE"]);
    let u = place.taking("xn--bcher-kva.test");
    let letter = letter_with(
        &["bob@bücher.test", "bill@xn--bcher-kva.test"],
        "Hello\n",
        &[],
    );
    place
        .send(&letter)
        .is(0, &["OK bill@xn--bcher-kva.test", "OK bob@bücher.test"]);
    assert_eq!(u.words(), ["HEADERS", "DATA", "DONE"]);
}

#[test]
fn a_host_that_is_not_found_is_unfinished_within_its_time() {
    let place = Place::new();
    place.set("connect-timeout", "\"1s\"");
    let begin = Instant::now();
    // The one is no name, the other an address for documentation (RFC 5737).
    place.a.knows("c.test", "192.0.2.1:4025");
    let sent = place.send(&letter(
        &["bob@no-such-name.invalid", "carol@c.test"],
        "Hello\n",
    ));
    sent.is(
        2,
        &["DEFER bob@no-such-name.invalid - ", "DEFER carol@c.test - "],
    );
    sent.explains("no-such-name.invalid does not take it now: ")
        .explains("c.test does not take it now: ");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
}

/// What a person reads says of whom it is, and what a server that is full does.
#[test]
fn a_deferral_is_explained() {
    let place = Place::new();
    place.answering(
        "c.test",
        "+ DEFER carol@c.test - 60 600 the mailbox cannot take it now\nDEFER 300 not now",
        "OK",
    );
    place
        .send(&letter(&["carol@c.test"], "Hello\n"))
        .is(2, &["DEFER carol@c.test - 300 86400 the mailbox cannot"])
        .explains("c.test does not take it now: not now\n")
        .explains("c.test says of carol@c.test: the mailbox cannot take it now\n");

    let b = place.site.host("b.test", &["bob"]);
    b.set("server-receive.toml", "max-connections", "1");
    let server = b.start();
    place.a.knows("b.test", server.address);
    let mut first = Peer::dial(server.address, &place.identity("d.test"));
    first.say("KEYS b.test");
    assert_eq!(first.answer(), ["OK"]);
    place
        .send(&letter(&["bob@b.test"], "Hello\n"))
        .is(2, &["DEFER bob@b.test - 60 86400 it closed the connection"])
        .explains("as a server does that has as many as it takes\n");
}

/// A host that does not say why it has not delivered leaves nobody without a word.
#[test]
fn partial_without_a_reason_is_told_as_that() {
    let place = Place::new();
    place.answering("b.test", "ACCEPT", "PARTIAL");
    let sent = place.send(&letter(&["bob@b.test"], "Hello\n"));
    sent.is(
        2,
        &["DEFER bob@b.test - 60 86400 the host does not say why"],
    );
    sent.explains("b.test does not deliver it now: the host does not say why");
}
