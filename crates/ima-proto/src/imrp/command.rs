//! What a user agent says.
//!
//! ```text
//! command = "LOGIN" SP address SP "PASSWORD" SP n   ; n octets follow: the password
//!         / "LOGIN" SP address SP "CERTIFICATE"
//!         / "FOLDERS"
//!         / "SYNC" SP folder SP (token / "-") SP mode
//!         / "FETCH" SP folder SP message-digest
//!         / "PART" SP folder SP part-digest SP from  ; from: an offset in octets
//!         / "DONE"
//! mode    = "list" / "headers" / "messages"
//! folder  = 1*(any text but SP)
//! ```

use std::fmt;

use ima_message::text::parse_decimal;
use ima_message::{Address, FolderName, MessageDigest, PartDigest, Token};

use super::MAX_PASSWORD;

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
    #[error("unknown command; known are LOGIN, FOLDERS, SYNC, FETCH, PART and DONE")]
    Word,
    /// What follows the word is not what belongs there.
    #[error("{0} takes {1}")]
    Arguments(&'static str, &'static str),
}

const LOGIN: &str = "an address and PASSWORD with a count of octets from 1 to 1024, or CERTIFICATE";
const SYNC: &str = "a folder, a token or -, and list, headers or messages";
const FETCH: &str = "a folder and a message digest";
const PART: &str = "a folder, a part digest and an offset";

impl Command {
    /// Reads a line without its LF.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        let needs = |word, wants| CommandError::Arguments(word, wants);
        match (word, rest.as_slice()) {
            ("LOGIN", rest) => login(rest).ok_or(needs("LOGIN", LOGIN)),
            ("FOLDERS", []) => Ok(Self::Folders),
            ("FOLDERS", _) => Err(needs("FOLDERS", "nothing")),
            ("SYNC", rest) => sync(rest).ok_or(needs("SYNC", SYNC)),
            ("FETCH", [folder, digest]) if !folder.is_empty() => Ok(Self::Fetch {
                folder: folder.parse().ok(),
                digest: digest.parse().map_err(|_| needs("FETCH", FETCH))?,
            }),
            ("FETCH", _) => Err(needs("FETCH", FETCH)),
            ("PART", [folder, digest, from]) if !folder.is_empty() => Ok(Self::Part {
                folder: folder.parse().ok(),
                digest: digest.parse().map_err(|_| needs("PART", PART))?,
                from: parse_decimal(from).ok_or(needs("PART", PART))?,
            }),
            ("PART", _) => Err(needs("PART", PART)),
            ("DONE", []) => Ok(Self::Done),
            ("DONE", _) => Err(needs("DONE", "nothing")),
            _ => Err(CommandError::Word),
        }
    }
}

fn login(rest: &[&str]) -> Option<Command> {
    match rest {
        [address, "PASSWORD", octets] => Some(Command::LoginByPassword {
            address: Address::parse(address).ok()?,
            octets: parse_decimal(octets).filter(|n| (1..=MAX_PASSWORD).contains(n))?,
        }),
        [address, "CERTIFICATE"] => Some(Command::LoginByCertificate {
            address: Address::parse(address).ok()?,
        }),
        _ => None,
    }
}

fn sync(rest: &[&str]) -> Option<Command> {
    let [folder, since, mode] = rest else {
        return None;
    };
    if folder.is_empty() {
        return None;
    }
    Some(Command::Sync {
        folder: folder.parse().ok(),
        since: match *since {
            "-" => None,
            token => Some(token.parse().ok()?),
        },
        mode: SyncMode::parse(mode)?,
    })
}

impl SyncMode {
    fn parse(word: &str) -> Option<Self> {
        [Self::List, Self::Headers, Self::Messages]
            .into_iter()
            .find(|mode| mode.word() == word)
    }

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
            Self::Done => f.write_str("DONE"),
        }
    }
}

/// A folder's name; for none a word that is no name of a folder either.
fn word(folder: Option<&FolderName>) -> &str {
    folder.map_or(".", FolderName::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const D: &str = "3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f";

    #[test]
    fn what_is_read_is_written() {
        for line in [
            "LOGIN bob@b.test PASSWORD 1",
            "LOGIN bob@b.test PASSWORD 1024",
            "LOGIN bob@b.test CERTIFICATE",
            "FOLDERS",
            "SYNC inbox - messages",
            "SYNC inbox 6f0c9a1b2d3e4f50.256 list",
            "SYNC Entwürfe - headers",
            "SYNC . - list",
            &format!("FETCH inbox {D}"),
            &format!("PART inbox {D} 0"),
            &format!("PART inbox {D} 9223372036854775807"),
            "DONE",
        ] {
            assert_eq!(Command::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn what_can_be_no_folder_is_no_folder() {
        for name in [
            "../x",
            ".",
            "..",
            "/etc",
            "-x",
            &"x".repeat(300),
            "e\u{301}",
        ] {
            let command = Command::parse(&format!("SYNC {name} - list")).unwrap();
            assert!(
                matches!(command, Command::Sync { folder: None, .. }),
                "{name}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            " ",
            "login bob@b.test CERTIFICATE",
            "LOGIN",
            "LOGIN bob CERTIFICATE",
            "LOGIN bob@b.test",
            "LOGIN bob@b.test PASSWORD",
            "LOGIN bob@b.test PASSWORD 0",
            "LOGIN bob@b.test PASSWORD 1025",
            "LOGIN bob@b.test PASSWORD 007",
            "LOGIN bob@b.test PASSWORD -1",
            "LOGIN bob@b.test CERTIFICATE x",
            "FOLDERS x",
            "SYNC inbox -",
            "SYNC inbox - all",
            "SYNC inbox 1 list",
            "SYNC  - list",
            "SYNC in box - list",
            "FETCH inbox",
            "FETCH inbox 3b1f",
            &format!("FETCH  {D}"),
            &format!("FETCH inbox {}", D.to_uppercase()),
            &format!("PART inbox {D}"),
            &format!("PART inbox {D} -1"),
            &format!("PART inbox {D} 01"),
            &format!("PART inbox {D} 9223372036854775808"),
            "DONE x",
            "HEADERS 1",
        ] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }
}
