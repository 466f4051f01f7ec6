//! The check of a peer's certificate chain, one for both directions.
//!
//! What is proved is always "I am the server of this domain", whoever dialled:
//! every certificate of the chain must be good for serverAuth (RFC 5280,
//! 4.2.1.12) or carry no extended key usage. One for clientAuth alone was issued
//! under other rules than a server's, and is refused.
//!
//! A certificate that a configured revocation list names is refused. A list
//! decides for the certificates of its own issuer, also after its nextUpdate;
//! where no list of the issuer is configured, the certificate counts as good.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ima_message::Hostpart;
use ima_program::config::ConfigPath;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::{
    CertificateError, DigitallySignedStruct, ExtendedKeyPurpose, OtherError, PeerIncompatible,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, RevocationOptionsBuilder, UnknownStatusPolicy};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::fresh::Fresh;
use super::monitor::RemoteIdentities;
use super::names::{CertificateNames, has_name_constraints};
use super::trust::{self, RootSource, Trust, TrustError};

/// Why a certificate would not be believed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Disbelief(#[from] rustls::Error);

/// Checks the certificates of servers and, for [`accept`](super::accept), of the
/// servers that dial us.
#[derive(Debug)]
pub struct PeerVerifier {
    trust: Source,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Where roots and revocation lists come from.
#[derive(Debug)]
enum Source {
    Files(Fresh<Trust>),
    /// This is the network process of a server: from its monitor.
    Monitor(Arc<RemoteIdentities>),
}

impl PeerVerifier {
    /// Loads `roots` and `crls`; `dir` is the folder of the configuration file.
    /// Files among them are read again when they change, at most once a second.
    ///
    /// # Errors
    /// A [`TrustError`] that names the file.
    pub fn load(
        roots: &[RootSource],
        crls: &[ConfigPath],
        dir: &Path,
    ) -> Result<Arc<PeerVerifier>, TrustError> {
        let trust = PeerVerifier::trust(roots, crls, dir)?;
        Ok(Arc::new(PeerVerifier::new(trust)))
    }

    /// The files that [`PeerVerifier::load`] reads, and reads again when they change,
    /// but for the operating system's own.
    #[must_use]
    pub fn files(roots: &[RootSource], crls: &[ConfigPath], dir: &Path) -> Vec<PathBuf> {
        trust::files(roots, crls, dir)
    }

    fn trust(
        roots: &[RootSource],
        crls: &[ConfigPath],
        dir: &Path,
    ) -> Result<Fresh<Trust>, TrustError> {
        let files = trust::files(roots, crls, dir);
        let (roots, crls, dir) = (roots.to_vec(), crls.to_vec(), dir.to_owned());
        Fresh::of_files(files, move || Trust::load(&roots, &crls, &dir), |_| false)
    }

    /// Believes what the monitor believes.
    #[must_use]
    pub fn remote(identities: Arc<RemoteIdentities>) -> Arc<PeerVerifier> {
        Arc::new(PeerVerifier::with(Source::Monitor(identities)))
    }

    fn new(trust: Fresh<Trust>) -> PeerVerifier {
        PeerVerifier::with(Source::Files(trust))
    }

    fn with(trust: Source) -> PeerVerifier {
        PeerVerifier {
            trust,
            algorithms: super::provider().signature_verification_algorithms,
        }
    }

    #[cfg(test)]
    pub(super) fn looking_always(
        roots: &[RootSource],
        crls: &[ConfigPath],
        dir: &Path,
    ) -> Result<Arc<PeerVerifier>, TrustError> {
        let trust = PeerVerifier::trust(roots, crls, dir)?.looking_always();
        Ok(Arc::new(PeerVerifier::new(trust)))
    }

    /// Whether peers who trust what this one trusts would believe now that the
    /// owner of a certificate is `host`. `chain` is PEM: the certificate, then
    /// those between it and a root.
    ///
    /// # Errors
    /// What they would find.
    pub fn believes(&self, chain: &[u8], host: &Hostpart) -> Result<(), Disbelief> {
        let broken = || rustls::Error::from(CertificateError::BadEncoding);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| broken())?;
        let (leaf, intermediates) = chain.split_first().ok_or_else(broken)?;
        let name =
            ServerName::try_from(host.ascii()).map_err(|_| rustls::Error::UnsupportedNameType)?;
        self.verify_server_cert(leaf, intermediates, &name, &[], UnixTime::now())
            .map(|_| ())?;
        Ok(())
    }

    /// The roots and the revocation lists, as they are now.
    pub(super) fn trusted(&self) -> Arc<Trust> {
        match &self.trust {
            Source::Files(trust) => trust.current(),
            Source::Monitor(identities) => identities.trust(),
        }
    }

    /// Checks a chain, and finds what its certificate speaks for.
    ///
    /// Whether a commonName counts is asked of the path that was verified, its
    /// root included: other certificates that the peer sent along prove nothing.
    pub(super) fn examine(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<CertificateNames, rustls::Error> {
        let trust = self.trusted();
        let lists: Vec<_> = trust.lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_status_policy(UnknownStatusPolicy::Allow)
                .build()
        });
        let certificate = EndEntityCert::try_from(leaf).map_err(refusal)?;
        let path = certificate
            .verify_for_usage(
                self.algorithms.all,
                &trust.roots,
                intermediates,
                now,
                KeyUsage::server_auth(),
                revocation,
                None,
            )
            .map_err(refusal)?;
        // Nothing in the chain is signed with this key: it was not looked at.
        if let Some(weak) = WeakKey::of(leaf) {
            return Err(CertificateError::Other(OtherError(Arc::new(weak))).into());
        }
        Ok(CertificateNames::of(leaf, || {
            path.anchor().name_constraints.is_some()
                || path
                    .intermediate_certificates()
                    .any(|above| has_name_constraints(&above.der()))
        }))
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let names = self.examine(end_entity, intermediates, now)?;
        let wanted = server_name.to_str().to_ascii_lowercase();
        match names.cover(&wanted) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::NotValidForNameContext {
                expected: server_name.to_owned(),
                presented: names.iter().map(str::to_owned).collect(),
            }
            .into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// An RSA key with fewer bits than the signatures that are taken here.
#[derive(Debug, thiserror::Error)]
#[error("an RSA key of {bits} bits")]
pub(super) struct WeakKey {
    pub(super) bits: usize,
}

impl WeakKey {
    const LEAST: usize = 2048;

    fn of(certificate: &CertificateDer<'_>) -> Option<WeakKey> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(key.key_size()),
            _ => None,
        }
        .filter(|bits| *bits < WeakKey::LEAST)
        .map(|bits| WeakKey { bits })
    }
}

/// What webpki found, as the rustls error that makes the fitting alert.
fn refusal(error: webpki::Error) -> rustls::Error {
    use webpki::Error;
    match error {
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => CertificateError::BadEncoding,
        Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Error::UnknownIssuer => CertificateError::UnknownIssuer,
        Error::CertRevoked => CertificateError::Revoked,
        Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Error::RequiredEkuNotFoundContext(found) => CertificateError::InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: found.present.into_iter().map(purpose).collect(),
        },
        Error::UnsupportedCriticalExtension => CertificateError::UnhandledCriticalExtension,
        Error::UnsupportedSignatureAlgorithmContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: context.signature_algorithm_id,
                supported_algorithms: context.supported_algorithms,
            }
        }
        Error::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: context.signature_algorithm_id,
                public_key_algorithm_id: context.public_key_algorithm_id,
            }
        }
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
    .into()
}

fn purpose(values: Vec<usize>) -> ExtendedKeyPurpose {
    match values.as_slice() {
        KeyUsage::SERVER_AUTH_REPR => ExtendedKeyPurpose::ServerAuth,
        KeyUsage::CLIENT_AUTH_REPR => ExtendedKeyPurpose::ClientAuth,
        _ => ExtendedKeyPurpose::Other(values),
    }
}
