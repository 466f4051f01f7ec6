//! Signing keys: the file that holds one, and the line that publishes it.
//!
//! ```text
//! key-file = %s"ima-key: 1" LF
//!            %s"signer: " signer LF
//!            %s"algorithm: ed25519" LF
//!            %s"not-before: " date-time LF
//!            %s"not-after: " date-time LF
//!            %s"secret: " base64 LF               ; the 32 octets of RFC 8032, 5.1.5
//! key-line = %s"KEY " signer SP %s"ed25519" SP public-key SP not-before SP not-after
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;

use crate::address::AddressError;
use crate::date::{DateError, DateTime};
use crate::signature::{Signature, Signer};

/// A private key and whose it is. Its `Debug` shows no secret; the secret is
/// overwritten when the value goes.
#[derive(Debug)]
pub struct KeyFile {
    signer: Signer,
    not_before: DateTime,
    not_after: DateTime,
    key: SigningKey,
}

/// A published key: what `KEYS` answers and what `show-ima-message --keys` reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    signer: Signer,
    public_key: Box<str>,
    not_before: DateTime,
    not_after: DateTime,
}

/// Why octets are not a key file or a key line. Never shows a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A line of the file is missing or stands elsewhere.
    #[error("line {line} of a key file reads \"{wanted}…\"; was it made by make-ima-key?")]
    Line {
        /// The line, from 1.
        line: usize,
        /// How it begins.
        wanted: &'static str,
    },
    /// Octets behind the last line.
    #[error("something follows the last line of the key file")]
    AfterEnd,
    /// Not the six words of a key line.
    #[error("a published key reads: KEY signer ed25519 public-key not-before not-after")]
    Words,
    /// The signer is neither address nor domain name.
    #[error("the signer: {0}")]
    Signer(#[from] AddressError),
    /// A time is none.
    #[error(transparent)]
    Date(#[from] DateError),
    /// Another algorithm.
    #[error("the only algorithm known here is ed25519")]
    Algorithm,
    /// The key is not 32 octets in base64.
    #[error("a key is 32 octets in base64 with padding (RFC 4648)")]
    Key,
}

impl KeyFile {
    /// A key of a signer, from its 32 secret octets.
    #[must_use]
    pub fn new(
        signer: Signer,
        secret: &[u8; 32],
        not_before: DateTime,
        not_after: DateTime,
    ) -> Self {
        Self {
            signer,
            not_before,
            not_after,
            key: SigningKey::from_bytes(secret),
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(file: &str) -> Result<Self, KeyError> {
        let mut lines = file.split_inclusive('\n').enumerate();
        let mut next = |wanted: &'static str| {
            let (index, line) = lines.next().unwrap_or((0, ""));
            line.strip_prefix(wanted)
                .and_then(|rest| rest.strip_suffix('\n'))
                .ok_or(KeyError::Line {
                    line: index + 1,
                    wanted,
                })
        };
        if next("ima-key: ")? != "1" {
            return Err(KeyError::Line {
                line: 1,
                wanted: "ima-key: 1",
            });
        }
        let signer = Signer::parse(next("signer: ")?)?;
        if next("algorithm: ")? != "ed25519" {
            return Err(KeyError::Algorithm);
        }
        let not_before = DateTime::parse(next("not-before: ")?)?;
        let not_after = DateTime::parse(next("not-after: ")?)?;
        let secret = decode_key(next("secret: ")?)?;
        if lines.next().is_some() {
            return Err(KeyError::AfterEnd);
        }
        Ok(Self::new(signer, &secret, not_before, not_after))
    }

    /// The octets of the key file. They hold the secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self {
            signer,
            not_before,
            not_after,
            key,
        } = self;
        format!(
            "ima-key: 1\nsigner: {signer}\nalgorithm: ed25519\nnot-before: {not_before}\nnot-after: {not_after}\nsecret: {}\n",
            BASE64.encode(key.as_bytes())
        )
    }

    /// Whose key it is.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Signs letter octets.
    #[must_use]
    pub fn sign(&self, letter: &[u8]) -> Signature {
        Signature::sign(&self.signer, &self.key, letter)
    }

    /// What is published of it.
    #[must_use]
    pub fn public(&self) -> KeyLine {
        KeyLine {
            signer: self.signer.clone(),
            public_key: BASE64.encode(self.key.verifying_key().as_bytes()).into(),
            not_before: self.not_before.clone(),
            not_after: self.not_after.clone(),
        }
    }
}

impl KeyLine {
    /// Reads a key line, without its LF.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split(' ');
        let mut next = || {
            words
                .next()
                .filter(|word| !word.is_empty())
                .ok_or(KeyError::Words)
        };
        if next()? != "KEY" {
            return Err(KeyError::Words);
        }
        let signer = Signer::parse(next()?)?;
        if next()? != "ed25519" {
            return Err(KeyError::Algorithm);
        }
        let public_key = next()?;
        decode_key(public_key)?;
        let parsed = Self {
            signer,
            public_key: public_key.into(),
            not_before: DateTime::parse(next()?)?,
            not_after: DateTime::parse(next()?)?,
        };
        if words.next().is_some() {
            Err(KeyError::Words)
        } else {
            Ok(parsed)
        }
    }

    /// Whether it vouches for a signature at a moment, in Unix seconds: same
    /// signer, same key, and the moment within the key's time.
    #[must_use]
    pub fn vouches_for(&self, signature: &Signature, at: i64) -> bool {
        self.signer == *signature.signer()
            && signature.is_known_algorithm()
            && *self.public_key == *signature.public_key()
            && (self.not_before.unix_seconds()..=self.not_after.unix_seconds()).contains(&at)
    }
}

fn decode_key(s: &str) -> Result<[u8; 32], KeyError> {
    let octets = BASE64.decode(s).map_err(|_| KeyError::Key)?;
    octets.try_into().map_err(|_| KeyError::Key)
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            signer,
            public_key,
            not_before,
            not_after,
        } = self;
        write!(
            f,
            "KEY {signer} ed25519 {public_key} {not_before} {not_after}"
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn key() -> KeyFile {
        let time = |s| DateTime::parse(s).unwrap();
        KeyFile::new(
            Signer::parse("alice@a.test").unwrap(),
            &std::array::from_fn(|i| u8::try_from(i).unwrap()),
            time("2026-01-01T00:00:00Z"),
            time("2027-01-01T00:00:00Z"),
        )
    }

    #[test]
    fn what_is_read_is_written() {
        let text = key().to_text();
        assert_eq!(KeyFile::parse(&text).unwrap().to_text(), text);
        let line = key().public();
        assert_eq!(
            line.to_string(),
            "KEY alice@a.test ed25519 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg= 2026-01-01T00:00:00Z 2027-01-01T00:00:00Z"
        );
        assert_eq!(KeyLine::parse(&line.to_string()).unwrap(), line);
    }

    #[test]
    fn a_key_vouches_within_its_time_for_its_own_signer() {
        let signature = key().sign(b"letter");
        let during = DateTime::parse("2026-06-01T00:00:00Z")
            .unwrap()
            .unix_seconds();
        assert!(key().public().vouches_for(&signature, during));
        assert!(!key().public().vouches_for(&signature, 0));
        let other = KeyLine::parse(&key().public().to_string().replace("alice", "bob")).unwrap();
        assert!(!other.vouches_for(&signature, during));
    }

    #[test]
    fn wrong_lines_are_named_and_no_secret_is_shown() {
        let text = key().to_text();
        assert_eq!(
            KeyFile::parse("").unwrap_err(),
            KeyError::Line {
                line: 1,
                wanted: "ima-key: "
            }
        );
        assert_eq!(
            KeyFile::parse(&text.replace("not-after", "after")).unwrap_err(),
            KeyError::Line {
                line: 5,
                wanted: "not-after: "
            }
        );
        assert_eq!(
            KeyFile::parse(&text.replace("secret: A", "secret: ")).unwrap_err(),
            KeyError::Key
        );
        assert_eq!(
            KeyFile::parse(&format!("{text}\n")).unwrap_err(),
            KeyError::AfterEnd
        );
        assert!(!format!("{:?}", key()).contains("AAECAw"));
        for bad in [
            "",
            "KEY a.test ed25519",
            "KEY a.test rsa AA== 2026-01-01T00:00:00Z 2027-01-01T00:00:00Z",
        ] {
            assert!(KeyLine::parse(bad).is_err(), "{bad}");
        }
    }
}
