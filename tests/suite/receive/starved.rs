//! A server that has run out of descriptors with messages in hand.

use std::net::TcpStream;

use super::Place;
use crate::peer::Peer;
use crate::process::{descriptors_of_network, with_descriptors};
use crate::site::{Server, letter, wait_until};

const LIMIT: usize = 40;

/// A server that may have few, and peers that have taken all of them.
fn starve(place: &Place, server: &Server) -> (Vec<Peer>, Vec<TcpStream>) {
    let mut crowd = Vec::new();
    while descriptors_of_network(&server.child) < LIMIT - 2 {
        let mut peer = place.dial(server);
        peer.say("KEYS b.test");
        assert_eq!(peer.answer(), ["OK"]);
        crowd.push(peer);
    }
    let late = (0..20)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    server.log.wait_for("event=cannot-accept");
    (crowd, late)
}

/// What is answered where nothing can be started is never a final no, and what is
/// taken afterwards is taken once.
fn fault_and_no_refusal(place: &Place, log: &str) {
    let server = with_descriptors(&place.b, "server-receive", LIMIT);
    let small = letter(&["bob@b.test"], "Hello\n");
    // More than is kept in memory.
    let large = letter(&["bob@b.test"], &"x".repeat(300_000));
    let mut asking = place.dial(&server);
    asking.say("KEYS b.test");
    assert_eq!(asking.answer(), ["OK"]);
    let mut sending = place.dial(&server);
    assert_eq!(sending.headers(&large), ["ACCEPT"]);
    let (crowd, late) = starve(place, &server);

    assert_eq!(
        asking.headers(&small),
        ["DEFER 300 a fault here; try again later"]
    );
    let answer = sending.data(&large).pop().unwrap();
    assert!(["OK", "PARTIAL"].contains(&&*answer), "{answer}");
    server.log.wait_for(log);
    drop((crowd, late));
    // Two handlers rest, at the most.
    wait_until("room", || {
        descriptors_of_network(&server.child) < LIMIT - 10
    });
    for letter in [&small, &large] {
        assert_eq!(asking.deliver(letter), "OK");
        assert_eq!(place.dial(&server).deliver(letter), "OK");
    }
    server.log.wait_for("event=accepting-again");
}

#[test]
fn a_command_that_cannot_be_started_defers() {
    let place = Place::new();
    place.set("check", "[\"server-handle-incoming-mail\", \"--check\"]");
    place.set("handler", "[\"server-handle-incoming-mail\"]");
    fault_and_no_refusal(&place, "event=check-failed");
    assert_eq!(place.b.messages("bob").len(), 2);
}

#[test]
fn a_handler_that_stays_and_cannot_be_started_defers() {
    let place = Place::new();
    fault_and_no_refusal(&place, "event=handler-failed");
    assert_eq!(place.b.messages("bob").len(), 2);
}
