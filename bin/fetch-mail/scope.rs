//! How much of it all is to be done.

use std::path::PathBuf;

use ima_message::{DateTime, FolderName};

/// What the options leave of it.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Where the folders are kept as Maildirs, too.
    pub maildir: Option<PathBuf>,
    /// These folders alone; all where none is named.
    pub folders: Vec<FolderName>,
    /// Only messages that came to the server at this moment or later.
    pub since: Option<i64>,
    /// Nothing is changed on the server.
    pub is_download: bool,
    /// What is here, durably, is deleted on the server.
    pub is_drain: bool,
}

impl Scope {
    /// Whether a folder is meant.
    pub fn holds(&self, name: &FolderName) -> bool {
        self.folders.is_empty() || self.folders.contains(name)
    }

    /// Whether changes that were made here are told to the server.
    pub fn sends(&self) -> bool {
        !self.is_download && !self.is_drain
    }
}

/// A day, from its first moment in UTC on, or a moment, in seconds since 1970.
///
/// # Errors
/// What would be right.
pub fn parse_since(text: &str) -> Result<i64, &'static str> {
    let day = format!("{text}T00:00:00Z");
    DateTime::parse(&day)
        .or_else(|_| DateTime::parse(text))
        .map(|time| time.unix_seconds())
        .ok()
        .filter(|seconds| *seconds >= 0)
        .ok_or("a date is written like 2026-11-22, and a moment like 2026-11-22T09:30:00+01:00")
}
