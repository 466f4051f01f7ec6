//! Servers that break the rules, or off: whatever they do, each recipient has
//! one line, in bounded time, and nothing was delivered that was not said to be.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Place;
use crate::peer::{Cut, Peer, Receiver};
use crate::site::letter;

type Script = fn(Peer);

/// Runs one message against each; it is deferred, and the reason named.
fn deferred(cases: &[(&str, Script, &str)]) {
    let place = Place::new();
    place.set("idle-timeout", "\"1s\"");
    let identity = place.identity("b.test");
    let letter = letter(&["bob@b.test"], &"Hello\n".repeat(1000));
    for &(name, script, wanted) in cases {
        let script = Arc::new(script);
        let b = Receiver::start(&identity, move |_, peer| script(peer));
        place.a.knows("b.test", b.address);
        let begin = Instant::now();
        let sent = place.send(&letter);
        assert_eq!((sent.exit, sent.lines.len()), (2, 1), "{name}: {sent:#?}");
        assert!(
            sent.lines[0].starts_with("DEFER bob@b.test - 60 86400"),
            "{name}: {sent:#?}"
        );
        assert!(sent.lines[0].contains(wanted), "{name}: {sent:#?}");
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{name}: {:?}",
            begin.elapsed()
        );
        assert!(
            sent.lines[0].len() < 8192 && sent.said.len() < 8192,
            "{name}"
        );
    }
}

fn accept(peer: &mut Peer) {
    let _ = peer.command();
    let _ = peer.try_send(b"ACCEPT\n");
}

/// Says this and stays until the other has gone.
fn say(peer: &mut Peer, octets: &[u8]) {
    let _ = peer.try_send(octets);
    while peer.command().is_ok() {}
}

fn to_headers(mut peer: Peer, octets: &[u8]) {
    let _ = peer.command();
    say(&mut peer, octets);
}

fn to_data(mut peer: Peer, octets: &[u8]) {
    accept(&mut peer);
    let _ = peer.command();
    say(&mut peer, octets);
}

#[test]
fn nonsense_in_answer_to_headers() {
    const BROKE: &str = "the receiver broke the protocol";
    deferred(&[
        ("another word", |peer| to_headers(peer, b"HELLO\n"), BROKE),
        ("an answer to DATA", |peer| to_headers(peer, b"OK\n"), BROKE),
        ("nothing", |peer| to_headers(peer, b"\n"), BROKE),
        (
            "an unknown keyword",
            |peer| to_headers(peer, b"REJECT because no\n"),
            BROKE,
        ),
        (
            "parts twice",
            |peer| to_headers(peer, b"ACCEPT 1,1\n"),
            BROKE,
        ),
        (
            "a part that is not there",
            |peer| to_headers(peer, b"ACCEPT 2\n"),
            "asks for part 2",
        ),
        (
            "a huge part",
            |peer| to_headers(peer, b"ACCEPT 9223372036854775807\n"),
            BROKE,
        ),
        (
            "a redirect to a name",
            |peer| to_headers(peer, b"REDIRECT b.test:1 sha256:00\n"),
            BROKE,
        ),
        (
            "an error",
            |peer| to_headers(peer, b"ERROR you are wrong\n"),
            "made an error: you are wrong",
        ),
        (
            "no UTF-8",
            |peer| to_headers(peer, b"REJECT policy \xff\n"),
            "not text",
        ),
        (
            "a carriage return",
            |peer| to_headers(peer, b"ACCEPT\r\n"),
            "not text",
        ),
        (
            "a long line",
            |peer| to_headers(peer, &[b'x'; 10 << 20]),
            "longer than the 4096 octets",
        ),
        (
            "a long line of information",
            |peer| to_headers(peer, &[b"+ ", &[b'x'; 5000][..], b"\nACCEPT\n"].concat()),
            "longer",
        ),
        (
            "no end of lines",
            |peer| to_headers(peer, &b"+ information\n".repeat(1 << 20)),
            "longer than 2 MiB",
        ),
        (
            "half an answer",
            |mut peer| {
                let _ = peer.command();
                let _ = peer.try_send(b"ACC");
                peer.cut(Cut::CloseNotify);
            },
            "broke off",
        ),
    ]);
}

#[test]
fn nonsense_in_answer_to_data() {
    const BROKE: &str = "the receiver broke the protocol";
    deferred(&[
        ("another word", |peer| to_data(peer, b"DELIVERED\n"), BROKE),
        (
            "an answer to HEADERS",
            |peer| to_data(peer, b"ACCEPT\n"),
            BROKE,
        ),
        (
            "more than the word",
            |peer| to_data(peer, b"OK bob@b.test\n"),
            BROKE,
        ),
        (
            "an error",
            |peer| to_data(peer, b"ERROR no\n"),
            "made an error: no",
        ),
        (
            "somebody else's line",
            |peer| to_data(peer, b"+ OK bill@b.test\n+ OK bob@c.test\nPARTIAL\n"),
            "",
        ),
        (
            "a line that only looks like one",
            |peer| {
                to_data(
                    peer,
                    b"+ OK  bob@b.test\n+ ok bob@b.test\n+  OK bob@b.test\nPARTIAL\n",
                )
            },
            "",
        ),
        (
            "no end of lines",
            |peer| to_data(peer, &b"+ information\n".repeat(1 << 20)),
            "longer than 2 MiB",
        ),
        ("silence", |peer| to_data(peer, b""), "took too long"),
        (
            "silence after a line",
            |peer| to_data(peer, b"+ still here\n"),
            "took too long",
        ),
    ]);
}

#[test]
fn it_speaks_before_it_is_asked() {
    deferred(&[
        (
            "a greeting",
            |mut peer| say(&mut peer, b"220 mail.b.test\n"),
            "broke the protocol",
        ),
        (
            "OK",
            |mut peer| say(&mut peer, b"OK\n"),
            "broke the protocol",
        ),
        (
            "the answer, twice",
            |peer| to_headers(peer, b"ACCEPT\nACCEPT\n"),
            "broke the protocol",
        ),
        (
            "the answer to DATA too",
            |peer| to_headers(peer, b"ACCEPT\nFAIL\n"),
            "broke the protocol",
        ),
        (
            "all of it",
            |mut peer| say(&mut peer, b"ACCEPT\nOK\n"),
            "broke the protocol",
        ),
    ]);
}

#[test]
fn it_ends_at_every_point() {
    let place = Place::new();
    let identity = place.identity("b.test");
    let letter = letter(&["bob@b.test", "bill@b.test"], &"x".repeat(3 << 20));
    for cut in [Cut::CloseNotify, Cut::Fin, Cut::Reset] {
        for point in 0..5 {
            let b = Receiver::start(&identity, move |_, mut peer| {
                if point > 0 {
                    let _ = peer.command();
                }
                if point > 1 {
                    peer.say("ACCEPT");
                    // Its line, and then its octets or not.
                    let _ = if point == 2 {
                        peer.try_line().map(drop)
                    } else {
                        peer.command().map(drop)
                    };
                }
                if point > 3 {
                    peer.say("+ OK bob@b.test");
                }
                peer.cut(cut);
            });
            place.a.knows("b.test", b.address);
            let sent = place.send(&letter);
            match (point, cut) {
                // A reset may overtake what was said before it.
                (4, Cut::Reset) if sent.lines[1].starts_with("DEFER") => {
                    sent.is(2, &["DEFER bill@b.test - ", "DEFER bob@b.test - "]);
                }
                (4, _) => {
                    sent.is(2, &["DEFER bill@b.test - ", "OK bob@b.test"]);
                }
                _ => {
                    sent.is(2, &["DEFER bill@b.test - ", "DEFER bob@b.test - "]);
                }
            }
        }
    }
}

#[test]
fn it_takes_no_data() {
    let place = Place::new();
    place.set("idle-timeout", "\"1s\"");
    let (end, ends) = std::sync::mpsc::sync_channel::<()>(0);
    let ends = std::sync::Mutex::new(ends);
    let b = Receiver::start(&place.identity("b.test"), move |_, mut peer| {
        accept(&mut peer);
        // It holds the connection and reads no more.
        let _ = ends.lock().unwrap().recv();
        drop(peer);
    });
    place.a.knows("b.test", b.address);
    let begin = Instant::now();
    let sent = place.send(&letter(&["bob@b.test"], &"x".repeat(16 << 20)));
    sent.is(2, &["DEFER bob@b.test - "]).explains("");
    assert!(sent.lines[0].contains("took too long"), "{sent:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    drop(end);
}

#[test]
fn an_answer_that_was_given_twice_is_not_the_next_message_s() {
    let place = Place::new();
    let b = Receiver::start(&place.identity("b.test"), |_, peer| {
        crate::peer::follow(peer, |said, peer| match said.word() {
            "HEADERS" => peer.say("ACCEPT"),
            _ => peer.say("OK\nOK"),
        });
    });
    place.a.knows("b.test", b.address);
    let path = |name: &str| place.site.path().join(name).to_str().unwrap().to_owned();
    for name in ["1", "2"] {
        std::fs::write(path(name), letter(&["bob@b.test"], name)).unwrap();
    }
    let sent = super::Sent::of(&place.a.send(b"", &[&path("1"), &path("2")]));
    sent.is(2, &["DEFER bob@b.test - ", "OK bob@b.test"]);
    assert_eq!(b.octets("DATA"), [b"1"]);
}

/// One that said "+ alive" for ever once held all lines, and all later mail, for ever.
#[test]
fn it_answers_abort_late_or_never() {
    let place = Place::new();
    let c = place.answering("c.test", "REJECT policy no", "OK");
    let (hear, heard) = std::sync::mpsc::sync_channel::<()>(1);
    let heard = std::sync::Mutex::new(heard);
    let b = Receiver::start(&place.identity("b.test"), move |_, peer| {
        crate::peer::follow(peer, |said, peer| match said.word() {
            "HEADERS" => peer.say("ACCEPT"),
            _ => {
                heard.lock().unwrap().recv().unwrap();
                peer.say("OK");
            }
        });
    });
    place.a.knows("b.test", b.address);
    let letter = letter(&["bob@b.test", "carol@c.test"], "Hello\n");
    let path = place.site.path().join("letter.ima");
    std::fs::write(&path, &letter).unwrap();
    let mut child = (place.a.command("server-send-mail").arg(&path))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.take(2).map(Result::unwrap).collect();
    assert!(lines[0].starts_with("FAIL bob@b.test "), "{lines:?}");
    assert!(lines[1].starts_with("FAIL carol@c.test "), "{lines:?}");
    // Only now ABORT is answered, and nobody has lost patience.
    hear.send(()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(b.words(), ["HEADERS", "ABORT", "DONE"]);

    place.set("idle-timeout", "\"1s\"");
    let b = Receiver::start(&place.identity("b.test"), |_, mut peer| {
        accept(&mut peer);
        let _ = peer.command();
        while peer.try_send(b"+ alive\n").is_ok() {
            // This is the slowness that is tested.
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    place.a.knows("b.test", b.address);
    let begin = Instant::now();
    place.send(&[&letter[..], &letter].concat()).is(
        1,
        &[
            "FAIL bob@b.test ",
            "FAIL bob@b.test ",
            "FAIL carol@c.test ",
            "FAIL carol@c.test ",
        ],
    );
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!((b.connections(), c.connections()), (2, 2));
}
