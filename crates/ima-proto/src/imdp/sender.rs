//! The sending side: one connection, as a state machine over a [`Channel`].

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ima_message::HeaderBlock;

use super::answer::{DataAnswer, HeadersAnswer};
use super::command::Command;
use super::{INFORMATION, message_time};
use crate::framing::{Channel, Wire, WireError};

/// Octets of information lines that one answer may have. A receiver passes on
/// 1 MiB of its handler's lines at most.
const MAX_INFORMATION: usize = 2 << 20;

/// How long a receiver may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the answer to HEADERS, counted from the question, whatever lines come
    /// meanwhile.
    pub headers: Duration,
    /// For any other answer, counted from the last line that came; and for a
    /// write in which nothing goes.
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
#[derive(Debug)]
pub struct Sender<C: Channel> {
    wire: Wire<C>,
    times: Times,
}

impl<C: Channel> Sender<C> {
    /// A sender on a channel whose handshake is over.
    pub fn new(channel: C, times: Times) -> Self {
        Self {
            wire: Wire::new(channel, times.idle),
            times,
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
        // For the question as a whole: other hosts, which have accepted, do not
        // wait for ever.
        self.wire
            .set_message_deadline(Instant::now().checked_add(self.times.headers));
        let octets = block.as_bytes().len() as u64;
        for direct in [false, true] {
            let answer =
                self.ask_headers(Command::Headers { octets, direct }, block, information)?;
            match answer {
                HeadersAnswer::Redirect(_) if direct => {
                    return Err(SendError::Unexpected(answer.to_string().into()));
                }
                HeadersAnswer::Redirect(_) => {}
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
        Err(SendError::Early)
    }

    fn ask_headers(
        &mut self,
        command: Command,
        block: &HeaderBlock,
        information: &mut dyn FnMut(&str),
    ) -> Result<HeadersAnswer, SendError> {
        if self.wire.has_buffered() {
            return Err(SendError::Early);
        }
        self.wire.write_line(&command.to_string())?;
        self.wire.write_octets(block.as_bytes())?;
        self.wire.flush(self.times.headers)?;
        let line = self.final_line(self.times.headers, information)?;
        HeadersAnswer::parse(&line).ok_or_else(|| SendError::Unexpected(line.into()))
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
        if self.wire.has_buffered() {
            return Err(SendError::Early);
        }
        let time = message_time(self.times.message, octets);
        self.wire
            .set_message_deadline(Instant::now().checked_add(time));
        self.wire
            .write_line(&Command::Data { octets }.to_string())?;
        let mut buffer = vec![0; 64 << 10];
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
        self.wire.flush(self.times.idle)?;
        let line = self.final_line(self.times.idle, information)?;
        self.wire.set_message_deadline(None);
        DataAnswer::parse(&line).ok_or_else(|| SendError::Unexpected(line.into()))
    }

    /// Takes accepted headers back.
    ///
    /// # Errors
    /// [`SendError`]; nothing was delivered all the same.
    pub fn abort(&mut self) -> Result<(), SendError> {
        self.wire.set_message_deadline(None);
        self.wire.write_line(&Command::Abort.to_string())?;
        self.wire.flush(self.times.idle)?;
        let line = self.final_line(self.times.idle, &mut |_| {})?;
        self.wire.set_message_deadline(None);
        if line == "OK" {
            Ok(())
        } else {
            Err(SendError::Unexpected(line.into()))
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

    /// The next final line; information lines before it are handed on.
    fn final_line(
        &mut self,
        within: Duration,
        information: &mut dyn FnMut(&str),
    ) -> Result<String, SendError> {
        let mut octets = 0;
        loop {
            let line = self.wire.read_line(within)?;
            octets += line.len();
            if octets > MAX_INFORMATION {
                return Err(SendError::Flood);
            }
            if let Some(line) = line.strip_prefix(INFORMATION) {
                information(line);
            } else if let Some(text) = line.strip_prefix("ERROR") {
                return Err(SendError::Refused(text.trim_start().into()));
            } else {
                return Ok(line);
            }
        }
    }
}
