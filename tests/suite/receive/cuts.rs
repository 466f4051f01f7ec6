//! Connections and servers that end in the middle.

use super::Place;
use crate::peer::{Cut, split};
use crate::site::{Log, letter};

const CUTS: [Cut; 3] = [Cut::CloseNotify, Cut::Fin, Cut::Reset];

#[test]
fn a_connection_cut_in_the_middle_of_data_reaches_no_handler() {
    let place = Place::taking();
    let server = place.b.start();
    for cut in CUTS {
        for kept in [0, 1, 4999] {
            let letter = letter(&["bob@b.test"], &"x".repeat(5000));
            let mut peer = place.dial(&server);
            assert_eq!(peer.headers(&letter), ["ACCEPT"]);
            peer.send(&[b"DATA 5000\n", &split(&letter).1[..kept]].concat());
            let closed = server.log.text().matches("event=closed").count();
            peer.cut(cut);
            crate::site::wait_until("its end", || {
                server.log.text().matches("event=closed").count() > closed
            });
            assert!(!place.was_taken(&letter), "{cut:?}, {kept}");
        }
    }
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    assert!(place.was_taken(&letter));
}

#[test]
fn a_connection_cut_anywhere_else_harms_nobody() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let (block, _) = split(&letter);
    let whole = format!("HEADERS {}\n", block.len());
    for cut in CUTS {
        for said in [
            &b""[..],
            b"HEAD",
            whole.as_bytes(),
            &[whole.as_bytes(), &block[..9]].concat(),
        ] {
            let mut peer = place.dial(&server);
            peer.send(said);
            peer.cut(cut);
        }
        let mut peer = place.dial(&server);
        peer.headers(&letter);
        peer.cut(cut);
    }
    crate::site::wait_until("15 ends", || {
        server.log.text().matches("event=closed").count() == 15
    });
    assert!(!place.was_taken(&letter));
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
}

#[test]
fn a_sender_that_is_gone_after_its_data_has_sent_them() {
    let place = Place::taking();
    let server = place.b.start();
    for cut in CUTS {
        let letter = letter(&["bob@b.test"], "Hello\n");
        let mut peer = place.dial(&server);
        peer.headers(&letter);
        peer.send_data(&letter);
        if matches!(cut, Cut::Reset) {
            // A reset takes back what was not read yet.
            server.log.wait_for("event=data");
        }
        peer.cut(cut);
        crate::site::wait_until("the handler", || place.was_taken(&letter));
        crate::site::wait_until("its end", || {
            events(&server.log)
                .last()
                .is_some_and(|last| last == "closed")
        });
    }
    // Whether or not an answer went out, what it was is logged, and before the end.
    let each = ["connected", "headers", "data", "closed"];
    assert_eq!(events(&server.log), each.repeat(CUTS.len()));
}

/// Once the log had nothing of a message that was accepted and did not come to a
/// handler.
#[test]
fn what_was_accepted_and_is_not_delivered_is_logged() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    peer.send(b"DATA 6\nHallo\n");
    assert_eq!(peer.answer().last().unwrap(), "FAIL");
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    peer.send(b"ABORT\n");
    assert_eq!(peer.answer(), ["OK"]);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    peer.send(b"DATA 6\nHell");
    peer.cut(Cut::Fin);
    server.log.wait_for("event=closed");
    let text = server.log.text();
    let data = text.lines().filter(|line| line.contains("event=data "));
    let answers: Vec<&str> = data
        .map(|line| {
            assert!(
                line.contains("address=127.0.0.1") && line.contains("digest="),
                "{line}"
            );
            line.split_once(" answer=").unwrap().1
        })
        .collect();
    let [fail, abort, none] = answers[..] else {
        panic!("{text}");
    };
    assert_eq!(
        fail,
        "FAIL reason=\"the octets of part 1 do not match its digest\""
    );
    assert_eq!(abort, "ABORT reason=\"the sender gave the message up\"");
    assert!(none.starts_with("none reason="), "{none}");
}

fn events(log: &Log) -> Vec<String> {
    let text = log.text();
    let events = text.lines().filter_map(|line| line.split(" event=").nth(1));
    let words = events.filter_map(|rest| rest.split(' ').next());
    let known = ["connected", "headers", "data", "closed"];
    let words = words.filter(|word| known.contains(word));
    words.map(str::to_owned).collect()
}

#[test]
fn a_server_killed_in_the_middle_of_data_has_run_no_handler() {
    let place = Place::taking();
    let mut server = place.b.start();
    let letter = letter(&["bob@b.test"], &"x".repeat(500_000));
    let mut peer = place.dial(&server);
    peer.headers(&letter);
    peer.send(b"DATA 500000\n");
    peer.send(&split(&letter).1[..400_000]);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(peer.try_answer().is_err());
    assert!(!place.was_taken(&letter));
    // The same message, sent again to the next server.
    let server = place.b.start();
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    assert!(place.was_taken(&letter));
}
