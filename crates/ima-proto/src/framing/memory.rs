//! A channel in memory, for tests and fuzzing: what it reads is given, what is
//! written to it is kept.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Channel, Woken};

/// What comes after the last octet of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A proper end: close_notify.
    Close,
    /// An end in the middle: the connection was cut.
    Cut,
    /// Nothing any more: every further read passes its deadline at once. Whoever
    /// waits for something else is told once that the time has come, and then that
    /// the connection is cut, so that nobody waits for ever.
    Silence,
}

/// A [`Channel`] in memory. It knows no time: only [`Ending::Silence`] times out.
#[derive(Debug)]
pub struct Memory {
    input: Vec<u8>,
    taken: usize,
    chunk: usize,
    ending: Ending,
    output: Vec<u8>,
    closed: bool,
    waited: bool,
}

impl Memory {
    /// A channel that gives `input` and then closes, as many octets at once as
    /// are asked for.
    pub fn new(input: impl Into<Vec<u8>>) -> Memory {
        Memory {
            input: input.into(),
            taken: 0,
            chunk: usize::MAX,
            ending: Ending::Close,
            output: Vec::new(),
            closed: false,
            waited: false,
        }
    }

    /// The same, giving at most `chunk` octets (at least 1) for each read.
    #[must_use]
    pub fn in_chunks(mut self, chunk: usize) -> Memory {
        self.chunk = chunk.max(1);
        self
    }

    /// The same, with another end.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Memory {
        self.ending = ending;
        self
    }

    /// What has been written and flushed through the wire above.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Input that nobody has read.
    pub fn unread(&self) -> &[u8] {
        self.input.get(self.taken..).unwrap_or_default()
    }

    /// Whether this side has closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Read for Memory {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.chunk);
        let left = self.unread();
        let piece = left.get(..most).unwrap_or(left);
        let count = piece.len();
        if count == 0 && !into.is_empty() {
            return match self.ending {
                Ending::Close => Ok(0),
                Ending::Cut => Err(ErrorKind::UnexpectedEof.into()),
                Ending::Silence => Err(ErrorKind::TimedOut.into()),
            };
        }
        if let Some(space) = into.get_mut(..count) {
            space.copy_from_slice(piece);
        }
        self.taken = self.taken.saturating_add(count);
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.closed {
            true => Err(ErrorKind::BrokenPipe.into()),
            false => self.output.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Channel for Memory {
    fn set_deadline(&mut self, _at: Instant) {}

    fn has_buffered(&mut self) -> bool {
        false
    }

    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, _at: Instant) -> io::Result<Woken> {
        if !self.unread().is_empty() || self.ending != Ending::Silence {
            return Ok(Woken::Readable);
        }
        if let Some(wake) = wake {
            let mut waiting = [PollFd::from_borrowed_fd(wake, PollFlags::IN)];
            if poll(&mut waiting, Some(&Timespec::default()))? > 0 {
                return Ok(Woken::Wake);
            }
        }
        match std::mem::replace(&mut self.waited, true) {
            false => Ok(Woken::TimedOut),
            true => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.closed = true;
        Ok(())
    }
}
