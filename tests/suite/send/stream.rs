//! Many messages in one stream, and in many files.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};

use super::{Place, Sent};
use crate::peer::{Receiver, Relay, split};
use crate::site::{Host, Server, code, feed, letter, letter_octets, letter_with, stderr, stdout};

/// Letters to bob@b.test, whose texts are their numbers from 0.
fn letters(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| letter(&["bob@b.test"], &format!("{number}\n")))
        .collect()
}

fn texts(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| format!("{number}\n").into_bytes())
        .collect()
}

/// The server of b.test, with a counted way to it.
fn real(place: &Place) -> (Host, Server, Relay) {
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    let relay = Relay::to(server.address);
    place.a.knows("b.test", relay.address);
    (b, server, relay)
}

#[test]
fn a_hundred_messages_in_a_stream_and_as_files_take_one_connection_each_time() {
    let place = Place::new();
    let letters = letters(100);
    let stream = letters.concat();
    let files: Vec<String> = (0..100)
        .map(|number| {
            let path = place.site.path().join(format!("{number}.ima"));
            fs::write(&path, &letters[number]).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    for (stdin, files) in [(&stream[..], &[][..]), (b"", &files[..])] {
        let place = Place::new();
        let (b, server, relay) = real(&place);
        let sent = Sent::of(&place.a.send(stdin, files));
        sent.is(0, &["OK bob@b.test"; 100]);
        assert_eq!(sent.said, "");
        server.log.wait_for_count("event=connected", 1);
        let stored = b.messages("bob");
        assert_eq!(stored.len(), 100);
        // In their order, and octet for octet.
        for (digest, letter) in stored.iter().zip(&letters) {
            assert!(letter_octets(&b.message("bob", digest)) == letter_octets(letter));
        }
        // Each message once, and little besides: a handshake, two lines and the
        // records of TLS for each.
        let octets = stream.len() as u64;
        assert!(
            (octets..octets + 100 * 100 + (8 << 10)).contains(&relay.octets()),
            "{} octets for {octets}",
            relay.octets()
        );
    }
}

#[test]
fn a_connection_says_exactly_the_messages_one_behind_the_other() {
    let place = Place::new();
    let b = place.taking("b.test");
    let letters = letters(3);
    let sent = place.send(&letters.concat());
    sent.is(0, &["OK bob@b.test"; 3]);
    let blocks: Vec<Vec<u8>> = letters.iter().map(|l| split(l).0.to_vec()).collect();
    assert_eq!(b.octets("HEADERS"), blocks);
    assert_eq!(b.octets("DATA"), texts(3));
    let wanted: Vec<String> = letters
        .iter()
        .flat_map(|letter| {
            let (block, data) = split(letter);
            [
                format!("HEADERS {}", block.len()),
                format!("DATA {}", data.len()),
            ]
        })
        .chain(["DONE".to_owned()])
        .collect();
    assert_eq!(b.lines(), wanted);
    assert_eq!(b.connections(), 1);
}

#[test]
fn parts_hold_whatever_they_like() {
    let place = Place::new();
    let b = place.taking("b.test");
    // A message within a message, and one whose data are on disk while it waits.
    let inner = letter(&["carol@c.test"], "inner\n");
    let file = place.site.path().join("inner.ima");
    fs::write(&file, &inner).unwrap();
    let large = "x".repeat(1 << 20);
    let stream = [
        letter_with(
            &["bob@b.test"],
            "outer\n",
            &["--attach", file.to_str().unwrap()],
        ),
        letter(&["bob@b.test"], &large),
        letter(&["bob@b.test"], ""),
        letter(&["bob@b.test"], "last\n"),
    ]
    .concat();
    let data = [
        [b"outer\n", &inner[..]].concat(),
        large.into_bytes(),
        Vec::new(),
        b"last\n".to_vec(),
    ];
    place.send(&stream).is(0, &["OK bob@b.test"; 4]);
    assert!(b.octets("DATA") == data);

    // The same in place, and through a pipe that has a name.
    let path = place.site.path().join("all.ima");
    fs::write(&path, &stream).unwrap();
    let sent = Sent::of(&place.a.send(b"", &[path.to_str().unwrap()]));
    sent.is(0, &["OK bob@b.test"; 4]);
    let sent = Sent::of(&place.a.send(&stream, &["/dev/stdin"]));
    sent.is(0, &["OK bob@b.test"; 4]);
    assert!(b.octets("DATA") == [&data[..], &data, &data].concat());
    assert_eq!(b.connections(), 3);
}

#[test]
fn a_file_on_standard_input_is_read_from_where_it_stands() {
    let place = Place::new();
    let b = place.taking("b.test");
    let letters = letters(3);
    let path = place.site.path().join("all.ima");
    fs::write(&path, letters.concat()).unwrap();
    let mut file = File::open(&path).unwrap();
    file.seek(SeekFrom::Start(letters[0].len() as u64)).unwrap();
    let mut command = place.a.command("server-send-mail");
    let sent = Sent::of(&command.stdin(file).output().unwrap());
    sent.is(0, &["OK bob@b.test"; 2]);
    assert_eq!(b.octets("DATA"), &texts(3)[1..]);
}

#[test]
fn what_comes_before_a_broken_message_is_sent_and_nothing_behind_it() {
    let place = Place::new();
    let letters = letters(3);
    let [one, two, three] = &letters[..] else {
        unreachable!()
    };
    let (before, block) = (one.len() + two.len(), split(three).0.len());
    let second = one.len();
    let wrong = [&two[..two.len() - 1], b"?"].concat();
    let cases: [(Vec<u8>, usize, String, &str); 5] = [
        // Cut within a line, between two lines, and within the data.
        (
            letters.concat()[..before + 10].to_vec(),
            2,
            format!("message 3, which begins after {before} octets: not a valid message: line 2"),
            "",
        ),
        (
            letters.concat()[..before + block - 1].to_vec(),
            2,
            format!("message 3, which begins after {before} octets: not a valid message: line "),
            "an empty line ends the header block",
        ),
        (
            letters.concat()[..before + three.len() - 1].to_vec(),
            2,
            format!("message 3, which begins after {before} octets: not a valid message: "),
            "the data end 1 octets too early",
        ),
        // What follows is a good message, but who knows where it begins?
        (
            [one, &b"\n"[..], three].concat(),
            1,
            format!("message 2, which begins after {second} octets: not a valid message: line 1"),
            "",
        ),
        (
            [one, &wrong[..], three].concat(),
            1,
            format!("message 2, which begins after {second} octets: not a valid message: "),
            "the octets of part 1 do not match its digest",
        ),
    ];
    for (stream, good, place_of_fault, why) in cases {
        let b = place.taking("b.test");
        let sent = place.send(&stream);
        sent.is(2, &["OK bob@b.test"; 3][..good]);
        sent.explains(&format!("standard input, {place_of_fault}"));
        sent.explains(why);
        assert_eq!(b.octets("DATA"), texts(3)[..good]);
        // The next file is another matter.
        let path = place.site.path().join("next.ima");
        fs::write(&path, three).unwrap();
        let sent = Sent::of(&place.a.send(&stream, &["-", path.to_str().unwrap()]));
        sent.is(2, &["OK bob@b.test"; 3][..good + 1]);
    }

    // All refused, and the last for its form: trying again is of no use.
    place.answering("b.test", "REJECT policy no", "OK");
    let stream = [&letters[0][..], b"ima: 2\n"].concat();
    place.send(&stream).is(1, &["FAIL bob@b.test policy no"]);
    place.send(&letters[0]).is(1, &["FAIL bob@b.test "]);
}

#[test]
fn lines_come_in_the_order_of_the_messages_and_numbers_tell_them_apart() {
    let place = Place::new();
    let (b, c) = (place.taking("b.test"), place.taking("c.test"));
    place.answering(
        "d.test",
        "+ NORECIPIENT dave@d.test\nREJECT recipient no",
        "OK",
    );
    let stream = [
        letter(&["bob@b.test", "carol@c.test"], "1\n"),
        letter(&["dave@d.test", "bob@b.test"], "2\n"),
        letter(&["bob@b.test"], "3\n"),
        b"ima: 2\n".to_vec(),
    ]
    .concat();
    let path = place.site.path().join("five.ima");
    fs::write(&path, letter(&["carol@c.test"], "5\n")).unwrap();
    let path = path.to_str().unwrap();

    let sent = place.a.send(&stream, &["-", path]);
    assert_eq!(code(&sent), 2, "{}", stderr(&sent));
    let recipients: Vec<String> = stdout(&sent)
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap().to_owned())
        .collect();
    let [first, rest @ ..] = &recipients[..] else {
        unreachable!()
    };
    let mut one = [first, &rest[0]];
    one.sort();
    assert_eq!(one, ["bob@b.test", "carol@c.test"]);
    assert_eq!(
        rest[1..],
        ["dave@d.test", "bob@b.test", "bob@b.test", "carol@c.test"]
    );

    let sent = place.a.send(&stream, &["--number", "-", path]);
    let lines = stdout(&sent);
    let mut lines: Vec<&str> = lines.lines().collect();
    lines[..2].sort_unstable();
    assert_eq!(
        lines,
        [
            "1 OK bob@b.test",
            "1 OK carol@c.test",
            "2 FAIL dave@d.test no such recipient",
            "2 FAIL bob@b.test not sent to anyone, since d.test refused",
            "3 OK bob@b.test",
            "5 OK carol@c.test",
        ]
    );
    let said = stderr(&sent);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(
        said[..2],
        [
            "server-send-mail: message 2: d.test refused: recipient no",
            "server-send-mail: message 2: d.test says of dave@d.test: no such recipient",
        ]
    );
    assert!(
        said[2].starts_with("server-send-mail: message 4: standard input, message 4, "),
        "{said:?}"
    );
    assert_eq!((b.connections(), c.connections()), (2, 2));
}

#[test]
fn our_own_hosts_get_a_stream_too() {
    let place = Place::new();
    let a = place.site.host_in("with-alice", "a.test", &["alice"]);
    let b = Receiver::taking(&place.identity("b.test"));
    a.knows("b.test", b.address);
    let stream: Vec<u8> = (0..3)
        .flat_map(|n| letter(&["alice@a.test", "bob@b.test"], &format!("{n}\n")))
        .collect();
    let sent = Sent::of(&a.send(&stream, &[]));
    sent.is(
        0,
        &[&["OK alice@a.test"; 3][..], &["OK bob@b.test"; 3]].concat(),
    );
    assert_eq!(a.messages("alice").len(), 3);
    assert_eq!(b.octets("DATA"), texts(3));
    assert_eq!(b.connections(), 1);
}

#[test]
fn nothing_at_all_is_unfinished_wherever_it_stands() {
    let place = Place::new();
    let b = place.taking("b.test");
    place.send(b"").is(2, &[]).explains("the input is empty");
    let path = place.site.path().join("empty.ima");
    fs::write(&path, "").unwrap();
    let sent = Sent::of(
        &place
            .a
            .send(&letters(2).concat(), &["-", path.to_str().unwrap()]),
    );
    sent.is(2, &["OK bob@b.test"; 2])
        .explains("empty.ima: the input is empty");
    assert_eq!(b.octets("DATA"), texts(2));
    // A shell's list of none.
    let mut command = place.a.command("server-send-mail");
    command.arg("/dev/null");
    Sent::of(&feed(command, b"")).is(2, &[]);
}
