//! A certificate that was seen, judged piece by piece.

use std::time::Duration;

use ima_message::Hostpart;
use rustls::CertificateError;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::fault::TlsError;
use super::super::lifetime;
use super::super::names::CertificateNames;
use super::super::verifier::{PeerVerifier, WeakKey};

/// A certificate, and what is to be said of it.
#[derive(Debug)]
pub struct Judged {
    /// The domains that it speaks for, in lower case; as they stand there where
    /// the chain is at fault.
    pub names: Vec<String>,
    /// Whether these cover the mail domain.
    pub is_for_host: bool,
    /// The first moment of its validity, in seconds since 1970.
    pub not_before: i64,
    /// The last.
    pub not_after: i64,
    /// Seconds since 1970, by the clock of this machine.
    pub now: i64,
    /// Who signed it, as RFC 4514 writes it. A stranger's words.
    pub issuer: String,
    /// How many certificates came.
    pub chain_length: usize,
    /// What is wrong with it and the chain above it at a moment of its validity,
    /// which is now where now is one. Names are not looked at.
    pub fault: Option<ChainFault>,
}

/// What is wrong with a chain.
#[derive(Debug)]
pub struct ChainFault {
    /// What it is about.
    pub about: About,
    /// The whole sentence.
    pub error: TlsError,
}

/// What a fault of a chain is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The way to a root.
    Chain,
    /// What its certificates may be used for.
    Usage,
    /// The dates of a certificate above the server's own.
    Dates,
    /// It was revoked.
    Revocation,
    /// Its key, or an algorithm.
    Key,
}

impl Judged {
    /// None where there is no certificate, or where it is none.
    pub(super) fn of(
        chain: &[CertificateDer<'_>],
        host: &Hostpart,
        verifier: &PeerVerifier,
    ) -> Option<Judged> {
        let (leaf, above) = chain.split_first()?;
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let (not_before, not_after) = (
            parsed.validity().not_before.timestamp(),
            parsed.validity().not_after.timestamp(),
        );
        let now = lifetime::now();
        // The dates are one fault, and may hide others.
        let moment = now.clamp(not_before, not_after.max(not_before));
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(
            u64::try_from(moment).unwrap_or_default(),
        ));
        let (names, fault) = match verifier.examine(leaf, above, moment) {
            Ok(names) => (names, None),
            Err(error) => {
                let about = about(&error);
                let error = TlsError::of_chain(host.as_written(), error, leaf, above);
                (
                    CertificateNames::of_chain(chain),
                    Some(ChainFault { about, error }),
                )
            }
        };
        Some(Judged {
            is_for_host: names.cover(host.ascii()),
            names: names.iter().map(str::to_owned).collect(),
            not_before,
            not_after,
            now,
            issuer: parsed.issuer().to_string(),
            chain_length: chain.len(),
            fault,
        })
    }
}

fn about(error: &rustls::Error) -> About {
    use CertificateError as C;
    let rustls::Error::InvalidCertificate(fault) = error else {
        return About::Chain;
    };
    match fault {
        C::InvalidPurposeContext { .. } | C::InvalidPurpose => About::Usage,
        C::ExpiredContext { .. } | C::NotValidYetContext { .. } => About::Dates,
        C::Revoked => About::Revocation,
        C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => About::Key,
        C::Other(other) if other.0.is::<WeakKey>() => About::Key,
        _ => About::Chain,
    }
}
