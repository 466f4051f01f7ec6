//! What a check finds.

use std::fmt;
use std::path::{Path, PathBuf};

use ima_message::{DataError, HeaderError, MessageDigest, PartDigest};

use crate::error::{Kind, MailboxError};
use crate::journal::JournalError;
use crate::settings::SettingsError;

/// One thing that a check found, and where. Written as a sentence that says
/// what to do; the path stands first and is written as it is.
#[derive(Debug)]
pub struct Finding {
    path: PathBuf,
    rule: Rule,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is broken, or is where it does not belong.
    Damage,
    /// Left by a process that died; harmless.
    Note,
    /// It could not be checked.
    Unchecked,
}

/// What was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Rule {
    /// Something that belongs there is not there.
    Missing,
    /// Something that a folder is made of is not there.
    NotThere,
    /// Something of another kind is there.
    Kind {
        /// What belongs there.
        expected: Kind,
        /// What is there.
        found: Kind,
    },
    /// A name that has no meaning in a mailbox.
    Unexpected,
    /// Others may read or write it, or its owner may not.
    Mode {
        /// The permissions that belong there.
        expected: u32,
        /// The permissions that are there.
        found: u32,
    },
    /// It belongs to another user than its folder, or a folder to another than its
    /// mailbox, where that is not root's.
    Owner {
        /// The user id of the folder's owner, or the mailbox's.
        expected: u32,
        /// The user id that it belongs to.
        found: u32,
    },
    /// A file that is only a name has octets.
    NotEmpty,
    /// A line of the journal breaks a rule.
    Journal {
        /// Where the line begins, in octets from 0.
        offset: u64,
        /// The rule.
        error: JournalError,
    },
    /// The journal ends in the middle of a line.
    CutLine {
        /// Octets of that line.
        octets: u64,
    },
    /// A message is an empty file.
    Empty,
    /// The header block of a message breaks a rule.
    Header(HeaderError),
    /// A message bears the name of another.
    Digest {
        /// The digest of what is there.
        found: MessageDigest,
    },
    /// The inline parts of a message are not those that it announces.
    Inline(DataError),
    /// A message has other octets than the journal says.
    Octets {
        /// What the journal says.
        journal: u64,
        /// What there are.
        found: u64,
    },
    /// An attachment has not the length that its message announces.
    Length {
        /// What the message says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// An attachment has not the digest that its message or its name says.
    Content {
        /// The digest of what is there.
        found: PartDigest,
    },
    /// The attachment of a message is not in `attachments/`.
    NotKept {
        /// Its name in `messages/`.
        held_as: String,
    },
    /// `mailbox.toml` breaks a rule.
    Settings(SettingsError),
    /// What a repair set aside.
    SetAside,
    /// A leftover in `tmp/`, or a folder that was not made to
    /// the end, or is removed.
    Leftover,
    /// A message that the journal does not add: never acknowledged.
    NotAdded,
    /// A message that the journal has as deleted.
    Deleted,
    /// An attachment whose message is not there: never acknowledged, or deleted.
    NoMessage,
    /// A file in `attachments/` that no message holds.
    NotHeld,
    /// It cannot be read.
    Unreadable(MailboxError),
}

impl Finding {
    pub(crate) fn new(path: PathBuf, rule: Rule) -> Self {
        Self { path, rule }
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was found.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What was found, by itself.
    pub(crate) fn into_rule(self) -> Rule {
        self.rule
    }

    /// How much it weighs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.rule {
            Rule::Unreadable(_) => Severity::Unchecked,
            Rule::CutLine { .. }
            | Rule::SetAside
            | Rule::Leftover
            | Rule::NotAdded
            | Rule::Deleted
            | Rule::NoMessage
            | Rule::NotHeld => Severity::Note,
            _ => Severity::Damage,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing: bring it back from a backup"),
            Self::NotThere => f.write_str(
                "is missing: bring it back from a backup, or have it made anew by `ima-mailbox repair`, a journal without its flags",
            ),
            Self::Kind { expected, found } => {
                write!(
                    f,
                    "is a {found} where a {expected} belongs: look at it and move it away"
                )
            }
            Self::Unexpected => f.write_str("does not belong in a mailbox: move it away"),
            Self::Mode { expected, found } => {
                write!(
                    f,
                    "has mode {found:04o}: change it with `chmod {expected:04o}`"
                )
            }
            Self::Owner { expected, found } => {
                write!(
                    f,
                    "belongs to user id {found}: change it with `chown {expected}`"
                )
            }
            Self::NotEmpty => {
                f.write_str("is not empty, though only its name counts: look at it and empty it")
            }
            Self::Journal { offset, error } => {
                write!(
                    f,
                    "octet {offset}: {error}: bring the line back from a backup, or leave it out with `ima-mailbox repair`"
                )
            }
            Self::CutLine { octets } => {
                write!(
                    f,
                    "ends with {octets} octets of a line that was never acknowledged: the next delivery cuts them off"
                )
            }
            Self::Empty => f.write_str("is empty: bring it back from a backup"),
            Self::Header(error) => write!(f, "{error}: bring it back from a backup"),
            Self::Digest { found } => {
                write!(
                    f,
                    "holds the message {found}: bring the one of this name back from a backup"
                )
            }
            Self::Inline(error) => write!(f, "{error}: bring it back from a backup"),
            Self::Octets { journal, found } => {
                write!(
                    f,
                    "has {found} octets with its attachments, and the journal says {journal}: correct it with `ima-mailbox repair`"
                )
            }
            Self::Length { expected, found } => {
                write!(
                    f,
                    "has {found} octets, and its message says {expected}: bring it back from a backup"
                )
            }
            Self::Content { found } => {
                write!(f, "has the SHA-256 {found}: bring it back from a backup")
            }
            Self::NotKept { held_as } => write!(f, "is missing: `ima-mailbox repair` links it from {held_as}"),
            Self::Settings(error) => write!(f, "{error}: correct it"),
            Self::SetAside => {
                f.write_str("holds what a repair set aside: look at it and remove it")
            }
            Self::Leftover => {
                f.write_str("is being written, or is left from a process that died: it may go when it is a day old")
            }
            Self::NotAdded => {
                f.write_str("is not in the journal, and was never acknowledged: `ima-mailbox repair` adds it, and a compaction removes it a day later")
            }
            Self::Deleted => f.write_str("is deleted by the journal: `ima-mailbox compact` removes it"),
            Self::NoMessage => {
                f.write_str("belongs to no message: `ima-mailbox compact` removes it a day later")
            }
            Self::NotHeld => f.write_str("is held by no message: `ima-mailbox compact` removes it"),
            // The path stands before it already.
            Self::Unreadable(MailboxError::Io { source, .. }) => {
                write!(f, "cannot be checked: {source}")
            }
            Self::Unreadable(error) => write!(f, "cannot be checked: {error}"),
        }
    }
}
