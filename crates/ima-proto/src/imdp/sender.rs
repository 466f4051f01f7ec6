//! The sending side: one connection, as a state machine over a [`Channel`].

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ima_message::HeaderBlock;

use super::answer::{DataAnswer, HeadersAnswer};
use super::command::Command;
use super::{INFORMATION, message_time};
use crate::framing::{Channel, Line, Wire, WireError};

/// Octets of information lines that one answer may have. A receiver passes on
/// 1 MiB of its handler's lines at most.
const MAX_INFORMATION: usize = 2 << 20;

/// Octets of a header block that goes ahead of an answer. A receiver reads
/// nothing while it delivers: so few always fit between two hosts, and never keep
/// us from hearing what it says meanwhile.
const MAX_AHEAD: usize = 16 << 10;

/// Octets of a message that are read at once.
const BUFFER: usize = 64 << 10;

/// How long a receiver may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the answer to HEADERS, whatever lines come meanwhile: counted from the
    /// question, or, where that went ahead of another answer, from when its own is
    /// awaited.
    pub headers: Duration,
    /// For the answer to DATA, counted from the last line that came; for the answer
    /// to ABORT in all, whatever lines come meanwhile; and for a write in which
    /// nothing goes.
    pub idle: Duration,
    /// For one message, and as long again as it takes at 16 KiB/s.
    pub message: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            message: Duration::from_secs(600),
        }
    }
}

/// Why an exchange did not come to its end. The connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection failed or the receiver took too long.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The receiver says that we broke a rule.
    #[error("the receiver says that we made an error: {0}")]
    Refused(Box<str>),
    /// A final line that does not belong there.
    #[error("the receiver broke the protocol: it said {0:?}")]
    Unexpected(Box<str>),
    /// Lines that nobody asked for.
    #[error("the receiver broke the protocol: it spoke before it was asked")]
    Early,
    /// More information lines than anybody needs.
    #[error("the receiver broke the protocol: its answer is longer than 2 MiB")]
    Flood,
    /// The receiver wants a part that is not there.
    #[error(
        "the receiver broke the protocol: it asks for part {0}, which the message does not have"
    )]
    NoSuchPart(usize),
    /// The message cannot be read.
    #[error("cannot read the message: {0}")]
    Source(#[source] io::Error),
}

/// One connection to a receiver.
///
/// A message is [`Sender::ask`] and [`Sender::verdict`], and once it is accepted
/// [`Sender::send`] and [`Sender::outcome`], or [`Sender::withdraw`] and
/// [`Sender::withdrawn`]. Before the last of these the next message can be asked
/// about. Whoever has no next message says [`Sender::headers`], [`Sender::data`]
/// and [`Sender::abort`].
#[derive(Debug)]
pub struct Sender<C: Channel> {
    wire: Wire<C>,
    times: Times,
    /// The answer to DATA or ABORT is due.
    is_due: bool,
    /// HEADERS went while it was.
    is_ahead: bool,
    /// Octets of the lines of the answer so far.
    heard: usize,
}

impl<C: Channel> Sender<C> {
    /// A sender on a channel whose handshake is over.
    pub fn new(channel: C, times: Times) -> Self {
        Self {
            wire: Wire::new(channel, times.idle),
            times,
            is_due: false,
            is_ahead: false,
            heard: 0,
        }
    }

    /// Asks whether the receiver takes a message. A REDIRECT is declined: the
    /// question is put once more as `HEADERS n direct`.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was delivered.
    pub fn headers(
        &mut self,
        block: &HeaderBlock,
        information: &mut dyn FnMut(&str),
    ) -> Result<HeadersAnswer, SendError> {
        self.ask(block)?;
        self.verdict(block, information)
    }

    /// Puts the question of [`Sender::headers`], for [`Sender::verdict`] to hear.
    /// While the answer to DATA or ABORT is due, the question goes ahead of it,
    /// with what is written already; but only a header block of at most 16 KiB.
    /// False where it is larger: nothing was said, and it can be asked later.
    ///
    /// # Errors
    /// [`SendError`]; then this message was not delivered. The answer that is due
    /// may still be heard.
    pub fn ask(&mut self, block: &HeaderBlock) -> Result<bool, SendError> {
        let octets = block.as_bytes().len();
        if self.is_due {
            if octets > MAX_AHEAD {
                return Ok(false);
            }
            self.is_ahead = true;
        } else {
            self.is_not_early()?;
            self.ends_within(self.times.headers);
        }
        self.write_headers(block, false)?;
        Ok(true)
    }

    /// The answer to [`Sender::ask`] about this header block.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was delivered.
    pub fn verdict(
        &mut self,
        block: &HeaderBlock,
        information: &mut dyn FnMut(&str),
    ) -> Result<HeadersAnswer, SendError> {
        // For the question as a whole: other hosts, which have accepted, do not
        // wait for ever.
        if std::mem::take(&mut self.is_ahead) {
            self.ends_within(self.times.headers);
        }
        let mut is_direct = false;
        loop {
            self.wire.flush(self.times.headers)?;
            self.heard = 0;
            let Some(line) = self.final_line(self.times.headers, None, information)? else {
                continue;
            };
            let answer = HeadersAnswer::parse(&line);
            match answer.ok_or_else(|| SendError::Unexpected(line.into()))? {
                answer @ HeadersAnswer::Redirect(_) if is_direct => {
                    return Err(SendError::Unexpected(answer.to_string().into()));
                }
                HeadersAnswer::Redirect(_) => {
                    is_direct = true;
                    self.is_not_early()?;
                    self.write_headers(block, is_direct)?;
                }
                HeadersAnswer::AcceptParts(parts) => {
                    let last = parts.numbers().last().copied().unwrap_or_default();
                    return if last <= block.parts().len() {
                        Ok(HeadersAnswer::AcceptParts(parts))
                    } else {
                        Err(SendError::NoSuchPart(last))
                    };
                }
                answer => return Ok(answer),
            }
        }
    }

    /// Sends the data, `octets` of them: those of the whole message or of the
    /// parts that were asked for.
    ///
    /// # Errors
    /// [`SendError`]; then the receiver may have delivered or not. Sending again
    /// does no harm.
    pub fn data(
        &mut self,
        octets: u64,
        source: &mut dyn Read,
        information: &mut dyn FnMut(&str),
    ) -> Result<DataAnswer, SendError> {
        self.send(octets, source)?;
        loop {
            if let Some(answer) = self.outcome(None, information)? {
                return Ok(answer);
            }
        }
    }

    /// Writes the data of [`Sender::data`], for [`Sender::outcome`] to hear what
    /// became of them. The last of them go with what is written next.
    ///
    /// # Errors
    /// As [`Sender::data`].
    pub fn send(&mut self, octets: u64, source: &mut dyn Read) -> Result<(), SendError> {
        self.is_not_early()?;
        self.ends_within(message_time(self.times.message, octets));
        self.begins_answer();
        self.wire
            .write_line(&Command::Data { octets }.to_string())?;
        let mut buffer = vec![0; usize::try_from(octets).map_or(BUFFER, |all| all.min(BUFFER))];
        let mut missing = octets;
        while missing > 0 {
            let most = usize::try_from(missing)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let space = buffer.get_mut(..most).unwrap_or_default();
            let count = match source.read(space) {
                Ok(0) => return Err(SendError::Source(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SendError::Source(error)),
            };
            self.wire
                .write_octets(space.get(..count).unwrap_or_default())?;
            missing -= count as u64;
        }
        Ok(())
    }

    /// What became of the data of [`Sender::send`]. None where `wake` became
    /// readable before the receiver said so; then this is called again.
    ///
    /// # Errors
    /// As [`Sender::data`].
    pub fn outcome(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        information: &mut dyn FnMut(&str),
    ) -> Result<Option<DataAnswer>, SendError> {
        let Some(line) = self.due_line(wake, information)? else {
            return Ok(None);
        };
        DataAnswer::parse(&line)
            .map(Some)
            .ok_or_else(|| SendError::Unexpected(line.into()))
    }

    /// Takes accepted headers back.
    ///
    /// # Errors
    /// [`SendError`]; nothing was delivered all the same.
    pub fn abort(&mut self) -> Result<(), SendError> {
        self.withdraw()?;
        while !self.withdrawn(None)? {}
        Ok(())
    }

    /// Says that accepted headers are taken back, for [`Sender::withdrawn`] to
    /// hear that they are. It goes with what is written next.
    ///
    /// # Errors
    /// As [`Sender::abort`].
    pub fn withdraw(&mut self) -> Result<(), SendError> {
        // There is nothing to work on: lines that say otherwise gain no time.
        self.ends_within(self.times.idle);
        self.begins_answer();
        Ok(self.wire.write_line(&Command::Abort.to_string())?)
    }

    /// Hears that the headers of [`Sender::withdraw`] are taken back. False where
    /// `wake` became readable first; then this is called again.
    ///
    /// # Errors
    /// As [`Sender::abort`].
    pub fn withdrawn(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<bool, SendError> {
        match self.due_line(wake, &mut |_| {})? {
            None => Ok(false),
            Some(line) if line == "OK" => Ok(true),
            Some(line) => Err(SendError::Unexpected(line.into())),
        }
    }

    /// Says the end and closes.
    ///
    /// # Errors
    /// What closing says; all that was sent is answered already.
    pub fn done(mut self) -> Result<(), SendError> {
        self.wire.write_line(&Command::Done.to_string())?;
        Ok(self.wire.close()?)
    }

    /// Whoever has not been asked has nothing to say.
    fn is_not_early(&mut self) -> Result<(), SendError> {
        if self.wire.has_buffered() {
            return Err(SendError::Early);
        }
        Ok(())
    }

    /// All that is read and written from now on is over within this time.
    fn ends_within(&mut self, time: Duration) {
        self.wire
            .set_message_deadline(Instant::now().checked_add(time));
    }

    fn begins_answer(&mut self) {
        self.is_due = true;
        self.heard = 0;
    }

    fn write_headers(&mut self, block: &HeaderBlock, direct: bool) -> Result<(), WireError> {
        let octets = block.as_bytes();
        let command = Command::Headers {
            octets: octets.len() as u64,
            direct,
        };
        self.wire.write_line(&command.to_string())?;
        self.wire.write_octets(octets)
    }

    /// The final line to DATA or ABORT; None where `wake` came first.
    fn due_line(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        information: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, SendError> {
        let flushed = self.wire.flush(self.times.idle);
        if let Err(error @ WireError::TimedOut) = flushed {
            return Err(error.into());
        }
        // What the receiver has said stands, also where it has gone since.
        match (self.final_line(self.times.idle, wake, information), flushed) {
            (Ok(Some(line)), _) => {
                self.is_due = false;
                self.wire.set_message_deadline(None);
                Ok(Some(line))
            }
            (Err(_), Err(error)) => Err(error.into()),
            (result, _) => result,
        }
    }

    /// The next final line; information lines before it are handed on. None where
    /// `wake` became readable first.
    fn final_line(
        &mut self,
        within: Duration,
        wake: Option<BorrowedFd<'_>>,
        information: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, SendError> {
        loop {
            if wake.is_some() && !self.has_line(within, wake)? {
                return Ok(None);
            }
            let line = self.wire.read_line(within)?;
            self.heard = self.heard.saturating_add(line.len());
            if self.heard > MAX_INFORMATION {
                return Err(SendError::Flood);
            }
            if let Some(line) = line.strip_prefix(INFORMATION) {
                information(line);
            } else if let Some(text) = line.strip_prefix("ERROR") {
                return Err(SendError::Refused(text.trim_start().into()));
            } else {
                return Ok(Some(line));
            }
        }
    }

    /// Waits for a line; false where `wake` became readable first.
    fn has_line(
        &mut self,
        within: Duration,
        wake: Option<BorrowedFd<'_>>,
    ) -> Result<bool, WireError> {
        let now = Instant::now();
        // Where the clock cannot count that far, a day is as good as for ever.
        let at = now
            .checked_add(within)
            .unwrap_or(now + Duration::from_secs(86_400));
        loop {
            match self.wire.await_line(wake, at)? {
                Line::Here => return Ok(true),
                Line::Begun => {}
                Line::Wake => return Ok(false),
                Line::TimedOut => return Err(WireError::TimedOut),
            }
        }
    }
}
