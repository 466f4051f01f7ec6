//! The sender, and that it and the receiver understand each other.

use std::io::{ErrorKind, Read, Write as _, pipe};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use ima_message::HeaderBlock;

use super::*;
use crate::framing::{Channel, WireError, Woken};

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

/// A second message of the tests.
fn second() -> HeaderBlock {
    HeaderBlock::parse(&header("subject: Another\n")).unwrap()
}

/// What came of a message, of the question about the next one, the information
/// lines, and what was said.
type Two = (
    Result<DataAnswer, SendError>,
    Option<Result<HeadersAnswer, SendError>>,
    Vec<String>,
    Vec<u8>,
);

/// Sends one message, and asks about the next behind its data.
fn two_messages(answers: &str) -> Two {
    let mut channel = Memory::new(answers).in_chunks(1);
    let mut sender = Sender::new(&mut channel, Times::default());
    let mut lines = Vec::new();
    let mut note = |line: &str| lines.push(line.to_owned());
    sender.headers(&block(), &mut note).unwrap();
    sender.send(25, &mut &*DATA).unwrap();
    assert!(sender.ask(&second()).unwrap());
    let outcome = sender.outcome(None, &mut note).map(Option::unwrap);
    let verdict = outcome
        .is_ok()
        .then(|| sender.verdict(&second(), &mut note));
    (outcome, verdict, lines, channel.output().to_vec())
}

#[test]
fn the_next_question_goes_with_the_data_and_each_answer_is_its_own() {
    let (outcome, verdict, lines, said) = two_messages(
        "ACCEPT\n+ OK bob@b.test\nOK\n+ NORECIPIENT bob@b.test\nREJECT recipient no\n",
    );
    assert_eq!(outcome.unwrap(), DataAnswer::Ok);
    assert_eq!(
        verdict.unwrap().unwrap(),
        HeadersAnswer::Reject(Keyword::Recipient, "no".into())
    );
    assert_eq!(lines, ["OK bob@b.test", "NORECIPIENT bob@b.test"]);
    let wanted = [message(), headers(second().as_bytes())].concat();
    assert_eq!(said, wanted);

    // The receiver finds them behind the data, in what it has read already.
    let mut script = Script::default();
    let input = [wanted, b"ABORT\nDONE\n".to_vec()].concat();
    let (end, said, _) = receive(&mut script, Memory::new(input));
    assert!(matches!(end, End::Done), "{end:?}");
    assert_eq!(said, "ACCEPT\n+ OK bob@b.test\nOK\nACCEPT\nOK\n");
    assert_eq!((script.checked, script.delivered.len()), (2, 1));
}

#[test]
fn a_question_goes_ahead_of_the_answer_to_abort_too() {
    let mut channel = Memory::new("ACCEPT\nOK\nACCEPT\nFAIL\n").in_chunks(1);
    let mut sender = Sender::new(&mut channel, Times::default());
    sender.headers(&block(), &mut |_| {}).unwrap();
    sender.withdraw().unwrap();
    assert!(sender.ask(&second()).unwrap());
    assert!(sender.withdrawn(None).unwrap());
    assert_eq!(
        sender.verdict(&second(), &mut |_| {}).unwrap(),
        HeadersAnswer::Accept
    );
    assert_eq!(
        sender.data(25, &mut &*DATA, &mut |_| {}).unwrap(),
        DataAnswer::Fail
    );
    sender.done().unwrap();
    let wanted = [
        &headers(&header(""))[..],
        b"ABORT\n",
        &headers(second().as_bytes()),
        b"DATA 25\n",
        DATA,
        b"DONE\n",
    ];
    assert_eq!(channel.output(), wanted.concat());
}

#[test]
fn a_redirect_of_a_question_that_went_ahead_is_declined_once() {
    let redirect = format!("REDIRECT 192.0.2.7:4025 sha256:{}\n", "0".repeat(64));
    let (_, verdict, _, said) = two_messages(&format!("ACCEPT\nOK\n{redirect}DEFER 5 later\n"));
    assert!(matches!(verdict, Some(Ok(HeadersAnswer::Defer(5, _)))));
    let direct = format!("HEADERS {} direct\n", second().as_bytes().len());
    assert!(said.ends_with(&[direct.as_bytes(), second().as_bytes()].concat()));
    let (_, verdict, ..) = two_messages(&format!("ACCEPT\nOK\n{}", redirect.repeat(2)));
    assert!(matches!(verdict, Some(Err(SendError::Unexpected(_)))));
}

#[test]
fn answers_out_of_turn_are_errors() {
    // The next message's before that of the data, and an error in its place.
    let (outcome, ..) = two_messages("ACCEPT\nACCEPT\nOK\n");
    assert!(matches!(outcome, Err(SendError::Unexpected(_))));
    let (outcome, ..) = two_messages("ACCEPT\nERROR one at a time\n");
    assert!(matches!(outcome, Err(SendError::Refused(_))));
    // One too many for the data.
    let (outcome, verdict, ..) = two_messages("ACCEPT\nOK\nOK\nACCEPT\n");
    assert_eq!(outcome.unwrap(), DataAnswer::Ok);
    assert!(matches!(verdict, Some(Err(SendError::Unexpected(_)))));
    // An end behind the answer to the data takes nothing back.
    let (outcome, verdict, ..) = two_messages("ACCEPT\nPARTIAL\n");
    assert_eq!(outcome.unwrap(), DataAnswer::Partial);
    assert!(matches!(
        verdict,
        Some(Err(SendError::Wire(WireError::Closed)))
    ));
}

#[test]
fn each_answer_may_have_so_many_lines_and_no_more() {
    let half = "+ more and more and more and more and more\n".repeat(30_000);
    let (outcome, verdict, ..) = two_messages(&format!("ACCEPT\n{half}OK\n{half}ACCEPT\n"));
    assert!(outcome.is_ok() && verdict.unwrap().is_ok());
    let (outcome, ..) = two_messages(&format!("ACCEPT\n{half}{half}OK\nACCEPT\n"));
    assert!(matches!(outcome, Err(SendError::Flood)));
    let (_, verdict, ..) = two_messages(&format!("ACCEPT\nOK\n{half}{half}ACCEPT\n"));
    assert!(matches!(verdict, Some(Err(SendError::Flood))));
}

#[test]
fn an_answer_too_many_to_a_question_that_went_ahead_is_noticed() {
    // "ACCEPT\n", "OK\nACCE", "PT\nOK\n": the last comes before its DATA.
    let mut channel = Memory::new("ACCEPT\nOK\nACCEPT\nOK\n").in_chunks(7);
    let mut sender = Sender::new(&mut channel, Times::default());
    sender.headers(&block(), &mut |_| {}).unwrap();
    sender.send(25, &mut &*DATA).unwrap();
    assert!(sender.ask(&second()).unwrap());
    sender.outcome(None, &mut |_| {}).unwrap();
    sender.verdict(&second(), &mut |_| {}).unwrap();
    assert!(matches!(
        sender.send(25, &mut &*DATA),
        Err(SendError::Early)
    ));
    let wanted = [message(), headers(second().as_bytes())].concat();
    assert_eq!(channel.output(), wanted, "and no second DATA");
}

#[test]
fn a_long_question_does_not_go_ahead() {
    let long = HeaderBlock::parse(&header(&"note: and so on\n".repeat(1100))).unwrap();
    assert!(long.as_bytes().len() > 16 << 10);
    let mut channel = Memory::new("ACCEPT\nOK\nACCEPT\n").in_chunks(1);
    let mut sender = Sender::new(&mut channel, Times::default());
    sender.headers(&block(), &mut |_| {}).unwrap();
    sender.send(25, &mut &*DATA).unwrap();
    assert!(!sender.ask(&long).unwrap());
    assert_eq!(
        sender.outcome(None, &mut |_| {}).unwrap(),
        Some(DataAnswer::Ok)
    );
    assert_eq!(
        sender.headers(&long, &mut |_| {}).unwrap(),
        HeadersAnswer::Accept
    );
    let wanted = [message(), headers(long.as_bytes())].concat();
    assert_eq!(channel.output(), wanted);
}

#[test]
fn who_waits_for_an_answer_is_woken_for_the_next_question() {
    let (wake, mut bell) = pipe().unwrap();
    bell.write_all(b"!").unwrap();
    let mut channel = Memory::new("ACCEPT\n").ending(Ending::Silence);
    let mut sender = Sender::new(&mut channel, Times::default());
    sender.headers(&block(), &mut |_| {}).unwrap();
    sender.send(25, &mut &*DATA).unwrap();
    assert_eq!(
        sender.outcome(Some(wake.as_fd()), &mut |_| {}).unwrap(),
        None
    );
    assert!(sender.ask(&second()).unwrap());
    assert!(matches!(
        sender.outcome(None, &mut |_| {}),
        Err(SendError::Wire(WireError::TimedOut))
    ));
    let wanted = [message(), headers(second().as_bytes())].concat();
    assert_eq!(channel.output(), wanted);

    // An answer that is here goes first.
    let mut channel = Memory::new("ACCEPT\n+ OK bob@b.test\nOK\n").in_chunks(1);
    let mut sender = Sender::new(&mut channel, Times::default());
    sender.headers(&block(), &mut |_| {}).unwrap();
    sender.send(25, &mut &*DATA).unwrap();
    let mut lines = Vec::new();
    let outcome = sender.outcome(Some(wake.as_fd()), &mut |line| lines.push(line.to_owned()));
    assert_eq!(outcome.unwrap(), Some(DataAnswer::Ok));
    assert_eq!(lines, ["OK bob@b.test"]);

    // Silence has its time, also where nothing wakes.
    let (quiet, _bell) = pipe().unwrap();
    let mut channel = Memory::new("ACCEPT\n").ending(Ending::Silence);
    let mut sender = Sender::new(&mut channel, Times::default());
    sender.headers(&block(), &mut |_| {}).unwrap();
    sender.send(25, &mut &*DATA).unwrap();
    assert!(matches!(
        sender.outcome(Some(quiet.as_fd()), &mut |_| {}),
        Err(SendError::Wire(WireError::TimedOut))
    ));
}

/// Takes so many octets, and then the peer is gone.
struct Gone(Memory, usize);

impl Read for Gone {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}
impl Write for Gone {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.1.checked_sub(octets.len()) {
            Some(left) => self.1 = left,
            None => return Err(ErrorKind::BrokenPipe.into()),
        }
        self.0.write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Channel for Gone {
    fn set_deadline(&mut self, at: Instant) {
        self.0.set_deadline(at);
    }
    fn has_buffered(&mut self) -> bool {
        self.0.has_buffered()
    }
    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> io::Result<Woken> {
        self.0.wait(wake, at)
    }
    fn close(&mut self) -> io::Result<()> {
        self.0.close()
    }
}

#[test]
fn what_was_answered_stands_where_the_next_question_cannot_be_put() {
    for (answers, is_answered) in [("ACCEPT\nOK\n", true), ("ACCEPT\nO", false)] {
        let memory = Memory::new(answers).in_chunks(1);
        let room = headers(&header("")).len();
        let mut sender = Sender::new(Gone(memory, room), Times::default());
        sender.headers(&block(), &mut |_| {}).unwrap();
        sender.send(25, &mut &*DATA).unwrap();
        assert!(sender.ask(&second()).unwrap());
        let outcome = sender.outcome(None, &mut |_| {});
        if is_answered {
            assert_eq!(outcome.unwrap(), Some(DataAnswer::Ok));
            let verdict = sender.verdict(&second(), &mut |_| {});
            assert!(matches!(verdict, Err(SendError::Wire(_))), "{verdict:?}");
        } else {
            // The first reason is the one to name.
            assert!(
                matches!(&outcome, Err(SendError::Wire(WireError::Io(error))) if error.kind() == ErrorKind::BrokenPipe),
                "{outcome:?}"
            );
        }
    }
}
