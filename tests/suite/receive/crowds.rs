//! Many peers at once, and the handlers that run for them.

use std::fs;
use std::path::PathBuf;

use super::Place;
use super::lasting::commands;
use crate::peer::{Cut, Peer};
use crate::site::{letter, wait_until};

const MOST: usize = 3;

/// Peers come, have a handler started that does not end, and are gone by a reset;
/// more of them than there may be connections.
fn come_and_go(place: &Place) {
    place.set("max-connections", MOST.to_string());
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut started = 0;
    for _ in 0..5 * MOST {
        let mut peer = place.dial(&server);
        if peer.try_send(&crate::peer::headers(&letter)).is_ok()
            && peer.try_answer().is_ok_and(|answer| answer == ["ACCEPT"])
        {
            peer.send_data(&letter);
            assert_eq!(peer.line(), "+ started");
            started += 1;
        }
        let running = commands(&server);
        assert!(running <= MOST, "{running}");
        peer.cut(Cut::Reset);
    }
    assert!(started >= MOST, "{started}");
    // Whoever is gone after all its data has sent them: its handler is let be.
    assert_eq!((started, commands(&server)), (MOST, MOST));
    release(place);
    let is_served = |mut peer: Peer| {
        let is_in = peer.try_send(b"KEYS b.test\n").is_ok();
        is_in && peer.try_line().is_ok_and(|line| line == "OK")
    };
    wait_until("room", || is_served(place.dial(&server)));
    wait_until("their end", || commands(&server) <= MOST);
}

/// Releases the handlers that wait, each at a pipe of its own.
fn release(place: &Place) {
    let names = fs::read_dir(place.site.path()).unwrap();
    let paths = names.map(|entry| entry.unwrap().path());
    let is_pipe = |path: &PathBuf| path.file_stem().is_some_and(|name| name == "go");
    let pipes: Vec<PathBuf> = paths.filter(is_pipe).collect();
    assert_eq!(pipes.len(), MOST);
    for pipe in pipes {
        fs::write(pipe, "now\n").unwrap();
    }
}

#[test]
fn there_are_never_more_handlers_than_connections() {
    let wait = "mkfifo {dir}/go.$$; echo started; read go <{dir}/go.$$";
    let place = Place::with("exit 0", wait);
    come_and_go(&place);
}

#[test]
fn there_are_never_more_handlers_that_stay_than_connections() {
    let place = Place::staying(
        "while read -r word octets; do head -c $octets >/dev/null; \
         if [ $word = DATA ]; then mkfifo {dir}/go.$$; echo + started; read go <{dir}/go.$$; echo OK; else echo ACCEPT; fi; done",
    );
    come_and_go(&place);
}
