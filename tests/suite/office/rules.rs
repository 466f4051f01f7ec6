//! What breaks the protocol, and what is only not there.

use super::{Place, bob};
use crate::peer::{Caller, Cut, Ending};
use crate::site::wait_until;

#[test]
fn what_is_not_there_is_no_reason_to_close() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[b"attached\n"]);
    let attachment = place.names("attachments").pop().unwrap();
    let server = place.b.start_office();
    let mut caller = bob(&server);
    let long = "x".repeat(300);
    for folder in [
        "../x",
        ".",
        "..",
        "/etc",
        &long,
        "nothing",
        "inbox/messages",
        "-x",
        "e\u{301}",
    ] {
        for command in [
            format!("SYNC {folder} - list"),
            format!("SYNC {folder} - messages"),
            format!("FETCH {folder} {digest}"),
            format!("PART {folder} {attachment} 0"),
            format!("FLAG {folder} {digest} +seen"),
            format!("DELETE {folder} {digest}"),
            format!("MOVE {folder} {digest} inbox"),
            format!("MOVE inbox {digest} {folder}"),
            format!("REMOVE {folder}"),
            format!("WATCH {folder} 6f0c9a1b2d3e4f50.31"),
        ] {
            let answer = caller.lines(&command);
            assert_eq!(answer.len(), 1, "{command}");
            assert!(
                answer[0].starts_with("FAIL no such "),
                "{command}: {answer:?}"
            );
        }
    }
    for folder in ["../x", ".", "..", "/etc", &long, "inbox/messages", "-x"] {
        assert_eq!(
            caller.lines(&format!("CREATE {folder}")),
            ["FAIL no folder can have this name"]
        );
        caller.say(&format!("STORE {folder} 5"));
        caller.send(b"12345");
        assert_eq!(caller.line(), "FAIL no such folder");
    }
    let mut outside: Vec<_> = std::fs::read_dir(place.b.mailbox("bob"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    outside.sort();
    assert_eq!(outside, ["inbox"]);
    let other = "ab".repeat(32);
    assert_eq!(
        caller.lines(&format!("FETCH inbox {other}")),
        ["FAIL no such message"]
    );
    assert_eq!(
        caller.lines(&format!("FETCH inbox {attachment}")),
        ["FAIL no such message"]
    );
    assert_eq!(
        caller.lines(&format!("PART inbox {digest} 0")),
        ["FAIL no such attachment"]
    );
    assert_eq!(caller.lines("FOLDERS").len(), 2);
}

#[test]
fn what_breaks_the_grammar_is_the_end() {
    let place = Place::new();
    let server = place.b.start_office();
    for octets in [
        "0",
        "1025",
        "-1",
        "+5",
        "007",
        "1e3",
        "",
        "9223372036854775808",
    ] {
        let mut caller = Caller::dial(server.address, None);
        caller.say(&format!("LOGIN bob@b.test PASSWORD {octets}"));
        let (said, ending) = caller.rest();
        assert!(said.starts_with("ERROR LOGIN takes "), "{octets}: {said}");
        assert_eq!(
            (said.lines().count(), ending),
            (1, Ending::Proper),
            "{octets}"
        );
    }
    let digest = "ab".repeat(32);
    for (line, says) in [
        ("folders".to_owned(), "ERROR unknown command; known are "),
        (String::new(), "ERROR unknown command; known are "),
        ("HEADERS 5".to_owned(), "ERROR unknown command; known are "),
        ("FOLDERS all".to_owned(), "ERROR FOLDERS takes nothing"),
        ("SYNC inbox - everything".to_owned(), "ERROR SYNC takes "),
        ("SYNC inbox 1.1 list".to_owned(), "ERROR SYNC takes "),
        (
            format!("FETCH inbox {}", "x".repeat(64)),
            "ERROR FETCH takes ",
        ),
        (format!("PART inbox {digest} -1"), "ERROR PART takes "),
        (
            format!("PART inbox {digest} 9223372036854775808"),
            "ERROR PART takes ",
        ),
        (format!("FLAG inbox {digest}"), "ERROR FLAG takes "),
        (format!("FLAG inbox {digest} seen"), "ERROR FLAG takes "),
        (
            format!("FLAG inbox {digest}{}", " +x".repeat(65)),
            "ERROR FLAG takes ",
        ),
        (format!("MOVE inbox {digest}"), "ERROR MOVE takes "),
        (format!("DELETE {digest}"), "ERROR DELETE takes "),
        ("STORE inbox -1".to_owned(), "ERROR STORE takes "),
        ("STORE inbox +5".to_owned(), "ERROR STORE takes "),
        ("STORE inbox 007".to_owned(), "ERROR STORE takes "),
        ("STORE inbox 1e3".to_owned(), "ERROR STORE takes "),
        ("STORE inbox ".to_owned(), "ERROR STORE takes "),
        (
            "STORE inbox 9223372036854775808".to_owned(),
            "ERROR STORE takes ",
        ),
        (
            "STORE inbox 18446744073709551616".to_owned(),
            "ERROR STORE takes ",
        ),
        ("CREATE".to_owned(), "ERROR CREATE takes "),
        ("REMOVE a b".to_owned(), "ERROR REMOVE takes "),
        ("WATCH inbox".to_owned(), "ERROR WATCH takes "),
        ("x".repeat(4096), "ERROR "),
        ("SYNC in\tbox - list".to_owned(), "ERROR "),
    ] {
        let mut caller = bob(&server);
        caller.say(&line);
        let (said, ending) = caller.rest();
        assert!(said.starts_with(says), "{line:.80}: {said}");
        assert_eq!(
            (said.lines().count(), ending),
            (1, Ending::Proper),
            "{line:.80}"
        );
    }
    let mut caller = bob(&server);
    caller.send(b"SYNC \xff - list\n");
    assert!(caller.rest().0.starts_with("ERROR "));
}

#[test]
fn a_client_that_goes_away_anywhere_harms_nobody() {
    let place = Place::new();
    let big: Vec<u8> = vec![7; 4 << 20];
    place.deliver("Hello\n", &[&big]);
    let attachment = place.names("attachments").pop().unwrap();
    let server = place.b.start_office();
    let mut ends = 0;
    for cut in [Cut::CloseNotify, Cut::Fin, Cut::Reset] {
        for said in [
            String::new(),
            "LOG".to_owned(),
            "LOGIN bob@b.test PASSWORD 11\nopen".to_owned(),
            "LOGIN bob@b.test PASSWORD 11\nopen sesameSYNC inb".to_owned(),
            format!("LOGIN bob@b.test PASSWORD 11\nopen sesamePART inbox {attachment} 0\n"),
        ] {
            let mut caller = Caller::dial(server.address, None);
            caller.send(said.as_bytes());
            caller.into_peer().cut(cut);
            ends += 1;
        }
    }
    wait_until("all ends", || {
        server.log.text().matches("event=closed").count() == ends
    });
    assert_eq!(bob(&server).lines("FOLDERS").len(), 2);
}
