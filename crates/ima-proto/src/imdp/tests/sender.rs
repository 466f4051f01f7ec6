//! The sender, and that it and the receiver understand each other.

use std::time::Duration;

use ima_message::HeaderBlock;

use super::*;
use crate::framing::WireError;

fn block() -> HeaderBlock {
    HeaderBlock::parse(&header("")).unwrap()
}

fn ask(answer: &str) -> (Result<HeadersAnswer, SendError>, Vec<String>, Vec<u8>) {
    // An octet at a time: what comes later is not here early.
    let mut channel = Memory::new(answer).in_chunks(1);
    let mut lines = Vec::new();
    let result = Sender::new(&mut channel, Times::default())
        .headers(&block(), &mut |line| lines.push(line.to_owned()));
    (result, lines, channel.output().to_vec())
}

#[test]
fn what_the_sender_says_is_what_the_receiver_understands() {
    let mut channel =
        Memory::new("+ hello\nACCEPT\n+ OK bob@b.test\nOK\nACCEPT\nOK\n").in_chunks(1);
    let mut sender = Sender::new(&mut channel, Times::default());
    let mut lines = Vec::new();
    let mut note = |line: &str| lines.push(line.to_owned());
    assert_eq!(
        sender.headers(&block(), &mut note).unwrap(),
        HeadersAnswer::Accept
    );
    assert_eq!(
        sender.data(25, &mut &*DATA, &mut note).unwrap(),
        DataAnswer::Ok
    );
    assert_eq!(
        sender.headers(&block(), &mut note).unwrap(),
        HeadersAnswer::Accept
    );
    sender.abort().unwrap();
    sender.done().unwrap();
    assert_eq!(lines, ["hello", "OK bob@b.test"]);
    let mut script = Script::default();
    let (end, said, _) = receive(&mut script, Memory::new(channel.output()));
    assert!(matches!(end, End::Done));
    assert_eq!(said, "ACCEPT\n+ OK bob@b.test\nOK\nACCEPT\nOK\n");
    assert_eq!(script.delivered, [DATA]);
}

#[test]
fn every_answer_to_headers() {
    assert!(
        matches!(ask("ACCEPT 1\n").0, Ok(HeadersAnswer::AcceptParts(parts)) if parts.numbers() == [1])
    );
    assert!(
        matches!(ask("ACCEPT 0\n").0, Ok(HeadersAnswer::AcceptParts(parts)) if parts.numbers().is_empty())
    );
    assert!(matches!(ask("ACCEPT 2\n").0, Err(SendError::NoSuchPart(2))));
    let (answer, lines, _) = ask("+ NORECIPIENT x@b.test\nREJECT recipient no\n");
    assert_eq!(
        answer.unwrap(),
        HeadersAnswer::Reject(Keyword::Recipient, "no".into())
    );
    assert_eq!(lines, ["NORECIPIENT x@b.test"]);
    assert!(matches!(
        ask("DEFER 60 busy\n").0,
        Ok(HeadersAnswer::Defer(60, _))
    ));
    assert!(matches!(ask("ERROR what?\n").0, Err(SendError::Refused(text)) if &*text == "what?"));
    assert!(matches!(ask("OK\n").0, Err(SendError::Unexpected(_))));
    assert!(matches!(
        ask("220 b.test ESMTP\n").0,
        Err(SendError::Unexpected(_))
    ));
    assert!(matches!(
        ask("\x1b[2J\n").0,
        Err(SendError::Wire(WireError::NotText))
    ));
}

#[test]
fn a_redirect_is_declined_once() {
    let redirect = format!("REDIRECT 192.0.2.7:4025 sha256:{}\n", "0".repeat(64));
    let (answer, _, said) = ask(&format!("{redirect}ACCEPT\n"));
    assert_eq!(answer.unwrap(), HeadersAnswer::Accept);
    let (plain, direct) = (
        format!("HEADERS {}\n", block().as_bytes().len()),
        format!("HEADERS {} direct\n", block().as_bytes().len()),
    );
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with(&plain) && said.contains(&direct));
    assert!(matches!(
        ask(&redirect.repeat(2)).0,
        Err(SendError::Unexpected(_))
    ));
}

#[test]
fn a_flood_is_cut_off() {
    let flood = "+ more and more and more and more and more\n".repeat(100_000);
    assert!(matches!(ask(&flood).0, Err(SendError::Flood)));
}

#[test]
fn an_answer_too_many_is_noticed() {
    let mut channel = Memory::new("ACCEPT\nACCEPT\n");
    let mut sender = Sender::new(&mut channel, Times::default());
    assert_eq!(
        sender.headers(&block(), &mut |_| {}).unwrap(),
        HeadersAnswer::Accept
    );
    assert!(matches!(
        sender.data(25, &mut &*DATA, &mut |_| {}),
        Err(SendError::Early)
    ));
}

#[test]
fn a_receiver_that_stops_anywhere_is_a_fault() {
    let whole = "+ hello\nACCEPT\n+ OK bob@b.test\nOK\n";
    for length in 0..whole.len() {
        for ending in [Ending::Close, Ending::Cut, Ending::Silence] {
            let mut channel = Memory::new(&whole.as_bytes()[..length])
                .ending(ending)
                .in_chunks(1);
            let mut sender = Sender::new(
                &mut channel,
                Times {
                    idle: Duration::from_secs(1),
                    ..Times::default()
                },
            );
            let asked = sender.headers(&block(), &mut |_| {});
            let answered = asked.is_ok() && sender.data(25, &mut &*DATA, &mut |_| {}).is_ok();
            assert!(!answered, "{length} {ending:?}");
        }
    }
}

#[test]
fn a_source_that_ends_early_is_not_padded() {
    let mut channel = Memory::new("ACCEPT\nOK\n").in_chunks(1);
    let mut sender = Sender::new(&mut channel, Times::default());
    sender.headers(&block(), &mut |_| {}).unwrap();
    assert!(matches!(
        sender.data(26, &mut &*DATA, &mut |_| {}),
        Err(SendError::Source(_))
    ));
}
