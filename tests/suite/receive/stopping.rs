//! SIGTERM.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;

use super::Place;
use crate::peer::Ending;
use crate::process::{terminate, wait};
use crate::site::letter;

#[test]
fn the_message_in_hand_is_finished_and_no_other_begun() {
    let place = Place::with(
        "exit 0",
        "echo started; read go <{dir}/go; touch {dir}/$IMA_DIGEST",
    );
    let go = place.fifo("go");
    let mut server = place.b.start();
    let in_hand = letter(&["bob@b.test"], "Hello\n");
    let mut idle = place.dial(&server);
    idle.say("KEYS b.test");
    assert_eq!(idle.answer(), ["OK"]);
    let mut busy = place.dial(&server);
    busy.headers(&in_hand);
    busy.send_data(&in_hand);
    assert_eq!(busy.line(), "+ started");

    terminate(&server.child);
    server.log.wait_for("event=stopping");
    assert_eq!(idle.rest(), (String::new(), Ending::Proper));
    let late = TcpStream::connect(server.address);
    fs::write(go, "now\n").unwrap();
    assert_eq!(busy.answer(), ["OK"]);
    assert!(place.was_taken(&in_hand));
    // What was asked too late is not answered.
    let _ = busy.try_send(b"KEYS b.test\n");
    assert_eq!(busy.rest().0, "");
    assert_eq!(wait(&mut server.child).code(), Some(0));
    if let Ok(mut late) = late {
        let mut said = Vec::new();
        let _ = late.read_to_end(&mut said);
        assert_eq!(said, b"");
    }
    let stopped = server.log.wait_for("event=stopped");
    assert!(stopped.contains("cut-off=0"), "{stopped}");
}

#[test]
fn what_was_accepted_is_finished() {
    let place = Place::taking();
    let mut server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    terminate(&server.child);
    server.log.wait_for("event=stopping");
    assert_eq!(peer.data(&letter), ["OK"]);
    assert!(place.was_taken(&letter));
    assert_eq!(peer.rest(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut server.child).code(), Some(0));
}

#[test]
fn a_server_without_connections_ends_at_once() {
    let place = Place::taking();
    for _ in 0..2 {
        let mut server = place.b.start();
        terminate(&server.child);
        assert_eq!(wait(&mut server.child).code(), Some(0));
    }
}
