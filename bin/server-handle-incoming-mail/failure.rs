//! Why nothing was delivered to anyone.

use std::io;
use std::path::PathBuf;

use ima_message::{DataError, ReadError};
use ima_program::config::ConfigError;
use ima_program::exit::Exit;
use ima_route::RouteError;

/// What ends the program before a recipient is served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration file is not there or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The routes in it cannot work.
    #[error("{}", .file.display())]
    Routes {
        /// The configuration file.
        file: PathBuf,
        /// What is wrong.
        source: RouteError,
    },
    /// The file that was named cannot be opened.
    #[error("{}: cannot be opened", .file.display())]
    Open {
        /// As it was named.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The message cannot be read or kept while it is dealt with.
    #[error("cannot read the message")]
    Input(#[source] io::Error),
    /// There is no header block, or not one that is valid.
    #[error(transparent)]
    Header(#[from] ReadError),
    /// The data are not what the header block announces.
    #[error("not a valid message")]
    Data(#[from] DataError),
    /// Every recipient is some other server's.
    #[error("no recipient is of a host of ours; `hosts` in the configuration names them")]
    NoneOfOurs,
}

impl Failure {
    /// What the program exits with: a message that is not valid, or not for us,
    /// is refused; everything else is our fault and may pass.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Header(ReadError::Header(_)) | Self::Data(_) | Self::NoneOfOurs => Exit::Refused,
            Self::Header(ReadError::Empty | ReadError::Io(_))
            | Self::Config(_)
            | Self::Routes { .. }
            | Self::Open { .. }
            | Self::Input(_) => Exit::Unfinished,
        }
    }
}
