//! What a user agent says.
//!
//! ```text
//! command = "LOGIN" SP address SP "PASSWORD" SP n   ; n octets follow: the password
//!         / "LOGIN" SP address SP "CERTIFICATE"
//!         / "FOLDERS"
//!         / "SYNC" SP folder SP (token / "-") SP mode
//!         / "FETCH" SP folder SP message-digest
//!         / "PART" SP folder SP part-digest SP from  ; from: an offset in octets
//!         / "FLAG" SP folder SP message-digest 1*64(SP ("+" / "-") flag)
//!         / "MOVE" SP folder SP message-digest SP folder
//!         / "DELETE" SP folder SP message-digest
//!         / "STORE" SP folder SP n                   ; n octets follow: a message
//!         / "CREATE" SP folder
//!         / "REMOVE" SP folder
//!         / "WATCH" 1*(SP folder SP token)
//!         / "DONE"
//! mode    = "list" / "headers" / "messages"
//! folder  = 1*(any text but SP)
//! flag    = 1*32(LOWER / DIGIT / "-")
//! ```

mod parse;

use std::fmt;

use ima_message::{Address, FlagChange, FolderName, MessageDigest, PartDigest, Token};

/// Changes of flags that one FLAG may bring: so a change fits into a line of an
/// answer, whatever stands around it.
pub const MAX_FLAG_CHANGES: usize = 64;

/// One command. A folder is `None` where the word that was said can be no
/// folder's name: there is no such folder, and that is no error of grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A password follows.
    LoginByPassword {
        /// Whose mailbox.
        address: Address,
        /// How many octets, 1 to 1,024.
        octets: u64,
    },
    /// The certificate of the handshake is the proof.
    LoginByCertificate {
        /// Whose mailbox.
        address: Address,
    },
    /// Which folders are there?
    Folders,
    /// What changed in a folder?
    Sync {
        /// The folder.
        folder: Option<FolderName>,
        /// Since when; `None`: from the start.
        since: Option<Token>,
        /// How much of each message is wanted.
        mode: SyncMode,
    },
    /// The header block and inline parts of a message.
    Fetch {
        /// The folder.
        folder: Option<FolderName>,
        /// The message.
        digest: MessageDigest,
    },
    /// The octets of an attachment.
    Part {
        /// The folder.
        folder: Option<FolderName>,
        /// The attachment.
        digest: PartDigest,
        /// From which octet on, below 2^63.
        from: u64,
    },
    /// Set and remove flags of a message.
    Flag {
        /// The folder.
        folder: Option<FolderName>,
        /// The message.
        digest: MessageDigest,
        /// The changes, in their order; 1 to [`MAX_FLAG_CHANGES`].
        changes: Vec<FlagChange>,
    },
    /// Move a message to another folder.
    Move {
        /// The folder that it is in.
        from: Option<FolderName>,
        /// The message.
        digest: MessageDigest,
        /// The folder that it is to be in.
        to: Option<FolderName>,
    },
    /// Delete a message.
    Delete {
        /// The folder.
        folder: Option<FolderName>,
        /// The message.
        digest: MessageDigest,
    },
    /// A whole message follows, to be stored.
    Store {
        /// The folder.
        folder: Option<FolderName>,
        /// How many octets, below 2^63.
        octets: u64,
    },
    /// Make a folder.
    Create {
        /// Its name.
        folder: Option<FolderName>,
    },
    /// Remove a folder.
    Remove {
        /// Its name.
        folder: Option<FolderName>,
    },
    /// Say when one of these folders is no longer as it was at its token.
    Watch {
        /// The folders, at least one, in the order of the line.
        folders: Vec<(Option<FolderName>, Token)>,
    },
    /// The end.
    Done,
}

/// What SYNC brings of each message that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// The line alone.
    List,
    /// The header block too.
    Headers,
    /// Header block and inline parts.
    Messages,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An unknown word.
    #[error(
        "unknown command; known are LOGIN, FOLDERS, SYNC, FETCH, PART, FLAG, MOVE, DELETE, STORE, CREATE, REMOVE, WATCH and DONE"
    )]
    Word,
    /// What follows the word is not what belongs there.
    #[error("{0} takes {1}")]
    Arguments(&'static str, &'static str),
}

impl SyncMode {
    fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Headers => "headers",
            Self::Messages => "messages",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoginByPassword { address, octets } => {
                write!(f, "LOGIN {address} PASSWORD {octets}")
            }
            Self::LoginByCertificate { address } => write!(f, "LOGIN {address} CERTIFICATE"),
            Self::Folders => f.write_str("FOLDERS"),
            Self::Sync {
                folder,
                since,
                mode,
            } => {
                write!(f, "SYNC {} ", word(folder.as_ref()))?;
                match since {
                    Some(token) => write!(f, "{token}")?,
                    None => f.write_str("-")?,
                }
                write!(f, " {}", mode.word())
            }
            Self::Fetch { folder, digest } => {
                write!(f, "FETCH {} {digest}", word(folder.as_ref()))
            }
            Self::Part {
                folder,
                digest,
                from,
            } => write!(f, "PART {} {digest} {from}", word(folder.as_ref())),
            Self::Flag {
                folder,
                digest,
                changes,
            } => {
                write!(f, "FLAG {} {digest}", word(folder.as_ref()))?;
                changes.iter().try_for_each(|change| write!(f, " {change}"))
            }
            Self::Move { from, digest, to } => {
                let (from, to) = (word(from.as_ref()), word(to.as_ref()));
                write!(f, "MOVE {from} {digest} {to}")
            }
            Self::Delete { folder, digest } => {
                write!(f, "DELETE {} {digest}", word(folder.as_ref()))
            }
            Self::Store { folder, octets } => {
                write!(f, "STORE {} {octets}", word(folder.as_ref()))
            }
            Self::Create { folder } => write!(f, "CREATE {}", word(folder.as_ref())),
            Self::Remove { folder } => write!(f, "REMOVE {}", word(folder.as_ref())),
            Self::Watch { folders } => {
                f.write_str("WATCH")?;
                folders
                    .iter()
                    .try_for_each(|(folder, token)| write!(f, " {} {token}", word(folder.as_ref())))
            }
            Self::Done => f.write_str("DONE"),
        }
    }
}

/// A folder's name; for none a word that is no name of a folder either.
fn word(folder: Option<&FolderName>) -> &str {
    folder.map_or(".", FolderName::as_str)
}

#[cfg(test)]
mod tests;
