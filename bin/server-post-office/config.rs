//! server-post-office.toml(5).

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use ima_message::ByteSize;
use ima_program::config::{ConfigPath, Timeout};
use ima_proto::tls::{Identities, IdentityError, IdentityToml, RootSource};
use ima_proto::users::{Users, UsersError};
use serde::Deserialize;

use crate::limits::Limits;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    #[serde(default = "listen")]
    pub listen: Vec<String>,
    users: ConfigPath,
    /// A user's certificate counts by its key alone.
    #[serde(default = "RootSource::default_list", rename = "roots")]
    _roots: Vec<RootSource>,
    #[serde(default, rename = "crls")]
    _crls: Vec<ConfigPath>,
    max_connections: Option<NonZero<usize>>,
    max_connections_per_address: Option<NonZero<usize>>,
    max_handshakes: Option<NonZero<usize>>,
    max_size: Option<ByteSize>,
    max_failed_logins: Option<NonZero<usize>>,
    login_timeout: Option<Timeout>,
    idle_timeout: Option<Timeout>,
    /// Where what is counted goes.
    pub metrics: Option<ConfigPath>,
    identity: Vec<IdentityToml>,
}

fn listen() -> Vec<String> {
    vec!["[::]:4110".into()]
}
impl Config {
    /// The certificates of our hosts, with their keys.
    pub fn identities(&self, dir: &Path) -> Result<Arc<Identities>, IdentityError> {
        Identities::load(&self.identity, dir)
    }

    /// Who may log in.
    pub fn users(&self, dir: &Path) -> Result<Users, UsersError> {
        Users::load(&self.users.under(dir))
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
            handshakes: number(self.max_handshakes, usual.handshakes),
            failed_logins: number(self.max_failed_logins, usual.failed_logins),
            message: self
                .max_size
                .map_or(usual.message, |ByteSize(octets)| octets),
            login: self.login_timeout.map_or(usual.login, |Timeout(time)| time),
            idle: self.idle_timeout.map_or(usual.idle, |Timeout(time)| time),
        }
    }
}
