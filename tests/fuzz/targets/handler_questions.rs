//! What a handler that stays is asked: its reading of questions, as
//! server-handle-incoming-mail does it. Octet 1: how many octets each read gives.
//! The rest: what comes on standard input.
#![no_main]

#[path = "../../../bin/server-handle-incoming-mail/stream/questions.rs"]
#[allow(dead_code, reason = "the standard input of a process is not used here")]
mod questions;

use std::io::{self, Read};

use ima_message::limits::MAX_BLOCK;
use libfuzzer_sys::fuzz_target;
use questions::{Question, Questions};

/// So much data is read at the most, whatever is announced.
const MOST: u64 = 1 << 20;

/// Gives so many octets at once at the most.
struct InChunks<'o>(&'o [u8], usize);

impl Read for InChunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1.max(1));
        self.0.read(&mut buffer[..most])
    }
}

/// Reads questions with their octets until the end, or until one is wrong. Gives
/// them as they would be written, and how it ended.
fn read(octets: &[u8], chunk: usize) -> (Vec<u8>, Result<(), String>) {
    let mut questions = Questions::new(InChunks(octets, chunk));
    let mut written = Vec::new();
    let ended = loop {
        let question = match questions.next() {
            Ok(Some(question)) => question,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let (line, body) = match question {
            Question::Headers(octets) => (
                format!("HEADERS {octets}\n"),
                questions.header_block(octets),
            ),
            Question::Data(octets) => {
                let mut data = Vec::new();
                let mut stream = questions.octets(octets);
                let taken = (&mut stream).take(MOST).read_to_end(&mut data);
                let drained = taken.and_then(|_| stream.drain());
                (format!("DATA {octets}\n"), drained.map(|()| data))
            }
            Question::Abort => ("ABORT\n".to_owned(), Ok(Vec::new())),
        };
        match body {
            Ok(body) => {
                assert!(body.len() <= MAX_BLOCK.max(MOST as usize));
                written.extend_from_slice(line.as_bytes());
                written.extend_from_slice(&body);
            }
            Err(error) => break Err(error),
        }
    };
    (written, ended.map_err(|error| error.to_string()))
}

fuzz_target!(|octets: &[u8]| {
    let [chunk, input @ ..] = octets else {
        return;
    };
    let (written, ended) = read(input, (*chunk).into());
    // What was understood is what came, and all of it where it ended in order.
    assert!(input.starts_with(&written));
    if ended.is_ok() {
        assert_eq!(written.len(), input.len());
    }
    assert_eq!((written, ended), read(input, usize::MAX));
});
