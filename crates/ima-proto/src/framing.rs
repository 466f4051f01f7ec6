//! Lines and counted octets over a connection: the only way to read from a network.
//!
//! Every read is bounded twice: by a length known before the octets come, and by
//! a deadline. Memory follows what has come, never what was announced.
//!
//! Nothing here flushes implicitly: who writes a question calls
//! [`Wire::flush`] before reading its answer.

mod channel;
mod error;
mod memory;

use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ima_message::text::{first_forbidden, is_text};

pub use channel::{Channel, Woken};
pub use error::{BlockError, WireError};
pub use memory::{Ending, Memory};

/// The longest line, in octets, with the LF that ends it (IMDP on the wire).
pub const MAX_LINE: usize = 4096;

/// Octets asked of the channel at once, and the most a sink is given at once.
const CHUNK: usize = 16 * 1024;

/// The room for output, in octets, that a wire keeps between two flushes.
const KEPT: usize = 1024;

/// What [`Wire::await_line`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line, the peer's end, or more octets than a line has:
    /// [`Wire::read_line`] gives it without waiting.
    Here,
    /// Some octets more of a line.
    Begun,
    /// The descriptor became readable.
    Wake,
    /// The time has come.
    TimedOut,
}

/// Buffered, bounded reading and writing on a [`Channel`].
#[derive(Debug)]
pub struct Wire<C: Channel> {
    channel: C,
    /// Empty until something is read, and while [`Wire::wait`] waits.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    stall: Duration,
    message_deadline: Option<Instant>,
}

impl<C: Channel> Wire<C> {
    /// A wire on `channel`. `stall` is how long a write may be stuck when the
    /// output buffer (16 KiB) overflows between two flushes.
    pub fn new(channel: C, stall: Duration) -> Wire<C> {
        Wire {
            channel,
            input: Box::default(),
            start: 0,
            end: 0,
            output: Vec::new(),
            stall,
            message_deadline: None,
        }
    }

    /// The time at which every read and write fails with
    /// [`WireError::TimedOut`], whatever time it was given itself; `None` lifts it.
    pub fn set_message_deadline(&mut self, at: Option<Instant>) {
        self.message_deadline = at;
    }

    /// The channel below.
    pub fn channel(&self) -> &C {
        &self.channel
    }

    /// The channel below, without what was buffered in either direction.
    pub fn into_channel(self) -> C {
        self.channel
    }

    /// Whether input is already here: a peer that sends more than it was asked.
    pub fn has_buffered(&mut self) -> bool {
        self.start < self.end || self.channel.has_buffered()
    }

    /// Whether a whole line has come that was not read yet. A peer that has sent
    /// less than that may be waiting for what was written.
    pub fn has_line(&self) -> bool {
        self.buffered().contains(&b'\n')
    }

    /// Reads one line, without its LF. The whole line must come within `within`,
    /// however its octets are spread over that time.
    ///
    /// # Errors
    /// Any [`WireError`]. After an error other than [`WireError::Closed`] the
    /// wire is good for a last answer and [`Wire::close`] only.
    pub fn read_line(&mut self, within: Duration) -> Result<String, WireError> {
        let deadline = self.deadline(within);
        let mut line: Vec<u8> = Vec::new();
        loop {
            let here = self.buffered();
            let end = here.iter().position(|octet| *octet == b'\n');
            let taken = end.map_or(here.len(), |at| at.saturating_add(1));
            let content = here.get(..end.unwrap_or(taken)).unwrap_or_default();
            // A whole line has its LF within MAX_LINE; an unfinished one must
            // leave room for it.
            if line.len() + content.len() >= MAX_LINE {
                return Err(WireError::TooLong {
                    limit: MAX_LINE as u64,
                });
            }
            line.extend_from_slice(content);
            self.start += taken;
            if end.is_some() {
                let line = String::from_utf8(line).map_err(|_| WireError::NotText)?;
                return match first_forbidden(&line) {
                    None => Ok(line),
                    Some(_) => Err(WireError::NotText),
                };
            }
            if self.fill(deadline)? == 0 {
                return Err(match line.is_empty() {
                    true => WireError::Closed,
                    false => WireError::Truncated,
                });
            }
        }
    }

    /// Reads some octets of a block, at least one where `into` has room. `stall`
    /// is how long the first of them may take.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the peer's end; what reading says.
    pub fn read_some(&mut self, into: &mut [u8], stall: Duration) -> Result<usize, WireError> {
        if self.start >= self.end && !into.is_empty() {
            let deadline = self.deadline(stall);
            if self.fill(deadline)? == 0 {
                return Err(WireError::Truncated);
            }
        }
        let here = self.buffered();
        let count = here.len().min(into.len());
        if let (Some(from), Some(space)) = (here.get(..count), into.get_mut(..count)) {
            space.copy_from_slice(from);
        }
        self.start += count;
        Ok(count)
    }

    /// Reads exactly `n` octets and gives them to `sink` as they come, at most
    /// 16 KiB at once. `stall` counts from the last octet that came.
    ///
    /// # Errors
    /// [`BlockError::Wire`], or what the sink returned. In both cases the wire
    /// stands in the middle of the block: a sink that must not break the exchange
    /// remembers its error and takes the rest.
    pub fn read_exact_into<E>(
        &mut self,
        n: u64,
        stall: Duration,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), BlockError<E>> {
        let mut missing = n;
        while missing > 0 {
            if self.start >= self.end {
                let deadline = self.deadline(stall);
                if self.fill(deadline)? == 0 {
                    return Err(BlockError::Wire(WireError::Truncated));
                }
            }
            let most = usize::try_from(missing).unwrap_or(usize::MAX);
            let here = self.buffered();
            let piece = here.get(..most).unwrap_or(here);
            let taken = piece.len();
            let outcome = sink(piece);
            self.start += taken;
            missing = missing.saturating_sub(taken as u64);
            outcome.map_err(BlockError::Sink)?;
        }
        Ok(())
    }

    /// Reads exactly `n` octets, of which there may be `limit`, into memory that
    /// grows as they come. `stall` as in [`Wire::read_exact_into`].
    ///
    /// # Errors
    /// [`WireError::TooLong`], before any octet is read, where `n` is over
    /// `limit`; otherwise what reading says.
    pub fn read_block(
        &mut self,
        n: u64,
        limit: u64,
        stall: Duration,
    ) -> Result<Vec<u8>, WireError> {
        if n > limit {
            return Err(WireError::TooLong { limit });
        }
        let mut block = Vec::new();
        let mut sink = |octets: &[u8]| {
            block.extend_from_slice(octets);
            Ok::<(), WireError>(())
        };
        match self.read_exact_into(n, stall, &mut sink) {
            Ok(()) => Ok(block),
            Err(BlockError::Wire(error) | BlockError::Sink(error)) => Err(error),
        }
    }

    /// Writes one line and its LF into the output buffer. What is not `text`, a
    /// line end above all, is written visibly (`\u{a}`), and a line that is too
    /// long is cut: nothing that came from elsewhere can forge a second line.
    ///
    /// # Errors
    /// Those of [`Wire::write_octets`].
    pub fn write_line(&mut self, line: &str) -> Result<(), WireError> {
        if line.len() < MAX_LINE && first_forbidden(line).is_none() {
            self.write_octets(line.as_bytes())?;
            return self.write_octets(b"\n");
        }
        let mut out = String::with_capacity(line.len() + 1);
        for c in line.chars() {
            let mut shown = String::new();
            match is_text(c) {
                true => shown.push(c),
                false => shown.extend(c.escape_unicode()),
            }
            if out.len() + shown.len() >= MAX_LINE {
                break;
            }
            out.push_str(&shown);
        }
        out.push('\n');
        self.write_octets(out.as_bytes())
    }

    /// Writes octets into the output buffer, which goes to the channel by itself
    /// only when it is full.
    ///
    /// # Errors
    /// [`WireError::TimedOut`] where the channel takes nothing for the stall time
    /// of [`Wire::new`], and the channel's other faults. What the peer said
    /// before it stopped can still be read.
    pub fn write_octets(&mut self, octets: &[u8]) -> Result<(), WireError> {
        for piece in octets.chunks(CHUNK) {
            if self.output.len() + piece.len() > CHUNK {
                self.drain()?;
            }
            self.output.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Gives all that was written to the channel, within `within` in all.
    ///
    /// # Errors
    /// As [`Wire::write_octets`].
    pub fn flush(&mut self, within: Duration) -> Result<(), WireError> {
        let deadline = self.deadline(within);
        self.channel.set_deadline(deadline);
        let written = self.channel.write_all(&self.output);
        self.output.clear();
        if self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
        written?;
        Ok(self.channel.flush()?)
    }

    /// Waits as [`Channel::wait`]; what is buffered here has come. Meanwhile the
    /// wire's buffers take no memory.
    ///
    /// # Errors
    /// The channel's faults.
    pub fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> Result<Woken, WireError> {
        if self.start < self.end {
            return Ok(Woken::Readable);
        }
        self.rest();
        let at = self.message_deadline.map_or(at, |limit| limit.min(at));
        Ok(self.channel.wait(wake, at)?)
    }

    /// Waits until the peer has sent a whole line, until `wake` is readable, or
    /// until `at`; and says also when only some of a line has come. Whoever waits
    /// for the line bounds the time for the rest of it.
    ///
    /// # Errors
    /// The channel's faults.
    pub fn await_line(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        at: Instant,
    ) -> Result<Line, WireError> {
        if self.has_line() || self.buffered().len() >= MAX_LINE {
            return Ok(Line::Here);
        }
        if self.start >= self.end {
            self.rest();
        }
        let at = self.message_deadline.map_or(at, |limit| limit.min(at));
        match self.channel.wait(wake, at)? {
            Woken::Wake => return Ok(Line::Wake),
            Woken::TimedOut => return Ok(Line::TimedOut),
            Woken::Readable => {}
        }
        let count = self.fill_up(self.deadline(self.stall))?;
        let is_here = count == 0 || self.has_line() || self.buffered().len() >= MAX_LINE;
        Ok(if is_here { Line::Here } else { Line::Begun })
    }

    /// The buffers take no memory until something is read or written.
    fn rest(&mut self) {
        self.input = Box::default();
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }

    /// Ends the connection from this side and awaits the peer's end, as
    /// [`Channel::close`]. What was written and not flushed goes first.
    ///
    /// # Errors
    /// The connection had failed, or the peer did not close in time; either way
    /// it is over.
    pub fn close(mut self) -> Result<(), WireError> {
        self.message_deadline = None;
        let flushed = match self.output.is_empty() {
            true => Ok(()),
            false => self.drain(),
        };
        let closed = self.channel.close();
        flushed?;
        Ok(closed?)
    }

    fn drain(&mut self) -> Result<(), WireError> {
        let output = std::mem::take(&mut self.output);
        let mut left = output.as_slice();
        while !left.is_empty() {
            let deadline = self.deadline(self.stall);
            self.channel.set_deadline(deadline);
            match self.channel.write(left) {
                Ok(0) => return Err(WireError::Io(ErrorKind::WriteZero.into())),
                Ok(taken) => left = left.get(taken..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The buffer's memory serves again.
        self.output = output;
        self.output.clear();
        Ok(())
    }

    fn deadline(&self, within: Duration) -> Instant {
        let now = Instant::now();
        // Where the clock cannot count that far, a day is as good as for ever.
        let own = now
            .checked_add(within)
            .unwrap_or_else(|| now + Duration::from_secs(86_400));
        self.message_deadline
            .map_or(own, |message| own.min(message))
    }

    fn buffered(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads into the empty buffer; 0 is the peer's proper end.
    fn fill(&mut self, deadline: Instant) -> Result<usize, WireError> {
        self.start = 0;
        self.end = 0;
        self.fill_up(deadline)
    }

    /// Reads into the buffer behind what is there, which is less than it holds; 0
    /// is the peer's proper end.
    fn fill_up(&mut self, deadline: Instant) -> Result<usize, WireError> {
        if self.input.is_empty() {
            self.input = vec![0; CHUNK].into_boxed_slice();
        }
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.channel.set_deadline(deadline);
        loop {
            if Instant::now() >= deadline {
                return Err(WireError::TimedOut);
            }
            let space = self.input.get_mut(self.end..).unwrap_or_default();
            match self.channel.read(space) {
                Ok(count) => {
                    let count = count.min(space.len());
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
