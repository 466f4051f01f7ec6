//! One thing that was found.

use ima_program::escape::visible;
use serde::Serialize;

/// Longest sentence: a stranger's words may be in it.
const LONGEST: usize = 4000;

/// What kind of finding it is, in the order of their weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Good,
    /// Worth knowing; mail flows nevertheless.
    Note,
    /// It could not be found out.
    Unknown,
    /// Something on this machine must be mended.
    Ours,
    /// The owner of the host must mend it.
    Wrong,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Good => "good",
            Outcome::Note => "note",
            Outcome::Unknown => "unknown",
            Outcome::Ours => "ours",
            Outcome::Wrong => "wrong",
        }
    }
}

/// A finding: what was looked at, and a sentence that says what it means and what
/// to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// One of a fixed set of names, as server-check(8) lists them.
    pub check: &'static str,
    /// How it is.
    pub result: Outcome,
    /// Nothing in it moves a terminal.
    pub text: String,
}

impl Finding {
    pub fn new(check: &'static str, result: Outcome, text: impl AsRef<str>) -> Finding {
        Finding {
            check,
            result,
            text: visible(text.as_ref()).chars().take(LONGEST).collect(),
        }
    }

    pub fn good(check: &'static str, text: impl AsRef<str>) -> Finding {
        Finding::new(check, Outcome::Good, text)
    }

    pub fn wrong(check: &'static str, text: impl AsRef<str>) -> Finding {
        Finding::new(check, Outcome::Wrong, text)
    }
}
