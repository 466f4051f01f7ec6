//! Servers that say much, or little at a time: what they may cost, in memory and in
//! time.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use super::{Place, Sent};
use crate::peer::{Receiver, Step};
use crate::process::within_kib;
use crate::site::{feed, letter};

/// What a pause between two octets is.
const PAUSE: Duration = Duration::from_millis(100);
const LINE: &[u8] = &[b'x'; 1000];
const INFORMATION: &[u8] = b"+ information that is of no use to anybody, and again and again\n";

/// Sends a letter, with so much memory that an endless answer does not fit.
fn send(place: &Place, letter: &[u8]) -> Output {
    let mut command = place.a.command("server-send-mail");
    command.arg("-");
    feed(within_kib(&command, 48 << 10), letter)
}

/// A server that plays this to a letter: it is deferred in time, and little is said.
fn deferred(cases: &[(&str, &'static [Step<'static>])]) {
    let place = Place::new();
    place.set("idle-timeout", "\"1s\"");
    let identity = place.identity("b.test");
    let letter = letter(&["bob@b.test"], &"Hello\n".repeat(1000));
    for (what, steps) in cases {
        let b = Receiver::playing(&identity, steps);
        place.a.knows("b.test", b.address);
        let begin = Instant::now();
        let sent = Sent::of(&send(&place, &letter));
        let took = begin.elapsed();
        assert_eq!((sent.exit, sent.lines.len()), (2, 1), "{what}: {sent:#?}");
        let line = &sent.lines[0];
        assert!(line.starts_with("DEFER bob@b.test - "), "{what}: {sent:#?}");
        assert!(line.len() < 8192 && sent.said.len() < 8192, "{what}");
        assert!(took < Duration::from_secs(45), "{what}: {took:?}");
    }
}

#[test]
fn an_answer_without_end_takes_no_memory() {
    use Step::{Command, Flood, Say};
    deferred(&[
        ("a line, at once", &[Flood(LINE)]),
        ("lines, at once", &[Flood(INFORMATION)]),
        ("a line to HEADERS", &[Command, Flood(LINE)]),
        ("lines to HEADERS", &[Command, Flood(INFORMATION)]),
        (
            "lines after ACCEPT",
            &[Command, Say(b"ACCEPT\n"), Flood(INFORMATION)],
        ),
        (
            "a line to DATA",
            &[Command, Say(b"ACCEPT\n"), Command, Flood(LINE)],
        ),
        (
            "lines to DATA",
            &[Command, Say(b"ACCEPT\n"), Command, Flood(INFORMATION)],
        ),
        ("new keys", &[Command, Step::NewKeys]),
    ]);
}

#[test]
fn an_answer_that_comes_octet_by_octet_has_its_time() {
    use Step::{Command, Drip, HalfRecord, Say};
    deferred(&[
        (
            "a line to DATA",
            &[Command, Say(b"ACCEPT\n"), Command, Drip(LINE, PAUSE)],
        ),
        (
            "an answer to DATA",
            &[
                Command,
                Say(b"ACCEPT\n"),
                Command,
                Say(b"+ x\n"),
                Drip(b"+ OK bob@b.test", PAUSE),
            ],
        ),
        (
            "records that do not end",
            &[Command, Say(b"ACCEPT\n"), Command, HalfRecord(b"OK\n")],
        ),
    ]);
}

/// A host has half a minute to answer HEADERS, and so this runs only where
/// EMEMO_LONG=1.
#[test]
#[allow(
    clippy::print_stdout,
    reason = "whoever reads the list sees that it did not run"
)]
fn an_answer_to_headers_has_thirty_seconds() {
    if std::env::var_os("EMEMO_LONG").is_none_or(|value| value != "1") {
        return println!("skipped: EMEMO_LONG=1 runs it");
    }
    deferred(&[(
        "a line to HEADERS",
        &[Step::Command, Step::Drip(LINE, PAUSE)],
    )]);
}

/// Not even the handshake comes to its end.
#[test]
fn a_handshake_that_comes_octet_by_octet_has_its_time() {
    let place = Place::new();
    place.set("connect-timeout", "\"2s\"");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    place.a.knows("b.test", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        // A record of a handshake, of 16 KiB.
        let record = [
            &[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc, 3, 3][..],
            &[7; 48 << 10],
        ]
        .concat();
        for octet in record {
            if socket.write_all(&[octet]).is_err() {
                return;
            }
            // The slowness is the server's, and what is tested.
            thread::sleep(PAUSE);
        }
    });
    let begin = Instant::now();
    let sent = Sent::of(&send(&place, &letter(&["bob@b.test"], "Hello\n")));
    sent.is(2, &["DEFER bob@b.test - "]);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(25), "{took:?}");
    server.join().unwrap();
}
