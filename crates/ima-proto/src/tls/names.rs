//! The domains that a checked certificate speaks for.
//!
//! Every dNSName in its subjectAltName (RFC 5280, 4.2.1.6), compared as
//! lower-case A-labels. A wildcard is the whole left-most label and stands for
//! exactly one label; `*` alone and `b*.test` match nothing. IP addresses, URIs
//! and e-mail addresses count for nothing.
//!
//! Only where there is no dNSName at all, the commonName of the subject counts:
//! if there is exactly one, if it is a domain name by the rules of a hostpart
//! (so without a wildcard), and if no certificate of the chain, its root
//! included, carries name constraints (RFC 5280, 4.2.1.10), which do not bind a
//! commonName.

use std::fmt;

use ima_message::Hostpart;
use rustls_pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, Class};
use x509_parser::oid_registry::{OID_X509_EXT_NAME_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Extension};

/// The tags of GeneralNames that are structures (RFC 5280, 4.2.1.6): otherName,
/// x400Address, directoryName and ediPartyName. The others are strings.
const STRUCTURES: [u32; 4] = [0, 3, 4, 5];

/// Names out of a server's certificate. Made only from a certificate that
/// [`PeerVerifier`](super::PeerVerifier) has accepted and whose key the peer has
/// proved to hold, once the handshake is over; never from a user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNames(CertificateNames);

impl VerifiedNames {
    /// What a verifier has found for a connection. None while its handshake lasts.
    pub(super) fn after_handshake(
        names: CertificateNames,
        connection: &rustls::CommonState,
    ) -> Option<VerifiedNames> {
        (!connection.is_handshaking()).then_some(VerifiedNames(names))
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

    /// As whom the peer is counted among others: the domain that somebody has
    /// registered (`a.example` for `mx.lists.a.example`, by the Public Suffix List)
    /// with the first of its names. So one that has many names, wildcards, or
    /// certificates for each of its hosts is one; a provider that lists its
    /// customers is one as well, and none of them can use up what is the provider's
    /// with a certificate of their own, but for the first. Empty where it has no
    /// name.
    #[must_use]
    pub fn domain(&self) -> &str {
        let first = self.iter().next().unwrap_or_default();
        registered(first.strip_prefix("*.").unwrap_or(first))
    }
}

/// The domain that was registered for a host: one label and the public suffix
/// behind it; a host that is itself such a suffix is one.
fn registered(host: &str) -> &str {
    psl::domain_str(host).unwrap_or(host)
}

impl fmt::Display for VerifiedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The domains that any certificate names, believed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateNames(Vec<String>);

impl CertificateNames {
    /// None at all where the certificate or its subjectAltName is malformed.
    /// `constrained` says whether a certificate above this one carries name
    /// constraints; it is asked only where that matters.
    pub(super) fn of(
        certificate: &CertificateDer<'_>,
        constrained: impl FnOnce() -> bool,
    ) -> CertificateNames {
        CertificateNames(names(certificate, constrained).unwrap_or_default())
    }

    /// The names of a certificate of our own, with those between it and its
    /// root. The root, which others know, may carry name constraints all the same.
    pub(super) fn of_chain(chain: &[CertificateDer<'_>]) -> CertificateNames {
        match chain.split_first() {
            Some((leaf, above)) => {
                CertificateNames::of(leaf, || above.iter().any(has_name_constraints))
            }
            None => CertificateNames(Vec::new()),
        }
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

/// Whether a certificate carries name constraints; one that cannot be read may.
pub(super) fn has_name_constraints(certificate: &CertificateDer<'_>) -> bool {
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => constrains(&parsed),
        Err(_) => true,
    }
}

fn constrains(certificate: &X509Certificate<'_>) -> bool {
    let mut extensions = certificate.extensions().iter();
    extensions.any(|extension| extension.oid == OID_X509_EXT_NAME_CONSTRAINTS)
}

/// None where the certificate or its subjectAltName is malformed.
fn names(
    certificate: &CertificateDer<'_>,
    constrained: impl FnOnce() -> bool,
) -> Option<Vec<String>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = parsed.subject_alternative_name().ok()?;
    if !parsed.extensions().iter().all(has_plain_names) {
        return None;
    }
    let alternatives = alternatives.map_or(&[][..], |found| &found.value.general_names);
    let mut holds_dns_name = false;
    let mut names = Vec::new();
    for name in alternatives {
        match name {
            GeneralName::DNSName(name) => {
                holds_dns_name = true;
                // What cannot stand in a domain name equals none, and stays out
                // of log lines too.
                if name.bytes().all(is_name_octet) {
                    names.push(name.to_ascii_lowercase());
                }
            }
            GeneralName::Invalid(..) => return None,
            _ => {}
        }
    }
    if !holds_dns_name && !constrains(&parsed) && !constrained() {
        names.extend(common_name(&parsed));
    }
    Some(names)
}

/// Whether an extension is not a subjectAltName with a name in a form that DER does not
/// have: a string in pieces (X.690, 10.2), or a structure that is none. Others read such
/// otherwise, or not at all.
fn has_plain_names(extension: &X509Extension<'_>) -> bool {
    if extension.oid != OID_X509_EXT_SUBJECT_ALT_NAME {
        return true;
    }
    let Ok((_, names)) = Any::from_der(extension.value) else {
        return false;
    };
    let mut rest = names.data;
    while !rest.is_empty() {
        let Ok((next, name)) = Any::from_der(rest) else {
            return false;
        };
        let form = STRUCTURES.contains(&name.tag().0);
        if name.class() != Class::ContextSpecific || name.header.is_constructed() != form {
            return false;
        }
        rest = next;
    }
    true
}

/// The commonName, if there is exactly one and it is a domain name.
fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut all = certificate.subject().iter_common_name();
    let only = all.next().filter(|_| all.next().is_none())?;
    let host = Hostpart::parse(only.as_str().ok()?).ok()?;
    Some(host.ascii().to_owned())
}

fn is_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b'*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn counted_as(names: &[&str]) -> String {
        let names = names.iter().map(ToString::to_string).collect();
        VerifiedNames(CertificateNames(names)).domain().to_owned()
    }

    /// A certificate with this subjectAltName.
    fn with_alternatives(der: &[u8]) -> CertificateNames {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let extension = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], der.to_vec());
        params.custom_extensions.push(extension);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        CertificateNames::of(certificate.der(), || false)
    }

    #[test]
    fn a_name_in_another_form_makes_the_certificate_one_for_nobody() {
        let whole = with_alternatives(b"\x30\x0e\x82\x06b.test\x82\x04test");
        assert_eq!(whole.0, ["b.test", "test"]);
        for pieces in [
            b"\x30\x0e\xa2\x06b.test\x82\x04test".as_slice(),
            b"\x30\x0e\x82\x04test\xa2\x06b.test",
            b"\x30\x10\x82\x04test\xa2\x08\x16\x06b.test",
            // An x400Address that is a string, and a tag of another class.
            b"\x30\x0e\x82\x04test\x83\x06b.test",
            b"\x30\x0e\x82\x04test\x42\x06b.test",
        ] {
            assert_eq!(with_alternatives(pieces).0, [""; 0]);
        }
    }

    #[test]
    fn a_peer_is_counted_as_what_was_registered() {
        for (names, domain) in [
            (&["a.test"][..], "a.test"),
            (&["mx.lists.a.test"], "a.test"),
            (&["*.a.test"], "a.test"),
            (&["*.mail.a.co.uk", "b.test"], "a.co.uk"),
            (&["b.test", "a.test", "c.test"], "b.test"),
            // A registry that is one for everybody.
            (&["bob.github.io"], "bob.github.io"),
            (&["mx.bob.github.io"], "bob.github.io"),
            // A-labels of a suffix that is not ASCII.
            (
                &["www.xn--85x722f.xn--55qx5d.cn"],
                "xn--85x722f.xn--55qx5d.cn",
            ),
            // No registered name at all.
            (&["co.uk"], "co.uk"),
            (&["localhost"], "localhost"),
            (&["*"], "*"),
            (&[], ""),
        ] {
            assert_eq!(counted_as(names), domain, "{names:?}");
        }
    }
}
