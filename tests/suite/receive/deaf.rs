//! Peers that say much and hear nothing.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::Place;
use super::lasting::commands;
use crate::peer::{Peer, Step, client_config};
use crate::process::kib;
use crate::site::{Server, letter, wait_until};

/// A client into which little fits that it has not read.
fn narrow(place: &Place, server: &Server) -> Peer {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
    connect(&socket, &server.address).unwrap();
    Peer::over(TcpStream::from(socket), client_config(Some(&place.a))).unwrap()
}

#[test]
fn one_that_asks_without_end_is_left() {
    let place = Place::taking();
    place.set("idle-timeout", "\"1s\"");
    let server = place.b.start();
    let keys = b"KEYS bob@b.test\n".repeat(500);
    let status = b"STATUS 0123456789abcdef0123456789abcdef\n".repeat(200);
    let broken = b"HEADERS 7\nima: 2\n".repeat(500);
    for octets in [&keys, &status, &broken] {
        let mut peer = narrow(&place, &server);
        let begin = Instant::now();
        peer.play(&[Step::Flood(octets)]);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
    let peak = kib(server.child.id(), "VmHWM");
    assert!(peak < 64 << 10, "{peak} KiB");
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
}

/// The handler's lines find no room, and the sender is none for which it is kept.
fn does_not_hear(place: &Place) {
    place.set("idle-timeout", "\"1s\"");
    place.set("message-timeout", "\"5s\"");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let hears_nothing = |_| {
        let mut peer = narrow(place, &server);
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        peer.send_data(&letter);
        peer
    };
    let deaf: Vec<Peer> = (0..4).map(hears_nothing).collect();
    wait_until("the end of all four", || {
        server.log.text().matches("event=closed").count() == 4
    });
    wait_until("nobody is left", || commands(&server) == 0);
    drop(deaf);
    let peak = kib(server.child.id(), "VmHWM");
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn one_that_does_not_hear_what_its_handler_says_is_left() {
    let line = "0123456789 ".repeat(90);
    let flood = format!("yes '{line}'");
    does_not_hear(&Place::with("exit 0", &flood));
    let stays = format!(
        "while read -r word octets; do head -c $octets >/dev/null; \
         [ $word = DATA ] && exec yes '+ {line}'; echo ACCEPT; done"
    );
    does_not_hear(&Place::staying(&stays));
}
