//! Why a message is not shown, or not taken apart.

use std::io;
use std::path::PathBuf;

use ima_message::{DataError, KeyError, ReadError};
use ima_program::exit::Exit;

use crate::input::Origin;

/// What ends the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no header block, or not one that is valid.
    #[error("{0}")]
    Header(Origin, #[source] ReadError),
    /// The data are not what the header block announces.
    #[error("{0}: not a valid message")]
    Data(Origin, #[source] DataError),
    /// A file cannot be opened.
    #[error("{}: cannot be opened", .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// The message cannot be read or kept while it is read.
    #[error("{0}: cannot be read or kept")]
    Read(Origin, #[source] io::Error),
    /// The file with the keys cannot be read.
    #[error("--keys {}: cannot be read", .0.display())]
    KeysRead(PathBuf, #[source] io::Error),
    /// A line of it is no key.
    #[error("--keys {}: line {line}", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The rule that it breaks.
        source: KeyError,
    },
    /// Message and keys are both to be standard input.
    #[error("--keys -: standard input is the message; name a file with the keys")]
    StdinTwice,
    /// The directory for the attachments cannot be opened.
    #[error("--extract {}: cannot be opened; it must be a directory that is there", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// The name of an attachment is taken.
    #[error(
        "{}: is there already and is never overwritten; move it away, or extract into another directory", .0.display()
    )]
    Exists(PathBuf),
    /// An attachment cannot be written durably.
    #[error("{}: cannot be written", .0.display())]
    Extract(PathBuf, #[source] io::Error),
    /// What is printed is not taken.
    #[error("standard output: cannot be written")]
    Write(#[source] io::Error),
}

impl Failure {
    /// What the program exits with: a message that is not valid is refused;
    /// everything else is a fault and may pass.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Header(_, ReadError::Header(_)) | Self::Data(..) => Exit::Refused,
            _ => Exit::Unfinished,
        }
    }
}
