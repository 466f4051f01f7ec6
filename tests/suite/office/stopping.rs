//! SIGTERM.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::{Place, bob, bob_over};
use crate::peer::{Caller, Ending};
use crate::process::{inetd, network, pid, terminate, wait};
use crate::site::{code, feed, stderr, wait_until};

/// More than the buffers between server and client hold.
const LARGE: usize = 32 << 20;

#[test]
fn the_command_in_hand_is_finished_and_no_other_begun() {
    let place = Place::new();
    let large: Vec<u8> = (0..LARGE).map(|n| u8::try_from(n % 251).unwrap()).collect();
    place.deliver("Hello\n", &[&large]);
    let attachment = place.names("attachments").pop().unwrap();
    let mut server = place.b.start_office();
    let mut idle = bob(&server);
    assert_eq!(idle.lines("FOLDERS").len(), 2);
    let mut silent = Caller::dial(server.address, None);
    let mut busy = bob(&server);
    busy.say(&format!("PART inbox {attachment} 0"));
    busy.say("FOLDERS");
    assert_eq!(busy.line(), format!("+ attachment {attachment} {LARGE}"));

    terminate(&server.child);
    server.log.wait_for("event=stopping");
    assert_eq!(idle.rest(), (String::new(), Ending::Proper));
    assert_eq!(silent.rest(), (String::new(), Ending::Proper));
    assert!(busy.octets(LARGE) == large);
    assert_eq!(busy.rest(), ("OK\n".to_owned(), Ending::Proper));
    assert_eq!(wait(&mut server.child).code(), Some(0));
    let stopped = server.log.wait_for("event=stopped");
    assert!(stopped.contains("cut-off=0"), "{stopped}");
    server.log.wait_for("reason=stopping");
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn a_server_of_inetd_ends_at_sigterm() {
    let place = Place::new();
    let mut command = place.b.command("server-post-office");
    command.arg("--inetd");
    let (mut child, socket) = inetd(command);
    let mut caller = bob_over(socket);
    assert_eq!(caller.lines("FOLDERS").len(), 2);
    terminate(&child);
    assert_eq!(caller.rest(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_server_without_connections_ends_at_once() {
    let place = Place::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut server = place.b.start_office();
        kill_process(pid(&server.child), signal).unwrap();
        assert_eq!(wait(&mut server.child).code(), Some(0), "{signal:?}");
        server.log.wait_for("event=stopped");
    }
}

/// As ps(1) and pgrep(1) show them.
#[test]
fn both_processes_have_the_server_s_name() {
    let place = Place::new();
    let office = place.b.start_office();
    let receiver = place.b.start();
    for (server, name) in [(office, "server-post-off"), (receiver, "server-receive")] {
        let network = network(server.child.id()).unwrap();
        wait_until("its name", || {
            [server.child.id(), network].iter().all(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm"))
                    .unwrap()
                    .trim()
                    == name
            })
        });
    }
}

/// As systemd tells it.
#[test]
fn a_stop_is_for_the_monitor_also_where_both_processes_are_told() {
    let place = Place::new();
    let mut server = place.b.start_office();
    let mut caller = bob(&server);
    let network = network(server.child.id()).unwrap();
    let network = Pid::from_raw(i32::try_from(network).unwrap()).unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        kill_process(network, signal).unwrap();
    }
    assert_eq!(caller.lines("FOLDERS").len(), 2);
    terminate(&server.child);
    assert_eq!(caller.rest(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut server.child).code(), Some(0));
}

#[test]
fn one_process_does_not_live_without_the_other() {
    let place = Place::new();
    for signal in [Signal::KILL, Signal::ABORT] {
        let mut server = place.b.start_office();
        let mut caller = bob(&server);
        let network = network(server.child.id()).unwrap();
        kill_process(
            Pid::from_raw(i32::try_from(network).unwrap()).unwrap(),
            signal,
        )
        .unwrap();
        assert_eq!(wait(&mut server.child).code(), Some(2));
        server.log.wait_for("event=network-process-failed");
        assert_eq!(caller.rest().0, "");
    }
    let mut server = place.b.start_office();
    let mut caller = bob(&server);
    server.child.kill().unwrap();
    wait(&mut server.child);
    assert_eq!(caller.rest().0, "");
    wait_until("nobody listens", || {
        TcpStream::connect(server.address).is_err()
    });
}

#[test]
fn a_network_process_is_for_the_monitor_to_start() {
    let place = Place::new();
    let output = feed(network_by_hand(&place), b"");
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--network is how a server starts"));
    let (mut child, mut peer) = inetd(network_by_hand(&place));
    drop(peer.write_all(b"x"));
    assert_eq!(wait(&mut child).code(), Some(2));
}

fn network_by_hand(place: &Place) -> Command {
    let mut command = place.b.command("server-post-office");
    command.arg("--network");
    command
}
