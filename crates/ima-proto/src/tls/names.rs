//! The domains that a checked certificate speaks for.
//!
//! Every dNSName in its subjectAltName (RFC 5280, 4.2.1.6), compared as
//! lower-case A-labels. A wildcard is the whole left-most label and stands for
//! exactly one label; `*` alone and `b*.test` match nothing. IP addresses, URIs
//! and e-mail addresses count for nothing. A certificate without a dNSName
//! speaks for nobody: the commonName is not looked at.

use std::fmt;

use ima_message::Hostpart;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Names out of a certificate. Made only from a certificate that
/// [`PeerVerifier`](super::PeerVerifier) has accepted and whose key the peer has
/// proved to hold, once the handshake is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNames(CertificateNames);

impl VerifiedNames {
    /// The names of a peer. `certificates` is what rustls gives for a connection
    /// whose handshake is complete, so the verifier has accepted the chain.
    pub(super) fn of_peer(connection: &rustls::CommonState) -> Option<VerifiedNames> {
        if connection.is_handshaking() {
            return None;
        }
        let leaf = connection.peer_certificates()?.first()?;
        Some(VerifiedNames(CertificateNames::of(leaf)))
    }

    /// Whether the peer may act for this domain.
    #[must_use]
    pub fn speaks_for(&self, host: &Hostpart) -> bool {
        self.0.cover(host.ascii())
    }

    /// The names, in lower case, in the certificate's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter()
    }
}

impl fmt::Display for VerifiedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The dNSNames of any certificate, believed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateNames(Vec<String>);

impl CertificateNames {
    /// None at all where the certificate or its subjectAltName is malformed.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> CertificateNames {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return CertificateNames(Vec::new());
        };
        let Ok(Some(alternatives)) = parsed.subject_alternative_name() else {
            return CertificateNames(Vec::new());
        };
        let names = alternatives.value.general_names.iter();
        let names = names.filter_map(|name| match name {
            // What cannot stand in a domain name equals none, and stays out of
            // log lines too.
            GeneralName::DNSName(name) if name.bytes().all(is_name_octet) => {
                Some(name.to_ascii_lowercase())
            }
            _ => None,
        });
        CertificateNames(names.collect())
    }

    /// Whether one of the names is `host`, which is in lower-case A-labels.
    pub(super) fn cover(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.0.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => Some(rest) == parent,
            None => name == host,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for CertificateNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("no domain name"),
            false => f.write_str(&self.0.join(", ")),
        }
    }
}

fn is_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b'*')
}
