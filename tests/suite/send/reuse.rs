//! Connections within one run.

use std::fs;

use super::{Place, Sent};
use crate::peer::{Cut, Receiver, follow};
use crate::site::letter;

fn files(place: &Place, count: usize) -> Vec<String> {
    let path = |number: usize| {
        place
            .site
            .path()
            .join(format!("{number}.ima"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    for number in 0..count {
        fs::write(
            path(number),
            letter(&["bob@b.test", "carol@c.test"], &format!("{number}\n")),
        )
        .unwrap();
    }
    (0..count).map(path).collect()
}

fn send(place: &Place, files: &[String]) -> Sent {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    Sent::of(&place.a.send(b"", &files))
}

const OK: [&str; 6] = [
    "OK bob@b.test",
    "OK bob@b.test",
    "OK bob@b.test",
    "OK carol@c.test",
    "OK carol@c.test",
    "OK carol@c.test",
];

#[test]
fn several_messages_take_one_connection_to_each_host() {
    let place = Place::new();
    let (b, c) = (place.taking("b.test"), place.taking("c.test"));
    let files = files(&place, 3);
    send(&place, &files).is(0, &OK);
    for host in [b, c] {
        assert_eq!(host.connections(), 1);
        assert_eq!(host.octets("DATA"), [b"0\n", b"1\n", b"2\n"]);
        assert_eq!(
            host.words(),
            [
                "HEADERS", "DATA", "HEADERS", "DATA", "HEADERS", "DATA", "DONE"
            ]
        );
    }
}

#[test]
fn a_connection_goes_on_after_a_refusal() {
    let place = Place::new();
    let b = Receiver::start(&place.identity("b.test"), |_, peer| {
        let mut answers = ["REJECT policy no", "DEFER 5 later", "ACCEPT"].into_iter();
        follow(peer, |said, peer| match said.word() {
            "HEADERS" => peer.say(answers.next().unwrap()),
            _ => peer.say("OK"),
        });
    });
    place.a.knows("b.test", b.address);
    let c = place.taking("c.test");
    let files = files(&place, 3);
    send(&place, &files).is(
        2,
        &[
            "DEFER bob@b.test - 5 ",
            "DEFER carol@c.test - ",
            "FAIL bob@b.test ",
            "FAIL carol@c.test ",
            "OK bob@b.test",
            "OK carol@c.test",
        ],
    );
    assert_eq!((b.connections(), c.connections()), (1, 1));
    assert_eq!(
        c.words(),
        [
            "HEADERS", "ABORT", "HEADERS", "ABORT", "HEADERS", "DATA", "DONE"
        ]
    );
}

#[test]
fn a_connection_that_was_closed_between_two_messages_is_made_anew() {
    for cut in [Cut::CloseNotify, Cut::Fin, Cut::Reset] {
        let place = Place::new();
        place.taking("c.test");
        let b = Receiver::start(&place.identity("b.test"), move |_, mut peer| {
            assert_eq!(peer.command().unwrap().word(), "HEADERS");
            peer.say("ACCEPT");
            peer.command().unwrap();
            peer.say("OK");
            // A reset before the answer is read would take that back.
            if matches!(cut, Cut::Reset) && peer.command().is_err() {
                return;
            }
            peer.cut(cut);
        });
        place.a.knows("b.test", b.address);
        let files = files(&place, 3);
        send(&place, &files).is(0, &OK);
        assert_eq!(b.connections(), 3, "{cut:?}");
        assert_eq!(b.octets("DATA"), [b"0\n", b"1\n", b"2\n"]);
    }
}

#[test]
fn each_sender_has_a_connection_of_its_own() {
    let place = Place::new();
    let b = place.taking("b.test");
    crate::peer::Identity::made(&place.site, "x.test").install(&crate::site::Host {
        name: "x.test".into(),
        dir: place.a.dir.clone(),
    });
    place.a.edit("server-send-mail.toml", |text| {
        text + "\n[[identity]]\nhosts = [\"x.test\"]\ncertificate = \"tls/x.test.pem\"\nkey = \"tls/x.test.key\"\n"
    });
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let path = |name: &str| place.site.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("a"), &text).unwrap();
    fs::write(path("x"), text.replace("alice@a.test", "alice@x.test")).unwrap();
    let sent = send(&place, &[path("a"), path("x"), path("a"), path("x")]);
    sent.is(0, &["OK bob@b.test"; 4]);
    assert_eq!(b.connections(), 2);
}
