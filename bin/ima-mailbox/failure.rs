//! Why a command could not do what was asked.

use std::io;
use std::path::{Path, PathBuf};

use ima_mailbox::{Folder, Mailbox, MailboxError};
use ima_message::{FolderName, HeaderError, MessageDigest};
use ima_mime::ImportError;
use ima_mime::maildir::MaildirError;
use ima_mime::mbox::NoMbox;

/// What ends a command, or what it says of one message before it goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The mailbox.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// A folder.
    #[error(
        "{} is left out: `ima-mailbox check` says what is wrong with it, and `ima-mailbox repair` mends what can be mended", .folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: MailboxError,
    },
    /// A Maildir.
    #[error(transparent)]
    Maildir(#[from] MaildirError),
    /// A folder was wanted, and this is a mailbox.
    #[error("{} is a mailbox and no folder; its folders are {}", .path.display(), .folders.join(", "))]
    IsMailbox {
        /// The directory.
        path: PathBuf,
        /// Their paths.
        folders: Vec<String>,
    },
    /// A word of the command line, or a line of standard input, is no digest.
    #[error(
        "{0:?} is no message digest, which is 64 hexadecimal digits in lower case: `ima-mailbox list` shows them"
    )]
    Digest(String),
    /// A word that begins with + or - is no flag.
    #[error("{0:?} is no flag: + or - and 1 to 32 letters in lower case, digits and hyphens")]
    Flag(String),
    /// Flags without messages, or messages without flags.
    #[error("`flag` wants at least one +FLAG or -FLAG and at least one DIGEST")]
    NothingToFlag,
    /// A message is not in the folder.
    #[error("{digest} is not in {}", .folder.display())]
    Missing {
        /// The message.
        digest: MessageDigest,
        /// The folder.
        folder: PathBuf,
    },
    /// Two folders of different mailboxes.
    #[error(
        "{} and {} are not in one mailbox: export the messages from the one, and import them into the other",
        .from.display(), .to.display()
    )]
    TwoMailboxes {
        /// The one.
        from: PathBuf,
        /// The other.
        to: PathBuf,
    },
    /// A system call on a file that is none of a mailbox's.
    #[error("cannot {step} {}", .path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// Standard input cannot be read.
    #[error("cannot read standard input")]
    Stdin(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
    /// A message's files are damaged.
    #[error("{digest} in {} cannot be exported: `ima-mailbox check` says what is wrong", .folder.display())]
    Damaged {
        /// The message.
        digest: MessageDigest,
        /// The folder.
        folder: PathBuf,
        /// How it was seen.
        source: io::Error,
    },
    /// A message could be read, and then no more, when part of it was written.
    #[error(
        "{digest} in {} cannot be read to its end, and part of it is written: the export ends there", .folder.display()
    )]
    HalfWritten {
        /// The message.
        digest: MessageDigest,
        /// The folder.
        folder: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// A mail cannot become a message.
    #[error("{place}: {source}")]
    Mail {
        /// The file, and the line for an mbox.
        place: String,
        /// The rule.
        source: ImportError,
    },
    /// A file is no mbox.
    #[error("{}: {}", .0.display(), NoMbox)]
    NoMbox(PathBuf),
    /// A directory is no Maildir.
    #[error("{} holds neither a Maildir (cur, new and tmp) nor directories that are one", .0.display())]
    NoMaildir(PathBuf),
    /// A Maildir's name cannot be made a folder's.
    #[error("{}: not imported, since {name:?} cannot be a folder's name; rename it: {source}", .path.display())]
    FolderName {
        /// The Maildir.
        path: PathBuf,
        /// What the folder would be called.
        name: String,
        /// The rule.
        source: ima_message::FolderNameError,
    },
    /// What stands on standard input is no message.
    #[error(
        "standard input, message {number}: {source}; where the next one begins cannot be known, so nothing behind it is read"
    )]
    Stream {
        /// Which message, from 1.
        number: u64,
        /// The rule.
        source: HeaderError,
    },
    /// The data of a message on standard input are not those that it announces.
    #[error("standard input, message {number}, {digest}")]
    Data {
        /// Which message, from 1.
        number: u64,
        /// Its digest.
        digest: MessageDigest,
        /// The rule.
        source: MailboxError,
    },
    /// The stream ends within a message.
    #[error("standard input ends within message {number}; those before it are stored")]
    StreamEnds {
        /// Which message, from 1.
        number: u64,
    },
    /// Mail that is not imported, at the end.
    #[error(
        "{refused} not imported, for the reasons given above; {stored} stored, {known} were there already"
    )]
    SomeRefused {
        /// How many were refused.
        refused: u64,
        /// How many are new.
        stored: u64,
        /// How many were there.
        known: u64,
    },
    /// A folder that an import wants is gone.
    #[error("the folder {0} was removed meanwhile")]
    Removed(FolderName),
}

/// Opens the folder that is named on the command line.
///
/// # Errors
/// As for [`Folder::open`], and [`Failure::IsMailbox`].
pub(crate) fn open(path: &Path) -> Result<Folder, Failure> {
    Folder::open(path).map_err(|error| {
        match Mailbox::open(path).and_then(|mailbox| mailbox.names()) {
            Ok(names) if !names.is_empty() => {
                let folder = |name: &FolderName| path.join(name.as_str()).display().to_string();
                Failure::IsMailbox {
                    path: path.to_owned(),
                    folders: names.iter().map(folder).collect(),
                }
            }
            _ => error.into(),
        }
    })
}

impl Failure {
    /// What failed with a file, for `map_err`.
    pub(crate) fn io(
        step: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { step, path, source }
    }
}
