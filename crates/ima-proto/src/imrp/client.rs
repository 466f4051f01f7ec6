//! The user agent's side: one connection, as a state machine over a [`Channel`].

mod change;
mod login;
mod octets;
mod sync;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use ima_message::{PartDigest, Token};

use super::INFORMATION;
use super::answer::{Final, Information};
use super::command::{Command, SyncMode};
use crate::framing::{BlockError, Channel, Wire, WireError};
use crate::imdp::message_time;

use change::Early;
pub use change::Stored;
pub use sync::{Next, Synced, Syncing, TakeChange};
pub use watch::{Event, Watch};

/// Information lines of no use here that one answer may have.
const MAX_UNKNOWN: usize = 10_000;
/// Octets of the lines of one answer: some 25 million changes of a folder.
const MAX_LINES: u64 = 4 << 30;

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the next line or the next octets, counted from the last.
    pub idle: Duration,
    /// For one answer to begin; and for a message, an attachment or a list to
    /// come, and as long again as it takes at 16 KiB/s.
    pub message: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            message: Duration::from_secs(600),
        }
    }
}

/// Why an exchange did not come to its end. The connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed or the server took too long.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The server has a fault, or says that we broke a rule.
    #[error("the server ended the session: {0}")]
    Ended(Box<str>),
    /// A line that does not belong there.
    #[error("the server broke the protocol: it said {0:?}")]
    Unexpected(Box<str>),
    /// Other octets than those that were asked for.
    #[error("the server broke the protocol: it sent an attachment that was not asked for")]
    Other,
    /// More octets than belong to what was asked for.
    #[error(
        "the server broke the protocol: it announced {announced} octets where at most {most} belong"
    )]
    Length {
        /// What it announced.
        announced: u64,
        /// What can be right.
        most: u64,
    },
    /// More lines than anybody needs.
    #[error("the server broke the protocol: its answer has more lines than are taken here")]
    Flood,
    /// No password is as long as this, or empty.
    #[error("a password has 1 to 1024 octets, and this one has {0}")]
    Password(usize),
    /// More flags at once than a command can bring.
    #[error("a FLAG changes 1 to 64 flags, and this one {0}")]
    Flags(usize),
    /// The message that is to be stored cannot be read to its end.
    #[error("cannot read the message that is to be stored")]
    Source(#[source] io::Error),
    /// Answers come in the order of the questions, and the next one is of
    /// another kind, or none.
    #[error("there is no such answer to be taken next")]
    NotNext,
    /// Answers with octets are to be taken before a message is stored: otherwise
    /// each side could wait for the other to read.
    #[error("the answers to FETCH, PART and SYNC are taken before a STORE")]
    Unread,
}

impl ClientError {
    /// Whether the server broke a rule, rather than the connection, or the
    /// server's own machine.
    #[must_use]
    pub fn is_breach(&self) -> bool {
        match self {
            Self::Wire(error) => matches!(error, WireError::TooLong { .. } | WireError::NotText),
            Self::Ended(_)
            | Self::Password(_)
            | Self::Flags(_)
            | Self::Source(_)
            | Self::NotNext
            | Self::Unread => false,
            Self::Unexpected(_) | Self::Other | Self::Length { .. } | Self::Flood => true,
        }
    }
}

/// Why a block did not come whole.
#[derive(Debug, thiserror::Error)]
pub enum SinkError<E> {
    /// The exchange.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Whoever takes the octets; the rest of them is unread, and the connection
    /// of no further use.
    #[error("{0}")]
    Sink(E),
}

impl<E> From<BlockError<E>> for SinkError<E> {
    fn from(error: BlockError<E>) -> Self {
        match error {
            BlockError::Wire(error) => Self::Client(error.into()),
            BlockError::Sink(error) => Self::Sink(error),
        }
    }
}

/// What came of a question for octets, or of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of them came; the change is done, and durable.
    Whole,
    /// The server does not have it (any more), or will not; its reason.
    Refused(Box<str>),
}

/// A question whose answer is still to come.
#[derive(Debug)]
enum Asked {
    Message {
        most: u64,
    },
    Part {
        digest: PartDigest,
        most: u64,
    },
    Sync {
        mode: SyncMode,
    },
    /// FLAG, MOVE, DELETE, CREATE or REMOVE.
    Change,
    Store,
}

/// One connection to a post office.
#[derive(Debug)]
pub struct Client<C: Channel> {
    wire: Wire<C>,
    times: Times,
    /// Questions whose answers are unread.
    asked: VecDeque<Asked>,
    /// Answers that were read before somebody took them; they are those to the
    /// questions before.
    early: VecDeque<Early>,
}

impl<C: Channel> Client<C> {
    /// A client on a channel whose handshake is over.
    pub fn new(channel: C, times: Times) -> Self {
        Self {
            wire: Wire::new(channel, times.idle),
            times,
            asked: VecDeque::new(),
            early: VecDeque::new(),
        }
    }

    /// How many questions wait for their answers to be taken.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.asked.len().saturating_add(self.early.len())
    }

    /// Says the end and closes.
    ///
    /// # Errors
    /// What closing says; all that was asked for has come already.
    pub fn done(mut self) -> Result<(), ClientError> {
        self.write(&Command::Done)?;
        Ok(self.wire.close()?)
    }

    /// From now on so many octets may take their time, and nothing more, however
    /// they are spread over it.
    fn wait(&mut self, octets: u64) {
        let time = message_time(self.times.message, octets);
        self.wire
            .set_message_deadline(Instant::now().checked_add(time));
    }

    fn write(&mut self, command: &Command) -> Result<(), WireError> {
        // The time of the answer before is over.
        self.wire.set_message_deadline(None);
        self.wire.write_line(&command.to_string())
    }

    /// The next line but for `+ alive`: an information line without its `+ `, or
    /// a final one.
    fn next_line(&mut self) -> Result<(String, Option<Final>), ClientError> {
        let mut silent = 0;
        loop {
            let line = self.wire.read_line(self.times.idle)?;
            let Some(information) = line.strip_prefix(INFORMATION) else {
                return match Final::parse(&line) {
                    Some(Final::Error(text)) => Err(ClientError::Ended(text)),
                    Some(last) => Ok((line, Some(last))),
                    None => Err(ClientError::Unexpected(line.into())),
                };
            };
            if information != "alive" {
                return Ok((information.to_owned(), None));
            }
            silent += 1;
            if silent > MAX_UNKNOWN {
                return Err(ClientError::Flood);
            }
        }
    }

    /// What an answer has cost so far buys this time.
    fn allow(&mut self, budget: &Budget) {
        let time = message_time(self.times.message, budget.octets);
        self.wire
            .set_message_deadline(budget.begin.checked_add(time));
    }

    /// The next line of an answer that is known here, and what it says.
    fn told(&mut self, budget: &mut Budget) -> Result<(String, Told), ClientError> {
        loop {
            self.allow(budget);
            let (line, last) = self.next_line()?;
            if let Some(last) = last {
                return Ok((line, Told::Last(last)));
            }
            budget.octets = budget.octets.saturating_add(line.len() as u64);
            budget.lines = budget.lines.saturating_add(line.len() as u64);
            if budget.lines > MAX_LINES {
                return Err(ClientError::Flood);
            }
            if let Some(information) = Information::parse(&line) {
                return Ok((line, Told::Information(information)));
            }
            if is_malformed(&line) {
                return Err(ClientError::Unexpected(line.into()));
            }
            // From a server that knows more than we do.
            budget.unknown += 1;
            if budget.unknown > MAX_UNKNOWN {
                return Err(ClientError::Flood);
            }
        }
    }
}

/// What a line of an answer says.
enum Told {
    Information(Information),
    Last(Final),
}

/// What one answer has cost.
#[derive(Debug)]
struct Budget {
    begin: Instant,
    /// Octets that came, or are to come next, and buy time.
    octets: u64,
    /// Octets of lines.
    lines: u64,
    unknown: usize,
}

impl Budget {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            octets: 0,
            lines: 0,
            unknown: 0,
        }
    }
}

/// Whether a line that cannot be read is one of those that are known: it begins
/// as they do, or ends in a token as a folder's does.
fn is_malformed(line: &str) -> bool {
    let word = line.split(' ').next().unwrap_or_default();
    let last = line.rsplit(' ').next().unwrap_or_default();
    let words = [
        "add",
        "flag",
        "del",
        "header",
        "message",
        "attachment",
        "changed",
        "alive",
    ];
    words.contains(&word) || last.parse::<Token>().is_ok()
}
