//! To all hosts, or to none.

use std::time::{Duration, Instant};

use super::{Place, Sent};
use crate::peer::{Cut, Receiver, follow, nowhere};
use crate::site::letter;

const THREE: [&str; 3] = ["bob@b.test", "carol@c.test", "dave@d.test"];

#[test]
fn one_refuses_and_nobody_is_sent_an_octet_of_data() {
    let place = Place::new();
    let (b, d) = (place.taking("b.test"), place.taking("d.test"));
    let c = place.answering("c.test", "+ we know you\nREJECT policy not from you", "OK");
    place
        .send(&letter(&THREE, "Hello\n"))
        .is(
            1,
            &[
                "FAIL bob@b.test not sent to anyone, since c.test refused",
                "FAIL carol@c.test policy not from you",
                "FAIL dave@d.test not sent to anyone, since c.test refused",
            ],
        )
        .explains("c.test refused: policy not from you");
    assert_eq!(b.words(), ["HEADERS", "ABORT", "DONE"]);
    assert_eq!(d.words(), ["HEADERS", "ABORT", "DONE"]);
    assert_eq!(c.words(), ["HEADERS", "DONE"]);
}

#[test]
fn every_reason_is_printed() {
    let place = Place::new();
    let b = place.taking("b.test");
    place.answering(
        "c.test",
        "+ NORECIPIENT carol@c.test\nREJECT recipient no such mailbox",
        "OK",
    );
    place.answering("d.test", "REJECT size 1000 octets are the most", "OK");
    place.a.knows("e.test", nowhere());
    let sent = place.send(&letter(
        &[&THREE[..], &["eve@e.test", "eric@c.test"]].concat(),
        "Hello\n",
    ));
    sent.is(
        1,
        &[
            "FAIL bob@b.test ",
            "FAIL carol@c.test no such recipient",
            "FAIL dave@d.test size 1000 octets",
            "FAIL eric@c.test refused because of others",
            "FAIL eve@e.test ",
        ],
    );
    sent.explains("c.test says of carol@c.test: no such recipient")
        .explains("d.test refused: size 1000 octets are the most");
    sent.explains("e.test does not take it now: e.test cannot be reached: 127.0.0.1:");
    assert_eq!(b.words(), ["HEADERS", "ABORT", "DONE"]);
}

#[test]
fn none_refuses_but_one_is_not_ready() {
    let place = Place::new();
    let b = place.taking("b.test");
    place.answering("c.test", "DEFER 3600 come back later", "OK");
    let two = ["bob@b.test", "carol@c.test"];
    let lines = [
        "DEFER bob@b.test - 60 86400 ",
        "DEFER carol@c.test - 3600 86400 come back later",
    ];
    place
        .send(&letter(&two, "Hello\n"))
        .is(2, &lines)
        .explains("c.test does not take it now: come back later");
    place.a.knows("c.test", nowhere());
    let lines = [
        "DEFER bob@b.test - 60 86400 ",
        "DEFER carol@c.test - 60 86400 ",
    ];
    place
        .send(&letter(&two, "Hello\n"))
        .is(2, &lines)
        .explains("c.test cannot be reached");
    assert_eq!(
        b.words(),
        ["HEADERS", "ABORT", "DONE", "HEADERS", "ABORT", "DONE"]
    );
}

#[test]
fn partial_sends_to_the_willing() {
    let place = Place::new();
    let (b, c) = (
        place.taking("b.test"),
        place.answering("c.test", "REJECT policy no", "OK"),
    );
    let letter = letter(&["bob@b.test", "carol@c.test"], "Hello\n");
    let sent = Sent::of(&place.a.send(&letter, &["--partial"]));
    sent.is(2, &["FAIL carol@c.test policy no", "OK bob@b.test"])
        .explains("c.test refused: policy no");
    assert_eq!(b.words(), ["HEADERS", "DATA", "DONE"]);
    assert_eq!(b.octets("DATA"), [b"Hello\n"]);
    assert_eq!(c.words(), ["HEADERS", "DONE"]);
}

#[test]
fn a_host_that_dies_after_accept_is_deferred_and_sending_again_does_no_harm() {
    let place = Place::new();
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    place.a.knows("b.test", server.address);
    let dying = Receiver::start(&place.identity("c.test"), |number, peer| {
        let mut peer = Some(peer);
        while let Some(mut here) = peer.take() {
            match here.command() {
                Ok(said) if said.word() == "HEADERS" => here.say("ACCEPT"),
                Ok(said) if said.word() == "DATA" && number == 0 => {
                    here.cut(Cut::Reset);
                    return;
                }
                Ok(said) if said.word() == "DATA" => here.say("OK"),
                _ => return drop(here.close()),
            }
            peer = Some(here);
        }
    });
    place.a.knows("c.test", dying.address);
    let letter = letter(&["bob@b.test", "carol@c.test"], "Hello\n");
    place
        .send(&letter)
        .is(2, &["DEFER carol@c.test - 60 86400 ", "OK bob@b.test"]);
    place
        .send(&letter)
        .is(0, &["OK bob@b.test", "OK carol@c.test"]);
    assert_eq!(b.messages("bob").len(), 1);
}

#[test]
fn no_host_sees_what_is_another_s() {
    let place = Place::new();
    let hosts: Vec<Receiver> = ["b.test", "c.test"]
        .iter()
        .map(|host| place.taking(host))
        .collect();
    let options = [
        "--bcc",
        "hidden@b.test",
        "--bcc",
        "secret@c.test",
        "--bcc",
        "shy@c.test",
    ];
    let letter = crate::site::letter_with(&["bob@b.test"], "Hello\n", &options);
    place.send(&letter).is(
        0,
        &[
            "OK bob@b.test",
            "OK hidden@b.test",
            "OK secret@c.test",
            "OK shy@c.test",
        ],
    );
    let text = String::from_utf8(letter).unwrap();
    let delivering = text.replacen(
        "\n\n",
        "\ndeliver: hidden@b.test\ndeliver: secret@c.test\n\n",
        1,
    );
    place
        .send(delivering.as_bytes())
        .is(0, &["OK hidden@b.test", "OK secret@c.test"]);
    let own = [vec!["hidden@b.test"], vec!["secret@c.test", "shy@c.test"]];
    for (host, own) in hosts.iter().zip(own) {
        let blocks = host.octets("HEADERS");
        assert_eq!(blocks.len(), 2);
        for (block, delivers) in blocks.iter().zip([None, Some(own[0])]) {
            let block = String::from_utf8(block.clone()).unwrap();
            let fields = |name: &str| -> Vec<String> {
                block
                    .lines()
                    .filter_map(|line| line.strip_prefix(name))
                    .map(str::to_owned)
                    .collect()
            };
            assert_eq!(fields("bcc: "), own);
            assert_eq!(fields("deliver: "), Vec::from_iter(delivers));
            assert_eq!(fields("to: "), ["bob@b.test"]);
        }
    }
}

#[test]
fn three_hosts_take_as_long_as_one() {
    let place = Place::new();
    for host in ["b.test", "c.test", "d.test"] {
        let slow = Receiver::start(&place.identity(host), |_, peer| {
            follow(peer, |said, peer| {
                // This is the slowness that is tested.
                std::thread::sleep(Duration::from_millis(500));
                peer.say(if said.word() == "HEADERS" {
                    "ACCEPT"
                } else {
                    "OK"
                });
            });
        });
        place.a.knows(host, slow.address);
    }
    let letter = letter(&THREE, "Hello\n");
    let begin = Instant::now();
    place
        .send(&letter)
        .is(0, &["OK bob@b.test", "OK carol@c.test", "OK dave@d.test"]);
    let took = begin.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_millis(2500)).contains(&took),
        "{took:?}"
    );
}
