//! The question about the next message goes ahead of the answer to the data.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::mpsc::sync_channel;

use super::{Place, Sent};
use crate::peer::{Cut, Peer, Receiver, follow};
use crate::site::{code, letter, letter_with, stderr, stdout};

fn stream(recipients: &[&str], count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|number| letter(recipients, &format!("{number}\n")))
        .collect()
}

/// Takes messages; the data are answered only when the next question is here.
fn waits_for_the_next(count: usize) -> impl Fn(usize, Peer) + Send + Sync {
    move |_, mut peer| {
        assert_eq!(peer.command().unwrap().word(), "HEADERS");
        for turn in 1..=count {
            peer.say("ACCEPT");
            assert_eq!(peer.command().unwrap().word(), "DATA");
            if turn < count {
                assert_eq!(peer.command().unwrap().word(), "HEADERS");
            }
            peer.say("OK");
        }
        follow(peer, |_, peer| peer.say("ERROR"));
    }
}

#[test]
fn headers_follow_data_without_the_answer() {
    let place = Place::new();
    let recipients = ["bob@b.test", "carol@c.test"];
    let hosts = ["b.test", "c.test"].map(|host| {
        let receiver = Receiver::start(&place.identity(host), waits_for_the_next(20));
        place.a.knows(host, receiver.address);
        receiver
    });
    let sent = place.send(&stream(&recipients, 20));
    let lines = [["OK bob@b.test"; 20], ["OK carol@c.test"; 20]].concat();
    sent.is(0, &lines);
    assert_eq!(sent.said, "");
    for host in hosts {
        assert_eq!(host.connections(), 1);
        let wanted: Vec<String> = (0..20).map(|number| format!("{number}\n")).collect();
        let data = host.octets("DATA").into_iter();
        let data: Vec<String> = data.map(|data| String::from_utf8(data).unwrap()).collect();
        assert_eq!(data, wanted);
    }
}

#[test]
fn headers_of_a_message_that_comes_while_another_is_under_way_follow_at_once() {
    let place = Place::new();
    let (told, tell) = sync_channel(1);
    let b = Receiver::start(&place.identity("b.test"), move |_, mut peer| {
        assert_eq!(peer.command().unwrap().word(), "HEADERS");
        peer.say("ACCEPT");
        assert_eq!(peer.command().unwrap().word(), "DATA");
        // Only now the second message is written.
        told.send(()).unwrap();
        assert_eq!(peer.command().unwrap().word(), "HEADERS");
        peer.say("+ OK bob@b.test");
        peer.say("OK");
        peer.say("ACCEPT");
        follow(peer, |_, peer| peer.say("OK"));
    });
    place.a.knows("b.test", b.address);
    let mut child = place
        .a
        .command("server-send-mail")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&stream(&["bob@b.test"], 1)).unwrap();
    tell.recv().unwrap();
    stdin.write_all(&stream(&["bob@b.test"], 1)).unwrap();
    drop(stdin);
    Sent::of(&child.wait_with_output().unwrap()).is(0, &["OK bob@b.test"; 2]);
    assert_eq!(b.words(), ["HEADERS", "DATA", "HEADERS", "DATA", "DONE"]);
}

#[test]
fn headers_follow_abort_without_the_answer() {
    let place = Place::new();
    let c = place.answering("c.test", "REJECT policy no", "OK");
    let b = Receiver::start(&place.identity("b.test"), |_, mut peer| {
        assert_eq!(peer.command().unwrap().word(), "HEADERS");
        for turn in 0..3 {
            peer.say("ACCEPT");
            assert_eq!(peer.command().unwrap().word(), "ABORT");
            if turn < 2 {
                assert_eq!(peer.command().unwrap().word(), "HEADERS");
            }
            peer.say("OK");
        }
        follow(peer, |_, peer| peer.say("ERROR"));
    });
    place.a.knows("b.test", b.address);
    let sent = place.send(&stream(&["bob@b.test", "carol@c.test"], 3));
    sent.is(
        1,
        &[["FAIL bob@b.test "; 3], ["FAIL carol@c.test "; 3]].concat(),
    );
    assert_eq!((b.connections(), c.connections()), (1, 1));
}

#[test]
fn a_long_header_block_is_asked_about_in_its_turn() {
    let place = Place::new();
    let long: Vec<String> = (0..600).map(|n| format!("reader{n}@b.test Long")).collect();
    let options: Vec<&str> = long.iter().flat_map(|name| ["--cc", name]).collect();
    let long = letter_with(&["bob@b.test"], "long\n", &options);
    let b = Receiver::start(&place.identity("b.test"), |_, peer| {
        follow(peer, |said, peer| match said.word() {
            "HEADERS" => peer.say("ACCEPT"),
            // Nobody may be kept from reading these.
            _ => {
                let line = format!("+ {}\n", "x".repeat(4000));
                peer.send(&[line.repeat(400).as_bytes(), b"OK\n"].concat());
            }
        });
    });
    place.a.knows("b.test", b.address);
    let stream = [&stream(&["bob@b.test"], 1)[..], &long, &long].concat();
    let sent = place.send(&stream);
    assert_eq!((sent.exit, sent.lines.len()), (0, 1 + 2 * 601), "{sent:?}");
    assert_eq!(b.connections(), 1);
}

#[test]
fn three_hosts_of_which_one_refuses_the_second_of_three_messages() {
    let place = Place::new();
    let takes = |host: &str| place.taking(host);
    let (b, d) = (takes("b.test"), takes("d.test"));
    let c = Receiver::start(&place.identity("c.test"), |_, peer| {
        let mut answers = ["ACCEPT", "REJECT policy not that one", "ACCEPT"].into_iter();
        follow(peer, |said, peer| match said.word() {
            "HEADERS" => peer.say(answers.next().unwrap()),
            _ => peer.say("OK"),
        });
    });
    place.a.knows("c.test", c.address);
    let three = ["bob@b.test", "carol@c.test", "dave@d.test"];
    let sent = place.a.send(&stream(&three, 3), &[]);
    assert_eq!(code(&sent), 2, "{}", stderr(&sent));
    let lines = stdout(&sent);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 9, "{lines:?}");
    for (turn, lines) in lines.chunks(3).enumerate() {
        let mut lines = lines.to_vec();
        lines.sort_unstable();
        let wanted = match turn {
            1 => [
                "FAIL bob@b.test not sent to anyone, since c.test refused",
                "FAIL carol@c.test policy not that one",
                "FAIL dave@d.test not sent to anyone, since c.test refused",
            ],
            _ => ["OK bob@b.test", "OK carol@c.test", "OK dave@d.test"],
        };
        assert_eq!(lines, wanted, "message {}", turn + 1);
    }
    for host in [&b, &d] {
        let wanted = [
            "HEADERS", "DATA", "HEADERS", "ABORT", "HEADERS", "DATA", "DONE",
        ];
        assert_eq!(host.words(), wanted);
    }
    assert_eq!(
        c.words(),
        ["HEADERS", "DATA", "HEADERS", "HEADERS", "DATA", "DONE"]
    );
    for host in [b, c, d] {
        assert_eq!(host.octets("DATA"), [b"0\n", b"2\n"]);
        assert_eq!(host.connections(), 1);
    }
}

#[test]
fn a_break_in_the_middle_defers_one_message_and_the_rest_take_a_new_connection() {
    for cut in [Cut::CloseNotify, Cut::Fin, Cut::Reset] {
        // Before and after the next question is read, and after a line.
        for point in 0..3 {
            let place = Place::new();
            let c = place.taking("c.test");
            let b = Receiver::start(&place.identity("b.test"), move |number, mut peer| {
                if number > 0 {
                    return follow(peer, |said, peer| match said.word() {
                        "HEADERS" => peer.say("ACCEPT"),
                        _ => peer.say("OK"),
                    });
                }
                for word in ["HEADERS", "DATA", "HEADERS", "DATA"] {
                    let said = peer.command().unwrap();
                    assert_eq!(said.word(), word);
                    match word {
                        "HEADERS" => peer.say("ACCEPT"),
                        _ if said.octets == b"0\n" => peer.say("OK"),
                        _ => {}
                    }
                }
                if point > 0 {
                    assert_eq!(peer.command().unwrap().word(), "HEADERS");
                }
                if point > 1 {
                    peer.say("+ OK bob@b.test");
                }
                peer.cut(cut);
            });
            place.a.knows("b.test", b.address);
            let recipients = ["bob@b.test", "bill@b.test", "carol@c.test"];
            let sent = place.a.send(&stream(&recipients, 4), &[]);
            assert_eq!(code(&sent), 2, "{}", stderr(&sent));
            let lines = stdout(&sent);
            let lines: Vec<&str> = lines.lines().collect();
            assert_eq!(lines.len(), 12, "{cut:?} {point}: {lines:?}");
            for (turn, lines) in lines.chunks(3).enumerate() {
                let mut lines = lines.to_vec();
                lines.sort_unstable();
                let words = lines.iter().map(|line| line.split(" - ").next().unwrap());
                let words: Vec<&str> = words.collect();
                let all = ["OK bill@b.test", "OK bob@b.test", "OK carol@c.test"];
                let none = ["DEFER bill@b.test", "DEFER bob@b.test", "OK carol@c.test"];
                let one = ["DEFER bill@b.test", "OK bob@b.test", "OK carol@c.test"];
                match (turn, point, cut) {
                    // A reset may overtake what was said before it.
                    (1, 2, Cut::Reset) => assert!(words == none || words == one, "{lines:?}"),
                    (1, 2, _) => assert_eq!(words, one, "{cut:?}"),
                    (1, ..) => assert_eq!(words, none, "{cut:?} {point}"),
                    _ => assert_eq!(words, all, "{cut:?} {point}"),
                }
            }
            assert_eq!(
                (b.connections(), c.connections()),
                (2, 1),
                "{cut:?} {point}"
            );
            assert_eq!(b.octets("DATA"), [b"0\n", b"1\n", b"2\n", b"3\n"]);
        }
    }
}

#[test]
fn a_server_that_takes_so_many_messages_and_no_more_is_dialled_again() {
    let place = Place::new();
    // Where the question is, an error; and at once behind the answer, an end.
    let goodbyes: [fn(&mut Peer); 2] = [
        |peer| peer.say("ERROR 3 messages are the most on one connection; open another"),
        |_| {},
    ];
    for goodbye in goodbyes {
        let b = Receiver::start(&place.identity("b.test"), move |_, mut peer| {
            for turn in 0..7 {
                match peer.command() {
                    Ok(said) if said.word() == "DONE" => break,
                    Ok(_) if turn == 6 => goodbye(&mut peer),
                    Ok(said) if said.word() == "HEADERS" => peer.say("ACCEPT"),
                    Ok(_) => peer.say("OK"),
                    Err(_) => break,
                }
            }
            peer.close();
        });
        place.a.knows("b.test", b.address);
        place
            .send(&stream(&["bob@b.test"], 10))
            .is(0, &["OK bob@b.test"; 10]);
        assert_eq!(b.connections(), 4);
        assert_eq!(b.octets("DATA").len(), 10);
    }
}

#[test]
fn a_peer_that_answers_out_of_turn_is_believed_nothing() {
    let place = Place::new();
    let answers = [
        // The next question first; an error in its place; an answer of no kind.
        "ACCEPT\nOK",
        "ERROR one at a time",
        "+ OK bob@b.test\nACCEPT",
        "REJECT policy no\nOK\nACCEPT",
    ];
    for answer in answers {
        let b = Receiver::start(&place.identity("b.test"), move |number, mut peer| {
            if number == 0 {
                assert_eq!(peer.command().unwrap().word(), "HEADERS");
                peer.say("ACCEPT");
                assert_eq!(peer.command().unwrap().word(), "DATA");
                assert_eq!(peer.command().unwrap().word(), "HEADERS");
                peer.say(answer);
            }
            follow(peer, |said, peer| match said.word() {
                "HEADERS" => peer.say("ACCEPT"),
                _ => peer.say("OK"),
            });
        });
        place.a.knows("b.test", b.address);
        let sent = place
            .a
            .send(&stream(&["bob@b.test", "bill@b.test"], 3), &[]);
        assert_eq!(code(&sent), 2, "{answer}: {}", stderr(&sent));
        let lines = stdout(&sent);
        let lines: Vec<&str> = lines.lines().collect();
        let first = match answer.starts_with('+') {
            true => "OK bob@b.test",
            false => "DEFER bob@b.test - ",
        };
        assert!(lines[..2].iter().any(|line| line.starts_with(first)));
        assert!(
            (lines[..2].iter()).any(|line| line.starts_with("DEFER bill@b.test - 60 ")),
            "{answer}: {lines:?}"
        );
        let rest = ["OK bob@b.test", "OK bill@b.test"].repeat(2);
        assert_eq!(lines[2..], rest, "{answer}");
        assert_eq!(b.connections(), 2, "{answer}");
    }
}

#[test]
fn what_a_host_says_of_one_message_is_nothing_for_the_next() {
    let place = Place::new();
    let b = Receiver::start(&place.identity("b.test"), |_, mut peer| {
        assert_eq!(peer.command().unwrap().word(), "HEADERS");
        peer.say("ACCEPT");
        assert_eq!(peer.command().unwrap().word(), "DATA");
        assert_eq!(peer.command().unwrap().word(), "HEADERS");
        peer.say("+ FAIL bob@b.test the box is full\nPARTIAL\nACCEPT");
        assert_eq!(peer.command().unwrap().word(), "DATA");
        peer.say("OK");
        follow(peer, |_, peer| peer.say("ERROR"));
    });
    place.a.knows("b.test", b.address);
    let sent = place.a.send(&stream(&["bob@b.test"], 2), &["--number"]);
    assert_eq!(code(&sent), 2, "{}", stderr(&sent));
    assert_eq!(
        stdout(&sent),
        "1 FAIL bob@b.test the box is full\n2 OK bob@b.test\n"
    );
}
