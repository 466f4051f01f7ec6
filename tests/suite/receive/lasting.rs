//! A server that runs for long.

use std::fs;

use super::Place;
use crate::process::{descriptors, threads};
use crate::site::{Server, letter, wait_until};

/// How many processes a server has started that are not reaped yet.
pub fn children(server: &Server) -> usize {
    let parent = server.child.id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, fields)| fields.split(' ').nth(1) == Some(&parent))
        })
        .count()
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
    assert_eq!(children(&server), 0);
    wait_until("the end of all other connections", || {
        threads(&server.child) == some_threads
    });
    assert_eq!(descriptors(&server.child), some_descriptors);
}

#[test]
fn one_that_waits_holds_up_nobody() {
    let place = Place::with(
        "exit 0",
        "grep -q '^subject: Wait' || exit 0; echo waiting; read go <{dir}/go",
    );
    let go = place.fifo("go");
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
    fs::write(go, "now\n").unwrap();
    assert_eq!(waiting.answer(), ["OK"]);
}
