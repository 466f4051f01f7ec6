//! A server that runs for long.

use super::Place;
use crate::peer::{Cut, Peer};
use crate::process::{children, descriptors, kib, threads};
use crate::site::{Server, letter, wait_until};

/// How many commands a server has started that are not reaped yet.
pub fn commands(server: &Server) -> usize {
    children(server.child.id()).len() - 1
}

#[test]
fn two_hundred_messages_leave_nothing_behind() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut lasting = place.dial(&server);
    assert_eq!(lasting.deliver(&letter), "OK");
    let (some_descriptors, some_threads) = (descriptors(&server.child), threads(&server.child));
    for number in 0..200 {
        if number % 2 == 0 {
            assert_eq!(lasting.deliver(&letter), "OK");
        } else {
            assert_eq!(place.dial(&server).deliver(&letter), "OK");
        }
    }
    assert_eq!(commands(&server), 0);
    wait_until("the end of all other connections", || {
        threads(&server.child) == some_threads
    });
    assert_eq!(descriptors(&server.child), some_descriptors);
}

/// What is measured after some hundred messages is the same after thousands:
/// `EMEMO_MESSAGES` says how many, or else they are 2,000. Every tenth comes on a
/// connection of its own, and every hundredth breaks off.
#[allow(
    clippy::print_stdout,
    reason = "how much it takes is worth knowing, on machines of all kinds"
)]
/// All that is left of its commands are `staying` that stay.
fn thousands_leave_nothing_behind(place: &Place, staying: usize) {
    let messages = std::env::var("EMEMO_MESSAGES").map_or(2000, |text| text.parse().unwrap());
    let first = (messages / 5).min(1000);
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], &"x".repeat(2000));
    let mut lasting = place.dial(&server);
    assert_eq!(lasting.deliver(&letter), "OK");
    let working = threads(&server.child);
    let (mut resident, mut open) = (0, 0);
    for number in 0..messages {
        // One connection takes 1,000.
        if number % 900 == 899 {
            lasting.close();
            lasting = place.dial(&server);
        }
        match number % 100 {
            99 => {
                let mut peer: Peer = place.dial(&server);
                assert_eq!(peer.headers(&letter), ["ACCEPT"]);
                peer.send(b"DATA 2000\nxxx");
                peer.cut(Cut::Reset);
            }
            remainder if remainder % 10 == 0 => {
                let mut peer = place.dial(&server);
                assert_eq!(peer.deliver(&letter), "OK");
                peer.close();
            }
            _ => assert_eq!(lasting.deliver(&letter), "OK"),
        }
        if number == first {
            wait_until("one connection", || threads(&server.child) <= working);
            resident = kib(server.child.id(), "VmRSS");
            open = descriptors(&server.child);
        }
    }
    wait_until("one connection", || threads(&server.child) <= working);
    let now = kib(server.child.id(), "VmRSS");
    println!(
        "{resident} KiB and {open} descriptors after {first} messages, {now} KiB, {} descriptors, {} threads and {} children after {messages}",
        descriptors(&server.child),
        threads(&server.child),
        commands(&server),
    );
    assert!(
        now <= (resident + 1024).max(resident * 105 / 100),
        "{resident}, {now} KiB"
    );
    wait_until("no zombie", || commands(&server) == staying);
    wait_until("no descriptor", || descriptors(&server.child) <= open);
}

#[test]
fn thousands_of_messages_leave_nothing_behind() {
    thousands_leave_nothing_behind(&Place::with("exit 0", "exit 0"), 0);
}

#[test]
fn thousands_of_messages_to_one_that_stays_leave_nothing_behind() {
    thousands_leave_nothing_behind(&Place::new(), 1);
}

#[test]
fn one_that_waits_holds_up_nobody() {
    let place = Place::with(
        "exit 0",
        "grep -q '^subject: Wait' || exit 0; echo waiting; read go <{dir}/go",
    );
    let go = place.gate("go");
    let server = place.b.start();
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let (waits, passes) = (
        text.replace("subject: Lunch?", "subject: Wait")
            .into_bytes(),
        text.into_bytes(),
    );
    let mut waiting = place.dial(&server);
    waiting.headers(&waits);
    waiting.send_data(&waits);
    assert_eq!(waiting.line(), "+ waiting");
    for _ in 0..3 {
        assert_eq!(place.dial(&server).deliver(&passes), "OK");
    }
    go.let_one_go();
    assert_eq!(waiting.answer(), ["OK"]);
}
