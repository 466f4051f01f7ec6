//! Our own certificates: `[[identity]]` blocks, chosen by host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io, thread};

use ima_message::Hostpart;
use ima_program::config::ConfigPath;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Deserializer};

use super::fresh::Fresh;
use super::lifetime::{Daily, Lifetime, Nearing, now};
use super::names::CertificateNames;
use super::pem::{self, PemError};

/// How often a program that stays looks whether a warning is due.
const LOOK: Duration = Duration::from_secs(60);
/// Enough to read and check a pair, in debug builds too.
const WATCH_STACK: usize = 512 << 10;

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
    #[error("{} and {} do not make a pair: {}", certificate.display(), key.display(), no_pair(fault))]
    NoPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says; the message has it in words.
        fault: rustls::Error,
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
    /// The certificate is not valid now, and there is one that is.
    #[error("{} is valid from {} to {}, and not now", certificate.display(), dates.0, dates.1)]
    NotNow {
        /// The certificate's file.
        certificate: PathBuf,
        /// From when, and until when.
        dates: (String, String),
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
    #[error("{}: no [[identity]] for {host}: its hosts must list it", file.display())]
    Missing {
        /// The host.
        host: Hostpart,
        /// The configuration.
        file: PathBuf,
    },
}

/// All our certificates. The files of each block are read again when they
/// change, at most once a second; a pair that does not load, or does not match, or is
/// not valid now where the one before is, is logged, and the one before stays in use,
/// whatever becomes of other blocks.
#[derive(Debug)]
pub struct Identities {
    blocks: Vec<Block>,
    by_host: BTreeMap<Hostpart, usize>,
}

/// The pair of one block.
#[derive(Debug)]
struct Block {
    pair: Fresh<Pair>,
    warned: Mutex<Daily>,
}

impl Identities {
    /// Loads the blocks; `dir` is the folder of the configuration file. A
    /// certificate that has expired is loaded too: it can be renewed under us.
    ///
    /// # Errors
    /// An [`IdentityError`] that names the file or the host.
    pub fn load(blocks: &[IdentityToml], dir: &Path) -> Result<Arc<Identities>, IdentityError> {
        Identities::from_files(blocks, dir, |pair| pair)
    }

    fn from_files(
        blocks: &[IdentityToml],
        dir: &Path,
        adjust: fn(Fresh<Pair>) -> Fresh<Pair>,
    ) -> Result<Arc<Identities>, IdentityError> {
        let mut identities = Identities {
            blocks: Vec::new(),
            by_host: BTreeMap::new(),
        };
        for block in blocks {
            let number = identities.blocks.len();
            for host in &block.hosts {
                if identities.by_host.insert(host.clone(), number).is_some() {
                    return Err(IdentityError::Twice { host: host.clone() });
                }
            }
            let (certificate, key) = (block.certificate.under(dir), block.key.under(dir));
            let files = vec![certificate.clone(), key.clone()];
            let hosts = block.hosts.clone();
            let current = Mutex::new(None);
            let load = move || {
                let pair = Pair::load(&hosts, &certificate, &key)?;
                pair.replaces(&mut current.lock().unwrap_or_else(PoisonError::into_inner))?;
                Ok(pair)
            };
            // A clock that goes on changes that.
            let passes = |error: &IdentityError| matches!(error, IdentityError::NotNow { .. });
            identities.blocks.push(Block {
                pair: adjust(Fresh::of_files(files, load, passes)?),
                warned: Mutex::default(),
            });
        }
        Ok(Arc::new(identities))
    }

    /// The certificate and key for a host, as the files have them now.
    pub fn for_host(&self, host: &Hostpart) -> Option<Arc<CertifiedKey>> {
        let block = self.blocks.get(*self.by_host.get(host)?)?;
        Some(block.pair.current().key.clone())
    }

    /// The pairs of all blocks, as the files have them now, with their hosts.
    pub(super) fn pairs(&self) -> Vec<(Vec<Hostpart>, Arc<CertifiedKey>)> {
        let hosts_of = |number: usize| {
            let ours = self.by_host.iter().filter(move |(_, at)| **at == number);
            ours.map(|(host, _)| host.clone()).collect()
        };
        self.blocks
            .iter()
            .enumerate()
            .map(|(number, block)| (hosts_of(number), block.pair.current().key.clone()))
            .collect()
    }

    /// Demands an identity for each of these hosts, in the configuration that was read
    /// from `file`.
    ///
    /// # Errors
    /// [`IdentityError::Missing`] with the first host that has none.
    pub fn require<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a Hostpart>,
        file: &Path,
    ) -> Result<(), IdentityError> {
        match hosts
            .into_iter()
            .find(|host| !self.by_host.contains_key(host))
        {
            Some(host) => Err(IdentityError::Missing {
                host: host.clone(),
                file: file.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// For a program that stays: logs now, and then once a day, each certificate
    /// that has expired or is in the last third of its lifetime. Looks at the
    /// files meanwhile, also while nobody connects.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn warn_daily(self: &Arc<Self>) -> io::Result<()> {
        let ours = Arc::downgrade(self);
        let watch = move || {
            while let Some(identities) = ours.upgrade() {
                for (lifetime, nearing) in identities.due(now()) {
                    lifetime.log(nearing);
                }
                drop(identities);
                thread::sleep(LOOK);
            }
        };
        let named = thread::Builder::new().name("certificates".into());
        named.stack_size(WATCH_STACK).spawn(watch).map(drop)
    }

    /// For a program that runs for one message or one connection: logs each
    /// certificate that has expired and, if `also_soon`, each that is in the last
    /// third of its lifetime.
    pub fn warn_now(&self, also_soon: bool) {
        for lifetime in self.blocks.iter().filter_map(Block::lifetime) {
            match lifetime.nearing(now()) {
                Some(nearing) if also_soon || nearing == Nearing::Expired => lifetime.log(nearing),
                _ => {}
            }
        }
    }

    /// What is to be warned of by now, and has not been within a day.
    pub(super) fn due(&self, now: i64) -> Vec<(Lifetime, Nearing)> {
        let due = |block: &Block| {
            let lifetime = block.lifetime()?;
            let nearing = lifetime.nearing(now)?;
            let mut warned = block.warned.lock().unwrap_or_else(PoisonError::into_inner);
            warned.is_due(now).then_some((lifetime, nearing))
        };
        self.blocks.iter().filter_map(due).collect()
    }

    #[cfg(test)]
    pub(super) fn looking_always(
        blocks: &[IdentityToml],
        dir: &Path,
    ) -> Result<Arc<Identities>, IdentityError> {
        Identities::from_files(blocks, dir, Fresh::looking_always)
    }

    /// For tests: a pair for a host that its certificate need not name.
    #[cfg(test)]
    pub(super) fn unchecked(host: Hostpart, key: Arc<CertifiedKey>) -> Arc<Identities> {
        let pair = Pair {
            key,
            lifetime: None,
        };
        Arc::new(Identities {
            blocks: vec![Block {
                pair: Fresh::asked(pair, || None),
                warned: Mutex::default(),
            }],
            by_host: BTreeMap::from([(host, 0)]),
        })
    }
}

impl Block {
    fn lifetime(&self) -> Option<Lifetime> {
        self.pair.current().lifetime.clone()
    }
}

/// By SNI (RFC 6066). A client that names nobody, or a host that is not ours,
/// gets no certificate: the handshake fails.
impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_host(&Hostpart::parse(hello.server_name()?).ok()?)
    }
}

/// A certificate with its key, and until when it lasts.
struct Pair {
    key: Arc<CertifiedKey>,
    lifetime: Option<Lifetime>,
}

impl Pair {
    fn load(hosts: &[Hostpart], certificate: &Path, key: &Path) -> Result<Pair, IdentityError> {
        if hosts.is_empty() {
            let certificate = certificate.to_owned();
            return Err(IdentityError::NoHosts { certificate });
        }
        let chain = pem::certificates(certificate)?;
        let names = CertificateNames::of_chain(&chain);
        let leaf = chain.first();
        let lifetime = leaf.and_then(|leaf| Lifetime::of(leaf, certificate));
        let key = pair(chain, certificate, key)?;
        match hosts.iter().find(|host| !names.cover(host.ascii())) {
            Some(host) => Err(IdentityError::NotForHost {
                certificate: certificate.to_owned(),
                host: host.clone(),
                names: names.to_string(),
            }),
            None => Ok(Pair { key, lifetime }),
        }
    }

    /// Takes the place of the one before, unless that alone is valid now.
    fn replaces(&self, current: &mut Option<Lifetime>) -> Result<(), IdentityError> {
        let now = now();
        let is_valid = |lifetime: &Lifetime| lifetime.is_valid(now);
        match &self.lifetime {
            Some(new) if !is_valid(new) && current.as_ref().is_some_and(is_valid) => {
                Err(IdentityError::NotNow {
                    certificate: new.certificate().to_owned(),
                    dates: new.dates(),
                })
            }
            new => {
                current.clone_from(new);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pair").field(&self.lifetime).finish()
    }
}

/// A chain with its private key, which must match.
pub(super) fn pair(
    chain: Vec<CertificateDer<'static>>,
    certificate: &Path,
    key: &Path,
) -> Result<Arc<CertifiedKey>, IdentityError> {
    CertifiedKey::from_der(chain, pem::private_key(key)?, &super::provider())
        .map(Arc::new)
        .map_err(|fault| IdentityError::NoPair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            fault,
        })
}

fn no_pair(fault: &rustls::Error) -> String {
    match fault {
        rustls::Error::InconsistentKeys(_) => {
            "the key is of another certificate (if both are being replaced, the second is awaited)"
                .to_owned()
        }
        other => other.to_string(),
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
