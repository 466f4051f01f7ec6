//! What server-receive accepts is what server-give-recipient accepts. The same
//! message goes both ways: through a receiver, whose service hands it on as
//! server-receive hands it to a handler that stays, to an inbox; and, as it is, to
//! another inbox.
//!
//! The receiver alone refuses what is no matter of the message: of whom it says
//! that it comes (the certificate, a `mailer` of another host, a `received`), and
//! how long it may be.
#![no_main]

#[path = "../../../bin/server-handle-incoming-mail/stream/questions.rs"]
#[allow(dead_code, reason = "the standard input of a process is not used here")]
mod questions;

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use ememo_fuzz::{Anybody, Letter};
use ima_mailbox::{Delivered, Folder, check};
use ima_message::{HeaderBlock, MessageDigest, Received};
use ima_proto::framing::Memory;
use ima_proto::imdp::{
    Accepted, DataAnswer, Drop, HeadersAnswer, Limits, Outcome, Receiver, Say, Service, SpeaksFor,
};
use libfuzzer_sys::fuzz_target;
use questions::{Question, Questions};
use tempfile::TempDir;

/// After so many messages the mailboxes begin anew.
const MANY: usize = 64;
/// The receiver's max-size: one that messages come up to.
const DATA: u64 = 40;

thread_local! {
    static PLACE: RefCell<(Option<TempDir>, usize)> = const { RefCell::new((None, 0)) };
}

fn fresh() -> TempDir {
    let place = TempDir::new().expect("a folder");
    for name in ["received", "given"] {
        fs::create_dir(place.path().join(name)).expect("a mailbox");
        Folder::create(&place.path().join(name).join("inbox")).expect("a folder");
    }
    place
}

/// Stores a message as server-give-recipient does; None where it is refused.
fn give(inbox: &Path, mut message: &[u8]) -> Option<MessageDigest> {
    let folder = Folder::open(inbox).expect("a folder");
    let header = HeaderBlock::read(&mut message).ok()?;
    match folder.deliver(&header, &mut message, None) {
        Ok(Delivered::Stored | Delivered::Duplicate) => Some(header.digest()),
        Err(error) => {
            assert!(error.is_refusal(), "{error}");
            None
        }
    }
}

/// What stands behind the receiver: takes all, and delivers it as a handler that
/// stays.
struct Way<'p> {
    inbox: &'p Path,
    received: Received,
    delivered: Option<MessageDigest>,
}

impl Way<'_> {
    /// What a handler is asked about a message.
    fn questions(&self, message: &Accepted, data: &[u8]) -> Vec<u8> {
        let with = message.header().with_received(&self.received);
        let with = with.expect("the limit of a header block leaves room for it");
        let (block, length) = (with.as_bytes(), data.len());
        let mut asked = format!("HEADERS {}\n", block.len()).into_bytes();
        asked.extend_from_slice(block);
        asked.extend_from_slice(format!("DATA {length}\n").as_bytes());
        asked.extend_from_slice(data);
        asked
    }
}

impl Service for Way<'_> {
    type Store = Vec<u8>;

    fn check(&mut self, _: &Accepted, _: &mut dyn Say) -> Result<HeadersAnswer, Drop> {
        Ok(HeadersAnswer::Accept)
    }

    fn store(&mut self, _: &Accepted) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn deliver(&mut self, message: &Accepted, data: Vec<u8>, _: &mut dyn Say) -> Outcome {
        let asked = self.questions(message, &data);
        let mut questions = Questions::new(&asked[..]);
        let Ok(Some(Question::Headers(octets))) = questions.next() else {
            panic!("a question about a header block");
        };
        let block = questions.header_block(octets).expect("all of it");
        let header = HeaderBlock::parse(&block).expect("what was received is a header block");
        assert_eq!(
            questions.next().expect("a question"),
            Some(Question::Data(header.size()))
        );
        let mut octets = Vec::new();
        questions
            .octets(header.size())
            .read_to_end(&mut octets)
            .expect("all of them");
        assert_eq!(questions.next().expect("the end"), None);
        // What is accepted is taken for each recipient, and is the same message.
        for recipient in header.recipients().into_iter().take(4) {
            let own = header.for_recipient(recipient);
            let stored = give(self.inbox, &[own.as_bytes(), &octets].concat());
            assert_eq!(stored, Some(message.header().digest()));
            self.delivered = stored;
        }
        Ok(DataAnswer::Ok)
    }
}

/// Gives a message to a receiver, which announces its two pieces.
fn receive(inbox: &Path, block: &[u8], data: &[u8]) -> Option<MessageDigest> {
    let mut input = format!("HEADERS {}\n", block.len()).into_bytes();
    input.extend_from_slice(block);
    input.extend_from_slice(format!("DATA {}\n", data.len()).as_bytes());
    input.extend_from_slice(data);
    input.extend_from_slice(b"DONE\n");
    let received =
        "b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author=host";
    let mut way = Way {
        inbox,
        received: Received::parse(received).expect("a good value"),
        delivered: None,
    };
    let limits = Limits {
        data: DATA,
        ..Limits::default()
    };
    let mut channel = Memory::new(input);
    Receiver::new(&mut channel, &Anybody, &limits, &mut way).run();
    let said = String::from_utf8(channel.output().to_vec()).expect("lines of text");
    assert_eq!(
        said.lines().any(|line| line == "OK"),
        way.delivered.is_some()
    );
    way.delivered
}

/// Whether a receiver lets a message in that is good in itself.
fn is_let_in(header: &HeaderBlock) -> bool {
    let from = header.from().address().hostpart();
    header.received().is_none()
        && Anybody.speaks_for(header.return_path().hostpart())
        && header.mailers().all(|mailer| mailer.hostpart() == from)
        && header.size() <= DATA
        && header.as_bytes().len() as u64 <= Limits::default().header_block
}

fuzz_target!(|letter: Letter| {
    let (header, data) = letter.octets();
    let message = [header, data].concat();
    // Where a sender would part it.
    let end = message.windows(2).position(|two| two == b"\n\n");
    let (block, data) = message.split_at(end.map_or(message.len(), |end| end + 2));

    PLACE.with_borrow_mut(|(place, count)| {
        *count += 1;
        if *count % MANY == 1 {
            *place = Some(fresh());
        }
        let folder = |name| {
            place
                .as_ref()
                .expect("made above")
                .path()
                .join(name)
                .join("inbox")
        };
        let received = receive(&folder("received"), block, data);
        let given = give(&folder("given"), &message);
        match HeaderBlock::parse(block) {
            Ok(header) if is_let_in(&header) => assert_eq!(received, given),
            _ => assert_eq!(received, None),
        }
        if *count % MANY == 0 {
            let mut findings = Vec::new();
            for name in ["received", "given"] {
                check::directory(&folder(name), &mut |finding| findings.push(finding))
                    .expect("it can be read");
            }
            assert!(findings.is_empty(), "{findings:?}");
        }
    });
});
