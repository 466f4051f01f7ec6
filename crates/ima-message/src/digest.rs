//! SHA-256 digests (FIPS 180-4): of parts, and of a message's letter octets.
//!
//! ```text
//! digest = 64HEXLOWER
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Computes a SHA-256 over octets that come in pieces.
#[derive(Clone, Default)]
pub struct Digester(Sha256);

impl Digester {
    /// A digester of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of all octets taken.
    #[must_use]
    pub fn finish(self) -> PartDigest {
        PartDigest(self.0.finalize().into())
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester")
    }
}

/// A text is not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is written as 64 hexadecimal digits in lower case")]
pub struct DigestError;

/// The SHA-256 of a part's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartDigest([u8; 32]);

/// The SHA-256 of a message's letter octets: the message's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageDigest([u8; 32]);

impl MessageDigest {
    /// The digest of letter octets.
    #[must_use]
    pub(crate) fn of_letter(octets: Digester) -> Self {
        Self(octets.finish().0)
    }
}

fn write_hex(octets: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or_default();
    let mut hex = [0; 64];
    for (pair, octet) in hex.chunks_exact_mut(2).zip(octets) {
        pair.copy_from_slice(&[digit(octet >> 4), digit(octet & 15)]);
    }
    f.write_str(str::from_utf8(&hex).unwrap_or_default())
}

fn parse_hex(s: &str) -> Result<[u8; 32], DigestError> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Ok(b - b'0'),
        b'a'..=b'f' => Ok(b - b'a' + 10),
        _ => Err(DigestError),
    };
    if s.len() != 64 {
        return Err(DigestError);
    }
    let mut out = [0; 32];
    for (octet, pair) in out.iter_mut().zip(s.as_bytes().chunks_exact(2)) {
        if let &[high, low] = pair {
            *octet = digit(high)? << 4 | digit(low)?;
        }
    }
    Ok(out)
}

impl PartDigest {
    /// The 32 octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
impl MessageDigest {
    /// The 32 octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
impl fmt::Display for PartDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}
impl fmt::Display for MessageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}
impl FromStr for PartDigest {
    type Err = DigestError;
    fn from_str(s: &str) -> Result<Self, DigestError> {
        parse_hex(s).map(Self)
    }
}
impl FromStr for MessageDigest {
    type Err = DigestError;
    fn from_str(s: &str) -> Result<Self, DigestError> {
        parse_hex(s).map(Self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn known_answer_and_round_trip() {
        let mut digester = Digester::new();
        digester.update(b"a");
        digester.update(b"bc");
        let digest = digester.finish();
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4, "abc"
        assert_eq!(digest.to_string(), hex);
        assert_eq!(hex.parse::<PartDigest>().unwrap(), digest);
        assert!(hex.to_uppercase().parse::<PartDigest>().is_err());
        assert!(hex.get(1..).unwrap().parse::<PartDigest>().is_err());
    }
}
