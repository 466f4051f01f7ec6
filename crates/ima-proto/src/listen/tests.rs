#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use super::*;

mod inherited;

fn listeners(addresses: &[&str]) -> Listeners {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    match bind(&addresses).unwrap() {
        Incoming::Listening(listeners) => listeners,
        Incoming::One(..) => panic!("a connection"),
    }
}

fn stop() -> (PipeReader, PipeWriter) {
    pipe().unwrap()
}

fn connection(accepted: Accepted) -> (TcpStream, SocketAddr) {
    match accepted {
        Accepted::Connection(stream, address) => (stream, address),
        Accepted::Stop => panic!("stopped"),
    }
}

#[test]
fn every_socket_is_served() {
    let listeners = listeners(&["127.0.0.1:0", "127.0.0.1:0", "[::]:0"]);
    let (stop, mut stopping) = stop();
    let addresses = listeners.addresses();
    assert_eq!(addresses.len(), 3);
    for round in 0..2 {
        let mut dialled: Vec<_> = addresses
            .iter()
            // An IPv4 address on the IPv6 socket too.
            .map(|address| TcpStream::connect(("127.0.0.1", address.port())).unwrap())
            .collect();
        for _ in 0..3 {
            let (mut stream, address) = connection(listeners.accept(stop.as_fd()));
            assert_eq!(address.ip(), IpAddr::from([127, 0, 0, 1]));
            stream.write_all(b"x").unwrap();
        }
        for stream in &mut dialled {
            assert_eq!(stream.read(&mut [0; 9]).unwrap(), 1, "round {round}");
        }
    }
    // A stop is heard before any connection.
    let _waiting = TcpStream::connect(("127.0.0.1", addresses[0].port())).unwrap();
    stopping.write_all(b"x").unwrap();
    assert!(matches!(listeners.accept(stop.as_fd()), Accepted::Stop));
}

#[test]
fn the_end_of_the_stop_pipe_is_a_stop() {
    let listeners = listeners(&["127.0.0.1:0"]);
    let (stop, stopping) = stop();
    let waiting =
        std::thread::spawn(move || matches!(listeners.accept(stop.as_fd()), Accepted::Stop));
    drop(stopping);
    assert!(waiting.join().unwrap());
}

#[test]
fn addresses_are_checked() {
    let error = |listen: &[&str]| {
        let listen: Vec<String> = listen.iter().map(ToString::to_string).collect();
        bind(&listen).unwrap_err().to_string()
    };
    assert!(error(&["4025"]).starts_with("\"4025\" in listen is not an IP address with a port"));
    assert!(error(&["localhost:4025"]).contains("localhost:4025"));
    assert!(error(&[]).starts_with("listen names no address"));
    let taken = listeners(&["127.0.0.1:0"]);
    let address = taken.addresses()[0].to_string();
    assert!(error(&[&address]).starts_with(&format!("cannot listen at {address}: ")));
}

#[test]
fn a_gate_counts_in_all_by_address_and_by_domain() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let gate = Gate::new(Limits {
        connections: 4,
        connections_per_address: 2,
        connections_per_domain: 3,
        handshakes: 1,
    });
    let enter = |text: &str| gate.enter(ip(text), None);
    let one = enter("192.0.2.1").unwrap();
    let mapped = enter("::ffff:192.0.2.1").unwrap();
    assert_eq!(enter("192.0.2.1").unwrap_err(), Full::Address);
    drop(mapped);
    let again = enter("192.0.2.1").unwrap();
    // A /64 counts as one, and its neighbour does not.
    let first = enter("2001:db8:0:1::1").unwrap();
    let second = enter("2001:db8:0:1:ffff::2").unwrap();
    assert_eq!(enter("2001:db8:0:2::1").unwrap_err(), Full::All);
    assert_eq!(gate.count(), 4);
    drop(one);
    assert_eq!(enter("2001:db8:0:1::3").unwrap_err(), Full::Address);
    assert!(enter("2001:db8:0:2::1").is_ok());
    drop((again, first, second));
    assert_eq!(gate.count(), 0);
    assert!(enter("2001:db8:0:1::3").is_ok());
    // A domain counts wherever it comes from, and another does not.
    let as_domain = |last: u8, domain| gate.enter(IpAddr::from([192, 0, 2, last]), Some(domain));
    let a: Vec<Pass> = (1..4).map(|n| as_domain(n, "a.test").unwrap()).collect();
    assert_eq!(as_domain(9, "a.test").unwrap_err(), Full::Domain);
    let b = as_domain(9, "b.test").unwrap();
    assert_eq!(as_domain(9, "c.test").unwrap_err(), Full::All);
    drop(a);
    assert!(as_domain(9, "a.test").is_ok());
    drop(b);
    assert_eq!(gate.count(), 0);
}

/// A socket of ours and the peer's end of it.
fn connected(listener: &TcpListener) -> (Arc<TcpStream>, TcpStream) {
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Arc::new(listener.accept().unwrap().0), dialled)
}

fn is_shut(mut peer: &TcpStream) -> bool {
    peer.set_nonblocking(true).unwrap();
    let outcome = peer.read(&mut [0; 1]);
    peer.set_nonblocking(false).unwrap();
    matches!(outcome, Ok(0))
}

#[test]
fn the_oldest_handshake_gives_way() {
    let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let handshakes = Handshakes::new(3);
    let (good, good_peer) = connected(&listener);
    let _good = handshakes.enter(&good, ip(1));
    // One address with many of them drives out only its own.
    let mut flood = Vec::new();
    for _ in 0..5 {
        let (socket, peer) = connected(&listener);
        flood.push((handshakes.enter(&socket, ip(2)), peer));
    }
    let shut: Vec<bool> = flood.iter().map(|(_, peer)| is_shut(peer)).collect();
    assert_eq!(shut, [true, true, true, false, false]);
    assert!(!is_shut(&good_peer));
    assert_eq!(handshakes.count(), 3);
    let drove_out: Vec<usize> = flood.iter().map(|(one, _)| one.drove_out()).collect();
    assert_eq!(drove_out, [0, 0, 1, 1, 1]);
    // Among equals the oldest of all.
    flood.truncate(4);
    for last in [3, 4] {
        let (socket, peer) = connected(&listener);
        flood.push((handshakes.enter(&socket, ip(last)), peer));
    }
    assert!(is_shut(&good_peer));
    // Those that are over make room.
    flood.clear();
    assert_eq!(handshakes.count(), 0);
}
