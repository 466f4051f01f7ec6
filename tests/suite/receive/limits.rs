//! How much one peer, and how much all of them may have.

use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::Place;
use super::full::named;
use crate::peer::crowd::{
    among_dribblers, among_silent_peers, among_slow_and_silent_peers, handshakes_have_ten_seconds,
};
use crate::peer::{Ending, Identity, Peer};
use crate::process::{pid, raise_descriptors, starved};
use crate::site::{letter, wait_until};

const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

/// Whether the server lets this one in; it says nothing before it is asked.
fn is_served(peer: &mut Peer) -> bool {
    // It may have closed already.
    let _ = peer.try_send(b"KEYS b.test\n");
    match peer.try_line() {
        Ok(line) => line == "OK",
        Err(_) => false,
    }
}

#[test]
fn connections_in_all_and_from_one_address() {
    let place = Place::taking();
    place.set("max-connections", "3");
    place.set("max-connections-per-address", "2");
    let server = place.b.start();
    let here = || place.dial(&server);
    let elsewhere = || Peer::dial_from(ELSEWHERE, server.address, &place.a);
    let (mut one, mut two) = (here(), here());
    assert!(is_served(&mut one) && is_served(&mut two));
    assert_eq!(here().rest(), (String::new(), Ending::Proper));
    let mut three = elsewhere();
    assert!(is_served(&mut three));
    assert_eq!(elsewhere().rest(), (String::new(), Ending::Proper));
    server
        .log
        .wait_for("event=too-many-connections address=127.0.0.1");
    server
        .log
        .wait_for("event=too-many-connections address=127.0.0.2");
    // Those that are there are not disturbed, and one that goes makes room.
    assert!(is_served(&mut one) && is_served(&mut two) && is_served(&mut three));
    two.close();
    wait_until("room", || is_served(&mut elsewhere()));
}

#[test]
fn messages_on_one_connection() {
    let place = Place::taking();
    place.set("max-messages-per-connection", "2");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.deliver(&letter), "OK");
    assert_eq!(peer.deliver(&letter), "OK");
    peer.send_headers(&letter);
    assert_eq!(
        peer.line(),
        "ERROR 2 messages are the most on one connection; open another"
    );
    assert_eq!(peer.rest(), (String::new(), Ending::Proper));
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
}

#[test]
fn nobody_can_list_our_users_by_one_message() {
    let place = Place::new();
    let server = place.b.start();
    let names: Vec<String> = (0..100).map(|i| format!("nobody{i}@b.test")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("bob@b.test");
    let answer = place.dial(&server).headers(&letter(&names, "Hello\n"));
    let (last, named) = answer.split_last().unwrap();
    assert!(last.starts_with("DEFER 3600 "), "{answer:?}");
    assert_eq!(named.len(), 20);
    assert!(
        named
            .iter()
            .all(|line| line.starts_with("+ NORECIPIENT nobody"))
    );
}

#[test]
fn nobody_can_list_our_users() {
    let place = Place::new();
    let server = place.b.start();
    let ask = |peer: &mut Peer, unknown: usize| {
        let names: Vec<String> = (0..unknown).map(|i| format!("nobody{i}@b.test")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.push("bob@b.test");
        peer.headers(&letter(&names, "Hello\n"))
    };
    let mut peer = place.dial(&server);
    let answer = ask(&mut peer, 19);
    assert_eq!(
        answer
            .iter()
            .filter(|line| line.starts_with("+ NORECIPIENT "))
            .count(),
        19
    );
    assert!(
        answer.last().unwrap().starts_with("REJECT recipient "),
        "{answer:?}"
    );
    assert_eq!(ask(&mut peer, 0), ["ACCEPT"]);
    peer.say("ABORT");
    peer.answer();
    assert!(
        ask(&mut peer, 1)
            .last()
            .unwrap()
            .starts_with("REJECT recipient ")
    );
    // From the 20th on all answers are alike, on every connection of that domain.
    let known = ask(&mut peer, 0);
    assert!(known[0].starts_with("DEFER 3600 "), "{known:?}");
    assert_eq!(ask(&mut peer, 1), known);
    assert_eq!(ask(&mut place.dial(&server), 0), known);
    // Nor does another host, or another name of its certificate, begin anew.
    let many = named(&place, &["mx.a.test", "a.test", "c.test"]);
    assert_eq!(ask(&mut Peer::dial(server.address, &many), 0), known);
    let c = Identity::made(&place.site, "c.test");
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let letter = text.replace("alice@a.test", "carol@c.test").into_bytes();
    assert_eq!(Peer::dial(server.address, &c).deliver(&letter), "OK");
}

#[test]
fn two_thousand_that_never_speak_leave_a_good_one_served() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    among_silent_peers(server.address, |source| {
        let mut peer = Peer::dial_from(source, server.address, &place.a);
        assert_eq!(peer.deliver(&letter), "OK");
    });
}

#[test]
fn those_that_speak_an_octet_now_and_then_leave_a_good_one_served() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    among_dribblers(server.address, |source| {
        let mut peer = Peer::dial_from(source, server.address, &place.a);
        assert_eq!(peer.deliver(&letter), "OK");
    });
}

#[test]
fn a_good_one_among_slow_and_silent_ones_is_served_at_once() {
    let place = Place::new();
    let server = place.b.start();
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    among_slow_and_silent_peers(server.address, |number, source| {
        let subject = format!("subject: Letter {number}");
        let letter = text.replace("subject: Lunch?", &subject).into_bytes();
        let mut peer = Peer::dial_from(source, server.address, &place.a);
        assert_eq!(peer.deliver(&letter), "OK");
    });
    assert!(place.b.messages("bob").len() >= 50);
}

#[test]
fn a_handshake_has_ten_seconds() {
    let place = Place::taking();
    let server = place.b.start();
    handshakes_have_ten_seconds(server.address);
    server.log.wait_for_count("event=handshake-failed", 3);
}

/// With the queue of 128 that a listening socket has by default, the next ones
/// had to try again a second later.
#[test]
fn a_crowd_is_kept_until_it_is_accepted() {
    let place = Place::taking();
    let server = place.b.start();
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kill_process(pid(&server.child), Signal::STOP).unwrap();
    raise_descriptors();
    let crowd: Vec<TcpStream> = (0..most.min(500))
        .map(|_| TcpStream::connect_timeout(&server.address, Duration::from_secs(5)).unwrap())
        .collect();
    kill_process(pid(&server.child), Signal::CONT).unwrap();
    assert_eq!(
        place
            .dial(&server)
            .deliver(&letter(&["bob@b.test"], "Hello\n")),
        "OK"
    );
    drop(crowd);
}

#[test]
fn a_server_without_descriptors_serves_again_when_there_are_some() {
    let place = Place::taking();
    let server = starved(&place.b, "server-receive");
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
}
