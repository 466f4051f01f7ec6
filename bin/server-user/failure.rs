//! Why nothing was changed, or not all.

use std::io;
use std::path::PathBuf;

use ima_mailbox::MailboxError;
use ima_message::Address;
use ima_program::Exit;
use ima_program::config::ConfigError;
use ima_program::report::chain;
use ima_proto::users::{CertificateError, MAX_PASSWORD, PasswordError, UsersError};

/// What ends the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration of the server.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The users, as they are.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Somebody who is to be added is there.
    #[error("{} is a user already, in {place}; `server-user password` and `server-user certificate` change what they log in with", .address.canonical())]
    Exists {
        /// Who.
        address: Address,
        /// File and line.
        place: String,
    },
    /// Nobody has this address.
    #[error("{} is no user; `server-user list` prints who is, and `server-user add` makes one", .address.canonical())]
    NoUser {
        /// Who.
        address: Address,
    },
    /// A certificate that is to be withdrawn is not enrolled.
    #[error("{key} is not enrolled for {}; `server-user list` prints what is", .address.canonical())]
    NotEnrolled {
        /// Who.
        address: Address,
        /// The key's digest.
        key: String,
    },
    /// What is to be withdrawn looks like a digest, and is none.
    #[error(
        "{written}: neither a file nor the digest of a key, which is sha256: and 64 hexadecimal digits; `server-user list` prints what is enrolled"
    )]
    NoDigest {
        /// As given.
        written: String,
    },
    /// A path that a users file cannot hold.
    #[error("{}: a path here is written in UTF-8 and has no control characters in it", .path.display())]
    UnfitPath {
        /// As given.
        path: PathBuf,
    },
    /// Root would make what its owner could not use.
    #[error("{}: it belongs to user id {owner}, and what root makes in it would be of no use to them; as that user run `ima-mailbox create {}` first, then this again", .folder.display(), .inbox.display())]
    Owner {
        /// The folder that is there.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// What would be made.
        inbox: PathBuf,
    },
    /// The mailbox cannot be made.
    #[error("the mailbox cannot be made: {}{}", chain(.fault), hint(.fault))]
    Mailbox {
        /// Why; the message has it.
        fault: MailboxError,
    },
    /// A file that is edited is not as the edit needs it.
    #[error(
        "{place}: this entry is written in a form that cannot be edited here; write it as a table, [\"ADDRESS\"]"
    )]
    Form {
        /// File and line.
        place: String,
    },
    /// The edit made something that would not be read again.
    #[error("{}: the change would not be read again, so it was not made: {source}", .file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What would be wrong.
        source: ConfigError,
    },
    /// The file is TOML for one parser, and not for the other.
    #[error("{}: cannot be edited: {source}", .file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: toml_edit::TomlError,
    },
    /// The file would be somebody else's after the change.
    #[error("{}: it belongs to user id {owner} and group id {group}, and would not after a change by you; run this as that user, or as root", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its group.
        group: u32,
        /// What the system says.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{}: cannot {step}", .path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// The terminal gives no password.
    #[error("no password can be read from the terminal; without one, give it as one line on stdin")]
    Terminal(#[source] io::Error),
    /// Stdin gives no password.
    #[error("no password can be read from stdin")]
    Stdin(#[source] io::Error),
    /// Nothing was typed, or stdin is at its end.
    #[error("there is no password: one line is wanted, of 1 to {MAX_PASSWORD} octets")]
    NoPassword,
    /// More than can be sent.
    #[error("the password is too long: one line is wanted, of 1 to {MAX_PASSWORD} octets")]
    LongPassword,
    /// What cannot be typed everywhere.
    #[error(
        "a password is text in UTF-8 without control characters; is there a carriage return at the end of the line?"
    )]
    UnfitPassword,
    /// The two differ.
    #[error("the two passwords differ; nothing was changed: try again")]
    Differ,
    /// No hash.
    #[error(transparent)]
    Hash(#[from] PasswordError),
    /// The file of a certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A key or certificate would be overwritten.
    #[error("{}: is there already, and no key or certificate is overwritten; name another folder", .path.display())]
    Taken {
        /// What is there.
        path: PathBuf,
    },
    /// The cryptography failed.
    #[error("cannot make a certificate or its key: {0}")]
    Making(#[from] rcgen::Error),
    /// The system gave no random octets for a serial number.
    #[error("the system gives no random octets: {0}")]
    Random(#[from] getrandom::Error),
    /// All is done, but nobody hears of it.
    #[error("what was asked for is done, but cannot be printed")]
    Print(#[source] io::Error),
}

impl Failure {
    /// 1 where the users as they are do not allow it, else 2.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Exists { .. } | Self::NoUser { .. } | Self::NotEnrolled { .. } => Exit::Refused,
            _ => Exit::Unfinished,
        }
    }
}

fn hint(error: &MailboxError) -> &'static str {
    match error {
        MailboxError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "; the folder above it must be there: make it with mkdir"
        }
        _ => "",
    }
}
