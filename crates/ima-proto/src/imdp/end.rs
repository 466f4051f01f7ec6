//! How messages and connections end, for the receiving side.

use std::io;

use ima_message::DataError;

use super::answer::DataAnswer;
use super::command::CommandError;
use crate::framing::WireError;

/// Why an accepted message was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum NotDelivered {
    /// Its data are not those that were announced.
    #[error(transparent)]
    Data(#[from] DataError),
    /// They could not be kept here.
    #[error("cannot keep the data: {0}")]
    Store(io::Error),
    /// The sender gave it up.
    #[error("the sender gave the message up")]
    Abort,
    /// The connection was closed or broke, or the sender broke the order.
    #[error("{0}")]
    Broken(Box<str>),
}

impl NotDelivered {
    /// What is answered to the data; `ABORT` where the sender wanted no answer to them,
    /// and `none` where it gets none.
    #[must_use]
    pub fn answer(&self) -> &'static str {
        match self {
            Self::Data(_) => DataAnswer::Fail.as_str(),
            Self::Store(_) => DataAnswer::Partial.as_str(),
            Self::Abort => "ABORT",
            Self::Broken(_) => "none",
        }
    }
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// The sender was done, or closed between two messages.
    Done,
    /// The sender broke the grammar; it was told, and the connection closed.
    Error(ProtocolError),
    /// The service wanted it dropped.
    Dropped,
    /// The service finishes.
    Stopped,
    /// The connection failed or a time was up.
    Broken(WireError),
}

/// What a sender did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line that is no command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A command where it has no place.
    #[error("out of order: {0}")]
    OutOfOrder(&'static str),
    /// A header block over the limit.
    #[error("a header block has at most {0} octets here")]
    HeaderBlock(u64),
    /// DATA of another length than the parts have.
    #[error("DATA must announce {0} octets, the sum of the accepted parts")]
    DataLength(u64),
    /// More messages than allowed.
    #[error("{0} messages are the most on one connection; open another")]
    Messages(u64),
    /// A line too long, or not text.
    #[error("a command is a line of text of at most 4,096 octets")]
    Line,
}
