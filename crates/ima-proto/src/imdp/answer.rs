//! What a receiver answers, in its final line.
//!
//! ```text
//! to HEADERS: "ACCEPT" / "ACCEPT" SP parts / "REJECT" SP keyword SP text
//!           / "DEFER" SP seconds SP text
//!           / "REDIRECT" SP address ":" port SP "sha256:" 64HEXLOWER
//! to DATA:    "OK" / "FAIL" / "PARTIAL"
//! parts     = "0" / n *("," n)               ; ascending, each once
//! keyword   = "format" / "identity" / "size" / "recipient" / "signature" / "policy"
//! ```

use std::fmt;
use std::net::SocketAddr;

use ima_message::text::parse_decimal;

use crate::tls::KeyDigest;

/// The final line to HEADERS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadersAnswer {
    /// Send the data.
    Accept,
    /// Send only these parts.
    AcceptParts(PartList),
    /// A final no.
    Reject(Keyword, Box<str>),
    /// Not now: try again after so many seconds.
    Defer(u64, Box<str>),
    /// Another machine takes it.
    Redirect(RedirectTo),
}

/// Where a REDIRECT leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectTo {
    /// Address and port.
    pub address: SocketAddr,
    /// The digest of the SubjectPublicKeyInfo that is demanded there.
    pub public_key: KeyDigest,
}

/// Why a header block is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// It is not well-formed.
    Format,
    /// The certificate does not speak for the return path.
    Identity,
    /// The data are too large; the text begins with the limit in octets.
    Size,
    /// A recipient is not there.
    Recipient,
    /// A signature is invalid.
    Signature,
    /// Other reasons.
    Policy,
}

const KEYWORDS: [(Keyword, &str); 6] = [
    (Keyword::Format, "format"),
    (Keyword::Identity, "identity"),
    (Keyword::Size, "size"),
    (Keyword::Recipient, "recipient"),
    (Keyword::Signature, "signature"),
    (Keyword::Policy, "policy"),
];

/// Numbers of parts from 1, ascending, each once. Empty (written `0`): no part
/// is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartList(Box<[usize]>);

impl PartList {
    fn parse(s: &str) -> Option<Self> {
        if s == "0" {
            return Some(Self(Box::default()));
        }
        let mut least = 1;
        s.split(',')
            .map(|n| {
                let n = usize::try_from(parse_decimal(n)?)
                    .ok()
                    .filter(|&n| n >= least)?;
                least = n + 1;
                Some(n)
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The numbers.
    #[must_use]
    pub fn numbers(&self) -> &[usize] {
        &self.0
    }
}

impl HeadersAnswer {
    /// Reads a line without its LF; None where it is no final line to HEADERS.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = match line.split_once(' ') {
            Some((word, rest)) => (word, Some(rest)),
            None => (line, None),
        };
        match (word, rest) {
            ("ACCEPT", None) => Some(Self::Accept),
            ("ACCEPT", Some(parts)) => PartList::parse(parts).map(Self::AcceptParts),
            ("REJECT", Some(rest)) => {
                let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let (keyword, _) = KEYWORDS.into_iter().find(|(_, known)| *known == word)?;
                Some(Self::Reject(keyword, text.into()))
            }
            ("DEFER", Some(rest)) => {
                let (seconds, text) = rest.split_once(' ').unwrap_or((rest, ""));
                Some(Self::Defer(parse_decimal(seconds)?, text.into()))
            }
            ("REDIRECT", Some(rest)) => {
                let (address, key) = rest.split_once(' ')?;
                let public_key = key.parse().ok()?;
                Some(Self::Redirect(RedirectTo {
                    address: address.parse().ok()?,
                    public_key,
                }))
            }
            _ => None,
        }
    }
}

/// The final line to DATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataAnswer {
    /// All of it is done, and durable.
    Ok,
    /// A final no.
    Fail,
    /// Some of it, or none yet: who is not named is to be tried again.
    Partial,
}

impl DataAnswer {
    /// Reads a line without its LF; None where it is no final line to DATA.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        [Self::Ok, Self::Fail, Self::Partial]
            .into_iter()
            .find(|answer| answer.as_str() == line)
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Fail => "FAIL",
            Self::Partial => "PARTIAL",
        }
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = KEYWORDS.into_iter().find(|(keyword, _)| keyword == self);
        f.write_str(word.map_or("policy", |(_, word)| word))
    }
}
impl fmt::Display for PartList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        self.0.iter().enumerate().try_for_each(|(i, n)| match i {
            0 => write!(f, "{n}"),
            _ => write!(f, ",{n}"),
        })
    }
}
impl fmt::Display for HeadersAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Accept => return f.write_str("ACCEPT"),
            Self::AcceptParts(parts) => return write!(f, "ACCEPT {parts}"),
            Self::Redirect(RedirectTo {
                address,
                public_key,
            }) => {
                return write!(f, "REDIRECT {address} {public_key}");
            }
            Self::Reject(keyword, text) => {
                write!(f, "REJECT {keyword}")?;
                text
            }
            Self::Defer(seconds, text) => {
                write!(f, "DEFER {seconds}")?;
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
        let digest = "c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a8fee0df6ecf193";
        for line in [
            "ACCEPT".to_owned(),
            "ACCEPT 0".to_owned(),
            "ACCEPT 1,3,1000".to_owned(),
            "REJECT size 67108864 octets are the most".to_owned(),
            "REJECT policy".to_owned(),
            "DEFER 300 later".to_owned(),
            "DEFER 0".to_owned(),
            format!("REDIRECT 192.0.2.7:4025 sha256:{digest}"),
            format!("REDIRECT [2001:db8::7]:1 sha256:{digest}"),
        ] {
            assert_eq!(HeadersAnswer::parse(&line).unwrap().to_string(), line);
        }
        for answer in [DataAnswer::Ok, DataAnswer::Fail, DataAnswer::Partial] {
            assert_eq!(DataAnswer::parse(answer.as_str()), Some(answer));
        }
    }

    #[test]
    fn anything_else_is_none() {
        for line in [
            "",
            "OK",
            "accept",
            "ACCEPT ",
            "ACCEPT 0,1",
            "ACCEPT 2,1",
            "ACCEPT 1,1",
            "ACCEPT 01",
            "ACCEPT 1,",
            "REJECT",
            "REJECT because x",
            "DEFER",
            "DEFER soon x",
            "DEFER -1 x",
            "REDIRECT b.test:4025 sha256:00",
            "REDIRECT 192.0.2.7:4025",
            "ERROR x",
        ] {
            assert_eq!(HeadersAnswer::parse(line), None, "{line}");
        }
        for line in ["", "ok", "OK bob@b.test", "OK ", "ACCEPT"] {
            assert_eq!(DataAnswer::parse(line), None, "{line}");
        }
    }
}
