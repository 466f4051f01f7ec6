//! What a sender says.
//!
//! ```text
//! command = "HEADERS" SP n [SP "direct"]     ; n octets follow: a header block
//!         / "DATA" SP n                      ; n octets follow
//!         / "ABORT"
//!         / "STATUS" SP cookie
//!         / "GIVEUP" SP cookie
//!         / "KEYS" SP (address / hostpart)
//!         / "DONE"
//! ```

use std::fmt;

use ima_message::text::parse_decimal;
use ima_message::{Cookie, Signer};

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A header block follows.
    Headers {
        /// How many octets, below 2^63.
        octets: u64,
        /// Not to be answered by REDIRECT.
        direct: bool,
    },
    /// Data follow.
    Data {
        /// How many octets, below 2^63.
        octets: u64,
    },
    /// Forget the accepted header block.
    Abort,
    /// What became of a deferred recipient?
    Status(Cookie),
    /// The sender stops asking.
    GiveUp(Cookie),
    /// Which keys are published for an address or a host?
    Keys(Signer),
    /// The end.
    Done,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An unknown word.
    #[error("unknown command; known are HEADERS, DATA, ABORT, STATUS, GIVEUP, KEYS and DONE")]
    Word,
    /// What follows the word is not what belongs there.
    #[error("{0} takes {1}")]
    Arguments(&'static str, &'static str),
}

const COUNT: &str = "a count of octets: decimal, without sign or leading zero, below 2^63";

impl Command {
    /// Reads a line without its LF.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let (word, rest) = match line.split_once(' ') {
            Some((word, rest)) => (word, Some(rest)),
            None => (line, None),
        };
        let needs = |word, wants| CommandError::Arguments(word, wants);
        match (word, rest) {
            ("HEADERS", rest) => {
                let rest = rest.unwrap_or_default();
                let (count, direct) = match rest.strip_suffix(" direct") {
                    Some(count) => (count, true),
                    None => (rest, false),
                };
                let octets = parse_decimal(count).ok_or(needs("HEADERS", COUNT))?;
                Ok(Self::Headers { octets, direct })
            }
            ("DATA", rest) => {
                let octets = rest.and_then(parse_decimal).ok_or(needs("DATA", COUNT))?;
                Ok(Self::Data { octets })
            }
            ("STATUS", rest) => {
                let cookie = rest.and_then(Cookie::parse);
                cookie.map(Self::Status).ok_or(needs("STATUS", "a cookie"))
            }
            ("GIVEUP", rest) => {
                let cookie = rest.and_then(Cookie::parse);
                cookie.map(Self::GiveUp).ok_or(needs("GIVEUP", "a cookie"))
            }
            ("KEYS", rest) => {
                let signer = rest.and_then(|rest| Signer::parse(rest).ok());
                signer
                    .map(Self::Keys)
                    .ok_or(needs("KEYS", "an address or a domain name"))
            }
            ("ABORT", None) => Ok(Self::Abort),
            ("ABORT", Some(_)) => Err(needs("ABORT", "nothing")),
            ("DONE", None) => Ok(Self::Done),
            ("DONE", Some(_)) => Err(needs("DONE", "nothing")),
            _ => Err(CommandError::Word),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Headers {
                octets,
                direct: false,
            } => write!(f, "HEADERS {octets}"),
            Self::Headers {
                octets,
                direct: true,
            } => write!(f, "HEADERS {octets} direct"),
            Self::Data { octets } => write!(f, "DATA {octets}"),
            Self::Abort => f.write_str("ABORT"),
            Self::Status(cookie) => write!(f, "STATUS {}", cookie.as_str()),
            Self::GiveUp(cookie) => write!(f, "GIVEUP {}", cookie.as_str()),
            Self::Keys(signer) => write!(f, "KEYS {signer}"),
            Self::Done => f.write_str("DONE"),
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
            "HEADERS 301",
            "HEADERS 0 direct",
            "DATA 9223372036854775807",
            "ABORT",
            "STATUS 0123456789abcdef",
            "GIVEUP 0123456789abcdef",
            "KEYS alice@a.test",
            "KEYS a.test",
            "DONE",
        ] {
            assert_eq!(Command::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for count in [
            "-1",
            "+5",
            "007",
            "1e3",
            "",
            "9223372036854775808",
            "18446744073709551616",
            " 1",
            "1 ",
            "0x1",
        ] {
            for word in ["HEADERS", "DATA"] {
                let line = format!("{word} {count}");
                assert_eq!(
                    Command::parse(&line),
                    Err(CommandError::Arguments(word, COUNT)),
                    "{line}"
                );
            }
        }
        for line in [
            "",
            " ",
            "headers 1",
            "HELO a",
            "HEADERS",
            "DATA",
            "ABORT x",
            "DONE x",
            "STATUS",
            "STATUS -",
            "STATUS a/b",
            "KEYS",
            "KEYS a",
            "HEADERS 1 Direct",
        ] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }
}
