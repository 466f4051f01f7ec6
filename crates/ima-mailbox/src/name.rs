//! The names in a mailbox. They are made of digests alone, so that nothing a
//! sender wrote becomes a path.
//!
//! ```text
//! folder-name = 1*64(LETTER / NUMBER / "-" / "_")   ; Unicode, NFC, no "-" first
//! message     = 64HEXLOWER
//! attachment  = 64HEXLOWER "." number               ; from 1
//! ```

use std::str::FromStr;

use ima_message::{MessageDigest, PartDigest, text};
use unicode_normalization::is_nfc;

pub(crate) const JOURNAL: &str = "journal";
pub(crate) const LOCK: &str = "lock";
pub(crate) const MESSAGES: &str = "messages";
pub(crate) const ATTACHMENTS: &str = "attachments";
pub(crate) const GONE: &str = "gone";
pub(crate) const TMP: &str = "tmp";
pub(crate) const SUMMARY: &str = "summary";
/// What a folder's name has before it while the folder is made.
pub(crate) const UNFINISHED: &str = ".new-";

/// Letters in a folder's name.
const MAX_FOLDER_NAME: usize = 64;

/// The name of a folder: it can be a file name and a word of a protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderName(Box<str>);

/// Why a text is not a folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderNameError {
    /// Empty, or too long.
    #[error("a folder's name has 1 to 64 letters")]
    Length,
    /// Begins with a hyphen.
    #[error("a folder's name does not begin with a hyphen")]
    Hyphen,
    /// A character that is not allowed.
    #[error("a folder's name is made of letters, digits, hyphens and underscores, not of {0:?}")]
    Character(char),
    /// Not in normalization form C; also what is no Unicode at all.
    #[error("a folder's name is written in Unicode, normalization form C")]
    Form,
}

impl FolderName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FolderName {
    type Err = FolderNameError;

    fn from_str(name: &str) -> Result<Self, FolderNameError> {
        if !(1..=MAX_FOLDER_NAME).contains(&name.chars().count()) {
            return Err(FolderNameError::Length);
        }
        if name.starts_with('-') {
            return Err(FolderNameError::Hyphen);
        }
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        if let Some(c) = name.chars().find(|&c| !allowed(c)) {
            return Err(FolderNameError::Character(c));
        }
        if !is_nfc(name) {
            return Err(FolderNameError::Form);
        }
        Ok(Self(name.into()))
    }
}

/// The name in `messages/` of a message's header block and inline parts.
pub(crate) fn message(digest: MessageDigest) -> String {
    digest.to_string()
}

/// The name in `messages/` of a message's attachment, by its part number.
pub(crate) fn attachment(digest: MessageDigest, number: usize) -> String {
    format!("{digest}.{number}")
}

/// The name in `attachments/` of an attachment.
pub(crate) fn kept(digest: PartDigest) -> String {
    digest.to_string()
}

/// What a name in `messages/` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoredName {
    Message(MessageDigest),
    Attachment(MessageDigest, usize),
}

impl StoredName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let Some((digest, number)) = name.split_once('.') else {
            return name.parse().ok().map(Self::Message);
        };
        let number = usize::try_from(text::parse_decimal(number)?).ok()?;
        (number > 0).then_some(Self::Attachment(digest.parse().ok()?, number))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn folder_names() {
        for name in ["inbox", "a", "Entwürfe", "_x-9", "受信箱", &"é".repeat(64)] {
            assert_eq!(name.parse::<FolderName>().unwrap().as_str(), name);
        }
        for (name, error) in [
            ("", FolderNameError::Length),
            (&*"x".repeat(65), FolderNameError::Length),
            ("-inbox", FolderNameError::Hyphen),
            ("..", FolderNameError::Character('.')),
            ("a/b", FolderNameError::Character('/')),
            ("a b", FolderNameError::Character(' ')),
            ("e\u{301}", FolderNameError::Character('\u{301}')),
            ("\u{212b}", FolderNameError::Form),
        ] {
            assert_eq!(name.parse::<FolderName>().unwrap_err(), error, "{name:?}");
        }
    }

    #[test]
    fn stored_names_are_read_as_they_are_written() {
        let hex = "3b1f".repeat(16);
        let digest = hex.parse().unwrap();
        assert_eq!(
            StoredName::parse(&message(digest)),
            Some(StoredName::Message(digest))
        );
        assert_eq!(
            StoredName::parse(&attachment(digest, 12)),
            Some(StoredName::Attachment(digest, 12))
        );
        for name in [
            "",
            ".",
            "x",
            &hex.to_uppercase(),
            &format!("{hex}.0"),
            &format!("{hex}.01"),
            &format!("{hex}.1.1"),
        ] {
            assert_eq!(StoredName::parse(name), None, "{name:?}");
        }
    }
}
