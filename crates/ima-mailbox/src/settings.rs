//! `mailbox.toml`: what there is to say of a mailbox.
//!
//! ```toml
//! quota = "10GiB"            # octets of all messages; without it, no limit
//! owner = "bob@b.test"       # whose mail it is, for people
//! ```

use std::fs::File;
use std::io::Read as _;

use ima_message::{Address, ByteSize};
use rustix::fs::OFlags;
use serde::{Deserialize, Deserializer, de};

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::mailbox::Mailbox;
use crate::name::MAILBOX_TOML;

/// Octets of `mailbox.toml` that are read; more are an error.
const MAX_FILE: u64 = 64 * 1024;

/// What `mailbox.toml` says; nothing where it is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Octets that all messages of all folders may have, attachments in full.
    pub quota: Option<u64>,
    /// Whose mail it is.
    pub owner: Option<Address>,
}

/// What is wrong with a `mailbox.toml`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// More than 64 KiB.
    #[error("it has more than 65536 octets")]
    TooLong,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Not TOML, or a key or a value that is not known.
    #[error("line {line}: {message}")]
    Wrong {
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
}

impl Mailbox {
    /// What `mailbox.toml` says.
    ///
    /// # Errors
    /// A fault; also where it holds a key or a value that is not known.
    pub fn settings(&self) -> Result<Settings, MailboxError> {
        Settings::of(&self.root)
    }
}

impl Settings {
    /// Of the mailbox whose directory this is.
    pub(crate) fn of(mailbox: &Directory) -> Result<Self, MailboxError> {
        match mailbox.find_file(MAILBOX_TOML, OFlags::RDONLY)? {
            None => Ok(Self::default()),
            Some(file) => Self::read(mailbox, &file),
        }
    }

    /// From the file, open.
    pub(crate) fn read(mailbox: &Directory, file: &File) -> Result<Self, MailboxError> {
        let mut octets = Vec::new();
        file.take(MAX_FILE + 1)
            .read_to_end(&mut octets)
            .map_err(|e| mailbox.fault(Step::Read, MAILBOX_TOML, e))?;
        parse(&octets).map_err(|source| MailboxError::Settings {
            path: mailbox.path().join(MAILBOX_TOML),
            source,
        })
    }
}

fn parse(octets: &[u8]) -> Result<Settings, SettingsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Keys {
        quota: Option<ByteSize>,
        #[serde(default, deserialize_with = "address")]
        owner: Option<Address>,
    }
    if octets.len() as u64 > MAX_FILE {
        return Err(SettingsError::TooLong);
    }
    let text = str::from_utf8(octets).map_err(|_| SettingsError::NotUtf8)?;
    let keys: Keys = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        SettingsError::Wrong {
            line: before.matches('\n').count().saturating_add(1),
            message: error.message().to_owned(),
        }
    })?;
    Ok(Settings {
        quota: keys.quota.map(|ByteSize(octets)| octets),
        owner: keys.owner,
    })
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Address::parse(&text).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        assert_eq!(parse(b"").unwrap(), Settings::default());
        let said = parse(b"# ours\nquota = \"10GiB\"\nowner = \"bob@b.test\"\n").unwrap();
        assert_eq!(said.quota, Some(10 << 30));
        assert_eq!(said.owner, Some(Address::parse("bob@b.test").unwrap()));
        assert_eq!(parse(b"quota = 4097").unwrap().quota, Some(4097));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, begins) in [
            ("\nqouta = \"1GiB\"", "line 2: unknown field `qouta`"),
            ("quota = \"1GB\"", "line 1: `1GB` is not a size"),
            ("quota = -1", "line 1: "),
            ("owner = \"bob\"", "line 1: "),
            ("owner = 1", "line 1: "),
            ("quota = ", "line 1: "),
            ("quota = 1\nquota = 2", "line 2: "),
            ("\u{feff}x", "line 1: "),
        ] {
            let said = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(said.starts_with(begins), "{text:?}: {said}");
        }
        assert!(matches!(parse(b"\xff"), Err(SettingsError::NotUtf8)));
        let long = "#".repeat(70_000);
        assert!(matches!(
            parse(long.as_bytes()),
            Err(SettingsError::TooLong)
        ));
    }
}
