//! The client certificate of a user: whatever it says, only its key counts.

use std::sync::OnceLock;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::key_digest::KeyDigest;
use super::key_proof::KeyProof;

/// One connection's check of a client: takes every well-formed certificate, and
/// none. That the client holds the key is still proved, by its signature over the
/// handshake (RFC 8446, 4.4.3), which is kept.
#[derive(Debug)]
pub(super) struct AnyKey {
    algorithms: WebPkiSupportedAlgorithms,
    proof: OnceLock<KeyProof>,
}

impl AnyKey {
    pub(super) fn new() -> AnyKey {
        AnyKey {
            algorithms: super::provider().signature_verification_algorithms,
            proof: OnceLock::new(),
        }
    }

    /// What the client has signed, if it showed a certificate.
    pub(super) fn proof(&self) -> Option<KeyProof> {
        self.proof.get().cloned()
    }
}

impl ClientCertVerifier for AnyKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match KeyDigest::of_certificate(end_entity) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::SupportedVersionsExtensionRequired.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let valid = verify_tls13_signature(message, certificate, signature, &self.algorithms)?;
        let (scheme, signature) = (signature.scheme, signature.signature());
        let proof = KeyProof::new(certificate, scheme, message, signature);
        // Those that are not well-formed do not come so far.
        let proof = proof.ok_or(CertificateError::BadEncoding)?;
        self.proof.get_or_init(|| proof);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
