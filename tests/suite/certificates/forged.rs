//! Keys and signatures that no library makes any more.

use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair, PublicKeyData};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::authority::Authority;
use crate::peer::provider;

/// A certificate for an RSA key of 1024 bits. Whoever is shown it can refuse it
/// before the signature of the handshake, which is not real.
pub fn with_rsa_1024(root: &Authority, params: &CertificateParams) -> Arc<CertifiedKey> {
    let certificate = params.signed_by(&Rsa::of_bits(1024), root.issuer());
    let chain = vec![certificate.unwrap().der().clone()];
    Arc::new(CertifiedKey::new(chain, Arc::new(Pretends)))
}

/// A certificate that says it is signed by RSA with SHA-1. That is refused
/// before the signature is looked at, which is not real.
pub fn signed_with_sha1(root: &Authority, params: &CertificateParams) -> Arc<CertifiedKey> {
    let issuer = Issuer::from_ca_cert_pem(&root.pem, Rsa::of_bits(2048)).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut der = params.signed_by(&key, &issuer).unwrap().der().to_vec();
    // sha256WithRSAEncryption and sha1WithRSAEncryption (RFC 8017, A.2.4).
    let sha256 = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    let places: Vec<usize> = der
        .windows(sha256.len())
        .enumerate()
        .filter_map(|(at, octets)| (octets == sha256).then_some(at))
        .collect();
    assert_eq!(
        places.len(),
        2,
        "in what is signed, and beside the signature"
    );
    for at in places {
        der[at + 8] = 0x05;
    }
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(der)], key))
}

/// An RSA public key whose private one nobody knows.
struct Rsa(Vec<u8>);

impl Rsa {
    /// RSAPublicKey (RFC 8017, A.1.1) with the exponent 65537.
    fn of_bits(bits: usize) -> Rsa {
        let modulus = [&[0][..], &vec![0xc5; bits / 8]].concat();
        let body = [integer(&modulus), integer(&[1, 0, 1])].concat();
        Rsa([vec![0x30], length(body.len()), body].concat())
    }
}

fn integer(octets: &[u8]) -> Vec<u8> {
    [&[2][..], &length(octets.len()), octets].concat()
}

fn length(length: usize) -> Vec<u8> {
    match length.to_be_bytes() {
        [.., low] if length < 0x80 => vec![low],
        [.., low] if length < 0x100 => vec![0x81, low],
        [.., high, low] => vec![0x82, high, low],
    }
}

impl PublicKeyData for Rsa {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for Rsa {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![1; 256])
    }
}

/// Signs handshakes with octets that are no signature.
#[derive(Debug)]
struct Pretends;

impl SigningKey for Pretends {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Pretends))
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for Pretends {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![1; 128])
    }
    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}
