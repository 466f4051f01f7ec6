//! Why a message was not stored.

use std::io;
use std::path::PathBuf;

use ima_mailbox::MailboxError;
use ima_message::ReadError;
use ima_program::exit::Exit;

/// What ends the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The file that was named cannot be opened.
    #[error("cannot open {}", .file.display())]
    Open {
        /// As it was named.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no header block, or not one that is valid.
    #[error(transparent)]
    Header(#[from] ReadError),
    /// The message is not valid, or the mailbox cannot take it.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
}

impl Failure {
    /// A message that is not valid is refused; everything else may pass. Where
    /// there is not one octet, it is the sender that failed and not the message.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Header(ReadError::Header(_)) => Exit::Refused,
            Self::Mailbox(error) if error.is_refusal() => Exit::Refused,
            Self::Header(ReadError::Empty | ReadError::Io(_))
            | Self::Mailbox(_)
            | Self::Open { .. } => Exit::Unfinished,
        }
    }
}
