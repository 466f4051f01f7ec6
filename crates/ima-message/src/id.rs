//! The author's name for a message.
//!
//! ```text
//! id = token "@" hostpart        ; ASCII, at most 255 octets
//! token = 1*(%x21-3F / %x41-7E)  ; visible ASCII but "@"
//! ```

use std::fmt;

use crate::host::{Hostpart, HostpartError};
use crate::limits::MAX_ID;

/// An `id`, compared octet for octet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Box<str>);

/// Why a text is not an `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No `@`, or nothing before it.
    #[error("an id is a unique token, @ and a domain name, like 0001@a.test")]
    NoAt,
    /// More than 255 octets.
    #[error("an id has at most {MAX_ID} octets")]
    TooLong,
    /// A space, a control or what is not ASCII.
    #[error("{0:?} cannot stand in an id, which is visible ASCII")]
    Character(char),
    /// What stands behind the `@` is no domain name.
    #[error(transparent)]
    Hostpart(#[from] HostpartError),
}

impl MessageId {
    /// Reads an `id`.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(s: &str) -> Result<Self, IdError> {
        if s.len() > MAX_ID {
            return Err(IdError::TooLong);
        }
        if let Some(c) = s.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(IdError::Character(c));
        }
        let (token, host) = s.split_once('@').ok_or(IdError::NoAt)?;
        if token.is_empty() {
            return Err(IdError::NoAt);
        }
        Hostpart::parse(host)?;
        Ok(Self(s.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        assert!(MessageId::parse("0001@a.test").is_ok());
        let long = format!("{}@a.test", "x".repeat(249));
        for (bad, why) in [
            ("0001", IdError::NoAt),
            ("@a.test", IdError::NoAt),
            ("a b@a.test", IdError::Character(' ')),
            ("é@a.test", IdError::Character('é')),
            (&long, IdError::TooLong),
            (
                "1@2@a.test",
                IdError::Hostpart(HostpartError::Character('@')),
            ),
            ("1@a", IdError::Hostpart(HostpartError::OneLabel)),
        ] {
            assert_eq!(MessageId::parse(bad), Err(why), "{bad}");
        }
    }
}
