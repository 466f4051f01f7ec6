//! The name of a folder.
//!
//! ```text
//! folder-name = 1*64(LETTER / NUMBER / "-" / "_")   ; Unicode, NFC, no "-" first
//! ```

use std::fmt;
use std::str::FromStr;

use unicode_normalization::is_nfc;

/// Letters in a folder's name.
const MAX_FOLDER_NAME: usize = 64;
/// Octets of it in UTF-8: what a file's name can have.
const MAX_OCTETS: usize = 255;

/// The name of a folder: it can be a file name and a word of a protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderName(Box<str>);

/// Why a text is not a folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderNameError {
    /// Empty, or too long.
    #[error("a folder's name has 1 to 64 letters, and at most 255 octets")]
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
        if !(1..=MAX_FOLDER_NAME).contains(&name.chars().count()) || name.len() > MAX_OCTETS {
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

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
            (&*"\u{20000}".repeat(64), FolderNameError::Length),
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
}
