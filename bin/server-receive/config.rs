//! server-receive.toml(5).

use std::net::IpAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ima_message::{ByteSize, Hostpart};
use ima_program::child::ChildError;
use ima_program::config::{ConfigPath, Loaded, Timeout};
use ima_program::log;
use ima_program::program::locate;
use ima_proto::handlers::{
    Contract, Group, OwnCommands, default_check, default_handler, default_stream,
};
use ima_proto::tls::{Identities, IdentityToml, PeerVerifier, RootSource, UseError, hostparts};
use serde::Deserialize;

use crate::limits::Limits;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    #[serde(default = "listen")]
    pub listen: Vec<String>,
    #[serde(deserialize_with = "hostparts")]
    hosts: Vec<Hostpart>,
    #[serde(default = "RootSource::default_list")]
    roots: Vec<RootSource>,
    #[serde(default)]
    crls: Vec<ConfigPath>,
    stream: Option<Vec<String>>,
    check: Option<Vec<String>>,
    handler: Option<Vec<String>>,
    max_size: Option<ByteSize>,
    max_connections: Option<NonZero<usize>>,
    max_connections_per_address: Option<NonZero<usize>>,
    max_connections_per_domain: Option<NonZero<usize>>,
    max_handshakes: Option<NonZero<usize>>,
    max_handlers: Option<NonZero<usize>>,
    max_messages_per_connection: Option<NonZero<u64>>,
    idle_timeout: Option<Timeout>,
    message_timeout: Option<Timeout>,
    #[serde(default, rename = "redirect-networks")]
    _redirect_networks: Vec<Network>,
    #[serde(default = "yes", rename = "require-author-signature")]
    _require_author_signature: bool,
    #[serde(default, rename = "keys")]
    _keys: Option<ConfigPath>,
    #[serde(default, rename = "held")]
    _held: Option<ConfigPath>,
    /// Where what is counted goes.
    pub metrics: Option<ConfigPath>,
    identity: Vec<IdentityToml>,
}

/// An IP network: an address, or an address, `/` and the length of its prefix.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Network;

#[derive(Debug, thiserror::Error)]
#[error("a network is written as 192.0.2.0/24 or 2001:db8::/32")]
struct NetworkError;

impl TryFrom<String> for Network {
    type Error = NetworkError;
    fn try_from(written: String) -> Result<Self, NetworkError> {
        let (address, prefix) = written.split_once('/').unwrap_or((&written, "0"));
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.parse().map_err(|_| NetworkError)?;
        if prefix > longest {
            Err(NetworkError)
        } else {
            Ok(Self)
        }
    }
}

fn listen() -> Vec<String> {
    vec!["[::]:4025".into()]
}
fn yes() -> bool {
    true
}

/// Two contracts at once.
#[derive(Debug, thiserror::Error)]
#[error("{}: stream stands beside check or handler, and only one of the two can be kept: remove stream, or the others", .file.display())]
pub struct BothError {
    file: PathBuf,
}

impl Config {
    /// Our certificates, one for each of our hosts, and what peers are checked against;
    /// `file` is where this stands, in `dir`.
    pub fn tls(
        &self,
        dir: &Path,
        file: &Path,
    ) -> Result<(Arc<Identities>, Arc<PeerVerifier>), UseError> {
        let identities = Identities::load(&self.identity, dir)?;
        identities.require(&self.hosts, file)?;
        let verifier = PeerVerifier::load(&self.roots, &self.crls, dir)?;
        Ok((identities, verifier))
    }

    /// The limits that are set, and the others as they are.
    pub fn limits(&self) -> Limits {
        let usual = Limits::default();
        let number = |set: Option<NonZero<usize>>, usual| set.map_or(usual, NonZero::get);
        Limits {
            connections: number(self.max_connections, usual.connections),
            connections_per_address: number(
                self.max_connections_per_address,
                usual.connections_per_address,
            ),
            connections_per_domain: number(
                self.max_connections_per_domain,
                usual.connections_per_domain,
            ),
            handshakes: number(self.max_handshakes, usual.handshakes),
            handlers: number(self.max_handlers, usual.handlers),
            data: self.max_size.map_or(usual.data, |ByteSize(octets)| octets),
            messages: self
                .max_messages_per_connection
                .map_or(usual.messages, NonZero::get),
            idle: self.idle_timeout.map_or(usual.idle, |Timeout(time)| time),
            message: self
                .message_timeout
                .map_or(usual.message, |Timeout(time)| time),
            ..usual
        }
    }

    /// The commands that are given the messages, and whether they stay for many.
    ///
    /// # Errors
    /// Both contracts are named.
    pub fn commands(loaded: &Loaded<Self>) -> Result<(OwnCommands, bool), BothError> {
        let Self {
            stream,
            check,
            handler,
            ..
        } = &loaded.value;
        let is_each = check.is_some() || handler.is_some();
        if is_each && stream.is_some() {
            return Err(BothError {
                file: loaded.file.clone(),
            });
        }
        let commands = OwnCommands {
            contract: match is_each {
                true => Contract::Each {
                    check: check.clone().unwrap_or_else(default_check),
                    handler: handler.clone().unwrap_or_else(default_handler),
                },
                false => Contract::Staying(stream.clone().unwrap_or_else(default_stream)),
            },
            config_dir: loaded.dir.clone(),
            group: Group::Own,
        };
        Ok((commands, !is_each))
    }

    /// Warns of each command that could not be started now: nobody would hear of it
    /// before mail comes, which is deferred then.
    pub fn warn_of_commands(file: &Path, commands: &OwnCommands) {
        let named = match &commands.contract {
            Contract::Staying(stream) => vec![("stream", stream)],
            Contract::Each { check, handler } => vec![("check", check), ("handler", handler)],
        };
        for (key, argv) in named {
            let found = match argv.first() {
                None => Err(ChildError::Empty),
                Some(program) => locate(program, &commands.config_dir).map_err(ChildError::from),
            };
            if let Err(error) = found {
                log::warn("command-not-found")
                    .field("file", file.display())
                    .field("key", key)
                    .field("error", error)
                    .field("consequence", "mail is deferred until it is there")
                    .emit();
            }
        }
    }
}
