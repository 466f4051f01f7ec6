//! What breaks the grammar is told so, and the connection closed.

use std::time::{Duration, Instant};

use super::Place;
use crate::peer::{Ending, Peer};
use crate::process::kib;
use crate::site::letter;

/// What the server says to these octets, up to its end.
fn told(peer: &mut Peer, octets: &[u8]) -> String {
    // It may close before it has read all of them.
    let _ = peer.try_send(octets);
    let (said, ending) = peer.rest();
    assert_eq!(ending, Ending::Proper, "{said}");
    said
}

#[test]
fn counts_are_plain_decimal_numbers_below_two_to_the_63() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    for count in [
        "-1",
        "+5",
        "007",
        "1e3",
        "",
        " 1",
        "1 ",
        "0x10",
        "5.0",
        "9223372036854775808",
        "18446744073709551616",
        "٣",
    ] {
        let said = told(
            &mut place.dial(&server),
            format!("HEADERS {count}\n").as_bytes(),
        );
        assert!(
            said.starts_with("ERROR HEADERS takes a count"),
            "{count:?}: {said}"
        );
        let mut peer = place.dial(&server);
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        let said = told(&mut peer, format!("DATA {count}\n").as_bytes());
        assert!(
            said.starts_with("ERROR DATA takes a count"),
            "{count:?}: {said}"
        );
    }
    assert!(!place.was_taken(&letter));
}

#[test]
fn memory_does_not_follow_what_was_announced() {
    let place = Place::taking();
    let server = place.b.start();
    for announced in [1 << 20, (1 << 62) + 1, i64::MAX] {
        let said = told(
            &mut place.dial(&server),
            format!("HEADERS {announced}\n").as_bytes(),
        );
        assert!(
            said.starts_with("ERROR a header block has at most 1040384 octets"),
            "{said}"
        );
    }
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    peer.headers(&letter);
    let said = told(&mut peer, format!("DATA {}\n", i64::MAX).as_bytes());
    assert_eq!(
        said,
        "ERROR DATA must announce 6 octets, the sum of the accepted parts\n"
    );
    let kib = kib(server.child.id(), "VmHWM");
    assert!(kib < 64 << 10, "{kib} KiB");
}

#[test]
fn data_come_after_accept_and_are_as_long_as_the_parts() {
    let place = Place::taking();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let cases: [(&[u8], &str); 6] = [
        (b"DATA 5\nHello", "ERROR DATA must announce 6 octets"),
        (b"DATA 7\nHello\n\n", "ERROR DATA must announce 6 octets"),
        (b"DATA 0\n", "ERROR DATA must announce 6 octets"),
        (b"HEADERS 6\n", "ERROR out of order"),
        (b"STATUS abc\n", "ERROR out of order"),
        (b"DATE 6\n", "ERROR unknown command"),
    ];
    for (octets, wanted) in cases {
        let mut peer = place.dial(&server);
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        let said = told(&mut peer, octets);
        assert!(said.starts_with(wanted), "{said}");
        assert!(said.ends_with('\n') && said.lines().count() == 1, "{said}");
    }
    for line in ["DATA 6", "ABORT"] {
        let said = told(
            &mut place.dial(&server),
            format!("{line}\nHello\n").as_bytes(),
        );
        assert!(said.starts_with("ERROR out of order"), "{said}");
    }
    // HEADERS within DATA is data, and breaks its digest.
    let mut peer = place.dial(&server);
    peer.headers(&letter);
    peer.send(b"DATA 6\nHEADER");
    assert_eq!(peer.answer().last().unwrap(), "FAIL");
    assert!(!place.was_taken(&letter));
}

#[test]
fn a_line_is_text_and_of_4096_octets() {
    let place = Place::taking();
    let server = place.b.start();
    let long = [b"KEYS ".as_slice(), &[b'x'; 4092], b"\n"].concat();
    let endless = vec![b'x'; 1 << 20];
    let cases: [(&[u8], &str); 8] = [
        (b"HELO a.test\n", "ERROR unknown command"),
        (b"\n", "ERROR unknown command"),
        (b"headers 5\n", "ERROR unknown command"),
        (b"DONE\r\n", "ERROR a command is a line of text"),
        (b"KEYS \xff\n", "ERROR a command is a line of text"),
        (b"\0\n", "ERROR a command is a line of text"),
        (&long, "ERROR a command is a line of text"),
        (&endless, "ERROR a command is a line of text"),
    ];
    for (octets, wanted) in cases {
        let said = told(&mut place.dial(&server), octets);
        assert!(said.starts_with(wanted), "{said}");
    }
}

#[test]
fn nothing_is_held_and_no_keys_are_published() {
    let place = Place::taking();
    let server = place.b.start();
    let mut peer = place.dial(&server);
    for (line, wanted) in [
        ("STATUS 0123456789abcdef", "UNKNOWN"),
        ("GIVEUP 0123456789abcdef", "OK"),
        ("KEYS bob@b.test", "OK"),
        ("KEYS nobody@b.test", "OK"),
        ("KEYS b.test", "OK"),
    ] {
        peer.say(line);
        assert_eq!(peer.answer(), [wanted], "{line}");
    }
    peer.say("DONE");
    assert_eq!(peer.rest(), (String::new(), Ending::Proper));
}

#[test]
fn who_is_silent_for_too_long_is_closed() {
    let place = Place::taking();
    place.set("idle-timeout", "\"300ms\"");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut silent = place.dial(&server);
    let mut slow = place.dial(&server);
    slow.send(b"HEAD");
    let mut stalled = place.dial(&server);
    stalled.headers(&letter);
    stalled.send(b"DATA 6\nHel");
    for peer in [&mut silent, &mut slow, &mut stalled] {
        assert_eq!(peer.rest().0, "");
    }
    assert!(!place.was_taken(&letter));
}

#[test]
fn an_octet_now_and_then_holds_no_connection() {
    let place = Place::taking();
    place.set("idle-timeout", "\"1s\"");
    place.set("message-timeout", "\"1s\"");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], &"x".repeat(10_000));
    let in_command = place.dial(&server);
    let mut in_block = place.dial(&server);
    in_block.send(b"HEADERS 1000\n");
    let mut in_data = place.dial(&server);
    in_data.headers(&letter);
    in_data.send(b"DATA 10000\n");
    let begin = Instant::now();
    let mut open = vec![in_command, in_block, in_data];
    while !open.is_empty() {
        assert!(
            begin.elapsed() < Duration::from_secs(6),
            "{} are open",
            open.len()
        );
        open.retain_mut(|peer| peer.try_send(b"x").is_ok());
        // The slowness is the peers', and what is tested: none of them stalls.
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!place.was_taken(&letter));
}

/// A message that is refused is found by its digest, and in the log stands who sent it and
/// for whom it was.
#[test]
fn what_is_refused_is_logged_with_its_digest() {
    let place = Place::new();
    place.set("max-size", "\"1KiB\"");
    let server = place.b.start();
    let good = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let forged = good.replace("alice@a.test", "eve@x.test").into_bytes();
    let large = letter(&["bob@b.test"], &"x".repeat(2000));
    let nobody = letter(&["nobody@b.test", "Eve@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    for (letter, answer, event, field) in [
        (&forged, "identity", "refused", " sender=eve@x.test "),
        (&large, "size", "refused", " sender=alice@a.test "),
        (
            &nobody,
            "recipient",
            "headers",
            " unknown=\"nobody@b.test Eve@b.test\"",
        ),
    ] {
        let said = peer.headers(letter).pop().unwrap();
        assert!(said.starts_with(&format!("REJECT {answer} ")), "{said}");
        let says = format!(" event={event} digest={} ", super::digest(letter));
        let line = server.log.wait_for(&says);
        assert!(line.contains(field), "{line}");
    }
}
