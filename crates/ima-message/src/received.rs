//! The `received` field, which the receiving server adds.
//!
//! ```text
//! received = host SP date-time SP "from=" host SP "address=" word SP "tls=" word SP "author=" author *(SP key "=" word)
//! author   = "host" / "valid" / "unknown-key" / "none" / "local"
//! ```

use std::fmt;

use crate::date::{DateError, DateTime};
use crate::host::{Hostpart, HostpartError};

/// Who vouches for `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The author's own host sent it: its certificate proves `from`.
    Host,
    /// A signature by `from` or its hostpart, with a published key.
    Valid,
    /// A signature whose key is not published.
    UnknownKey,
    /// Nobody.
    None,
    /// Sent on this machine.
    Local,
}

/// How a message came here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The host that the sender asked for.
    pub host: Hostpart,
    /// When.
    pub time: DateTime,
    /// The domain that the sender proved to be.
    pub from: Hostpart,
    /// The sender's IP address, or `local`.
    pub address: Box<str>,
    /// The TLS version, or `none`.
    pub tls: Box<str>,
    /// Who vouches for `from`.
    pub author: Author,
}

/// Why a value is not that of a `received` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceivedError {
    /// A word is missing or stands elsewhere.
    #[error("a received field reads: host time from=domain address=address tls=version author=who")]
    Incomplete,
    /// A host is no domain name.
    #[error(transparent)]
    Hostpart(#[from] HostpartError),
    /// The time is none.
    #[error(transparent)]
    Date(#[from] DateError),
    /// The author is none of the known words.
    #[error("author= is host, valid, unknown-key, none or local")]
    Author,
}

impl Author {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Valid => "valid",
            Self::UnknownKey => "unknown-key",
            Self::None => "none",
            Self::Local => "local",
        }
    }

    fn parse(s: &str) -> Option<Self> {
        [
            Self::Host,
            Self::Valid,
            Self::UnknownKey,
            Self::None,
            Self::Local,
        ]
        .into_iter()
        .find(|a| a.as_str() == s)
    }
}

impl Received {
    /// Reads the value of a `received` field. Further `key=word` pairs are
    /// passed over.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(value: &str) -> Result<Self, ReceivedError> {
        let mut words = value.split(' ');
        let mut next = |prefix: &str| {
            words
                .next()
                .and_then(|word| word.strip_prefix(prefix))
                .filter(|word| !word.is_empty())
                .ok_or(ReceivedError::Incomplete)
        };
        let received = Self {
            host: Hostpart::parse(next("")?)?,
            time: DateTime::parse(next("")?)?,
            from: Hostpart::parse(next("from=")?)?,
            address: next("address=")?.into(),
            tls: next("tls=")?.into(),
            author: Author::parse(next("author=")?).ok_or(ReceivedError::Author)?,
        };
        if words.any(|word| {
            !word
                .split_once('=')
                .is_some_and(|(key, word)| !key.is_empty() && !word.is_empty())
        }) {
            return Err(ReceivedError::Incomplete);
        }
        Ok(received)
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            time,
            from,
            address,
            tls,
            author,
        } = self;
        write!(
            f,
            "{host} {time} from={from} address={address} tls={tls} author={author}"
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written() {
        let value = "b.test 2026-11-22T09:30:02Z from=a.test address=2001:db8::7 tls=TLSv1.3 author=unknown-key";
        let received = Received::parse(value).unwrap();
        assert_eq!(received.author, Author::UnknownKey);
        assert_eq!(received.to_string(), value);
        assert_eq!(
            Received::parse(&format!("{value} more=1")).unwrap(),
            received
        );
    }

    #[test]
    fn rules() {
        for (bad, why) in [
            ("b.test", ReceivedError::Incomplete),
            (
                "b 2026-11-22T09:30:02Z from=a.test address=x tls=y author=host",
                ReceivedError::Hostpart(HostpartError::OneLabel),
            ),
            (
                "b.test yesterday from=a.test address=x tls=y author=host",
                ReceivedError::Date(DateError),
            ),
            (
                "b.test 2026-11-22T09:30:02Z address=x from=a.test tls=y author=host",
                ReceivedError::Incomplete,
            ),
            (
                "b.test 2026-11-22T09:30:02Z from=a.test address=x tls=y author=me",
                ReceivedError::Author,
            ),
            (
                "b.test 2026-11-22T09:30:02Z from=a.test address=x tls=y author=host more",
                ReceivedError::Incomplete,
            ),
        ] {
            assert_eq!(Received::parse(bad), Err(why), "{bad}");
        }
    }
}
