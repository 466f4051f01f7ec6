//! What can go wrong in a mailbox.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ima_message::{DataError, FolderNameError};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::journal::JournalError;
use crate::settings::SettingsError;
use crate::stored::Unsound;

/// Why a mailbox did not do what was asked. But for [`MailboxError::Data`],
/// which is a refusal of the message, each is a fault on this side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// There is no folder at this path.
    #[error("there is no folder {}: `ima-mailbox create` makes one", .0.display())]
    NoFolder(PathBuf),
    /// Somebody else has kept a lock for as long as it is waited for.
    #[error(
        "{} is locked: another program holds the lock, and for {} seconds did not let it go: end that program, or let it go on, and try again", .path.display(), .limit.as_secs()
    )]
    Locked {
        /// The folder, or the mailbox's `mailbox.toml`.
        path: PathBuf,
        /// How long a lock is waited for.
        limit: Duration,
    },
    /// Another directory has taken the place of one that is open.
    #[error("{} was replaced while the folder was in use: try again", .0.display())]
    Replaced(PathBuf),
    /// There is no mailbox at this path.
    #[error("there is no mailbox {}", .0.display())]
    NoMailbox(PathBuf),
    /// A folder cannot be made where something is already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The last component of a path is not a folder's name.
    #[error("cannot make {}: {source}", .path.display())]
    FolderName {
        /// The path of the folder to be.
        path: PathBuf,
        /// The rule that its last component breaks.
        source: FolderNameError,
    },
    /// Something of another kind stands where a file or a directory belongs,
    /// for instance a symbolic link.
    #[error("{} is not a {expected}: look at it, and move it out of the mailbox", .path.display())]
    Kind {
        /// What was opened.
        path: PathBuf,
        /// What belongs there.
        expected: Kind,
    },
    /// The process is root's and the folder is not: the files would be root's
    /// and the folder's owner could not read them.
    #[error("{} belongs to user id {owner}: store mail in it as that user, not as root", .path.display())]
    Owner {
        /// The folder.
        path: PathBuf,
        /// The user id that it belongs to.
        owner: u32,
    },
    /// The clock stands where no date can be written.
    #[error("the clock of this machine is outside the years 1970 to 9999: set it")]
    Clock,
    /// A journal breaks its grammar.
    #[error("{}, octet {offset}: {source}", .path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Where the line begins, in octets from 0.
        offset: u64,
        /// The rule that it breaks.
        source: JournalError,
    },
    /// `mailbox.toml` breaks a rule.
    #[error("{}: {source}", .path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// The rule.
        source: SettingsError,
    },
    /// The mailbox's quota has too little room.
    #[error(
        "{} may hold {quota} octets by its quota and holds {used}, and {needed} more are needed: delete mail and empty the folder trash, or raise `quota` in its mailbox.toml",
        .mailbox.display()
    )]
    Quota {
        /// The mailbox.
        mailbox: PathBuf,
        /// Octets that it may hold.
        quota: u64,
        /// Octets that it holds.
        used: u64,
        /// Octets that were to be added.
        needed: u64,
    },
    /// A journal cannot be written anew, since one of its lines breaks the
    /// grammar.
    #[error("{}, octet {offset}, is to be mended with `ima-mailbox repair`: {source}", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the line begins, in octets from 0.
        offset: u64,
        /// The rule that it breaks.
        source: JournalError,
    },
    /// A message is damaged.
    #[error("{}: {source}", .path.display())]
    Unsound {
        /// The message.
        path: PathBuf,
        /// What is wrong with it.
        source: Unsound,
    },
    /// The file system has too little room.
    #[error("{} has room for {free} octets, and {needed} are needed", .path.display())]
    Full {
        /// The folder.
        path: PathBuf,
        /// Octets that are needed, with what is kept in reserve.
        needed: u64,
        /// Octets that are free for this user.
        free: u64,
    },
    /// The file system has too few inodes left.
    #[error("{} has room for {free} more files, and {needed} are needed", .path.display())]
    NoInodes {
        /// The folder.
        path: PathBuf,
        /// Inodes that are needed.
        needed: u64,
        /// Inodes that are free for this user.
        free: u64,
    },
    /// The file system is mounted read-only.
    #[error("{} lies on a file system that is mounted read-only", .0.display())]
    ReadOnly(PathBuf),
    /// A system call on something in the mailbox failed.
    #[error("cannot {step} {}", .path.display())]
    Io {
        /// What was tried.
        step: Step,
        /// With what.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// The system gave no random octets for a name or a generation.
    #[error("the system gives no random octets: {0}")]
    Random(getrandom::Error),
    /// The data of the message that is to be stored cannot be read.
    #[error("cannot read the message")]
    Read(#[source] io::Error),
    /// The message is not valid: its data are not what its header block says.
    #[error("not a valid message")]
    Data(#[from] DataError),
}

impl MailboxError {
    /// Whether the message is refused for good (exit status 1); otherwise the
    /// fault is here and it should be sent again (exit status 2).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Data(_))
    }

    /// Whether descriptors or memory ran out, which whoever comes by itself may have.
    pub(crate) fn is_shortage(&self) -> bool {
        let Self::Io { source, .. } = self else {
            return false;
        };
        let short = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
        short
            .iter()
            .any(|errno| source.raw_os_error() == Some(errno.raw_os_error()))
    }

    /// Whether disk, inodes or a quota are short.
    pub(crate) fn is_lack_of_room(&self) -> bool {
        matches!(
            self,
            Self::Quota { .. } | Self::Full { .. } | Self::NoInodes { .. }
        )
    }

    /// A failed system call as an error.
    pub(crate) fn io(step: Step, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            step,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// What was tried with a file or directory of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Opening it, or looking at what it is.
    Open,
    /// Making it.
    Create,
    /// Reading it.
    Read,
    /// Writing it.
    Write,
    /// Cutting off a line that was not written whole.
    Truncate,
    /// Bringing it onto the disk.
    Sync,
    /// Giving a file this name.
    Link,
    /// Giving it another name.
    Rename,
    /// Removing this name.
    Remove,
    /// Waiting for the lock.
    Lock,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Truncate => "shorten",
            Self::Sync => "sync",
            Self::Link => "link",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}

/// What a name in a mailbox stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, which no mailbox holds.
    SymbolicLink,
    /// A pipe, a socket or a device, which no mailbox holds.
    Special,
}

impl From<FileType> for Kind {
    fn from(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::SymbolicLink,
            _ => Self::Special,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "regular file",
            Self::Directory => "directory",
            Self::SymbolicLink => "symbolic link",
            Self::Special => "pipe, socket or device",
        })
    }
}
