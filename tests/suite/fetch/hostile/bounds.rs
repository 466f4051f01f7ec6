//! Servers that say much, or little at a time: what they may cost, in memory and in
//! time.

use std::time::{Duration, Instant};

use super::super::Place;
use super::around;
use crate::peer::{Receiver, Step, server_config};
use crate::process::within_kib;
use crate::site::{code, stderr};

const PAUSE: Duration = Duration::from_millis(100);
const LINE: &[u8] = &[b'x'; 1000];
const NOTHING: &[u8] = b"+ alive\n";
const FOLDERS: &[u8] = b"OK\n+ inbox 3 3 3000 6f0c9a1b2d3e4f50.900\nOK\n";
/// A message of as many octets as its folder is said to have.
const MESSAGE: &[u8] = b"OK\n+ inbox 3 3 900000000000 6f0c9a1b2d3e4f50.900\nOK\n\
    + add abababababababababababababababababababababababababababababababab \
    2026-11-22T09:30:02Z 300000000000 6f0c9a1b2d3e4f50.148\n+ message 4000000\n";

/// A server that plays this, in time and within so much memory; what is exited with
/// is one of these.
fn left(cases: &[(&str, &'static [Step<'static>], &[i32])]) {
    let place = Place::new();
    let mut config = server_config(&place.identity());
    config.alpn_protocols = vec![b"imrp/1".to_vec()];
    let before = around(&place);
    for (what, steps, exits) in cases {
        let server = Receiver::playing_with(config.clone(), steps);
        let command = place.configured(&format!(
            "address = \"bob@b.test\"\ncertificate = \"bob.pem\"\nkey = \"bob.key\"\n\
             idle-timeout = \"1s\"\n[hosts]\n\"b.test\" = \"{}\"\n",
            server.address
        ));
        let begin = Instant::now();
        let output = within_kib(&command, 48 << 10).output().unwrap();
        let (took, error) = (begin.elapsed(), stderr(&output));
        assert!(exits.contains(&code(&output)), "{what}: {error}");
        assert!(
            error.len() < 8192 && error.lines().count() <= 3,
            "{what}: {error}"
        );
        assert!(took < Duration::from_secs(20), "{what}: {took:?}");
        assert!(around(&place).is_superset(&before), "{what}");
        let files = |name: &str| {
            let folder = place.mail().join("inbox").join(name);
            std::fs::read_dir(folder).map_or(0, Iterator::count)
        };
        assert_eq!((files("messages"), files("attachments")), (0, 0), "{what}");
        place.check();
    }
}

#[test]
fn an_answer_without_end_takes_no_memory() {
    use Step::{Command, Flood, Say};
    left(&[
        ("a line, at once", &[Flood(LINE)], &[2, 3]),
        ("lines, at once", &[Flood(NOTHING)], &[2, 3]),
        ("a line to LOGIN", &[Command, Flood(LINE)], &[2, 3]),
        ("lines to LOGIN", &[Command, Flood(NOTHING)], &[2, 3]),
        (
            "a line to FOLDERS",
            &[Command, Say(b"OK\n"), Flood(LINE)],
            &[2, 3],
        ),
        (
            "lines to FOLDERS",
            &[Command, Say(b"OK\n"), Flood(NOTHING)],
            &[2, 3],
        ),
        (
            "a line to SYNC",
            &[Command, Say(FOLDERS), Flood(LINE)],
            &[2, 3],
        ),
        (
            "lines to SYNC",
            &[Command, Say(FOLDERS), Flood(NOTHING)],
            &[2, 3],
        ),
        ("a message", &[Command, Say(MESSAGE), Flood(LINE)], &[2, 3]),
        ("new keys", &[Command, Step::NewKeys], &[2, 3]),
        ("no TLS", &[Command, Step::Plain(LINE)], &[2, 3]),
    ]);
}

#[test]
fn an_answer_that_comes_octet_by_octet_has_its_time() {
    use Step::{Command, Drip, Say};
    left(&[
        ("a line, at once", &[Drip(LINE, PAUSE)], &[2]),
        ("a line to LOGIN", &[Command, Drip(LINE, PAUSE)], &[2]),
        (
            "a line to FOLDERS",
            &[Command, Say(b"OK\n"), Drip(LINE, PAUSE)],
            &[2],
        ),
        (
            "a line to SYNC",
            &[Command, Say(FOLDERS), Drip(LINE, PAUSE)],
            &[2],
        ),
        ("half a record", &[Command, Step::HalfRecord(b"OK\n")], &[2]),
    ]);
}
