//! PEM files (RFC 7468): certificates, keys and revocation lists.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// What an encrypted key is labelled with (RFC 7468, 11).
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Octets of a file: much more than the lists of a large authority have.
const MOST: u64 = 16 << 20;

/// Why a PEM file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file holds nothing of the kind that was looked for.
    #[error("{} holds no {wanted} in PEM form (-----BEGIN …)", file.display())]
    Nothing {
        /// The file.
        file: PathBuf,
        /// What was looked for, in words.
        wanted: &'static str,
    },
    /// The private key is encrypted, and nobody could be asked for a passphrase.
    #[error(
        "{} holds an encrypted private key: decrypt it (openssl pkey -in FILE -out FILE) and protect the file by its mode", file.display()
    )]
    Encrypted {
        /// The file.
        file: PathBuf,
    },
    /// The PEM encoding is broken.
    #[error("{} is broken PEM: {}", file.display(), words(source))]
    Broken {
        /// The file.
        file: PathBuf,
        /// What the PEM reader found.
        source: pem::Error,
    },
}

/// All certificates of a file, in its order; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    all(file, "certificate")
}

/// All revocation lists of a file; at least one.
pub(super) fn revocation_lists(
    file: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    all(file, "certificate revocation list")
}

/// The first private key of a file, in any of the usual encodings.
pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let octets = read(file)?;
    let is_encrypted = || octets.windows(ENCRYPTED.len()).any(|at| at == ENCRYPTED);
    PrivateKeyDer::from_pem_slice(&octets).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted() => PemError::Encrypted {
            file: file.to_owned(),
        },
        pem::Error::NoItemsFound => PemError::Nothing {
            file: file.to_owned(),
            wanted: "private key",
        },
        source => PemError::Broken {
            file: file.to_owned(),
            source,
        },
    })
}

fn all<T: PemObject>(file: &Path, wanted: &'static str) -> Result<Vec<T>, PemError> {
    let items = T::pem_slice_iter(&read(file)?)
        .collect::<Result<Vec<T>, pem::Error>>()
        .map_err(|source| PemError::Broken {
            file: file.to_owned(),
            source,
        })?;
    match items.is_empty() {
        false => Ok(items),
        true => Err(PemError::Nothing {
            file: file.to_owned(),
            wanted,
        }),
    }
}

/// What is no file is not waited for.
fn read(file: &Path) -> Result<Vec<u8>, PemError> {
    let read = || {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = File::from(open(file, flags, Mode::empty())?);
        let status = opened.metadata()?;
        if !status.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if status.len() > MOST {
            return Err(io::Error::other("it is longer than 16 MiB"));
        }
        let mut octets = Vec::new();
        opened.take(MOST).read_to_end(&mut octets)?;
        Ok(octets)
    };
    read().map_err(|source| PemError::Unreadable {
        file: file.to_owned(),
        source,
    })
}

fn words(error: &pem::Error) -> String {
    let words = match error {
        pem::Error::MissingSectionEnd { .. } => "the -----END line of a section is missing",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is not whole",
        pem::Error::Base64Decode(_) => "what is between the lines is not base64",
        other => return other.to_string(),
    };
    words.to_owned()
}
