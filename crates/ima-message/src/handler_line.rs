//! The lines that a handler or a routed command prints, and that go to the
//! sender behind `+ `, ima-handler(7).
//!
//! ```text
//! line = "OK" SP address
//!      / "FAIL" SP address [SP text]
//!      / "DEFER" SP address SP cookie SP min SP max [SP text]   ; seconds
//!      / "NORECIPIENT" SP address
//! cookie = "-" / 1*64(ALPHA / DIGIT / "-" / "_")
//! ```

use std::fmt;

use crate::address::Address;
use crate::text;

/// One such line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerLine {
    /// Done, and durable.
    Ok(Address),
    /// A final no.
    Fail {
        /// For whom.
        address: Address,
        /// Why.
        text: Box<str>,
    },
    /// Not yet.
    Defer {
        /// For whom.
        address: Address,
        /// What to ask for; None (written `-`): send it again, nothing is held.
        cookie: Option<Cookie>,
        /// The least pause before asking, in seconds.
        min: u64,
        /// The greatest pause, in seconds.
        max: u64,
        /// Why.
        text: Box<str>,
    },
    /// Nobody has that address here.
    NoRecipient(Address),
}

/// The name of a message that a receiver holds: 1 to 64 letters, digits, `-`
/// and `_`, not `-` alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(Box<str>);

impl Cookie {
    /// Reads a cookie; None where it is none.
    #[must_use]
    pub fn parse(s: &str) -> Option<Self> {
        let good = s != "-"
            && (1..=64).contains(&s.len())
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        good.then(|| Self(s.into()))
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HandlerLine {
    /// Reads a line without its LF; None where it means nothing and is only text.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if text::first_forbidden(line).is_some() {
            return None;
        }
        let (word, rest) = line.split_once(' ')?;
        let (address, rest) = match rest.split_once(' ') {
            Some((address, rest)) => (address, Some(rest)),
            None => (rest, None),
        };
        let address = Address::parse(address).ok()?;
        match (word, rest) {
            ("OK", None) => Some(Self::Ok(address)),
            ("NORECIPIENT", None) => Some(Self::NoRecipient(address)),
            ("FAIL", rest) => Some(Self::Fail {
                address,
                text: rest.unwrap_or_default().into(),
            }),
            ("DEFER", Some(rest)) => {
                let mut words = rest.splitn(4, ' ');
                let cookie = match words.next()? {
                    "-" => None,
                    word => Some(Cookie::parse(word)?),
                };
                let min = text::parse_decimal(words.next()?)?;
                let max = text::parse_decimal(words.next()?).filter(|&max| min <= max)?;
                Some(Self::Defer {
                    address,
                    cookie,
                    min,
                    max,
                    text: words.next().unwrap_or_default().into(),
                })
            }
            _ => None,
        }
    }

    /// Whom the line is about.
    #[must_use]
    pub fn address(&self) -> &Address {
        match self {
            Self::Ok(address)
            | Self::NoRecipient(address)
            | Self::Fail { address, .. }
            | Self::Defer { address, .. } => address,
        }
    }
}

impl fmt::Display for HandlerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Ok(address) => return write!(f, "OK {address}"),
            Self::NoRecipient(address) => return write!(f, "NORECIPIENT {address}"),
            Self::Fail { address, text } => {
                write!(f, "FAIL {address}")?;
                text
            }
            Self::Defer {
                address,
                cookie,
                min,
                max,
                text,
            } => {
                let cookie = cookie.as_ref().map_or("-", Cookie::as_str);
                write!(f, "DEFER {address} {cookie} {min} {max}")?;
                text
            }
        };
        if text.is_empty() {
            Ok(())
        } else {
            write!(f, " {text}")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written() {
        for line in [
            "OK bob@b.test",
            "FAIL bob@b.test",
            "FAIL bob@b.test mailbox  is full",
            "DEFER bob@b.test - 60 86400",
            "DEFER bob@b.test 0123456789abcdef-_X 0 0 held for a moment",
            "NORECIPIENT nobody@b.test",
        ] {
            assert_eq!(HandlerLine::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn anything_else_means_nothing() {
        for line in [
            "",
            "OK",
            "OK ",
            "OK bob",
            "OK bob@b.test now",
            "ok bob@b.test",
            " OK bob@b.test",
            "OK  bob@b.test",
            "DEFER bob@b.test",
            "DEFER bob@b.test - 60",
            "DEFER bob@b.test - 60 x",
            "DEFER bob@b.test - 60 30",
            "DEFER bob@b.test a/b 60 90",
            "DEFER bob@b.test - 060 90",
            "NORECIPIENT bob@b.test x",
            "OK bob@b.test\r",
            "FAIL bob@b.test \x1b[2J",
            "HELLO bob@b.test",
        ] {
            assert_eq!(HandlerLine::parse(line), None, "{line:?}");
        }
    }
}
