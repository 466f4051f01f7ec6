//! What is taken of server-send-mail.toml(5), and what is done without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ima_message::Hostpart;
use ima_program::config::{ConfigError, ConfigPath, Period, load};
use ima_program::report::chain;
use ima_proto::dial::{Dns, Hosts};
use ima_proto::tls::{Identities, IdentityToml, PeerVerifier, RootSource, TrustError};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::args::Args;

/// Whose file it is.
const OWNER: &str = "server-send-mail";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    #[serde(default = "RootSource::default_list")]
    roots: Vec<RootSource>,
    #[serde(default)]
    crls: Vec<ConfigPath>,
    #[serde(default = "connect_timeout")]
    connect_timeout: Period,
    #[serde(default)]
    dns: Dns,
    #[serde(default)]
    hosts: Hosts,
    #[serde(default)]
    identity: Vec<IdentityToml>,
    // Keys that say nothing about other hosts.
    #[serde(default, rename = "local-hosts")]
    _local_hosts: IgnoredAny,
    #[serde(default, rename = "check")]
    _check: IgnoredAny,
    #[serde(default, rename = "handler")]
    _handler: IgnoredAny,
    #[serde(default, rename = "idle-timeout")]
    _idle_timeout: IgnoredAny,
}

fn connect_timeout() -> Period {
    Period(Duration::from_secs(10))
}

/// With what a host is looked at.
#[derive(Debug)]
pub struct Eyes {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Places of servers that are not looked up.
    pub hosts: Hosts,
    /// Who is asked for others.
    pub dns: Dns,
    /// How long looking up and connecting may take.
    pub connect_timeout: Duration,
    /// Whom we believe.
    pub verifier: Arc<PeerVerifier>,
    /// Our certificate.
    pub ours: Ours,
}

/// The certificate that we show.
#[derive(Debug)]
pub enum Ours {
    /// None is configured.
    None,
    /// That of this host.
    Of(Hostpart, Arc<Identities>),
    /// It cannot be used, for this reason.
    Unusable(String),
}

/// Why nothing can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum EyesError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("--from {0}: no [[identity]] of {file} lists this host", file = .1.display())]
    NoIdentity(Hostpart, PathBuf),
    #[error("--from {0}: there is no {OWNER}.toml with its certificate; --config FILE names one")]
    NoFile(Hostpart),
}

impl Eyes {
    /// By the configuration of server-send-mail(8); where there is none, and none
    /// was named, by the system's roots and DNS.
    pub fn open(args: &Args) -> Result<Eyes, EyesError> {
        match load::<Config>(OWNER, args.config.as_deref()) {
            Ok(loaded) => {
                let config = loaded.value;
                let ours = ours(
                    &config.identity,
                    args.from.as_ref(),
                    &loaded.dir,
                    &loaded.file,
                )?;
                Ok(Eyes {
                    file: Some(loaded.file),
                    hosts: config.hosts,
                    dns: config.dns,
                    connect_timeout: config.connect_timeout.0,
                    verifier: PeerVerifier::load(&config.roots, &config.crls, &loaded.dir)?,
                    ours,
                })
            }
            Err(ConfigError::NotThere { .. }) if args.config.is_none() => {
                if let Some(host) = &args.from {
                    return Err(EyesError::NoFile(host.clone()));
                }
                let roots = RootSource::default_list();
                Ok(Eyes {
                    file: None,
                    hosts: Hosts::default(),
                    dns: Dns::System,
                    connect_timeout: connect_timeout().0,
                    verifier: PeerVerifier::load(&roots, &[], Path::new("/"))?,
                    ours: Ours::None,
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A key that only another user can read hinders nothing but the one check.
fn ours(
    blocks: &[IdentityToml],
    from: Option<&Hostpart>,
    dir: &Path,
    file: &Path,
) -> Result<Ours, EyesError> {
    let block = blocks
        .iter()
        .find(|block| from.is_none_or(|host| block.hosts.contains(host)));
    let host = from.or_else(|| block?.hosts.first());
    match (block, host) {
        (Some(block), Some(host)) => {
            let alone = std::slice::from_ref(block);
            Ok(match Identities::load(alone, dir) {
                Ok(identities) => Ours::Of(host.clone(), identities),
                Err(error) => Ours::Unusable(chain(&error)),
            })
        }
        (None, Some(host)) => Err(EyesError::NoIdentity(host.clone(), file.to_owned())),
        _ => Ok(Ours::None),
    }
}
