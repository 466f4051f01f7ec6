//! Where the connections come from.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use super::{Place, bob_over};
use crate::peer::{Caller, Cut, Ending};
use crate::post::PASSWORD;
use crate::process::{inetd, pair, says_nothing_to_the_peer, systemd, terminate, wait};
use crate::site::{code, stderr};

const NAME: &str = "server-post-office";

/// A session that reads something and ends in order.
fn is_served(mut caller: Caller) {
    assert!(caller.lines("FOLDERS")[0].starts_with("+ inbox "));
    caller.say("DONE");
    assert_eq!(caller.rest(), (String::new(), Ending::Proper));
}

fn dial(address: SocketAddr) -> Caller {
    let mut caller = Caller::dial(address, None);
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    caller
}

#[test]
fn the_option_takes_the_place_of_the_configuration() {
    let place = Place::new();
    place.set("listen", "[\"192.0.2.1:1\"]");
    let mut command = place.b.command(NAME);
    command.args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let server = place.b.start_with(command);
    is_served(dial(server.address));
    let second = server.log.wait_for("address=127.0.0.2:");
    let (_, address) = second.split_once("address=").unwrap();
    is_served(dial(address.split(' ').next().unwrap().parse().unwrap()));
}

#[test]
fn inetd_is_told_how_the_connection_ended() {
    let place = Place::new();
    type Act = fn(&mut Caller);
    let log_in: Act = |caller| assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    let cases: [(Act, &[u8], Option<Cut>, i32); 7] = [
        (log_in, b"FOLDERS\nDONE\n", None, 0),
        (log_in, b"FOLDERS\n", Some(Cut::CloseNotify), 0),
        (log_in, b"HELO\n", None, 3),
        (log_in, b"FOLD", Some(Cut::CloseNotify), 2),
        (|_| {}, b"FOLDERS\n", None, 3),
        (
            |caller| caller.say(&"LOGIN x@b.test CERTIFICATE\n".repeat(3)),
            b"",
            None,
            3,
        ),
        (|_| {}, b"", Some(Cut::CloseNotify), 0),
    ];
    for (number, (act, said, cut, exit)) in cases.into_iter().enumerate() {
        let mut command = place.b.command(NAME);
        command.arg("--inetd");
        let (mut child, socket) = inetd(command);
        let mut caller = Caller::over(socket, None).unwrap();
        act(&mut caller);
        caller.send(said);
        match cut {
            Some(cut) => caller.into_peer().cut(cut),
            None => drop(caller.rest()),
        }
        assert_eq!(wait(&mut child).code(), Some(exit), "case {number}");
    }
}

#[test]
fn nothing_is_said_on_the_socket_beside_tls() {
    let place = Place::new();
    place.set("no-such-key", "1");
    for options in [&["--inetd", "--no-such-option"][..], &["--inetd"]] {
        let mut command = place.b.command(NAME);
        command.args(options);
        says_nothing_to_the_peer(command);
    }
}

#[test]
fn systemd_passes_a_connection_on() {
    let place = Place::new();
    let (socket, peer) = pair();
    let mut child = systemd(NAME, &place.b.dir, socket);
    is_served(bob_over(peer));
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn systemd_passes_a_listening_socket_on() {
    let place = Place::new();
    // Nobody listens there: systemd's socket comes first.
    place.set("listen", "[\"192.0.2.1:1\"]");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut child = systemd(NAME, &place.b.dir, listener.into());
    is_served(dial(address));
    is_served(dial(address));
    terminate(&child);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_unfinished_and_says_why() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let mut command = place.b.command(NAME);
        let output = command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}");
        stderr(&output)
    };
    assert!(run(&["--listen", "b.test:4110"]).contains("\"b.test:4110\""));
    run(&["--inetd"]);
    run(&["--inetd", "--listen", "127.0.0.1:0"]);
    run(&["--no-such-option"]);
    place.set("users", "\"nobody.toml\"");
    assert!(run(&[]).contains("nobody.toml"));
    place.set("users", "\"users.toml\"");
    place
        .b
        .edit("users.toml", |text| text.replace("password", "pasword"));
    let said = run(&[]);
    assert!(
        said.contains("users.toml, line 3") && said.contains("pasword"),
        "{said}"
    );
}
