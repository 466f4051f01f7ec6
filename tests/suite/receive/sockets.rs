//! Where the connections come from.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use super::Place;
use crate::peer::{Cut, Ending, Peer, client_config};
use crate::process::{self, pair, says_nothing_to_the_peer, terminate, wait};
use crate::site::{code, letter, stderr};

/// As inetd starts it.
fn inetd(place: &Place) -> (Child, TcpStream) {
    let mut command = place.b.command("server-receive");
    command.arg("--inetd");
    process::inetd(command)
}

/// As systemd starts it.
fn systemd(place: &Place, socket: OwnedFd) -> Child {
    process::systemd("server-receive", &place.b.dir, socket)
}

#[test]
fn the_option_takes_the_place_of_the_configuration() {
    let place = Place::new();
    place.set("listen", "[\"192.0.2.1:1\"]");
    let mut command = place.b.command("server-receive");
    command.args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let server = place.b.start_with(command);
    assert_eq!(
        place
            .dial(&server)
            .deliver(&letter(&["bob@b.test"], "Hello\n")),
        "OK"
    );
    let second = server.log.wait_for("address=127.0.0.2:");
    let (_, address) = second.split_once("address=").unwrap();
    let address: SocketAddr = address.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(
        Peer::dial(address, &place.a).deliver(&letter(&["bob@b.test"], "Hello\n")),
        "OK"
    );
    assert_eq!(place.b.messages("bob").len(), 2);
}

#[test]
fn inetd_passes_a_connection_on() {
    let place = Place::new();
    let (mut child, socket) = inetd(&place);
    let mut peer = Peer::over(socket, client_config(Some(&place.a))).unwrap();
    assert_eq!(peer.deliver(&letter(&["bob@b.test"], "Hello\n")), "OK");
    peer.say("DONE");
    assert_eq!(peer.close(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(place.b.messages("bob").len(), 1);
}

#[test]
fn inetd_is_told_how_the_connection_ended() {
    let place = Place::with("exit 3", "exit 0");
    type Act = fn(&mut Peer);
    let cases: [(Act, Option<Cut>, i32); 4] = [
        (|peer| peer.say("HELO"), None, 3),
        (
            |peer| peer.send_headers(&letter(&["bob@b.test"], "Hello\n")),
            None,
            3,
        ),
        (
            |peer| peer.send(b"HEADERS 9\nxx"),
            Some(Cut::CloseNotify),
            2,
        ),
        (|_| {}, Some(Cut::CloseNotify), 0),
    ];
    for (number, (act, cut, exit)) in cases.into_iter().enumerate() {
        let (mut child, socket) = inetd(&place);
        let mut peer = Peer::over(socket, client_config(Some(&place.a))).unwrap();
        act(&mut peer);
        match cut {
            Some(cut) => peer.cut(cut),
            None => drop(peer.rest()),
        }
        assert_eq!(wait(&mut child).code(), Some(exit), "case {number}");
    }
}

#[test]
fn nothing_is_said_on_the_socket_beside_tls() {
    let place = Place::new();
    place.set("no-such-key", "1");
    for options in [&["--inetd", "--no-such-option"][..], &["--inetd"]] {
        let mut command = place.b.command("server-receive");
        command.args(options);
        says_nothing_to_the_peer(command);
    }
}

#[test]
fn under_inetd_commands_do_not_write_to_the_peer() {
    let place = Place::with("echo oops >&2; exit 0", "echo oops >&2; echo >&2; exit 0");
    let (mut child, socket) = inetd(&place);
    let mut peer = Peer::over(socket, client_config(Some(&place.a))).unwrap();
    assert_eq!(peer.deliver(&letter(&["bob@b.test"], "Hello\n")), "OK");
    peer.say("DONE");
    assert_eq!(peer.close(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_server_of_inetd_ends_at_sigterm() {
    let place = Place::taking();
    let (mut child, socket) = inetd(&place);
    let mut peer = Peer::over(socket, client_config(Some(&place.a))).unwrap();
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    terminate(&child);
    assert_eq!(peer.data(&letter), ["OK"]);
    assert!(place.was_taken(&letter));
    peer.rest();
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn systemd_passes_a_connection_on() {
    let place = Place::new();
    let (socket, peer) = pair();
    let mut child = systemd(&place, socket);
    let mut peer = Peer::over(peer, client_config(Some(&place.a))).unwrap();
    assert_eq!(peer.deliver(&letter(&["bob@b.test"], "Hello\n")), "OK");
    peer.say("DONE");
    assert_eq!(peer.close(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn systemd_passes_a_listening_socket_on() {
    let place = Place::new();
    // Nobody listens there: systemd's socket comes first.
    place.set("listen", "[\"192.0.2.1:1\"]");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut child = systemd(&place, listener.into());
    for _ in 0..2 {
        let mut peer = Peer::dial(address, &place.a);
        assert_eq!(peer.deliver(&letter(&["bob@b.test"], "Hello\n")), "OK");
    }
    terminate(&child);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_unfinished_and_says_why() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let mut command = place.b.command("server-receive");
        let output = command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (code(&output), stderr(&output))
    };
    let (exit, said) = run(&["--listen", "b.test:4025"]);
    assert_eq!(exit, 2);
    assert!(said.contains("\"b.test:4025\""), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (exit, said) = run(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(exit, 2);
    assert!(said.contains("cannot listen at 127.0.0.1:"), "{said}");
    let (exit, said) = run(&["--inetd"]);
    assert_eq!(exit, 2);
    assert!(said.contains("standard input is no socket"), "{said}");
    assert_eq!(run(&["--inetd", "--listen", "127.0.0.1:0"]).0, 2);
    assert_eq!(run(&["--no-such-option"]).0, 2);
    // What the configuration has wrong is said with its file.
    let file = place.b.dir.join("server-receive.toml");
    let is_told = |wrong: &str| {
        let (exit, said) = run(&[]);
        assert_eq!(exit, 2);
        let wanted = format!("{}: {wrong}", file.display());
        assert!(said.contains(&wanted), "{said}");
    };
    for (key, value, wrong) in [
        ("max-messages-per-connection", "0", "1 or more"),
        ("idle-timeout", "\"0s\"", "a time of 0"),
        ("message-timeout", "\"0ms\"", "a time of 0"),
    ] {
        let right = std::fs::read_to_string(&file).unwrap();
        place.set(key, value);
        let (exit, said) = run(&[]);
        assert_eq!(exit, 2, "{said}");
        assert!(said.contains(key) && said.contains(wrong), "{said}");
        std::fs::write(&file, right).unwrap();
    }
    place.set("listen", "[\"127.0.0.1\"]");
    is_told("\"127.0.0.1\" in listen is not an IP address with a port");
    place.set("listen", "[]");
    is_told("listen names no address");
    place.set("hosts", "[\"b.test\", \"c.test\"]");
    is_told("no [[identity]] for c.test: its hosts must list it");
    let key = crate::peer::Identity::made(&place.site, "b.test");
    std::fs::write(place.b.dir.join("tls/b.test.key"), key.key_pem()).unwrap();
    let (exit, said) = run(&[]);
    assert_eq!(exit, 2);
    assert!(said.contains("the key is of another certificate"), "{said}");
    assert!(!said.contains("KeyMismatch"), "{said}");
}
