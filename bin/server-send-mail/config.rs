//! server-send-mail.toml(5).

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ima_message::Hostpart;
use ima_program::config::{ConfigPath, Loaded, Period};
use ima_proto::dial::{Dialler, Dns, Hosts, Service};
use ima_proto::handlers::{
    Contract, Group, Handlers, OwnCommands, Places, default_check, default_handler,
};
use ima_proto::imdp::{ALPN, Times};
use ima_proto::tls::{
    ClientSide, Identities, IdentityToml, PeerVerifier, RootSource, UseError, hostparts,
};
use serde::Deserialize;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    #[serde(default = "RootSource::default_list")]
    roots: Vec<RootSource>,
    #[serde(default)]
    crls: Vec<ConfigPath>,
    #[serde(default, deserialize_with = "hostparts")]
    local_hosts: Vec<Hostpart>,
    #[serde(default = "default_check")]
    check: Vec<String>,
    #[serde(default = "default_handler")]
    handler: Vec<String>,
    #[serde(default = "connect_timeout")]
    connect_timeout: Period,
    #[serde(default = "idle_timeout")]
    idle_timeout: Period,
    #[serde(default)]
    dns: Dns,
    #[serde(default)]
    hosts: Hosts,
    identity: Vec<IdentityToml>,
}

fn connect_timeout() -> Period {
    Period(Duration::from_secs(10))
}
fn idle_timeout() -> Period {
    Period(Duration::from_secs(60))
}

/// What all messages of a run share.
#[derive(Debug)]
pub struct Office {
    /// The configuration's file, for messages.
    pub file: PathBuf,
    /// How servers are found.
    pub dialler: Dialler,
    /// As whom they are spoken to.
    pub tls: ClientSide,
    /// Our certificates.
    pub identities: Arc<Identities>,
    /// How long they may take.
    pub times: Times,
    /// Hosts served on this machine.
    pub local_hosts: HashSet<Hostpart>,
    /// The commands that serve them.
    pub handlers: Handlers,
}

impl Office {
    /// Puts a configuration to work.
    pub fn open(loaded: Loaded<Config>) -> Result<Self, UseError> {
        let Loaded {
            value: config,
            dir,
            file,
        } = loaded;
        let identities = Identities::load(&config.identity, &dir)?;
        let verifier = PeerVerifier::load(&config.roots, &config.crls, &dir)?;
        Ok(Self {
            file,
            dialler: Dialler::new(
                config.hosts,
                Service::IMDP,
                config.dns,
                config.connect_timeout.0,
            ),
            tls: ClientSide::new(Arc::clone(&identities), verifier, ALPN)?,
            identities,
            times: Times {
                idle: config.idle_timeout.0,
                ..Times::default()
            },
            local_hosts: config.local_hosts.into_iter().collect(),
            handlers: Handlers {
                commands: Arc::new(OwnCommands {
                    contract: Contract::Each {
                        check: config.check,
                        handler: config.handler,
                    },
                    config_dir: dir,
                    group: Group::Ours,
                }),
                abandoned: Arc::default(),
                places: Places::unlimited(),
            },
        })
    }
}
