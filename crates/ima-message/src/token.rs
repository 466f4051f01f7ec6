//! A place in a journal.
//!
//! ```text
//! token = generation "." offset
//! generation = 16HEXLOWER
//! offset = decimal                ; octets from the journal's beginning
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text;

/// How far a journal was read: what changed since then is the journal from
/// there on. Only the folder that handed it out knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Which journal.
    pub generation: Generation,
    /// Octets from its beginning, below 2^63.
    pub offset: u64,
}

/// Which journal a token is of: each new one draws its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation(u64);

/// A text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is 16 hexadecimal digits in lower case, a dot and a decimal number")]
pub struct TokenError;

impl Generation {
    /// The generation of a new journal, from 64 random bits.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self(random)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Generation {
    type Err = TokenError;

    fn from_str(s: &str) -> Result<Self, TokenError> {
        let digits = s.len() == 16 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let value = u64::from_str_radix(s, 16).ok().filter(|_| digits);
        value.map(Self).ok_or(TokenError)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.offset)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(s: &str) -> Result<Self, TokenError> {
        let (generation, offset) = s.split_once('.').ok_or(TokenError)?;
        Ok(Self {
            generation: generation.parse()?,
            offset: text::parse_decimal(offset).ok_or(TokenError)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_written_as_they_were_read() {
        for text in ["6f0c9a1b2d3e4f50.256", "0000000000000000.0"] {
            assert_eq!(text.parse::<Token>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "-",
            "6f0c9a1b2d3e4f50",
            "6f0c9a1b2d3e4f50.",
            "6f0c9a1b2d3e4f50.01",
            "+f0c9a1b2d3e4f50.1",
            "6F0c9a1b2d3e4f50.1",
        ] {
            assert!(text.parse::<Token>().is_err(), "{text:?}");
        }
    }
}
