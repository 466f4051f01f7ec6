//! What looks on in a handshake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::super::verifier::PeerVerifier;

/// Takes every certificate down, and believes that its owner has its key where
/// the signature says so. It also sees whether ours is asked for.
#[derive(Debug)]
pub(super) struct Witness {
    verifier: Arc<PeerVerifier>,
    ours: Option<Arc<CertifiedKey>>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
    was_asked: AtomicBool,
}

impl Witness {
    pub(super) fn new(verifier: Arc<PeerVerifier>, ours: Option<Arc<CertifiedKey>>) -> Witness {
        Witness {
            verifier,
            ours,
            chain: Mutex::default(),
            was_asked: AtomicBool::new(false),
        }
    }

    /// Whether our certificate was asked for.
    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::SeqCst)
    }

    /// The server's certificates, its own first.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.chain.lock();
        chain.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let chain = self.chain.lock();
        *chain.unwrap_or_else(PoisonError::into_inner) =
            all.map(|one| one.clone().into_owned()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::SeqCst);
        self.ours.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
