//! What is said to a message.

use super::Place;
use crate::peer::{Identity, Peer, split};
use crate::site::{letter, letter_octets, letter_with};

#[test]
fn the_wrong_certificate_is_refused_and_the_next_message_taken() {
    let place = Place::new();
    let server = place.b.start();
    let for_alice = letter(&["bob@b.test"], "Hello\n");
    let text = String::from_utf8(for_alice.clone()).unwrap();
    let forged = text.replace("alice@a.test", "eve@x.test").into_bytes();
    let mut peer = place.dial(&server);
    assert_eq!(
        peer.headers(&forged),
        ["REJECT identity your certificate does not speak for x.test"]
    );
    assert_eq!(peer.deliver(&for_alice), "OK");
    assert_eq!(place.b.messages("bob").len(), 1);

    // One certificate may speak for several, and a wildcard for one label.
    let both = Identity::adjusted(&place.site, "a.test", |params| {
        let names = ["a.test".to_owned(), "*.x.test".to_owned()];
        params.subject_alt_names = rcgen::CertificateParams::new(names)
            .unwrap()
            .subject_alt_names;
    });
    let mut peer = Peer::dial(server.address, &both);
    for (host, taken) in [
        ("x.test", false),
        ("mail.x.test", true),
        ("b.mail.x.test", false),
        ("a.test", true),
    ] {
        let letter = text
            .replace("alice@a.test", &format!("alice@{host}"))
            .into_bytes();
        let answer = peer.deliver(&letter);
        assert_eq!(answer == "OK", taken, "{host}: {answer}");
        assert_eq!(
            answer.starts_with("REJECT identity "),
            !taken,
            "{host}: {answer}"
        );
    }
}

#[test]
fn a_message_over_the_limit_is_refused_before_its_data() {
    let place = Place::new();
    place.set("max-size", "1000");
    let server = place.b.start();
    let mut peer = place.dial(&server);
    let large = letter(&["bob@b.test"], &"x".repeat(1001));
    assert_eq!(
        peer.headers(&large),
        ["REJECT size 1000 octets are the most, and the message has 1001"]
    );
    peer.send_data(&large);
    assert!(peer.answer()[0].starts_with("ERROR "));

    let mut peer = place.dial(&server);
    assert_eq!(
        peer.deliver(&letter(&["bob@b.test"], &"x".repeat(1000))),
        "OK"
    );
    assert_eq!(place.b.messages("bob").len(), 1);
}

#[test]
fn mail_that_another_host_passes_on_is_deferred() {
    let place = Place::new();
    let list = Identity::made(&place.site, "list.test");
    let server = place.b.start();
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let passed_on = text
        .replacen("\n\n", "\nmailer: staff@list.test\n\n", 1)
        .into_bytes();
    let mut peer = Peer::dial(server.address, &list);
    let answer = peer.headers(&passed_on);
    assert!(answer[0].starts_with("DEFER "), "{answer:?}");
    // The author's own host is no longer the one who sends it.
    let answer = place.dial(&server).headers(&passed_on);
    assert_eq!(
        answer,
        ["REJECT identity your certificate does not speak for list.test"]
    );
    // A mailer at the author's own host changes nothing.
    let own = text
        .replacen("\n\n", "\nmailer: staff@a.test\n\n", 1)
        .into_bytes();
    assert_eq!(place.dial(&server).deliver(&own), "OK");
}

#[test]
fn what_is_not_well_formed_is_refused_by_line_and_the_connection_goes_on() {
    let place = Place::new();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let text = String::from_utf8(letter.clone()).unwrap();
    let mut peer = place.dial(&server);
    let received = "\nreceived: b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author=valid\n\n";
    for (broken, wanted) in [
        (
            text.replacen("ima: 1", "ima: 2", 1),
            "REJECT format line 1, column ",
        ),
        (
            text.replacen("to: bob@b.test", "to: bob", 1),
            "REJECT format line ",
        ),
        (text.replacen("\n\n", received, 1), "REJECT format "),
        (
            text.replacen("size: 6", "size: 7", 1),
            "REJECT format line ",
        ),
    ] {
        assert_ne!(broken, text);
        let answer = peer.headers(broken.as_bytes());
        assert_eq!(answer.len(), 1);
        assert!(answer[0].starts_with(wanted), "{answer:?}");
    }
    let (block, _) = split(&letter);
    peer.send(
        &[
            format!("HEADERS {}\n", block.len() - 1).as_bytes(),
            &block[..block.len() - 1],
        ]
        .concat(),
    );
    assert!(peer.answer()[0].starts_with("REJECT format "));
    peer.send(b"HEADERS 0\n");
    assert!(peer.answer()[0].starts_with("REJECT format "));
    assert_eq!(peer.deliver(&letter), "OK");
}

#[test]
fn data_that_do_not_match_reach_no_handler() {
    let place = Place::taking();
    let server = place.b.start();
    let attached = place.file("photo.jpg");
    std::fs::write(&attached, [7; 3000]).unwrap();
    let letter = letter_with(
        &["bob@b.test"],
        "Hello\n",
        &["--attach", attached.to_str().unwrap()],
    );
    let mut wrong = letter.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    let answer = peer.data(&wrong);
    assert_eq!(answer.last().unwrap(), "FAIL");
    assert!(answer[0].contains("part 2"), "{answer:?}");
    assert!(!place.was_taken(&letter));
    assert_eq!(peer.deliver(&letter), "OK");
    assert!(place.was_taken(&letter));
}

#[test]
fn any_split_of_the_octets_is_the_same_message() {
    let place = Place::new();
    let server = place.b.start();
    let mut letters = Vec::new();
    for (record, segment) in [(1, 1), (1, usize::MAX), (16 << 10, 1), (2, 3), (13, 64)] {
        let letter = letter(&["bob@b.test"], "Hello\n");
        let mut peer = place.dial(&server);
        peer.set_pieces(record, segment);
        assert_eq!(peer.deliver(&letter), "OK", "{record}, {segment}");
        letters.push(letter);
    }
    let stored = place.b.messages("bob");
    let stored: Vec<_> = stored
        .iter()
        .map(|digest| letter_octets(&place.b.message("bob", digest)))
        .collect();
    let sent: Vec<_> = letters.iter().map(|letter| letter_octets(letter)).collect();
    assert_eq!(stored, sent);
}

#[test]
fn the_next_headers_may_follow_at_once() {
    let place = Place::new();
    let server = place.b.start();
    let (first, second) = (
        letter(&["bob@b.test"], "1\n"),
        letter(&["bob@b.test"], "2\n"),
    );
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&first), ["ACCEPT"]);
    peer.send_data(&first);
    peer.send_headers(&second);
    assert_eq!(peer.answer(), ["+ OK bob@b.test", "OK"]);
    assert_eq!(peer.answer(), ["ACCEPT"]);
    peer.say("ABORT");
    peer.send_headers(&second);
    assert_eq!(peer.answer(), ["OK"]);
    assert_eq!(peer.answer(), ["ACCEPT"]);
    peer.say("DONE");
    peer.close();
    assert_eq!(place.b.messages("bob").len(), 1);
}
