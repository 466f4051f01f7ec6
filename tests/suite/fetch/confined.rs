//! What a server that has taken fetch-mail over reaches by it.

use std::fs;

use super::Place;
use crate::site::{code, stderr};

/// What must not come about.
const DENIED: &str = "\"Permission denied (os error 13)\"";
/// Landlock's answer where a file would come to have more rights by being moved.
const NOT_ACROSS: &str = "\"Invalid cross-device link (os error 18)\"";

/// A run of this place, taken over, reaches its mailbox alone.
fn reaches_nothing_else(place: &Place, server: std::net::SocketAddr) {
    let prey = place.file("prey");
    let mut command = place.command(server);
    command.env("EMEMO_TAKEN_OVER", &prey);
    let output = command.args(["--log", "text"]).output().unwrap();
    let log = stderr(&output);
    assert_eq!(code(&output), 0, "{log}");
    if log.contains("event=no-landlock") {
        return;
    }
    let (mut allowed, mut denied) = (0, 0);
    for line in log.lines().filter(|line| line.contains("event=taken-over")) {
        let (attempt, outcome) = line.split_once(" outcome=").unwrap();
        if attempt.contains("attempt=\"allowed ") {
            assert_eq!(outcome, "done", "{line}");
            allowed += 1;
        } else {
            assert!(outcome == DENIED || outcome == NOT_ACROSS, "{line}");
            denied += 1;
        }
    }
    assert_eq!((allowed, denied), (3, 13), "{log}");
    let left: Vec<_> = fs::read_dir(&prey)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["victim"]);
    assert_eq!(fs::read(prey.join("victim")).unwrap(), b"what may be lost");
}

#[test]
fn a_single_run_that_was_taken_over_reaches_its_mailbox_alone() {
    let place = Place::new();
    place.deliver("inbox", &place.letter("First.\n", &[]));
    let server = place.b.start_office();
    fs::create_dir(place.file("prey")).unwrap();
    fs::write(place.file("prey/victim"), "what may be lost").unwrap();
    // One that makes the mailbox, and one that finds it.
    reaches_nothing_else(&place, server.address);
    place.deliver("inbox", &place.letter("Second.\n", &[]));
    reaches_nothing_else(&place, server.address);
    place.check();
}
