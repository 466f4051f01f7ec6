//! A change of a folder, as a line of its journal, ima-mailbox(5), and of IMRP.
//!
//! ```text
//! entry = add / flag / del
//! add   = "add " digest SP time SP octets LF      ; arrived, or moved in
//! flag  = "flag " digest 1*(SP ("+" / "-") name) LF
//! del   = "del " digest LF                        ; deleted, or moved out
//! time  = RFC 3339 date-time, whole seconds, "Z"
//! name  = 1*32(LOWER / DIGIT / "-")
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::date::DateTime;
use crate::digest::MessageDigest;
use crate::text;

/// A change of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A message arrived. Repeating an `add` changes nothing.
    Add {
        /// The message.
        digest: MessageDigest,
        /// When; whole seconds, in UTC.
        time: DateTime,
        /// Octets of the whole message, attachments included.
        octets: u64,
    },
    /// Flags of a message were set or removed.
    Flag {
        /// The message.
        digest: MessageDigest,
        /// The changes, in their order; at least one.
        changes: Vec<FlagChange>,
    },
    /// A message is gone from this folder.
    Del {
        /// The message.
        digest: MessageDigest,
    },
}

/// A flag that is set or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagChange {
    /// Which flag.
    pub flag: Flag,
    /// Whether it is set.
    pub set: bool,
}

/// The name of a flag: `seen`, `answered`, `flagged`, `draft`, `junk`, or one
/// that a user chose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flag(Box<str>);

/// A text is not the name of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a flag's name is 1 to 32 letters in lower case, digits and hyphens")]
pub struct FlagError;

/// Why a line is not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Does not begin with a known word and a space.
    #[error("a line begins with `add `, `flag ` or `del `")]
    Word,
    /// What follows the word is not a message digest.
    #[error("a message digest is 64 hexadecimal digits in lower case")]
    Digest,
    /// An `add` without its time in the one form that is written.
    #[error("a time is written like 2026-11-22T09:30:02Z")]
    Time,
    /// An `add` without its octets.
    #[error("octets are decimal, without sign or leading zero, below 2^63")]
    Octets,
    /// A `flag` with something that is not `+NAME` or `-NAME`.
    #[error("a flag is + or - and 1 to 32 letters in lower case, digits and hyphens")]
    Flag,
    /// Something behind the last element.
    #[error("nothing follows the last word of a line")]
    TooMuch,
}

impl Entry {
    /// The message that the change is about.
    #[must_use]
    pub fn digest(&self) -> MessageDigest {
        match self {
            Self::Add { digest, .. } | Self::Flag { digest, .. } | Self::Del { digest } => *digest,
        }
    }

    /// Reads a line without its LF.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(line: &[u8]) -> Result<Self, EntryError> {
        let line = std::str::from_utf8(line).map_err(|_| EntryError::Word)?;
        let mut words = line.split(' ');
        let word = words.next();
        let mut digest = || {
            words
                .next()
                .and_then(|w| w.parse().ok())
                .ok_or(EntryError::Digest)
        };
        let entry = match word {
            Some("add") => Self::Add {
                digest: digest()?,
                time: words.next().and_then(parse_time).ok_or(EntryError::Time)?,
                octets: words
                    .next()
                    .and_then(text::parse_decimal)
                    .ok_or(EntryError::Octets)?,
            },
            Some("flag") => {
                let digest = digest()?;
                let changes: Vec<_> = words
                    .by_ref()
                    .map(FlagChange::parse)
                    .collect::<Result<_, _>>()?;
                if changes.is_empty() {
                    return Err(EntryError::Flag);
                }
                Self::Flag { digest, changes }
            }
            Some("del") => Self::Del { digest: digest()? },
            _ => return Err(EntryError::Word),
        };
        match words.next() {
            None => Ok(entry),
            Some(_) => Err(EntryError::TooMuch),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add {
                digest,
                time,
                octets,
            } => write!(f, "add {digest} {time} {octets}"),
            Self::Flag { digest, changes } => {
                write!(f, "flag {digest}")?;
                changes.iter().try_for_each(|change| write!(f, " {change}"))
            }
            Self::Del { digest } => write!(f, "del {digest}"),
        }
    }
}

impl FlagChange {
    fn parse(word: &str) -> Result<Self, EntryError> {
        let (set, name) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            _ => return Err(EntryError::Flag),
        };
        let flag = name.parse().map_err(|FlagError| EntryError::Flag)?;
        Ok(Self { flag, set })
    }
}

impl fmt::Display for FlagChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.set { '+' } else { '-' }, self.flag.0)
    }
}

impl Flag {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Flag {
    type Err = FlagError;

    fn from_str(name: &str) -> Result<Self, FlagError> {
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (1..=32).contains(&name.len()) && name.bytes().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(FlagError)
        }
    }
}

/// A time in the one form that is written.
fn parse_time(word: &str) -> Option<DateTime> {
    let time = DateTime::parse(word).ok()?;
    DateTime::utc(time.unix_seconds()).filter(|plain| plain.as_str() == word)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const D: &str = "3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f3b1f";

    #[test]
    fn lines_are_written_as_they_were_read() {
        for line in [
            format!("add {D} 2026-11-22T09:30:02Z 26000"),
            format!("add {D} 1970-01-01T00:00:00Z 0"),
            format!("flag {D} +seen"),
            format!("flag {D} +seen -flagged +my-own-1"),
            format!("del {D}"),
        ] {
            let entry = Entry::parse(line.as_bytes()).unwrap();
            assert_eq!(entry.to_string(), line);
            assert_eq!(entry.digest().to_string(), D);
        }
    }

    #[test]
    fn lines_that_break_a_rule_say_which() {
        for (line, error) in [
            (String::new(), EntryError::Word),
            ("add".into(), EntryError::Digest),
            (format!("Add {D}"), EntryError::Word),
            (format!(" del {D}"), EntryError::Word),
            ("del 3b1f".into(), EntryError::Digest),
            (format!("del {}", D.to_uppercase()), EntryError::Digest),
            (format!("del  {D}"), EntryError::Digest),
            (format!("del {D} "), EntryError::TooMuch),
            (format!("add {D} 2026-11-22T09:30:02Z"), EntryError::Octets),
            (
                format!("add {D} 2026-11-22T09:30:02.5Z 1"),
                EntryError::Time,
            ),
            (
                format!("add {D} 2026-11-22T09:30:02+00:00 1"),
                EntryError::Time,
            ),
            (format!("add {D} 2026-11-22t09:30:02z 1"), EntryError::Time),
            (format!("add {D} 2026-02-30T09:30:02Z 1"), EntryError::Time),
            (
                format!("add {D} 2026-11-22T09:30:02Z 01"),
                EntryError::Octets,
            ),
            (
                format!("add {D} 2026-11-22T09:30:02Z 1 x"),
                EntryError::TooMuch,
            ),
            (format!("flag {D}"), EntryError::Flag),
            (format!("flag {D} seen"), EntryError::Flag),
            (format!("flag {D} +Seen"), EntryError::Flag),
            (format!("flag {D} +"), EntryError::Flag),
            (format!("flag {D} +{}", "x".repeat(33)), EntryError::Flag),
        ] {
            assert_eq!(
                Entry::parse(line.as_bytes()).unwrap_err(),
                error,
                "{line:?}"
            );
        }
        assert_eq!(Entry::parse(b"del \xff").unwrap_err(), EntryError::Word);
    }
}
