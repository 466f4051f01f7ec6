//! STORE, and what else brings octets with it.

use std::io::Cursor;

use super::*;

/// A message of two parts, and its digest.
fn letter() -> (String, MessageDigest) {
    let mut post = Post::default();
    let digest = post.add("7", "Sent to Alice.", b"a picture");
    let octets = [&post.messages[0].1, &post.attachments[0].1[..]].concat();
    (String::from_utf8(octets).unwrap(), digest)
}

#[test]
fn a_message_is_stored_however_it_comes() {
    let (letter, digest) = letter();
    let post = Post::default();
    let length = letter.len();
    let input = format!(
        "{IN}STORE inbox {length}\n{letter}FOLDERS\nSYNC inbox - list\nSTORE inbox {length}\n{letter}"
    );
    for chunk in [1, 2, 7, usize::MAX] {
        let (out, end) = session(&post, input.as_bytes(), chunk, Ending::Close);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[1], format!("OK {digest}"));
        assert!(lines[2].starts_with("+ inbox 1 1 999 "), "{out}");
        assert!(lines[4].starts_with(&format!("+ add {digest} ")), "{out}");
        assert_eq!(lines[6], format!("OK {digest}"));
        assert_eq!(lines.len(), 7);
        assert!(matches!(end, End::Done), "{end:?}");
    }
}

#[test]
fn what_is_no_message_is_read_and_refused() {
    let (letter, digest) = letter();
    let longer = format!("{letter}x");
    let shorter = &letter[..letter.len() - 1];
    let other = letter.replace("a picture", "no pictur");
    let long_line = format!("ima: 1\nfrom: {}", "x".repeat(2 << 20));
    let post = Post::default();
    for (octets, reason) in [
        ("", "not a valid message: "),
        ("\n\n", "not a valid message: "),
        ("From: alice@a.test\n\nHello", "not a valid message: "),
        (&longer, "not a valid message: its header block announces "),
        (shorter, "not a valid message: its header block announces "),
        (&other, "the octets of part 2"),
        (&long_line, "not a valid message: "),
    ] {
        for chunk in [11, usize::MAX] {
            let input = format!(
                "{IN}STORE inbox {}\n{octets}STORE nothing {}\n{letter}STORE inbox {}\n{letter}",
                octets.len(),
                letter.len(),
                letter.len()
            );
            let (out, end) = session(&post, input.as_bytes(), chunk, Ending::Close);
            let lines: Vec<&str> = out.lines().collect();
            let refusal = lines[1].strip_prefix("FAIL ").unwrap();
            assert!(refusal.starts_with(reason), "{refusal}");
            assert_eq!(lines[2], "FAIL no such folder");
            assert_eq!(lines[3], format!("OK {digest}"));
            assert!(matches!(end, End::Done), "{end:?}");
        }
    }
}

#[test]
fn too_large_is_refused_and_far_too_large_is_an_error() {
    let (letter, _) = letter();
    let post = Post::default();
    let limits = Limits {
        max_message: letter.len() as u64 - 1,
        ..Limits::default()
    };
    let run = |input: String, ending| {
        let input = format!("{IN}{input}");
        limited(&post, input.as_bytes(), usize::MAX, ending, limits)
    };
    let (out, _) = run(
        format!("STORE inbox {}\n{letter}CREATE archive\n", letter.len()),
        Ending::Close,
    );
    let most = letter.len() - 1;
    assert_eq!(
        out,
        format!("OK\nFAIL too large: a message has at most {most} octets here\nOK\n")
    );
    for octets in [(4_u64 << 30) + 1, (1 << 63) - 1] {
        let (out, end) = run(format!("STORE inbox {octets}\nabc"), Ending::Silence);
        let error = format!("a message has at most {most} octets here");
        assert_eq!(out, format!("OK\nERROR {error}\n"));
        assert!(matches!(end, End::Error(_)), "{end:?}");
    }
    assert!(
        !post
            .calls
            .borrow()
            .iter()
            .any(|call| call.starts_with("store"))
    );
}

#[test]
fn what_does_not_come_whole_is_not_stored() {
    let (letter, _) = letter();
    let post = Post::default();
    let input = format!("{IN}STORE inbox {}\n{letter}", letter.len());
    let whole = input.len();
    for cut in whole - letter.len()..whole {
        for (ending, answers) in [
            (Ending::Close, "OK\n"),
            (Ending::Cut, "OK\n"),
            (
                Ending::Silence,
                "OK\nERROR the octets did not come in time\n",
            ),
        ] {
            let (out, end) = session(&post, &input.as_bytes()[..cut], 100, ending);
            assert_eq!(out, answers, "{cut}");
            assert!(matches!(end, End::Broken(_)), "{end:?}");
        }
    }
}

#[test]
fn octets_that_trickle_buy_no_time() {
    let (letter, _) = letter();
    let post = Post::default();
    let limits = Limits {
        message: Duration::ZERO,
        ..Limits::default()
    };
    let input = format!("{IN}STORE inbox {}\n{letter}", letter.len());
    let (out, end) = limited(&post, input.as_bytes(), 1, Ending::Close, limits);
    assert_eq!(out, "OK\nERROR the octets did not come in time\n");
    assert!(matches!(end, End::Broken(WireError::TimedOut)), "{end:?}");
}

#[test]
fn a_fault_of_ours_is_no_refusal() {
    let (letter, _) = letter();
    let post = Post {
        broken: true,
        ..Post::default()
    };
    let input = format!("{IN}STORE inbox {}\n{letter}FOLDERS\n", letter.len());
    let (out, end) = session(&post, input.as_bytes(), usize::MAX, Ending::Close);
    assert_eq!(out, "OK\nERROR a fault here; try again later\n");
    assert!(matches!(end, End::Fault), "{end:?}");
}

#[test]
fn a_client_stores() {
    let (letter, digest) = letter();
    let answers = format!("OK {digest}\nOK\nFAIL the mailbox has a quota\n");
    let mut channel = Memory::new(answers).in_chunks(3);
    let mut client = Client::new(&mut channel, Times::default());
    let (sent, inbox) = ("sent".parse().unwrap(), "inbox".parse().unwrap());
    let octets = letter.len() as u64;
    client
        .ask_store(&sent, octets, &mut Cursor::new(&letter))
        .unwrap();
    client.ask_delete(&inbox, digest).unwrap();
    client
        .ask_store(&sent, octets, &mut Cursor::new(&letter))
        .unwrap();
    assert_eq!(client.stored().unwrap(), Stored::Stored(digest));
    assert_eq!(client.acknowledged().unwrap(), Answer::Whole);
    assert_eq!(
        client.stored().unwrap(),
        Stored::Refused("the mailbox has a quota".into())
    );
    client.done().unwrap();
    assert_eq!(
        String::from_utf8_lossy(channel.output()),
        format!(
            "STORE sent {octets}\n{letter}DELETE inbox {digest}\nSTORE sent {octets}\n{letter}DONE\n"
        )
    );
}

#[test]
fn a_client_does_not_store_while_the_server_may_be_stuck() {
    let (letter, digest) = letter();
    let mut client = Client::new(Memory::new(""), Times::default());
    let inbox: FolderName = "inbox".parse().unwrap();
    client.ask_message(&inbox, digest, 1000).unwrap();
    let error = client
        .ask_store(&inbox, letter.len() as u64, &mut Cursor::new(&letter))
        .unwrap_err();
    assert!(matches!(error, ClientError::Unread), "{error}");
    assert_eq!(client.outstanding(), 1);
}

#[test]
fn a_source_that_ends_early_ends_the_session() {
    let (letter, _) = letter();
    let mut client = Client::new(Memory::new(""), Times::default());
    let inbox: FolderName = "inbox".parse().unwrap();
    let error = client
        .ask_store(&inbox, letter.len() as u64 + 1, &mut Cursor::new(&letter))
        .unwrap_err();
    assert!(matches!(error, ClientError::Source(_)), "{error}");
    assert!(!error.is_breach());
}

/// A server that says something and takes no more.
struct Stuck(Memory);

impl std::io::Read for Stuck {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }
}
impl std::io::Write for Stuck {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
impl crate::framing::Channel for Stuck {
    fn set_deadline(&mut self, _at: std::time::Instant) {}
    fn has_buffered(&mut self) -> bool {
        false
    }
    fn wait(
        &mut self,
        wake: Option<std::os::fd::BorrowedFd<'_>>,
        at: std::time::Instant,
    ) -> std::io::Result<crate::framing::Woken> {
        self.0.wait(wake, at)
    }
    fn close(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_client_hears_why_the_server_takes_no_more() {
    let inbox: FolderName = "inbox".parse().unwrap();
    for (said, heard) in [
        (
            "ERROR a fault here\n",
            "the server ended the session: a fault here",
        ),
        (
            "+ alive\nERROR full\n",
            "the server ended the session: full",
        ),
        ("", "the connection failed: broken pipe"),
        ("nonsense\n", "the connection failed: broken pipe"),
    ] {
        let mut client = Client::new(Stuck(Memory::new(said)), Times::default());
        let error = client
            .ask_store(&inbox, 100_000, &mut Cursor::new(vec![0; 100_000]))
            .unwrap_err();
        assert_eq!(error.to_string(), heard);
    }
}

/// A change, and what came with it.
type Told = (String, Option<String>);

/// What a client makes of an answer to SYNC in a mode.
fn synced(answer: &str, mode: SyncMode) -> (Result<Synced, ClientError>, Vec<Told>) {
    let inbox: FolderName = "inbox".parse().unwrap();
    let mut client = Client::new(Memory::new(answer).in_chunks(5), Times::default());
    client.ask_sync(&inbox, None, mode).unwrap();
    let mut told = Vec::new();
    let synced = take(&mut client, &mut told);
    // Where blocks are held whole, they are the same.
    let mut client = Client::new(Memory::new(answer).in_chunks(7), Times::default());
    client.ask_sync(&inbox, None, mode).unwrap();
    let mut held = Vec::new();
    let outcome = client.sync_answer(&mut |change, block| {
        let block = block.map(|block| String::from_utf8(block.to_vec()).unwrap());
        held.push((change.entry.to_string(), block));
    });
    if mode == SyncMode::Messages {
        assert!(matches!(outcome, Err(ClientError::NotNext)));
    } else {
        assert_eq!(format!("{outcome:?}"), format!("{synced:?}"));
        assert_eq!(held, told);
    }
    (synced, told)
}

/// Takes an answer change by change; none of a block that does not come whole.
fn take(client: &mut Client<Memory>, told: &mut Vec<Told>) -> Result<Synced, ClientError> {
    let mut syncing = client.begin_sync()?;
    loop {
        let (change, octets) = match client.next_change(&mut syncing)? {
            Next::Change(change, octets) => (change, octets),
            Next::End(synced) => return Ok(synced),
        };
        let mut block = Vec::new();
        if let Some(octets) = octets {
            if octets > 0 {
                let early = client.next_change(&mut syncing);
                assert!(matches!(early, Err(ClientError::NotNext)));
            }
            let sink = &mut |some: &[u8]| {
                block.extend_from_slice(some);
                Ok::<(), WireError>(())
            };
            let taken = client.sync_octets(&mut syncing, sink);
            taken.map_err(|error| match error {
                SinkError::Client(error) => error,
                SinkError::Sink(error) => error.into(),
            })?;
            assert_eq!(block.len() as u64, octets);
        }
        let block = octets.map(|_| String::from_utf8(block).unwrap());
        told.push((change.entry.to_string(), block));
    }
}

#[test]
fn a_client_takes_what_comes_with_changes() {
    let mut post = Post::default();
    let first = post.add("1", "Lunch?", b"");
    post.note(&format!("flag {first} +seen"));
    let second = post.add("2", "Dinner?", b"");
    post.note(&format!("del {}", "ab".repeat(32)));
    let message = |digest| {
        let found = post.messages.iter().find(|(known, _)| *known == digest);
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    };
    let header = |digest| {
        let octets = message(digest);
        octets[..octets.find("\n\n").unwrap() + 2].to_owned()
    };
    for (word, mode) in [
        ("list", SyncMode::List),
        ("headers", SyncMode::Headers),
        ("messages", SyncMode::Messages),
    ] {
        let answer = said(&post, &format!("{IN}SYNC inbox - {word}\n"));
        let (synced, told) = synced(answer.strip_prefix("OK\n").unwrap(), mode);
        assert_eq!(synced.unwrap(), Synced::Upto(post.end()));
        let blocks: Vec<Option<String>> = told.iter().map(|(_, block)| block.clone()).collect();
        let expected = match mode {
            SyncMode::List => [None, None, None, None],
            SyncMode::Headers => [Some(header(first)), None, Some(header(second)), None],
            SyncMode::Messages => [Some(message(first)), None, Some(message(second)), None],
        };
        assert_eq!(blocks, expected);
    }
}

#[test]
fn blocks_that_do_not_belong_there_are_breaches() {
    let add = format!(
        "+ add {} 2026-11-22T09:30:02Z 9 6f0c9a1b2d3e4f50.148\n",
        "ab".repeat(32)
    );
    let end = "OK 6f0c9a1b2d3e4f50.148\n";
    for (mode, answer) in [
        (SyncMode::List, format!("{add}+ header 3\nabc{end}")),
        (SyncMode::Headers, format!("{add}{end}")),
        (SyncMode::Headers, format!("{add}{add}{end}")),
        (SyncMode::Headers, format!("{add}+ message 3\nabc{end}")),
        (SyncMode::Headers, format!("{add}+ header 1048577\n")),
        (
            SyncMode::Headers,
            format!("{add}+ header 9223372036854775807\n"),
        ),
        (SyncMode::Messages, format!("{add}+ header 3\nabc{end}")),
        (SyncMode::Messages, format!("{add}+ message 4194305\n")),
        (
            SyncMode::Messages,
            format!("{}+ message 4194306\n", add.replace("Z 9 ", "Z 4194305 ")),
        ),
        (SyncMode::Headers, format!("+ header 3\nabc{end}")),
        (SyncMode::List, "+ changed inbox\n".to_owned()),
    ] {
        let error = synced(&answer, mode).0.unwrap_err();
        assert!(error.is_breach(), "{answer:.200}: {error}");
    }
    // A connection that ends within a block breaks no rule.
    let (cut, told) = synced(&format!("{add}+ header 3\nab"), SyncMode::Headers);
    assert!(!cut.unwrap_err().is_breach());
    assert!(told.is_empty());
}

#[test]
fn a_mailbox_is_opened_in_one_round_trip() {
    let mut post = Post::default();
    post.add("1", "x", b"");
    let bob = Address::parse("bob@b.test").unwrap();
    let input = "LOGIN bob@b.test PASSWORD 11\nopen sesameFOLDERS\n";
    let answers = said(&post, input);
    let mut channel = Memory::new(answers.as_bytes());
    let mut client = Client::new(&mut channel, Times::default());
    let opened = client.open_by_password(&bob, b"open sesame").unwrap();
    assert_eq!(opened, Some(post.folders().unwrap()));
    drop(client);
    assert_eq!(channel.output(), input.as_bytes());
    // What a server says to whom it does not let in.
    let refused = said(&post, "LOGIN bob@b.test PASSWORD 1\nxFOLDERS\n");
    assert_eq!(refused, "FAIL\nERROR LOGIN comes first\n");
    let mut client = Client::new(Memory::new(refused.as_str()), Times::default());
    assert_eq!(client.open_by_certificate(&bob).unwrap(), None);
    let mut client = Client::new(Memory::new("FAIL\n"), Times::default());
    assert_eq!(client.open_by_certificate(&bob).unwrap(), None);
    let busy = "ERROR too many failed logins; try again later\n";
    let mut client = Client::new(Memory::new(busy), Times::default());
    assert!(matches!(
        client.open_by_certificate(&bob),
        Err(ClientError::Ended(_))
    ));
}
