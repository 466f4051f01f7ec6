//! What a post office answers.
//!
//! ```text
//! information = "+ " (folder / change / block / "changed" SP folder-name / "alive")
//! folder = folder-name SP messages SP unseen SP octets SP token  ; to FOLDERS
//! change = journal-entry SP token                                ; to SYNC; the token behind it
//! block  = "header" SP n / "message" SP n                        ; n octets follow
//!        / "attachment" SP part-digest SP n
//! final  = "OK" / "OK" SP token / "OK" SP message-digest
//!        / "FAIL" [SP text] / "RESET" SP token / "ERROR" [SP text]
//! ```

use std::fmt;

use ima_message::text::parse_decimal;
use ima_message::{Entry, FolderName, MessageDigest, PartDigest, Token};
use serde::{Deserialize, Serialize};

/// A folder, as FOLDERS tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderStatus {
    /// Its name.
    pub name: FolderName,
    /// How many messages it holds.
    pub messages: u64,
    /// How many of them without the flag `seen`.
    pub unseen: u64,
    /// Their octets, attachments included.
    pub octets: u64,
    /// The token of now.
    pub token: Token,
}

/// A change of a folder, and the token behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What changed.
    pub entry: Entry,
    /// Who has dealt with this change may go on from here.
    pub token: Token,
}

/// What an information line says, without its `+ `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Information {
    /// To FOLDERS.
    Folder(FolderStatus),
    /// To SYNC.
    Change(Change),
    /// A header block follows.
    Header {
        /// How many octets, below 2^63.
        octets: u64,
    },
    /// A header block and inline parts follow.
    Message {
        /// How many octets, below 2^63.
        octets: u64,
    },
    /// Octets of an attachment follow.
    Attachment {
        /// Of which.
        digest: PartDigest,
        /// How many, below 2^63.
        octets: u64,
    },
    /// To WATCH: this folder is no longer as it was.
    Changed(FolderName),
    /// The server is at work.
    Alive,
}

/// The last line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    /// All of it is done.
    Ok,
    /// To SYNC: the changes up to this token are all told.
    Upto(Token),
    /// To STORE: the message, which is durable.
    Stored(MessageDigest),
    /// No; with a reason, except to LOGIN.
    Fail(Box<str>),
    /// To SYNC: the token that was named means nothing. This is that of now.
    Reset(Token),
    /// The command was against the rules, or the server has a fault; it closes.
    Error(Box<str>),
}

impl Information {
    /// Reads a line without its `+ ` and LF; None where it is of no known kind.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "alive" if line == word => Some(Self::Alive),
            // A folder can bear any of these names: its line has four words more,
            // the last of them a token.
            _ if folder(line).is_some() => folder(line).map(Self::Folder),
            "changed" => rest.parse().ok().map(Self::Changed),
            "header" => parse_decimal(rest).map(|octets| Self::Header { octets }),
            "message" => parse_decimal(rest).map(|octets| Self::Message { octets }),
            "attachment" => {
                let (digest, octets) = rest.split_once(' ')?;
                Some(Self::Attachment {
                    digest: digest.parse().ok()?,
                    octets: parse_decimal(octets)?,
                })
            }
            "add" | "flag" | "del" => {
                let (entry, token) = line.rsplit_once(' ')?;
                Some(Self::Change(Change {
                    entry: Entry::parse(entry.as_bytes()).ok()?,
                    token: token.parse().ok()?,
                }))
            }
            _ => None,
        }
    }
}

fn folder(line: &str) -> Option<FolderStatus> {
    let mut words = line.split(' ');
    let name = words.next()?.parse().ok()?;
    let mut number = || parse_decimal(words.next()?);
    let status = FolderStatus {
        name,
        messages: number()?,
        unseen: number()?,
        octets: number()?,
        token: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(status)
}

impl Final {
    /// Reads a line without its LF; None where it is no final line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = match line.split_once(' ') {
            Some((word, rest)) => (word, Some(rest)),
            None => (line, None),
        };
        match (word, rest) {
            ("OK", None) => Some(Self::Ok),
            ("OK", Some(word)) => match word.parse() {
                Ok(token) => Some(Self::Upto(token)),
                Err(_) => word.parse().ok().map(Self::Stored),
            },
            ("RESET", Some(token)) => token.parse().ok().map(Self::Reset),
            ("FAIL", rest) => Some(Self::Fail(rest.unwrap_or_default().into())),
            ("ERROR", rest) => Some(Self::Error(rest.unwrap_or_default().into())),
            _ => None,
        }
    }
}

impl fmt::Display for Information {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(status) => write!(
                f,
                "{} {} {} {} {}",
                status.name, status.messages, status.unseen, status.octets, status.token
            ),
            Self::Change(change) => write!(f, "{} {}", change.entry, change.token),
            Self::Header { octets } => write!(f, "header {octets}"),
            Self::Message { octets } => write!(f, "message {octets}"),
            Self::Attachment { digest, octets } => write!(f, "attachment {digest} {octets}"),
            Self::Changed(folder) => write!(f, "changed {folder}"),
            Self::Alive => f.write_str("alive"),
        }
    }
}

impl fmt::Display for Final {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match self {
            Self::Ok => ("OK", ""),
            Self::Upto(token) => return write!(f, "OK {token}"),
            Self::Stored(digest) => return write!(f, "OK {digest}"),
            Self::Reset(token) => return write!(f, "RESET {token}"),
            Self::Fail(text) => ("FAIL", &**text),
            Self::Error(text) => ("ERROR", &**text),
        };
        match text {
            "" => f.write_str(word),
            text => write!(f, "{word} {text}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const D: &str = "3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f";
    const T: &str = "6f0c9a1b2d3e4f50.256";

    #[test]
    fn what_is_read_is_written() {
        for line in [
            format!("inbox 2 1 53127 {T}"),
            format!("message 2 1 53127 {T}"),
            format!("add 2 1 53127 {T}"),
            format!("alive 0 0 0 {T}"),
            format!("add {D} 2026-11-22T09:30:02Z 26000 {T}"),
            format!("flag {D} +seen -junk {T}"),
            format!("del {D} {T}"),
            "header 301".into(),
            "message 512".into(),
            format!("attachment {D} 25600"),
            "changed inbox".into(),
            "changed changed".into(),
            format!("changed 0 0 0 {T}"),
            "alive".into(),
        ] {
            assert_eq!(Information::parse(&line).unwrap().to_string(), line);
        }
        for line in [
            "OK".into(),
            format!("OK {T}"),
            format!("OK {D}"),
            format!("RESET {T}"),
            "FAIL".into(),
            "FAIL no such folder".into(),
            "ERROR".into(),
            "ERROR unknown command".into(),
        ] {
            assert_eq!(Final::parse(&line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn anything_else_is_neither() {
        for line in [
            String::new(),
            "add".into(),
            format!("add {D} 2026-11-22T09:30:02Z 26000"),
            format!("del {D}"),
            format!("../x 2 1 53127 {T}"),
            format!("inbox 2 1 53127 {T} x"),
            "message -1".into(),
            "message".into(),
            "header 01".into(),
            format!("attachment {D}"),
            "attachment ../x 1".into(),
            "changed".into(),
            "changed ../x".into(),
            "changed in box".into(),
            "alive x".into(),
            "something new".into(),
        ] {
            assert_eq!(Information::parse(&line), None, "{line}");
        }
        for line in ["", "ok", "OK x", "RESET", "RESET -", "NO", "+ OK"] {
            assert_eq!(Final::parse(line), None, "{line}");
        }
    }
}
