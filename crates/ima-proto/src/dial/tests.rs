#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::net::TcpListener;

use rustix::net::{AddressFamily, SocketType};

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn host(name: &str) -> Hostpart {
    Hostpart::parse(name).unwrap()
}

fn hosts(entries: &[(&str, &str)]) -> Result<Hosts, HostsError> {
    let entries = entries.iter().map(|(a, b)| (a.to_string(), b.to_string()));
    Hosts::try_from(entries.collect::<BTreeMap<_, _>>())
}

fn dialler(place: &str, within: Duration) -> Dialler {
    Dialler::new(hosts(&[("b.test", place)]).unwrap(), 4025, within)
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
    let dialler = dialler(&address.to_string(), LONG);
    let stream = dialler.dial(&host("B.TEST")).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    // A name is looked up.
    let named = self::dialler(&format!("localhost:{}", address.port()), LONG);
    let stream = named.dial(&host("b.test")).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[test]
fn hosts_are_checked() {
    hosts(&[
        ("b.test", "[::1]:4025"),
        ("bücher.test", "mail.b.test:4025"),
    ])
    .unwrap();
    for (entries, part) in [
        (&[("b_.test", "127.0.0.1:1")][..], "\"b_.test\" in [hosts]"),
        (&[("b.test", "127.0.0.1")], "not \"address:port\""),
        (&[("b.test", "127.0.0.1:65536")], "not \"address:port\""),
        (&[("b.test", "::1:4025")], "not \"address:port\""),
        (&[("b.test", ":4025")], "not \"address:port\""),
        (
            &[("b.test", "127.0.0.1:1"), ("B.test", "127.0.0.1:2")],
            "b.test stands in [hosts] twice",
        ),
    ] {
        let error = hosts(entries).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
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
}

#[test]
fn a_name_without_address_is_told_in_time() {
    let began = Instant::now();
    let within = Duration::from_secs(2);
    let dialler = Dialler::new(Hosts::default(), 4025, within);
    let error = dialler.dial(&host("no-such-name.invalid")).unwrap_err();
    assert!(
        matches!(
            error,
            DialError::Unknown { .. } | DialError::LookUpTimedOut { .. }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("no-such-name.invalid"));
    assert!(began.elapsed() < within + Duration::from_secs(1));
}

#[test]
fn one_dead_address_costs_two_seconds() {
    let (_socket, _waiting, dead) = dead();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let good = listener.local_addr().unwrap();
    let began = Instant::now();
    let stream = try_each(vec![dead, good], began + LONG).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    assert!(began.elapsed() >= ONE_ADDRESS);
    assert!(began.elapsed() < ONE_ADDRESS + Duration::from_secs(1));
}

#[test]
fn the_time_in_all_is_bounded() {
    let (_socket, _waiting, dead) = dead();
    let began = Instant::now();
    let error = dialler(&dead.to_string(), Duration::from_millis(200))
        .dial(&host("b.test"))
        .unwrap_err();
    assert!(matches!(error, DialError::Unreachable { attempts, .. } if attempts.len() == 1));
    assert!(began.elapsed() < Duration::from_secs(2));
    let attempts = try_each(vec![dead, dead, dead], Instant::now()).unwrap_err();
    assert_eq!(attempts.len(), 1);
}

#[test]
fn families_take_turns() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let [a, b, c] = ["[::1]:1", "[::2]:1", "[::3]:1"].map(address);
    let [x, y] = ["127.0.0.1:1", "127.0.0.2:1"].map(address);
    assert_eq!(alternate(vec![a, b, c, x, y]), [a, x, b, y, c]);
    assert_eq!(alternate(vec![x, a, b, c]), [x, a, b, c]);
    assert_eq!(alternate(vec![x, y, a]), [x, a, y]);
}
