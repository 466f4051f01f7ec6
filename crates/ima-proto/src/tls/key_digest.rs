//! A public key by its digest: how a user's certificate is known.
//!
//! ```text
//! key-digest = "sha256:" 64HEXLOWER   ; of the SubjectPublicKeyInfo in DER (RFC 5280, 4.1.2.7)
//! ```
//!
//! A certificate that was renewed with the same key keeps its digest.

use std::fmt;
use std::str::FromStr;

use ima_message::{Digester, PartDigest};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use webpki::EndEntityCert;

const PREFIX: &str = "sha256:";

/// The SHA-256 of a public key, as its SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyDigest(PartDigest);

/// A text is not the digest of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key's digest is written as sha256: and 64 hexadecimal digits in lower case")]
pub struct KeyDigestError;

impl KeyDigest {
    /// The key of a certificate, read by the parser whose key rustls checks a
    /// handshake's signature with. None where the certificate is not well-formed
    /// (RFC 5280, version 3).
    #[must_use]
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Option<KeyDigest> {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        Some(KeyDigest::of_key(&parsed.subject_public_key_info()))
    }

    /// That of a SubjectPublicKeyInfo in DER.
    pub(super) fn of_key(key: &[u8]) -> KeyDigest {
        let mut digester = Digester::new();
        digester.update(key);
        KeyDigest(digester.finish())
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl FromStr for KeyDigest {
    type Err = KeyDigestError;

    fn from_str(s: &str) -> Result<KeyDigest, KeyDigestError> {
        let digits = s.strip_prefix(PREFIX).ok_or(KeyDigestError)?;
        digits.parse().map(KeyDigest).map_err(|_| KeyDigestError)
    }
}

impl TryFrom<String> for KeyDigest {
    type Error = KeyDigestError;

    fn try_from(written: String) -> Result<KeyDigest, KeyDigestError> {
        written.parse()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    use super::*;

    #[test]
    fn it_is_the_key_s_and_not_the_certificate_s() {
        let key = KeyPair::generate().unwrap();
        let of = |name: &str| {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            KeyDigest::of_certificate(params.self_signed(&key).unwrap().der()).unwrap()
        };
        assert_eq!(of("a.test"), of("b.test"));
        let mut digester = Digester::new();
        digester.update(&key.subject_public_key_info());
        assert_eq!(
            of("a.test").to_string(),
            format!("sha256:{}", digester.finish())
        );
        assert_eq!(
            KeyDigest::of_certificate(&CertificateDer::from(&b"0"[..])),
            None
        );
    }

    #[test]
    fn one_spelling_is_read_and_written() {
        let digits = "c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a8fee0df6ecf193";
        let written = format!("sha256:{digits}");
        assert_eq!(written.parse::<KeyDigest>().unwrap().to_string(), written);
        for bad in [
            digits,
            &written.to_uppercase(),
            &format!("{written}0"),
            "sha256:",
            "",
        ] {
            assert_eq!(bad.parse::<KeyDigest>(), Err(KeyDigestError), "{bad}");
        }
    }
}
