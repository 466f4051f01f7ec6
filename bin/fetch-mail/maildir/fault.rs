//! What can go wrong with Maildirs.

use std::io;
use std::path::PathBuf;

use ima_mailbox::MailboxError;
use ima_message::{Address, MessageDigest};
use ima_mime::maildir::MaildirError;

/// Why files and folders were not brought together.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The mailbox here.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// A Maildir.
    #[error(transparent)]
    Maildir(#[from] MaildirError),
    /// The Maildirs are to be in the mailbox.
    #[error("--maildir {}: this is the mailbox itself or lies in it; name another directory", .0.display())]
    InMailbox(PathBuf),
    /// A folder of a mailbox stands where a Maildir is to be.
    #[error("{}: this is a folder of a mailbox and cannot be a Maildir as well; name another directory", .0.display())]
    Folder(PathBuf),
    /// A Maildir of another account.
    #[error("{}: this Maildir holds the mail of {of}, and the mail here is {wanted}'s; name a directory for it with --maildir", .maildir.display())]
    Others {
        /// The Maildir.
        maildir: PathBuf,
        /// Whose.
        of: Box<Address>,
        /// Whose mail is fetched.
        wanted: Box<Address>,
    },
    /// A file is the only one that is left of a message, and not as it was written.
    #[error("{}: its message is in no folder any more and cannot be read from it; it is left there: look at it, then remove or import it", .0.display())]
    Changed(PathBuf),
    /// A message here is damaged, or not whole.
    #[error("{digest} cannot be written into the Maildir {}: `ima-mailbox check` says what is wrong", .maildir.display())]
    Damaged {
        /// The message.
        digest: MessageDigest,
        /// Where it is to be.
        maildir: PathBuf,
        /// How it was seen.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {step} {}", .path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

impl Fault {
    /// A failed system call, for `map_err`.
    pub(super) fn io(
        step: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { step, path, source }
    }
}
