#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::net::TcpListener;

use rustix::net::{AddressFamily, SocketType};

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn host(name: &str) -> Hostpart {
    Hostpart::parse(name).unwrap()
}

fn dialler(place: &str, within: Duration) -> Dialler {
    let entry = BTreeMap::from([("b.test".to_owned(), place.to_owned())]);
    let hosts = Hosts::try_from(entry).unwrap();
    Dialler::new(hosts, Service::IMDP, Dns::System, within)
}

/// An address at which nothing answers: nobody takes the connections that wait
/// there, and there is room for no more.
fn dead() -> (std::os::fd::OwnedFd, Vec<TcpStream>, SocketAddr) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    rustix::net::bind(&socket, &any).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let bound = rustix::net::getsockname(&socket).unwrap();
    let address = SocketAddr::try_from(bound).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
    }
    (socket, waiting, address)
}

#[test]
fn hosts_come_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = dialler(&address.to_string(), LONG)
        .dial(&host("B.TEST"))
        .unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    // A name is looked up; localhost wherever resolv.conf(5) points.
    let named = dialler(&format!("localhost:{}", address.port()), LONG);
    let stream = named.dial(&host("b.test")).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[test]
fn a_connection_blocks_as_others_do() {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = dialler(&format!("localhost:{port}"), LONG);
    let mut stream = named.dial(&host("b.test")).unwrap();
    let speaker = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut begin = [0; 1];
        peer.read_exact(&mut begin).unwrap();
        peer.write_all(b"x").unwrap();
    });
    stream.write_all(b"?").unwrap();
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).unwrap();
    speaker.join().unwrap();
    assert_eq!(&answer, b"x");
}

#[test]
fn a_refusal_names_host_address_and_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = dialler(&address.to_string(), LONG)
        .dial(&host("b.test"))
        .unwrap_err()
        .to_string();
    let begin = format!("b.test cannot be reached: {address}: Connection refused");
    assert!(error.starts_with(&begin), "{error}");
    assert!(error.ends_with(" (found in [hosts])"), "{error}");
}

#[test]
fn the_time_in_all_is_bounded() {
    let (_socket, _waiting, dead) = dead();
    for place in [dead.to_string(), format!("localhost:{}", dead.port())] {
        let began = Instant::now();
        let error = dialler(&place, Duration::from_millis(400))
            .dial(&host("b.test"))
            .unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(2));
        let text = error.to_string();
        assert!(
            text.contains(&format!("{dead}: no answer in time")),
            "{text}"
        );
    }
}
