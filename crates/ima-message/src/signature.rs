//! The `signature` field.
//!
//! ```text
//! signature = signer SP algorithm SP public-key SP signature   ; four words, no more
//! signer    = address / hostpart
//! algorithm = LOWER *(LOWER / DIGIT / "-")                     ; here: ed25519 (RFC 8032)
//! ```
//!
//! Key and signature are base64 with padding (RFC 4648, strict). Signed octets:
//! `ima-signature-1` LF, signer LF, letter octets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::address::{Address, AddressError};
use crate::host::Hostpart;

/// Who signs: a person or a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signer {
    /// An address.
    Address(Address),
    /// A bare hostpart.
    Host(Hostpart),
}

impl Signer {
    /// Reads an address or, where there is no `@`, a hostpart.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(s: &str) -> Result<Self, AddressError> {
        if s.contains('@') {
            Address::parse(s).map(Self::Address)
        } else {
            Ok(Self::Host(Hostpart::parse(s)?))
        }
    }

    /// The host that publishes the signer's keys.
    #[must_use]
    pub fn hostpart(&self) -> &Hostpart {
        match self {
            Self::Address(address) => address.hostpart(),
            Self::Host(host) => host,
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(host) => host.fmt(f),
        }
    }
}

/// One signature, as it stands in the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    signer: Signer,
    algorithm: Box<str>,
    public_key: Box<str>,
    signature: Box<str>,
}

/// Why a value is not that of a `signature` field, or the signature is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not four words.
    #[error("a signature has four words: signer algorithm public-key signature")]
    Words,
    /// The signer is neither address nor domain name.
    #[error("the signer: {0}")]
    Signer(AddressError),
    /// The algorithm is badly written.
    #[error("an algorithm's name is letters in lower case, digits and hyphens")]
    Algorithm,
    /// Key or signature are not strict base64.
    #[error("key and signature are base64 with padding (RFC 4648)")]
    Base64,
    /// An ed25519 key is not 32 octets that are a point of the curve, or its signature not 64.
    #[error("an ed25519 key is a curve point of 32 octets and its signature has 64")]
    Length,
    /// The mathematics do not hold.
    #[error("the signature is invalid: it is not over this letter, or not by this key")]
    Invalid,
}

impl Signature {
    /// Reads the value of a `signature` field. The mathematics are checked by
    /// [`Signature::check`].
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(value: &str) -> Result<Self, SignatureError> {
        let mut words = value.split(' ');
        let (Some(signer), Some(algorithm), Some(public_key), Some(signature), None) = (
            words.next(),
            words.next(),
            words.next(),
            words.next(),
            words.next(),
        ) else {
            return Err(SignatureError::Words);
        };
        let is_algorithm = algorithm.starts_with(|c: char| c.is_ascii_lowercase())
            && algorithm
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !is_algorithm {
            return Err(SignatureError::Algorithm);
        }
        let parsed = Self {
            signer: Signer::parse(signer).map_err(SignatureError::Signer)?,
            algorithm: algorithm.into(),
            public_key: public_key.into(),
            signature: signature.into(),
        };
        let key = BASE64
            .decode(public_key)
            .map_err(|_| SignatureError::Base64)?;
        let octets = BASE64
            .decode(signature)
            .map_err(|_| SignatureError::Base64)?;
        if parsed.is_known_algorithm() && (key.len() != 32 || octets.len() != 64) {
            return Err(SignatureError::Length);
        }
        Ok(parsed)
    }

    /// Signs letter octets with an Ed25519 key.
    #[must_use]
    pub fn sign(signer: &Signer, key: &SigningKey, letter: &[u8]) -> Self {
        let signature = key.sign(&signed_octets(signer, letter));
        Self {
            signer: signer.clone(),
            algorithm: "ed25519".into(),
            public_key: BASE64.encode(key.verifying_key().as_bytes()).into(),
            signature: BASE64.encode(signature.to_bytes()).into(),
        }
    }

    /// Whether the mathematics hold over these letter octets (`verify_strict`:
    /// no weak keys, no malleable signatures). A signature by an algorithm that
    /// is not known here counts as absent, and so as not wrong.
    ///
    /// # Errors
    /// [`SignatureError::Length`] or [`SignatureError::Invalid`].
    pub fn check(&self, letter: &[u8]) -> Result<(), SignatureError> {
        if !self.is_known_algorithm() {
            return Ok(());
        }
        let key = decode::<32>(&self.public_key)?;
        let signature = decode::<64>(&self.signature)?;
        VerifyingKey::from_bytes(&key)
            .map_err(|_| SignatureError::Length)?
            .verify_strict(&signed_octets(&self.signer, letter), &signature.into())
            .map_err(|_| SignatureError::Invalid)
    }

    /// Whether it can be checked here: `ed25519`.
    #[must_use]
    pub fn is_known_algorithm(&self) -> bool {
        &*self.algorithm == "ed25519"
    }

    /// Who signed.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The algorithm's name.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The public key, base64.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }
}

fn decode<const N: usize>(s: &str) -> Result<[u8; N], SignatureError> {
    let octets = BASE64.decode(s).map_err(|_| SignatureError::Base64)?;
    octets.try_into().map_err(|_| SignatureError::Length)
}

fn signed_octets(signer: &Signer, letter: &[u8]) -> Vec<u8> {
    let mut octets = format!("ima-signature-1\n{signer}\n").into_bytes();
    octets.extend_from_slice(letter);
    octets
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            signer,
            algorithm,
            public_key,
            signature,
        } = self;
        write!(f, "{signer} {algorithm} {public_key} {signature}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn signed_read_and_checked() {
        let signer = Signer::parse("alice@a.test").unwrap();
        let signature = Signature::sign(&signer, &key(), b"ima: 1\n");
        let again = Signature::parse(&signature.to_string()).unwrap();
        assert_eq!(again, signature);
        assert_eq!(again.check(b"ima: 1\n"), Ok(()));
        assert_eq!(again.check(b"ima: 2\n"), Err(SignatureError::Invalid));
        let other = signature.to_string().replace("alice@", "mallory@");
        assert_eq!(
            Signature::parse(&other).unwrap().check(b"ima: 1\n"),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn rules() {
        use SignatureError as E;
        let key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
        for (bad, why) in [
            (format!("a.test {key} {key}"), E::Words),
            (format!("a.test ed25519 {key} {key} x"), E::Words),
            (
                format!("a ed25519 {key} {key}"),
                E::Signer(AddressError::Hostpart(crate::HostpartError::OneLabel)),
            ),
            (format!("a.test Ed25519 {key} {key}"), E::Algorithm),
            (format!("a.test 25519 {key} {key}"), E::Algorithm),
            (
                format!("a.test ed25519 {} {key}", key.trim_end_matches('=')),
                E::Base64,
            ),
            (format!("a.test ed25519 {key} {key}"), E::Length),
        ] {
            assert_eq!(Signature::parse(&bad), Err(why), "{bad}");
        }
        let unknown = Signature::parse("a.test zz-9 AA== AA==").unwrap();
        assert_eq!(unknown.check(b"anything"), Ok(()));
    }
}
