//! Certificates, as server-setup made them or as the tests want them.

use std::fs;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::site::{Host, Site};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    pub fn new(certificate: String, key: String) -> Identity {
        Identity { certificate, key }
    }

    /// A certificate of the site's authority. There must be one: a site has it
    /// from its first host on.
    pub fn made(site: &Site, name: &str) -> Identity {
        Identity::adjusted(site, name, |_| {})
    }

    /// The same, changed.
    pub fn adjusted(
        site: &Site,
        name: &str,
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let read = |file: &str| fs::read_to_string(site.ca().join(file)).unwrap();
        let authority = KeyPair::from_pem(&read("ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), authority).unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Identity::new(certificate.pem(), key.serialize_pem())
    }

    /// One that no authority has signed.
    pub fn self_signed(name: &str) -> Identity {
        Identity::self_signed_with(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    pub fn self_signed_with(params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Identity::new(certificate.pem(), key.serialize_pem())
    }

    /// Puts it in the place of a host's own.
    pub fn install(&self, host: &Host) {
        fs::write(
            host.dir.join(format!("tls/{}.pem", host.name)),
            &self.certificate,
        )
        .unwrap();
        fs::write(host.dir.join(format!("tls/{}.key", host.name)), &self.key).unwrap();
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let certificates = CertificateDer::pem_slice_iter(self.certificate.as_bytes());
        certificates.map(Result::unwrap).collect()
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    pub fn key_pem(&self) -> &str {
        &self.key
    }

    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        let pair = CertifiedKey::from_der(self.chain(), self.key(), &provider());
        Arc::new(pair.unwrap())
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Believes everybody: what the programs under test believe is the question.
#[derive(Debug)]
pub struct Everybody;

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for Everybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
