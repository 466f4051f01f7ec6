//! A server that runs for long.

use std::fs;

use super::{Place, bob};
use crate::peer::{Caller, Ending, Identity};
use crate::process::{descriptors, threads};
use crate::site::{Server, wait_until};

#[test]
fn two_hundred_sessions_leave_nothing_behind() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[b"attached\n"]);
    let server = place.b.start_office();
    let mut lasting = bob(&server);
    let told = lasting.lines("SYNC inbox - list");
    let (some_descriptors, some_threads) = (descriptors(&server.child), threads(&server.child));
    for number in 0..200 {
        let mut caller = Caller::dial(server.address, Some(&place.bob));
        assert_eq!(caller.log_in_by_certificate("bob@b.test"), "OK");
        assert_eq!(caller.lines("SYNC inbox - list"), told);
        if number % 2 == 0 {
            caller.ask("SYNC inbox - messages");
            caller.say("DONE");
            assert_eq!(caller.rest().1, Ending::Proper);
        } else {
            caller.say(&format!("FETCH inbox {digest}"));
        }
    }
    for _ in 0..200 {
        lasting.ask(&format!("FETCH inbox {digest}"));
    }
    wait_until("the end of all other connections", || {
        threads(&server.child) == some_threads
    });
    assert_eq!(descriptors(&server.child), some_descriptors);
}

#[test]
fn a_renewed_certificate_is_shown_and_no_connection_dropped() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut held = bob(&server);
    let old = held.server_certificate();
    Identity::made(&place.site, "b.test").install(&place.b);
    let mut caller = bob(&server);
    wait_until("the new certificate", || {
        caller = bob(&server);
        caller.server_certificate() != old
    });
    assert_eq!(caller.lines("FOLDERS"), held.lines("FOLDERS"));
    server.log.wait_for("event=certificates-read-again");
}

/// How many threads may get no more rights than they have, which Landlock takes
/// for granted.
fn confined(server: &Server) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .filter(|status| status.contains("\nNoNewPrivs:\t1\n"))
        .count()
}

#[test]
fn a_session_is_confined_and_no_other_thread_is() {
    let place = Place::new();
    let server = place.b.start_office();
    let before = confined(&server);
    let is_here = !server.log.text().contains("event=no-landlock") && before == 0;
    let mut waiting = Caller::dial(server.address, None);
    waiting.send(b"LOGIN");
    server.log.wait_for("event=connected");
    let _in = [bob(&server), bob(&server)];
    assert_eq!(confined(&server) - before, if is_here { 2 } else { 0 });
    // Who comes later is let in by a thread that can read the users file.
    drop(waiting);
    place.b.write_users(&[place.entry_of_carol()]);
    wait_until("bob is unknown", || {
        let mut caller = Caller::dial(server.address, Some(&place.bob));
        caller.log_in_by_certificate("bob@b.test") == "FAIL"
    });
}
