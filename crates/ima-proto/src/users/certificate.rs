//! The key of a certificate that is to be enrolled.

use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::tls::KeyDigest;

/// Why a file gives no key to enrol.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("{}: cannot be read", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no certificate in PEM form in it.
    #[error("{}: there is no certificate in it; what is wanted is a PEM file with -----BEGIN CERTIFICATE-----, and not the private key", .file.display())]
    None {
        /// The file.
        file: PathBuf,
    },
    /// The certificate is not well-formed.
    #[error("{}: its certificate is not well-formed (X.509 version 3, RFC 5280)", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
    },
}

/// The key of the first certificate of a PEM file: a user's own, whose
/// intermediates may follow.
///
/// # Errors
/// Where there is none.
pub fn key_of_file(file: &Path) -> Result<KeyDigest, CertificateError> {
    let owned = || file.to_owned();
    let octets = std::fs::read(file).map_err(|source| CertificateError::Unreadable {
        file: owned(),
        source,
    })?;
    let certificate = CertificateDer::from_pem_slice(&octets)
        .map_err(|_| CertificateError::None { file: owned() })?;
    KeyDigest::of_certificate(&certificate)
        .ok_or_else(|| CertificateError::Malformed { file: owned() })
}
