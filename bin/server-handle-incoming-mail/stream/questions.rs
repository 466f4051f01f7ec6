//! What a handler that stays is asked.
//!
//! ```text
//! question = "HEADERS" SP n LF nOCTET        ; a header block
//!          / "DATA" SP n LF nOCTET
//!          / "ABORT" LF
//! ```
//!
//! Whoever asks is the server that started us: reading has no deadline. Its end
//! is the end of the pipe.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use ima_message::limits::MAX_BLOCK;
use ima_message::text::parse_decimal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

/// Octets read at once.
const BUFFER: usize = 64 << 10;
/// Octets of a line, with its LF.
const MAX_LINE: u64 = 4096;

/// One question. Its octets are still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Headers(u64),
    Data(u64),
    Abort,
}

impl Question {
    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            Some(("HEADERS", octets)) => parse_decimal(octets).map(Self::Headers),
            Some(("DATA", octets)) => parse_decimal(octets).map(Self::Data),
            None if line == "ABORT" => Some(Self::Abort),
            _ => None,
        }
    }
}

/// The questions that come on a stream.
pub(super) struct Questions<R = File> {
    stream: BufReader<R>,
}

impl Questions {
    /// Those on our stdin.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self::new(File::from(stdin)))
    }
}

impl<R: AsFd> Questions<R> {
    /// Waits so long for the next question. Whether it, or the end, comes by then.
    pub(super) fn come_within(&self, time: Duration) -> bool {
        if !self.stream.buffer().is_empty() {
            return true;
        }
        let stream = self.stream.get_ref();
        let mut awaited = [PollFd::new(stream, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        // Where nobody can wait, reading does.
        retry_on_intr(|| poll(&mut awaited, time.as_ref())).map_or(true, |ready| ready > 0)
    }
}

impl<R: Read> Questions<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER, stream),
        }
    }

    /// The next question; None at the end.
    ///
    /// # Errors
    /// The stream cannot be read, or this is no question.
    pub(super) fn next(&mut self) -> io::Result<Option<Question>> {
        let mut line = Vec::new();
        (&mut self.stream)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let line = line.strip_suffix(b"\n").unwrap_or_default();
        let question = str::from_utf8(line).ok().and_then(Question::parse);
        let known = "a line that is no question; known are HEADERS n, DATA n and ABORT";
        question
            .map(Some)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, known))
    }

    /// The octets of a header block.
    ///
    /// # Errors
    /// There are more than one may have, or the stream ends before.
    pub(super) fn header_block(&mut self, octets: u64) -> io::Result<Vec<u8>> {
        if octets > MAX_BLOCK as u64 {
            let why = format!("a header block has at most {MAX_BLOCK} octets");
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        let mut block = Vec::with_capacity(usize::try_from(octets).unwrap_or_default());
        self.octets(octets).read_to_end(&mut block)?;
        Ok(block)
    }

    /// So many octets, which come next.
    pub(super) fn octets(&mut self, octets: u64) -> Octets<'_, R> {
        Octets {
            stream: &mut self.stream,
            left: octets,
        }
    }
}

/// A number of octets that come next. That fewer come is an error.
pub(super) struct Octets<'q, R = File> {
    stream: &'q mut BufReader<R>,
    left: u64,
}

impl<R: Read> Octets<'_, R> {
    /// Reads those that are left.
    ///
    /// # Errors
    /// The stream ends before, or cannot be read.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }
}

impl<R: Read> Read for Octets<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self
            .stream
            .read(buffer.get_mut(..most).unwrap_or_default())?;
        if n == 0 {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the message was cut off",
            ));
        }
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn questions_follow_each_other() {
        let stream = &b"HEADERS 3\nabcDATA 2\nxyABORT\n"[..];
        let mut questions = Questions::new(stream);
        assert_eq!(questions.next().unwrap(), Some(Question::Headers(3)));
        assert_eq!(questions.header_block(3).unwrap(), b"abc");
        assert_eq!(questions.next().unwrap(), Some(Question::Data(2)));
        questions.octets(2).drain().unwrap();
        assert_eq!(questions.next().unwrap(), Some(Question::Abort));
        assert_eq!(questions.next().unwrap(), None);
    }

    #[test]
    fn what_breaks_the_grammar_or_ends_early_is_an_error() {
        let long = "x".repeat(5000);
        for line in [
            "",
            "HEADERS",
            "HEADERS -1",
            "DATA x",
            "DATA 07",
            "ABORT 1",
            "abort",
            "DONE",
            &long,
        ] {
            let line = format!("{line}\n");
            assert!(Questions::new(line.as_bytes()).next().is_err(), "{line}");
        }
        assert!(Questions::new(&b"ABORT"[..]).next().is_err(), "no LF");
        let mut cut = Questions::new(&b"ab"[..]);
        assert!(cut.header_block(3).is_err());
        let mut large = Questions::new(io::repeat(b'x'));
        assert!(large.header_block(MAX_BLOCK as u64 + 1).is_err());
    }
}
