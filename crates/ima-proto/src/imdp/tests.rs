#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::io::{self, Write};

use ima_message::{Digester, Hostpart};

use super::*;
use crate::framing::{Ending, Memory};

mod sender;

const DATA: &[u8] = b"Noon at the usual place?\n";

fn header(lines: &str) -> Vec<u8> {
    let mut digester = Digester::new();
    digester.update(DATA);
    format!(
        "ima: 1\nfrom: alice@a.test\nto: bob@b.test\n{lines}date: 2026-11-22T09:30:00Z\nid: 1@a.test\npart: text/plain 25 sha256:{}\nsize: 25\n\n",
        digester.finish()
    )
    .into_bytes()
}

fn headers(block: &[u8]) -> Vec<u8> {
    [format!("HEADERS {}\n", block.len()).as_bytes(), block].concat()
}

/// `HEADERS` and `DATA` of one whole message.
fn message() -> Vec<u8> {
    [&headers(&header(""))[..], b"DATA 25\n", DATA].concat()
}

/// Speaks for a.test alone.
struct A;
impl SpeaksFor for A {
    fn speaks_for(&self, host: &Hostpart) -> bool {
        host.ascii() == "a.test"
    }
}

struct Script {
    check: fn(&Accepted, &mut dyn Say) -> Result<HeadersAnswer, Drop>,
    outcome: Outcome,
    full_disk: bool,
    checked: usize,
    delivered: Vec<Vec<u8>>,
    not_delivered: Vec<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            check: |_, _| Ok(HeadersAnswer::Accept),
            outcome: Ok(DataAnswer::Ok),
            full_disk: false,
            checked: 0,
            delivered: Vec::new(),
            not_delivered: Vec::new(),
        }
    }
}

struct Disk {
    full: bool,
    octets: Vec<u8>,
}
impl Write for Disk {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.octets.extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Service for Script {
    type Store = Disk;
    fn check(&mut self, message: &Accepted, say: &mut dyn Say) -> Result<HeadersAnswer, Drop> {
        self.checked += 1;
        (self.check)(message, say)
    }
    fn store(&mut self, _: &Accepted) -> io::Result<Disk> {
        Ok(Disk {
            full: self.full_disk,
            octets: Vec::new(),
        })
    }
    fn deliver(&mut self, message: &Accepted, data: Disk, say: &mut dyn Say) -> Outcome {
        self.delivered.push(data.octets);
        for recipient in message.header().recipients() {
            say.line(&format!("OK {recipient}"));
        }
        self.outcome
    }
    fn not_delivered(&mut self, _: &Accepted, why: &NotDelivered) {
        let line = format!("{}: {why}", why.answer());
        self.not_delivered.push(line);
    }
}

/// Runs a receiver over these octets; gives the end, what it said, and whether
/// it closed properly.
fn receive(script: &mut Script, channel: Memory) -> (End, String, bool) {
    receive_within(script, channel, &Limits::default())
}

fn receive_within(
    script: &mut Script,
    mut channel: Memory,
    limits: &Limits,
) -> (End, String, bool) {
    let end = Receiver::new(&mut channel, &A, limits, script).run();
    let said = String::from_utf8(channel.output().to_vec()).unwrap();
    (end, said, channel.is_closed())
}

fn talk(input: &[u8]) -> String {
    receive(&mut Script::default(), Memory::new(input)).1
}

#[test]
fn two_messages_however_they_are_split() {
    let unknown = header("to: nobody@b.test\n");
    let input = [&message()[..], &headers(&unknown), b"DONE\n"].concat();
    for chunk in [1, 2, 3, 7, 64, usize::MAX] {
        let mut script = Script {
            check: |message, say| {
                let recipients = message.header().recipients();
                match recipients
                    .iter()
                    .find(|address| address.localpart().mapped() == "nobody")
                {
                    None => Ok(HeadersAnswer::Accept),
                    Some(nobody) => {
                        say.line(&format!("NORECIPIENT {nobody}"));
                        Ok(HeadersAnswer::Reject(
                            Keyword::Recipient,
                            "no such mailbox".into(),
                        ))
                    }
                }
            },
            ..Script::default()
        };
        let (end, said, closed) = receive(&mut script, Memory::new(&*input).in_chunks(chunk));
        assert!(matches!(end, End::Done), "{end:?}");
        assert_eq!(
            said,
            "ACCEPT\n+ OK bob@b.test\nOK\n+ NORECIPIENT nobody@b.test\nREJECT recipient no such mailbox\n"
        );
        assert_eq!(script.delivered, [DATA]);
        assert!(closed);
    }
}

#[test]
fn no_handler_runs_for_a_message_that_is_cut_anywhere() {
    let whole = message();
    for length in 0..whole.len() {
        for ending in [Ending::Close, Ending::Cut, Ending::Silence] {
            let mut script = Script::default();
            let (end, ..) = receive(&mut script, Memory::new(&whole[..length]).ending(ending));
            assert!(script.delivered.is_empty(), "{length} {ending:?}");
            // A sender may go between two messages, and after ACCEPT.
            let between = length == 0 || length == headers(&header("")).len();
            let clean = between && ending == Ending::Close;
            assert_eq!(
                matches!(end, End::Done),
                clean,
                "{length} {ending:?} {end:?}"
            );
        }
    }
}

#[test]
fn what_breaks_the_grammar_or_the_order_is_told_and_closed() {
    let accepted = headers(&header(""));
    let long_line = vec![b'x'; 5000];
    let cases: [(&[u8], &str); 14] = [
        (b"HELO a.test\n", "unknown command"),
        (b"HEADERS -1\n", "HEADERS takes"),
        (b"HEADERS +5\n", "HEADERS takes"),
        (b"HEADERS 007\n", "HEADERS takes"),
        (b"HEADERS 1e3\n", "HEADERS takes"),
        (b"HEADERS \n", "HEADERS takes"),
        (b"HEADERS 9223372036854775808\n", "HEADERS takes"),
        (
            b"HEADERS 9223372036854775807\n",
            "a header block has at most 1040384 octets",
        ),
        (
            b"HEADERS 1040385\n",
            "a header block has at most 1040384 octets",
        ),
        (b"DATA 25\n", "out of order"),
        (b"ABORT\n", "out of order"),
        (b"DONE\r\n", "a command is a line of text"),
        (b"\xff\n", "a command is a line of text"),
        (&long_line, "a command is a line of text"),
    ];
    for (input, reason) in cases {
        let mut script = Script::default();
        let (end, said, closed) = receive(&mut script, Memory::new(input));
        assert!(matches!(end, End::Error(_)), "{end:?}");
        assert!(
            said.starts_with("ERROR ") && said.contains(reason),
            "{said}"
        );
        assert_eq!(said.matches('\n').count(), 1);
        assert!(closed);
    }
    for (after, reason) in [
        (&b"DATA 24\n"[..], "DATA must announce 25 octets"),
        (b"DATA 26\n", "DATA must announce 25 octets"),
        (b"HEADERS 10\n", "out of order"),
        (b"STATUS abc\n", "out of order"),
    ] {
        let said = talk(&[&accepted[..], after].concat());
        assert!(
            said.starts_with("ACCEPT\nERROR ") && said.contains(reason),
            "{said}"
        );
    }
}

#[test]
fn a_refused_message_leaves_the_connection_open_for_the_next() {
    let signed = "signature: a.test ed25519 Kay64UG8yvCyLhqU000LxzYeUm0L/hLIl5S8kyKWbdc= f+yMflecV1x9kPJx6XbvF3N040lIhIA4n6CixzFfLDzdV+V/GhQ+o2mbAKVxtXG7UdvkY26eVN9MoQgMg2TVAQ==\n";
    let received = "received: b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author=host\n";
    let other = String::from_utf8(header(""))
        .unwrap()
        .replace("from: alice@a.test", "from: alice@c.test");
    for (block, answer) in [
        (header("subject:x\n"), "REJECT format line 4"),
        (
            header(received),
            "REJECT format a message that was received",
        ),
        (header(signed), "REJECT signature line 4"),
        (
            header("mailer: list@c.test\n"),
            "REJECT identity your certificate does not speak for c.test",
        ),
        (
            other.into_bytes(),
            "REJECT identity your certificate does not speak for c.test",
        ),
        (Vec::new(), "REJECT format line 1"),
    ] {
        let mut script = Script::default();
        let input = [&headers(&block)[..], &message(), b"DONE\n"].concat();
        let (end, said, _) = receive(&mut script, Memory::new(input));
        assert!(said.starts_with(answer), "{said}");
        assert!(said.ends_with("\nACCEPT\n+ OK bob@b.test\nOK\n"), "{said}");
        assert!(matches!(end, End::Done));
        assert_eq!((script.checked, script.delivered.len()), (1, 1));
    }
}

#[test]
fn a_claim_by_another_host_waits_until_signatures_can_be_checked() {
    let from_elsewhere = String::from_utf8(header("mailer: list@a.test\n"))
        .unwrap()
        .replace("from: alice@a.test", "from: alice@c.test");
    let said = talk(&headers(from_elsewhere.as_bytes()));
    assert!(said.starts_with("DEFER 3600 "), "{said}");
    // A mailer of the author's own host leaves no doubt.
    assert_eq!(talk(&headers(&header("mailer: list@a.test\n"))), "ACCEPT\n");
}

#[test]
fn size_is_refused_before_an_octet_of_data() {
    let limits = Limits {
        data: 24,
        ..Limits::default()
    };
    let mut script = Script::default();
    let (_, said, _) = receive_within(&mut script, Memory::new(headers(&header(""))), &limits);
    assert_eq!(
        said,
        "REJECT size 24 octets are the most, and the message has 25\n"
    );
    assert_eq!(script.checked, 0);
}

#[test]
fn data_that_do_not_match_fail_and_the_next_message_is_taken() {
    let wrong = [
        &headers(&header(""))[..],
        b"DATA 25\n",
        b"Noon at the usual palace\n",
    ]
    .concat();
    let mut script = Script::default();
    let (_, said, _) = receive(&mut script, Memory::new([wrong, message()].concat()));
    assert_eq!(
        said,
        "ACCEPT\n+ the octets of part 1 do not match its digest\nFAIL\nACCEPT\n+ OK bob@b.test\nOK\n"
    );
    assert_eq!(script.delivered, [DATA]);
}

/// Once only what was delivered was in the log of a server.
#[test]
fn the_service_is_told_of_each_accepted_message_that_it_does_not_get() {
    let accepted = headers(&header(""));
    let with = |rest: &[u8]| [&accepted[..], rest].concat();
    for (full_disk, input, told) in [
        (
            false,
            with(b"DATA 25\nNoon at the usual palace\n"),
            "FAIL: the octets of part 1 do not match its digest",
        ),
        (
            true,
            message(),
            "PARTIAL: cannot keep the data: no storage space",
        ),
        (
            false,
            with(b"ABORT\n"),
            "ABORT: the sender gave the message up",
        ),
        (false, with(b"DONE\n"), "none: the sender was done"),
        (
            false,
            with(b"DATA 24\n"),
            "none: DATA must announce 25 octets, the sum of the accepted parts",
        ),
        (false, with(b""), "none: "),
        (false, with(b"DATA 25\nNoon"), "none: "),
    ] {
        let mut script = Script {
            full_disk,
            ..Script::default()
        };
        receive(&mut script, Memory::new(input));
        assert!(script.delivered.is_empty());
        let [line] = &script.not_delivered[..] else {
            panic!("{told}: {:?}", script.not_delivered);
        };
        assert!(line.starts_with(told), "{line}, and not {told}");
    }
    for outcome in [Ok(DataAnswer::Ok), Ok(DataAnswer::Fail), Err(Drop)] {
        let mut script = Script {
            outcome,
            ..Script::default()
        };
        receive(&mut script, Memory::new(message()));
        assert_eq!(script.not_delivered, [""; 0]);
    }
}

#[test]
fn outcomes_of_check_and_handler() {
    for (outcome, last) in [
        (Ok(DataAnswer::Ok), "OK\n"),
        (Ok(DataAnswer::Fail), "FAIL\n"),
        (Ok(DataAnswer::Partial), "PARTIAL\n"),
    ] {
        let mut script = Script {
            outcome,
            ..Script::default()
        };
        let (_, said, _) = receive(&mut script, Memory::new(message()));
        assert_eq!(said, format!("ACCEPT\n+ OK bob@b.test\n{last}"));
    }
    let mut script = Script {
        outcome: Err(Drop),
        ..Script::default()
    };
    let (end, said, closed) = receive(&mut script, Memory::new(message()));
    assert!(matches!(end, End::Dropped));
    assert!(!said.contains("\nOK\n") && !closed, "{said}");
    let mut script = Script {
        check: |_, _| Err(Drop),
        ..Script::default()
    };
    let (end, said, closed) = receive(&mut script, Memory::new(message()));
    assert!(matches!(end, End::Dropped) && said.is_empty() && !closed);
}

#[test]
fn a_full_disk_is_no_refusal() {
    let mut script = Script {
        full_disk: true,
        ..Script::default()
    };
    let (end, said, _) = receive(
        &mut script,
        Memory::new([message(), b"DONE\n".to_vec()].concat()),
    );
    assert_eq!(
        said,
        "ACCEPT\n+ a fault here; send it again later\nPARTIAL\n"
    );
    assert!(matches!(end, End::Done) && script.delivered.is_empty());
}

#[test]
fn information_cannot_forge_a_final_line() {
    let mut script = Script {
        check: |_, say| {
            say.line("x\nACCEPT\r\nOK");
            Ok(HeadersAnswer::Reject(Keyword::Policy, "no\nACCEPT".into()))
        },
        ..Script::default()
    };
    let (_, said, _) = receive(&mut script, Memory::new(headers(&header(""))));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("+ x") && lines[1].starts_with("REJECT policy no"),
        "{said}"
    );
}

#[test]
fn abort_and_questions_that_nothing_is_known_of() {
    let input = [
        &headers(&header(""))[..],
        b"ABORT\nSTATUS abc\nGIVEUP abc\nKEYS alice@a.test\n",
        &message(),
    ]
    .concat();
    assert_eq!(
        talk(&input),
        "ACCEPT\nOK\nUNKNOWN\nOK\nOK\nACCEPT\n+ OK bob@b.test\nOK\n"
    );
}

#[test]
fn a_connection_has_its_number_of_messages() {
    let limits = Limits {
        messages: 2,
        ..Limits::default()
    };
    let mut script = Script::default();
    let (end, said, _) = receive_within(&mut script, Memory::new(message().repeat(3)), &limits);
    assert!(matches!(end, End::Error(_)));
    assert_eq!(script.delivered.len(), 2);
    assert!(
        said.ends_with("OK\nERROR 2 messages are the most on one connection; open another\n"),
        "{said}"
    );
}
