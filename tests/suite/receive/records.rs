//! Peers that break TLS after the handshake, or stop in the middle of it.

use std::time::{Duration, Instant};

use super::Place;
use crate::peer::crowd::client_hello;
use crate::peer::{Cut, Peer, Step};
use crate::site::{Server, letter, wait_until};

/// An alert that is not encrypted: close_notify, as anybody on the way can send it.
const FORGED_END: &[u8] = b"\x15\x03\x03\x00\x02\x01\x00";
/// A record of 65,535 octets, and one of another version and kind.
const HUGE: &[u8] = b"\x17\x03\x03\xff\xff";
const STRANGE: &[u8] = b"\x80\x7f\x01\x00\x05hello";
const ZEROS: &[u8] = &[0; 64];

/// What is done in place of the rest.
const BREAKS: &[(&str, &[Step<'static>])] = &[
    ("half a record", &[Step::HalfRecord(b"lo\n")]),
    ("a forged end", &[Step::Plain(FORGED_END)]),
    ("a record of 65,535 octets", &[Step::Plain(HUGE)]),
    ("another protocol", &[Step::Plain(STRANGE)]),
    ("zeros", &[Step::Plain(ZEROS)]),
    ("new keys again and again", &[Step::NewKeys]),
    (
        "half a record, and a whole one behind it",
        &[Step::HalfRecord(b"lo\n"), Step::Say(b"lo\n")],
    ),
];

/// Where a connection is broken.
#[derive(Debug, Clone, Copy)]
enum At {
    Beginning,
    Command,
    Data,
}

/// Each break at each place, which must end in time and reach no handler.
fn breaks(place: &Place, reached: impl Fn() -> usize) {
    place.set("idle-timeout", "\"2s\"");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let hello = client_hello();
    let second: [Step<'_>; 1] = [Step::Plain(&hello)];
    let cases = BREAKS
        .iter()
        .copied()
        .chain([("a second handshake", &second[..])]);
    let mut peers = Vec::new();
    for (what, steps) in cases {
        for at in [At::Beginning, At::Command, At::Data] {
            let mut peer = broken(place, &server, at, &letter);
            let begin = Instant::now();
            peer.play(steps);
            peers.push((what, at, peer, begin));
        }
    }
    for cut in [Cut::Fin, Cut::Reset] {
        let mut peer = broken(place, &server, At::Data, &letter);
        peer.play(&[Step::HalfRecord(b"lo\n")]);
        peer.cut(cut);
    }
    for (what, at, mut peer, begin) in peers {
        let (said, _) = peer.rest();
        let took = begin.elapsed();
        assert_eq!(said, "", "{what}, {at:?}");
        assert!(took < Duration::from_secs(20), "{what}, {at:?}: {took:?}");
    }
    let all = 3 * (BREAKS.len() + 1) + 2;
    wait_until("all ends", || {
        let log = server.log.text();
        // What breaks at once may break the server's end of the handshake.
        let ends = ["event=closed", "event=handshake-failed"];
        ends.map(|end| log.matches(end).count())
            .iter()
            .sum::<usize>()
            == all
    });
    assert_eq!(reached(), 0);
    // What was broken off is taken when it comes whole.
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    assert_eq!(reached(), 1);
}

/// A peer that has come so far.
fn broken(place: &Place, server: &Server, at: At, letter: &[u8]) -> Peer {
    let mut peer = place.dial(server);
    match at {
        At::Beginning => {}
        At::Command => peer.send(b"HEAD"),
        At::Data => {
            assert_eq!(peer.headers(letter), ["ACCEPT"]);
            peer.send(b"DATA 6\nHel");
        }
    }
    peer
}

#[test]
fn what_is_broken_in_tls_reaches_no_handler() {
    let place = Place::with("exit 0", "echo $IMA_DIGEST >>{dir}/ran");
    let ran = place.file("ran");
    breaks(&place, || {
        std::fs::read_to_string(&ran).map_or(0, |text| text.lines().count())
    });
}

#[test]
fn what_is_broken_in_tls_reaches_no_mailbox() {
    let place = Place::new();
    breaks(&place, || place.b.messages("bob").len());
}

#[test]
fn what_comes_after_the_end_is_not_looked_at() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    peer.say("DONE");
    // No matter whether it is still there.
    peer.play(&[Step::Say(b"DATA 6\nHello\n")]);
    let (said, _) = peer.rest();
    assert!(!said.contains("OK"), "{said}");
    assert!(!place.was_taken(&letter));
}
