//! SIGTERM.

use std::net::TcpStream;

use super::{Place, bob, bob_over};
use crate::peer::{Caller, Ending};
use crate::process::{inetd, terminate, wait};

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
    let mut server = place.b.start_office();
    terminate(&server.child);
    assert_eq!(wait(&mut server.child).code(), Some(0));
}
