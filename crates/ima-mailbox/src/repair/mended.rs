//! What a repair did.

use std::fmt;
use std::path::{Path, PathBuf};

use ima_message::MessageDigest;

use crate::check::Rule;
use crate::error::Kind;
use crate::journal::JournalError;

/// One thing that a repair did, and with what. Written as a sentence; the path
/// stands first and is written as it is.
#[derive(Debug)]
pub struct Mended {
    path: PathBuf,
    deed: Deed,
}

/// What was done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Deed {
    /// It was missing, and was made.
    Made(Kind),
    /// Its permissions were changed.
    Mode {
        /// What they were.
        found: u32,
    },
    /// A line of the journal that breaks a rule was left out.
    LeftOut {
        /// Where it began, in octets from 0.
        offset: u64,
        /// The rule.
        error: JournalError,
    },
    /// The journal ended in the middle of a line, which was cut off.
    Cut {
        /// Octets of that line.
        octets: u64,
    },
    /// The journal gave a message other octets than it has.
    Octets {
        /// The message.
        digest: MessageDigest,
        /// What the journal said.
        journal: u64,
        /// What it says now.
        found: u64,
    },
    /// The journal has a new generation, so that every client reads it all again.
    NewGeneration,
    /// A message was there that the journal did not have; now it has it.
    Added,
    /// A message was deleted and the journal still had it; now it does not.
    Deleted,
    /// It was damaged, and was moved away.
    SetAside {
        /// Where it is now.
        place: PathBuf,
        /// What was wrong with it.
        rule: Rule,
    },
    /// The old journal was kept.
    OldJournal {
        /// Where it is now.
        place: PathBuf,
    },
    /// It was missing, and was linked from another name of the same octets.
    Linked {
        /// The other name.
        from: PathBuf,
    },
}

impl Mended {
    pub(crate) fn new(path: PathBuf, deed: Deed) -> Self {
        Self { path, deed }
    }

    /// What was mended.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was done.
    #[must_use]
    pub fn deed(&self) -> &Deed {
        &self.deed
    }
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.deed)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(kind) => write!(f, "was missing: made as an empty {kind}"),
            Self::Mode { found } => write!(f, "had mode {found:04o}: its owner's alone now"),
            Self::LeftOut { offset, error } => write!(f, "octet {offset}: {error}: left out"),
            Self::Cut { octets } => {
                write!(
                    f,
                    "ended with {octets} octets of a line that was never acknowledged: cut off"
                )
            }
            Self::Octets {
                digest,
                journal,
                found,
            } => write!(
                f,
                "gave {digest} {journal} octets, and it has {found}: corrected"
            ),
            Self::NewGeneration => {
                f.write_str("has a new generation: every client reads the folder again")
            }
            Self::Deleted => f.write_str(
                "was deleted, as gone/ says, and the journal still had it: its del was written",
            ),
            Self::Added => f.write_str("was not in the journal: added"),
            Self::SetAside { place, rule } => {
                let what = match rule {
                    Rule::Empty => "was empty",
                    Rule::Header(_) => "had a damaged header block",
                    Rule::Digest { .. } => "held another message",
                    Rule::Inline(_) => "had damaged text",
                    _ => "had other octets than its message says",
                };
                write!(f, "{what}: moved to {}", place.display())
            }
            Self::OldJournal { place } => {
                write!(
                    f,
                    "was written anew: the old one is kept as {}",
                    place.display()
                )
            }
            Self::Linked { from } => write!(f, "was missing: linked from {}", from.display()),
        }
    }
}
