//! Answers that ask for some parts, or for another place.

use super::Place;
use crate::peer::{Receiver, follow};
use crate::site::letter_with;

/// A message of three parts: 6, 5000 and 70,000 octets.
fn message(place: &Place) -> Vec<u8> {
    let attach = |name: &str, octets: &[u8]| {
        let path = place.site.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (two, three) = (
        attach("two.bin", &[2; 5000]),
        attach("three.bin", &[3; 70_000]),
    );
    letter_with(
        &["bob@b.test"],
        "Hello\n",
        &["--attach", &two, "--attach", &three],
    )
}

#[test]
fn exactly_the_parts_that_are_asked_for_are_sent() {
    let place = Place::new();
    let message = message(&place);
    let parts = [b"Hello\n".to_vec(), vec![2; 5000], vec![3; 70_000]];
    let cases: [(&'static str, &[usize]); 6] = [
        ("ACCEPT", &[0, 1, 2]),
        ("ACCEPT 0", &[]),
        ("ACCEPT 1", &[0]),
        ("ACCEPT 2", &[1]),
        ("ACCEPT 1,3", &[0, 2]),
        ("ACCEPT 1,2,3", &[0, 1, 2]),
    ];
    for (answer, wanted) in cases {
        let b = place.answering("b.test", answer, "OK");
        place.send(&message).is(0, &["OK bob@b.test"]);
        let wanted: Vec<u8> = wanted
            .iter()
            .flat_map(|&part| parts[part].clone())
            .collect();
        assert_eq!(b.lines()[1], format!("DATA {}", wanted.len()), "{answer}");
        assert!(b.octets("DATA") == [wanted], "{answer}");
        assert_eq!(b.words(), ["HEADERS", "DATA", "DONE"]);
    }
}

#[test]
fn a_redirect_is_declined_once() {
    const REDIRECT: &str = "REDIRECT 192.0.2.7:4025 sha256:c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a8fee0df6ecf193";
    let place = Place::new();
    let message = message(&place);
    let b = Receiver::start(&place.identity("b.test"), |_, peer| {
        follow(peer, |said, peer| match said.word() {
            "HEADERS" if said.line.ends_with(" direct") => peer.say("ACCEPT"),
            "HEADERS" => peer.say(REDIRECT),
            _ => peer.say("OK"),
        });
    });
    place.a.knows("b.test", b.address);
    place.send(&message).is(0, &["OK bob@b.test"]);
    let lines = b.lines();
    assert_eq!(lines.len(), 4);
    assert_eq!(format!("{} direct", lines[0]), lines[1]);
    let blocks = b.octets("HEADERS");
    assert_eq!(blocks[0], blocks[1]);

    // Who insists is not followed.
    let b = place.answering("b.test", REDIRECT, "OK");
    place
        .send(&message)
        .is(2, &["DEFER bob@b.test - "])
        .explains("REDIRECT");
    assert!(!b.words().contains(&"DATA".to_owned()));
}
