//! What a user reads is what the mailbox holds, octet for octet.

use super::{Place, bob};
use crate::peer::{Caller, Ending, login};
use crate::post::PASSWORD;
use crate::site::letter_octets;

/// The octets of a file below bob's inbox that a line announced.
fn header_of(message: &[u8]) -> &[u8] {
    let end = message.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
    &message[..end]
}

#[test]
fn a_mailbox_is_read_as_it_is() {
    let place = Place::new();
    let picture: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let first = place.deliver("Hello\n", &[&picture, b"A note\n"]);
    let second = place.deliver("Hello again\n", &[]);
    let server = place.b.start_office();
    let mut caller = bob(&server);

    let journal = String::from_utf8(place.stored("journal")).unwrap();
    let mut lines = journal.lines();
    let generation = lines
        .next()
        .unwrap()
        .strip_prefix("ima-mailbox 1 ")
        .unwrap();
    let entries: Vec<&str> = lines.collect();
    let token = |entry: usize| {
        let octets: usize = entries[..=entry].iter().map(|line| line.len() + 1).sum();
        format!("{generation}.{}", 31 + octets)
    };
    let sizes: u64 = entries
        .iter()
        .map(|entry| entry.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(
        caller.lines("FOLDERS"),
        [format!("+ inbox 2 2 {sizes} {}", token(1)), "OK".to_owned()]
    );
    let add = |entry: usize| format!("+ {} {}", entries[entry], token(entry));
    assert_eq!(
        caller.lines("SYNC inbox - list"),
        [add(0), add(1), format!("OK {}", token(1))]
    );

    let stored = [&first, &second].map(|digest| place.stored(&format!("messages/{digest}")));
    let headers = caller.ask("SYNC inbox - headers");
    let messages = caller.ask("SYNC inbox - messages");
    for (number, stored) in stored.iter().enumerate() {
        let line = 2 * number;
        let header = header_of(stored);
        assert_eq!(headers[line].line, add(number));
        assert_eq!(headers[line + 1].line, format!("+ header {}", header.len()));
        assert_eq!(headers[line + 1].octets, header);
        assert_eq!(messages[line].line, add(number));
        assert_eq!(
            messages[line + 1].line,
            format!("+ message {}", stored.len())
        );
        assert_eq!(&messages[line + 1].octets, stored);
    }
    assert_eq!((headers.len(), messages.len()), (5, 5));
    assert_eq!(messages[4].line, format!("OK {}", token(1)));

    let fetched = caller.ask(&format!("FETCH inbox {first}"));
    assert_eq!(fetched[0].line, format!("+ message {}", stored[0].len()));
    assert_eq!((&fetched[0].octets, &*fetched[1].line), (&stored[0], "OK"));
    let attachments = place.names("attachments");
    assert_eq!(attachments.len(), 2);
    for digest in &attachments {
        let whole = place.stored(&format!("attachments/{digest}"));
        for from in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
            let part = caller.ask(&format!("PART inbox {digest} {from}"));
            let octets = &whole[from..];
            assert_eq!(
                part[0].line,
                format!("+ attachment {digest} {}", octets.len())
            );
            assert_eq!((&*part[0].octets, &*part[1].line), (octets, "OK"));
        }
        assert_eq!(
            caller.lines(&format!("PART inbox {digest} {}", whole.len() + 1)),
            ["FAIL the attachment is shorter than that"]
        );
    }
    // What came over the wire is the letter.
    let parts: Vec<u8> = place.b.message("bob", &first);
    assert!(letter_octets(&parts).ends_with(b"A note\n"));
}

#[test]
fn what_is_new_comes_alone() {
    let place = Place::new();
    place.deliver("one\n", &[]);
    let server = place.b.start_office();
    let mut caller = bob(&server);
    let before = caller.lines("SYNC inbox - list");
    let token = before[1].strip_prefix("OK ").unwrap();
    assert_eq!(before[0].rsplit_once(' ').unwrap().1, token);
    assert_eq!(
        caller.lines(&format!("SYNC inbox {token} messages")),
        [format!("OK {token}")]
    );

    // It arrives while the session lasts.
    let second = place.deliver("two\n", &[]);
    let after = caller.ask(&format!("SYNC inbox {token} messages"));
    assert_eq!(after.len(), 3);
    assert!(after[0].line.starts_with(&format!("+ add {second} ")));
    assert_eq!(after[1].octets, place.stored(&format!("messages/{second}")));
    let now = after[2].line.strip_prefix("OK ").unwrap();

    let (generation, offset) = now.split_once('.').unwrap();
    for nonsense in [
        format!("{:016x}.{offset}", 1),
        format!("{generation}.{}", offset.parse::<u64>().unwrap() + 1),
        format!("{generation}.32"),
        format!("{generation}.0"),
    ] {
        assert_eq!(
            caller.lines(&format!("SYNC inbox {nonsense} list")),
            [format!("RESET {now}")],
            "{nonsense}"
        );
    }
}

#[test]
fn the_summary_is_kept_by_a_session_too() {
    let place = Place::new();
    place.deliver("one\n", &[]);
    let server = place.b.start_office();
    let told = bob(&server).lines("FOLDERS");
    let summary = String::from_utf8(place.stored("summary")).unwrap();
    let words: Vec<&str> = told[0].split(' ').collect();
    assert_eq!(
        summary,
        format!(
            "ima-mailbox-summary 1 {} {} {} {}\n",
            words[5], words[2], words[3], words[4]
        )
    );
}

#[test]
fn any_split_of_the_same_octets_gives_the_same() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[b"attached\n"]);
    let attachment = place.names("attachments").pop().unwrap();
    let server = place.b.start_office();
    let octets = [
        login("bob@b.test", PASSWORD),
        format!(
            "FOLDERS\nSYNC inbox - messages\nSYNC inbox - headers\nSYNC .. - list\n\
             FETCH inbox {digest}\nPART inbox {attachment} 3\nDONE\n"
        )
        .into_bytes(),
    ]
    .concat();
    let mut whole = None;
    for (record, segment) in [
        (16 << 10, usize::MAX),
        (1, 1),
        (3, 2),
        (50, 7),
        (16 << 10, 1),
    ] {
        let mut caller = Caller::dial(server.address, None);
        caller.set_pieces(record, segment);
        caller.send(&octets);
        let (said, ending) = caller.rest();
        assert_eq!(ending, Ending::Proper);
        assert!(said.ends_with("ached\nOK\n"), "{said}");
        assert_eq!(
            whole.get_or_insert_with(|| said.clone()),
            &said,
            "{record} {segment}"
        );
    }
}

#[test]
fn questions_are_answered_in_their_order_without_waiting() {
    let place = Place::new();
    let digests: Vec<String> = (0..20)
        .map(|n| place.deliver(&format!("{n}\n"), &[]))
        .collect();
    let server = place.b.start_office();
    let mut caller = bob(&server);
    for digest in &digests {
        caller.say(&format!("FETCH inbox {digest}"));
    }
    for digest in &digests {
        let told = caller.told();
        assert_eq!(told[0].octets, place.stored(&format!("messages/{digest}")));
    }
}
