//! One connection's check of the other server, whoever dialled.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::fault::TlsError;
use super::names::{CertificateNames, VerifiedNames};
use super::stray::Stray;
use super::verifier::PeerVerifier;

/// Keeps what the certificate speaks for, which only its checked chain tells, or
/// where a chain has led to that is not believed. Demands a certificate of a
/// client, and sends it no list of authorities.
#[derive(Debug)]
pub(super) struct PeerCheck {
    verifier: Arc<PeerVerifier>,
    names: OnceLock<CertificateNames>,
    stray: OnceLock<Stray>,
}

impl PeerCheck {
    pub(super) fn by(verifier: Arc<PeerVerifier>) -> PeerCheck {
        PeerCheck {
            verifier,
            names: OnceLock::new(),
            stray: OnceLock::new(),
        }
    }

    /// Says where the chain has led to, if that is why there is no connection.
    pub(super) fn explain(&self, error: TlsError) -> TlsError {
        match (error, self.stray.get()) {
            (
                TlsError::Certificate {
                    peer,
                    fault: CertificateError::UnknownIssuer,
                },
                Some(stray),
            ) => TlsError::Stray {
                peer,
                stray: stray.clone(),
            },
            (error, _) => error,
        }
    }

    fn note<T>(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        found: Result<T, rustls::Error>,
    ) -> Result<T, rustls::Error> {
        if let Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) = found {
            self.stray.get_or_init(|| Stray::of(leaf, above));
        }
        found
    }

    /// What the client speaks for. None before the handshake is over: until then
    /// it has not proved to hold the key.
    pub(super) fn names(&self, connection: &rustls::CommonState) -> Option<VerifiedNames> {
        let names = self.names.get().cloned()?;
        VerifiedNames::after_handshake(names, connection)
    }
}

impl ServerCertVerifier for PeerCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        self.note(end_entity, intermediates, found)
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

impl ClientCertVerifier for PeerCheck {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let names = self.verifier.examine(end_entity, intermediates, now);
        let names = self.note(end_entity, intermediates, names)?;
        self.names.get_or_init(|| names);
        Ok(ClientCertVerified::assertion())
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
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
