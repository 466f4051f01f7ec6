//! Why there is no key, or no line.

use std::io;
use std::path::PathBuf;

use ima_message::{AddressError, DateError, KeyError};

/// What ends the program; the exit code is always 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing says what to do.
    #[error("name a SIGNER and a FILE, or --public FILE")]
    NoOperands,
    /// The signer is none.
    #[error("SIGNER {signer:?}")]
    Signer {
        /// As it was given.
        signer: String,
        /// The rule that it breaks.
        source: AddressError,
    },
    /// The system gives no random octets.
    #[error("no random octets for a key")]
    Random(#[source] getrandom::Error),
    /// The clock stands where no date can be written.
    #[error("the clock of this machine is wrong")]
    Clock(#[source] jiff::Error),
    /// A date of the key cannot be written.
    #[error("the clock of this machine is wrong")]
    Date(#[from] DateError),
    /// The name is taken.
    #[error(
        "{}: is there already, and a key is never overwritten; name another file, or print what is public of this one with --public", .0.display()
    )]
    Exists(PathBuf),
    /// The file cannot be written durably.
    #[error("{}: cannot be written, and no key was made", .0.display())]
    Create(PathBuf, #[source] io::Error),
    /// The file cannot be read.
    #[error("{}: cannot be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The file is no key file.
    #[error("{}", .0.display())]
    Key(PathBuf, #[source] KeyError),
    /// The key was made and its line not printed.
    #[error(
        "standard output: cannot be written; the key is in {file}, and make-ima-key --public {file} prints its line", file = .0.display()
    )]
    NotPrinted(PathBuf, #[source] io::Error),
    /// The line was not printed.
    #[error("standard output: cannot be written")]
    Write(#[source] io::Error),
}
