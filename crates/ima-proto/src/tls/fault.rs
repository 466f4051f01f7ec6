//! What went wrong between two TLS ends, in sentences that say whose fault it
//! is and what to do.

use std::fmt;
use std::io::{self, ErrorKind};

use ima_message::Hostpart;
use rustls::{
    AlertDescription, CertificateError, ExtendedKeyPurpose, InvalidMessage, PeerIncompatible,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::time::ASN1Time;

use super::HANDSHAKE_TIME;
use super::stray::Stray;
use super::verifier::WeakKey;

/// Why there is no TLS connection, or no longer one. `peer` is the mail domain
/// that was asked for where we dialled, and otherwise the peer's IP address.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer's certificate is not acceptable.
    #[error("{peer}'s certificate {}", Explained(fault))]
    Certificate {
        /// Whose certificate.
        peer: String,
        /// What is wrong with it.
        fault: CertificateError,
    },
    /// The peer's certificate leads to no root that is trusted here.
    #[error("{peer}'s certificate {stray}")]
    Stray {
        /// Whose certificate.
        peer: String,
        /// Where it leads to.
        stray: Stray,
    },
    /// The client sent no certificate.
    #[error("{peer} sent no certificate, and a sending server must have one")]
    NoCertificate {
        /// Who.
        peer: String,
    },
    /// The server did not like our certificate. In TLS 1.3 that is heard only
    /// after our side of the handshake is over: by the first read or write.
    #[error("{by} refused our certificate{}: {}", For(for_.as_ref()), words(*alert))]
    Refused {
        /// The mail domain that was dialled.
        by: Hostpart,
        /// The host whose certificate we showed; None for a user's.
        for_: Option<Hostpart>,
        /// The server's alert.
        alert: AlertDescription,
    },
    /// The server demands a user's certificate, and we have none.
    #[error("{by} demands a certificate of the user: configure certificate and key")]
    CertificateWanted {
        /// The mail domain that was dialled.
        by: Hostpart,
    },
    /// The server that was dialled has no certificate for the mail domain.
    #[error(
        "the server that was found for {by} has no certificate for that name: it needs an [[identity]] with it"
    )]
    NotServed {
        /// The mail domain that was dialled.
        by: Hostpart,
    },
    /// The peer sent another alert.
    #[error("{peer} broke off: {}", words(*alert))]
    Alert {
        /// Who.
        peer: String,
        /// Why, by its own account.
        alert: AlertDescription,
    },
    /// The peer does not speak our protocol (ALPN, RFC 7301).
    #[error("{peer} does not offer the protocol {wanted} by ALPN")]
    Alpn {
        /// Who.
        peer: String,
        /// The protocol that had to be named.
        wanted: &'static str,
    },
    /// The peer speaks no TLS 1.3.
    #[error("{peer} does not speak TLS 1.3, and nothing older is accepted")]
    OldTls {
        /// Who.
        peer: String,
    },
    /// The client did not say whom it wants (SNI, RFC 6066).
    #[error("{peer} did not say which domain it wants (no server name in its TLS hello)")]
    NoServerName {
        /// Who.
        peer: String,
    },
    /// The client asked for a domain for which we have no certificate.
    #[error("{peer} asked for {name}, for which no [[identity]] is configured")]
    UnknownServerName {
        /// Who.
        peer: String,
        /// The name it asked for.
        name: String,
    },
    /// We have no certificate to show for a host.
    #[error("no [[identity]] for {host} is configured")]
    NoIdentity {
        /// The host.
        host: Hostpart,
    },
    /// The peer sends more than rustls takes: certificates, for want of another reason.
    #[error(
        "{peer} sends more than 64 KiB in one message of the TLS handshake: its chain of certificates is too long"
    )]
    TooMuch {
        /// Who.
        peer: String,
    },
    /// The handshake did not end in time.
    #[error("the TLS handshake with {peer} took more than {} s", HANDSHAKE_TIME.as_secs())]
    TimedOut {
        /// Who.
        peer: String,
    },
    /// The connection ended within the handshake.
    #[error("{peer} closed the connection in the TLS handshake")]
    Ended {
        /// Who.
        peer: String,
    },
    /// The connection failed below TLS.
    #[error("the connection to {peer} failed: {source}")]
    Io {
        /// Who.
        peer: String,
        /// The reason.
        source: io::Error,
    },
    /// The peer broke the rules of TLS, or speaks something else.
    #[error("{peer} does not keep to TLS: {source}")]
    Broken {
        /// Who.
        peer: String,
        /// What rustls found.
        source: rustls::Error,
    },
}

impl TlsError {
    /// What rustls said about a handshake or a connection with `peer`.
    pub(super) fn from_rustls(peer: &str, error: rustls::Error) -> TlsError {
        let peer = peer.to_owned();
        match error {
            rustls::Error::InvalidCertificate(fault) => TlsError::Certificate { peer, fault },
            rustls::Error::NoCertificatesPresented => TlsError::NoCertificate { peer },
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
            | rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic,
            ) => TlsError::OldTls { peer },
            rustls::Error::AlertReceived(alert) => TlsError::Alert { peer, alert },
            rustls::Error::InvalidMessage(
                InvalidMessage::HandshakePayloadTooLarge
                | InvalidMessage::CertificatePayloadTooLarge,
            ) => TlsError::TooMuch { peer },
            source => TlsError::Broken { peer, source },
        }
    }

    /// What a check of this chain of a `peer` found.
    pub(super) fn of_chain(
        peer: &str,
        error: rustls::Error,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
    ) -> TlsError {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => TlsError::Stray {
                peer: peer.to_owned(),
                stray: Stray::of(leaf, above),
            },
            error => TlsError::from_rustls(peer, error),
        }
    }

    /// What the socket said during a handshake with `peer`.
    pub(super) fn from_io(peer: &str, source: io::Error) -> TlsError {
        let peer = peer.to_owned();
        match source.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => TlsError::TimedOut { peer },
            ErrorKind::UnexpectedEof => TlsError::Ended { peer },
            _ => TlsError::Io { peer, source },
        }
    }
}

/// ` for ` and the host, if there is one.
struct For<'a>(Option<&'a Hostpart>);

impl fmt::Display for For<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |host| write!(f, " for {host}"))
    }
}

/// Whether an alert speaks about the certificate of who receives it.
pub(super) fn is_about_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::CertificateRequired
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError
    )
}

/// An alert (RFC 8446, 6.2) in words.
fn words(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let words = match alert {
        A::NoCertificate | A::CertificateRequired => "it saw no certificate of ours",
        A::BadCertificate => "it is malformed or for another name",
        A::UnsupportedCertificate => {
            "it is not for the use that is wanted there (a server of IMA wants serverAuth)"
        }
        A::CertificateRevoked => "it was revoked",
        A::CertificateExpired => "it has expired, or is not valid yet",
        A::CertificateUnknown => "it is not acceptable, for a reason that was not given",
        A::UnknownCA => {
            "its issuer is not known there (self-signed, a private authority, or an intermediate certificate is missing from our file)"
        }
        A::AccessDenied => "access denied",
        A::DecryptError => "a signature in it or made with it does not verify",
        A::HandshakeFailure => "no common cryptographic algorithms",
        A::ProtocolVersion => "no common TLS version",
        A::NoApplicationProtocol => "it does not speak this protocol (ALPN)",
        A::UnrecognisedName => "it does not know the name it was asked for",
        A::InternalError => "it had an internal error",
        A::UserCanceled => "it was stopped",
        other => return format!("TLS alert {} ({other:?})", u8::from(other)),
    };
    words.to_owned()
}

/// A certificate's fault, as the end of a sentence about the certificate.
struct Explained<'a>(&'a CertificateError);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateError as C;
        match self.0 {
            C::ExpiredContext { not_after, .. } => {
                write!(f, "expired at {}: it must be renewed", unix_date(*not_after))
            }
            C::NotValidYetContext { not_before, .. } => write!(
                f,
                "is valid only from {} on: is a clock wrong?",
                unix_date(*not_before)
            ),
            C::UnknownIssuer => f.write_str("leads to no root that is trusted here"),
            C::NotValidForNameContext {
                expected,
                presented,
            } => match presented.is_empty() {
                true => write!(
                    f,
                    "names no domain that counts, and so not {}: it needs a dNSName in subjectAltName",
                    expected.to_str()
                ),
                false => write!(
                    f,
                    "is for {}, and not for {}",
                    presented.join(", "),
                    expected.to_str()
                ),
            },
            C::InvalidPurposeContext { presented, .. } => {
                let presented: Vec<String> = presented.iter().map(usage).collect();
                write!(
                    f,
                    "or one above it is not for use by a server (serverAuth), only for {}",
                    presented.join(", ")
                )
            }
            C::Revoked => f.write_str("was revoked: it must be replaced"),
            C::BadEncoding => f.write_str("is not a certificate (broken DER)"),
            C::BadSignature => f.write_str(
                "or one above it bears a signature that does not verify: it was altered, or its issuer is another authority of the same name, or an RSA key has less than 2048 bits",
            ),
            C::UnsupportedSignatureAlgorithmContext { .. }
            | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                f.write_str(
                    "or one above it is signed with an algorithm that is too weak or not known (such as SHA-1): it must be replaced",
                )
            }
            C::Other(other) => match (other.0.downcast_ref(), other.0.downcast_ref()) {
                (Some(WeakKey { bits }), _) => write!(
                    f,
                    "has an RSA key of {bits} bits, which is too weak: it must be replaced by one of at least 2048, or of an elliptic curve"
                ),
                (_, Some(error)) => f.write_str(&of_chain(error)),
                _ => write!(f, "is not acceptable: {other}"),
            },
            other => write!(f, "is not acceptable: {other}"),
        }
    }
}

/// What webpki alone has a word for.
fn of_chain(error: &webpki::Error) -> String {
    use webpki::Error as E;
    let words = match error {
        E::CaUsedAsEndEntity => {
            "is the certificate of an authority (CA:TRUE), which no server can use"
        }
        E::NameConstraintViolation => {
            "has names that its authority may not certify (name constraints)"
        }
        E::MaximumPathDepthExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => {
            "comes with more certificates than are looked through for a way to a root: its file must hold it and those between it and its root, and no others"
        }
        other => return format!("is not acceptable: {other}"),
    };
    words.to_owned()
}

fn usage(purpose: &ExtendedKeyPurpose) -> String {
    match purpose {
        ExtendedKeyPurpose::ServerAuth => "serverAuth".to_owned(),
        ExtendedKeyPurpose::ClientAuth => "clientAuth".to_owned(),
        ExtendedKeyPurpose::Other(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            values.join(".")
        }
    }
}

fn unix_date(time: UnixTime) -> String {
    date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// A moment, in seconds since 1970, as RFC 3339 has it, in UTC.
pub(super) fn date(seconds: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(seconds) else {
        return format!("{seconds} s after 1970");
    };
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
