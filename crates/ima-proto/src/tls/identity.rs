//! Our own certificates: `[[identity]]` blocks, chosen by host.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ima_message::Hostpart;
use ima_program::config::ConfigPath;
use ima_program::log;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Deserializer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::fault::date;
use super::fresh::Fresh;
use super::names::CertificateNames;
use super::pem::{self, PemError};

/// One `[[identity]]` block.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IdentityToml {
    /// The hosts we are with this certificate; at least one, and the certificate
    /// must name each.
    #[serde(deserialize_with = "hostparts")]
    pub hosts: Vec<Hostpart>,
    /// A PEM file: the certificate, then those between it and a root.
    pub certificate: ConfigPath,
    /// A PEM file with the private key.
    pub key: ConfigPath,
}

/// Why the identities could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The key is not the certificate's, or rustls cannot use one of them.
    #[error("{} and {} do not make a pair: {source}", certificate.display(), key.display())]
    NoPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The certificate does not speak for a host of its block.
    #[error("{} is for {names}, and not for {host}, which its [[identity]] lists", certificate.display())]
    NotForHost {
        /// The certificate's file.
        certificate: PathBuf,
        /// The host.
        host: Hostpart,
        /// The names that it has.
        names: String,
    },
    /// A block without hosts.
    #[error("the [[identity]] with {} lists no hosts", certificate.display())]
    NoHosts {
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// A host in two blocks.
    #[error("{host} stands in two [[identity]] blocks")]
    Twice {
        /// The host.
        host: Hostpart,
    },
    /// A host that is wanted, in no block.
    #[error("no [[identity]] for {host}: its hosts must list it")]
    Missing {
        /// The host.
        host: Hostpart,
    },
}

/// All our certificates. Their files are read again when they change, at most
/// once a second; a pair that does not load, or does not match, is logged, and
/// the one before stays in use. From a third of its lifetime before the end on,
/// a certificate's expiry is logged once a day.
#[derive(Debug)]
pub struct Identities {
    pairs: Fresh<Pairs, IdentityError>,
    warned: Mutex<Option<Instant>>,
}

impl Identities {
    /// Loads the blocks; `dir` is the folder of the configuration file.
    ///
    /// # Errors
    /// An [`IdentityError`] that names the file or the host. That a certificate
    /// has expired is only logged: the certificate can be renewed under us.
    pub fn load(blocks: &[IdentityToml], dir: &Path) -> Result<Arc<Identities>, IdentityError> {
        Ok(Arc::new(Identities::from_files(blocks, dir)?))
    }

    fn from_files(blocks: &[IdentityToml], dir: &Path) -> Result<Identities, IdentityError> {
        let files = blocks
            .iter()
            .flat_map(|block| [block.certificate.under(dir), block.key.under(dir)])
            .collect();
        let (blocks, dir) = (blocks.to_vec(), dir.to_owned());
        let identities = Identities {
            pairs: Fresh::new(files, Box::new(move || Pairs::load(&blocks, &dir)))?,
            warned: Mutex::new(None),
        };
        identities.current();
        Ok(identities)
    }

    /// The certificate and key for a host, as the files have them now.
    pub fn for_host(&self, host: &Hostpart) -> Option<Arc<CertifiedKey>> {
        self.current().by_host.get(host).cloned()
    }

    /// Demands an identity for each of these hosts.
    ///
    /// # Errors
    /// [`IdentityError::Missing`] with the first host that has none.
    pub fn require<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a Hostpart>,
    ) -> Result<(), IdentityError> {
        let pairs = self.current();
        match hosts
            .into_iter()
            .find(|host| !pairs.by_host.contains_key(host))
        {
            Some(host) => Err(IdentityError::Missing { host: host.clone() }),
            None => Ok(()),
        }
    }

    fn current(&self) -> Arc<Pairs> {
        let pairs = self.pairs.current();
        if let Ok(mut warned) = self.warned.try_lock()
            && warned.is_none_or(|at| at.elapsed() >= Duration::from_secs(86_400))
        {
            *warned = Some(Instant::now());
            pairs.lifetimes.iter().for_each(Lifetime::warn);
        }
        pairs
    }

    #[cfg(test)]
    pub(super) fn looking_always(
        blocks: &[IdentityToml],
        dir: &Path,
    ) -> Result<Arc<Identities>, IdentityError> {
        let mut identities = Identities::from_files(blocks, dir)?;
        identities.pairs = identities.pairs.looking_always();
        Ok(Arc::new(identities))
    }

    /// For tests: a pair for a host that its certificate need not name.
    #[cfg(test)]
    pub(super) fn unchecked(by_host: BTreeMap<Hostpart, Arc<CertifiedKey>>) -> Arc<Identities> {
        let load = move || {
            Ok(Pairs {
                by_host: by_host.clone(),
                lifetimes: Vec::new(),
            })
        };
        let pairs = Fresh::new(Vec::new(), Box::new(load));
        let warned = Mutex::new(None);
        Arc::new(Identities {
            pairs: pairs.unwrap_or_else(|_: IdentityError| unreachable!()),
            warned,
        })
    }
}

/// By SNI (RFC 6066). A client that names nobody, or a host that is not ours,
/// gets no certificate: the handshake fails.
impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_host(&Hostpart::parse(hello.server_name()?).ok()?)
    }
}

struct Pairs {
    by_host: BTreeMap<Hostpart, Arc<CertifiedKey>>,
    lifetimes: Vec<Lifetime>,
}

impl Pairs {
    fn load(blocks: &[IdentityToml], dir: &Path) -> Result<Pairs, IdentityError> {
        let mut pairs = Pairs {
            by_host: BTreeMap::new(),
            lifetimes: Vec::new(),
        };
        for block in blocks {
            pairs.add(block, dir)?;
        }
        Ok(pairs)
    }

    fn add(&mut self, block: &IdentityToml, dir: &Path) -> Result<(), IdentityError> {
        let certificate = block.certificate.under(dir);
        let key = block.key.under(dir);
        if block.hosts.is_empty() {
            return Err(IdentityError::NoHosts { certificate });
        }
        let chain = pem::certificates(&certificate)?;
        let names = chain.first().map(CertificateNames::of);
        self.lifetimes.extend(
            chain
                .first()
                .and_then(|leaf| Lifetime::of(leaf, &certificate)),
        );
        let pair = CertifiedKey::from_der(chain, pem::private_key(&key)?, &super::provider())
            .map_err(|source| IdentityError::NoPair {
                certificate: certificate.clone(),
                key,
                source,
            })?;
        let pair = Arc::new(pair);
        for host in &block.hosts {
            if !names
                .as_ref()
                .is_some_and(|names| names.cover(host.ascii()))
            {
                return Err(IdentityError::NotForHost {
                    certificate,
                    host: host.clone(),
                    names: names.map_or_else(String::new, |names| names.to_string()),
                });
            }
            if self.by_host.insert(host.clone(), pair.clone()).is_some() {
                return Err(IdentityError::Twice { host: host.clone() });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_host.keys()).finish()
    }
}

/// From when to when a certificate of ours is valid, in seconds since 1970.
struct Lifetime {
    certificate: PathBuf,
    not_before: i64,
    not_after: i64,
}

impl Lifetime {
    fn of(leaf: &[u8], certificate: &Path) -> Option<Lifetime> {
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let validity = parsed.validity();
        Some(Lifetime {
            certificate: certificate.to_owned(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    fn warn(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let third = self.not_after.saturating_sub(self.not_before) / 3;
        let event = match now {
            now if now > self.not_after => "certificate-expired",
            now if now > self.not_after.saturating_sub(third) => "certificate-expires",
            _ => return,
        };
        log::warn(event)
            .field("file", self.certificate.display())
            .field("at", date(self.not_after))
            .emit();
    }
}

/// Reads the hosts of a configuration: a list of domain names.
///
/// # Errors
/// The name that is none, and the rule that it breaks.
pub fn hostparts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hostpart>, D::Error> {
    let parse = |written: String| {
        Hostpart::parse(&written)
            .map_err(|error| serde::de::Error::custom(format_args!("{written:?}: {error}")))
    };
    Vec::<String>::deserialize(from)?
        .into_iter()
        .map(parse)
        .collect()
}
