//! What a peer's certificate chain is checked against: `roots` and `crls` of
//! the configuration.

use std::env;
use std::path::{Path, PathBuf};

use ima_program::config::ConfigPath;
use ima_program::log;
use rustls::RootCertStore;
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use rustls_pki_types::{CertificateRevocationListDer, TrustAnchor};
use serde::Deserialize;
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::pem::{self, PemError};

/// One entry of `roots`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum RootSource {
    /// `"system"`: the operating system's store, and of that the file that holds
    /// all of it, where there is one. `SSL_CERT_FILE` and `SSL_CERT_DIR` in the
    /// environment take its place.
    System,
    /// `"webpki"`: Mozilla's set, as it was when the program was built.
    Webpki,
    /// A PEM file; a relative path starts at the configuration file's folder.
    File(PathBuf),
}

impl RootSource {
    /// `roots`, where the configuration says nothing: the system's store.
    #[must_use]
    pub fn default_list() -> Vec<RootSource> {
        vec![RootSource::System]
    }
}

impl From<String> for RootSource {
    fn from(written: String) -> RootSource {
        match written.as_str() {
            "system" => RootSource::System,
            "webpki" => RootSource::Webpki,
            _ => RootSource::File(PathBuf::from(written)),
        }
    }
}

/// Why the roots or the revocation lists could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file could not be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate of a roots file is no usable root.
    #[error("{}: certificate {number} cannot serve as a root: {source}", file.display())]
    BadRoot {
        /// The file.
        file: PathBuf,
        /// Which certificate of the file, from 1.
        number: usize,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// A revocation list cannot be used.
    #[error("{}: revocation list {number} cannot be used: {source}", file.display())]
    BadList {
        /// The file.
        file: PathBuf,
        /// Which list of the file, from 1.
        number: usize,
        /// What is wrong with it.
        source: webpki::Error,
    },
    /// The system's store holds no certificate, and nothing else was named.
    #[error(
        "the system's certificate store holds no certificate ({problem}): install the package ca-certificates, or name a PEM file or \"webpki\" in roots"
    )]
    EmptySystem {
        /// The store's first problem, in its own words.
        problem: String,
    },
    /// `roots` is empty: no peer could ever be believed.
    #[error("roots is empty: name \"system\", \"webpki\" or a PEM file")]
    NoRoots,
}

/// The system's store. Its directory holds the same certificates as its bundle,
/// in hundreds of files: reading those takes longer than all else that a
/// short-lived client does.
fn system() -> CertificateResult {
    let is_named = |name| env::var_os(name).is_some();
    if !["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(is_named)
        && let Some(bundle) = openssl_probe::probe().cert_file
    {
        let found = load_certs_from_paths(Some(&bundle), None);
        if !found.certs.is_empty() {
            return found;
        }
    }
    load_native_certs()
}

/// The roots and the revocation lists.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) roots: Vec<TrustAnchor<'static>>,
    pub(super) lists: Vec<CertRevocationList<'static>>,
    /// The same in DER, in the same order.
    pub(super) der: Vec<CertificateRevocationListDer<'static>>,
}

impl Trust {
    pub(super) fn load(
        sources: &[RootSource],
        crls: &[ConfigPath],
        dir: &Path,
    ) -> Result<Trust, TrustError> {
        let mut store = RootCertStore::empty();
        let mut problem = None;
        for source in sources {
            match source {
                RootSource::System => {
                    let native = system();
                    // A store of hundreds may hold a few that nobody can use.
                    let (added, _) = store.add_parsable_certificates(native.certs);
                    if added == 0 {
                        problem = Some(
                            native
                                .errors
                                .first()
                                .map_or_else(|| "it is empty".to_owned(), ToString::to_string),
                        );
                    }
                }
                RootSource::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
                RootSource::File(path) => add_file(&mut store, &dir.join(path))?,
            }
        }
        if store.is_empty() {
            return Err(match problem {
                Some(problem) => TrustError::EmptySystem { problem },
                None => TrustError::NoRoots,
            });
        }
        if let Some(problem) = problem {
            log::warn("system-store-empty")
                .field("error", problem)
                .field("consequence", "only the other roots are trusted")
                .emit();
        }
        let mut trust = Trust {
            roots: store.roots,
            lists: Vec::new(),
            der: Vec::new(),
        };
        for path in crls {
            trust.add_lists(&path.under(dir))?;
        }
        Ok(trust)
    }

    fn add_lists(&mut self, file: &Path) -> Result<(), TrustError> {
        for (list, number) in pem::revocation_lists(file)?.into_iter().zip(1..) {
            self.add_list(list).map_err(|source| TrustError::BadList {
                file: file.to_owned(),
                number,
                source,
            })?;
        }
        Ok(())
    }

    /// Adds a revocation list.
    pub(super) fn add_list(
        &mut self,
        der: CertificateRevocationListDer<'static>,
    ) -> Result<(), webpki::Error> {
        self.lists
            .push(OwnedCertRevocationList::from_der(&der)?.into());
        self.der.push(der);
        Ok(())
    }
}

/// The files that a [`Trust`] is read from; the system's store is read once.
pub(super) fn files(sources: &[RootSource], crls: &[ConfigPath], dir: &Path) -> Vec<PathBuf> {
    let roots = sources.iter().filter_map(|source| match source {
        RootSource::File(path) => Some(dir.join(path)),
        RootSource::System | RootSource::Webpki => None,
    });
    roots
        .chain(crls.iter().map(|path| path.under(dir)))
        .collect()
}

fn add_file(store: &mut RootCertStore, file: &Path) -> Result<(), TrustError> {
    for (certificate, number) in pem::certificates(file)?.into_iter().zip(1..) {
        store
            .add(certificate)
            .map_err(|source| TrustError::BadRoot {
                file: file.to_owned(),
                number,
                source,
            })?;
    }
    Ok(())
}
