//! server-post-office.toml(5).

use std::path::Path;
use std::time::Duration;

use ima_program::config::{ConfigPath, Period};
use ima_proto::imrp::{ALPN, Limits};
use ima_proto::tls::{self, Identities, IdentityToml, RootSource, ServerSide, UseError};
use ima_proto::users::{Users, UsersError};
use serde::Deserialize;

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
    #[serde(default = "max_connections")]
    pub max_connections: usize,
    #[serde(default = "max_connections_per_address")]
    pub max_connections_per_address: usize,
    #[serde(default = "max_failed_logins")]
    max_failed_logins: u32,
    #[serde(default = "login_timeout")]
    login_timeout: Period,
    #[serde(default = "idle_timeout")]
    idle_timeout: Period,
    identity: Vec<IdentityToml>,
}

fn listen() -> Vec<String> {
    vec!["[::]:4110".into()]
}
fn max_connections() -> usize {
    1000
}
fn max_connections_per_address() -> usize {
    50
}
fn max_failed_logins() -> u32 {
    3
}
fn login_timeout() -> Period {
    Period(Duration::from_secs(30))
}
fn idle_timeout() -> Period {
    Period(Duration::from_secs(30 * 60))
}

impl Config {
    /// TLS for our hosts, with any client.
    pub fn tls(&self, dir: &Path) -> Result<ServerSide<tls::Users>, UseError> {
        let identities = Identities::load(&self.identity, dir)?;
        Ok(ServerSide::for_users(identities, ALPN)?)
    }

    /// Who may log in.
    pub fn users(&self, dir: &Path) -> Result<Users, UsersError> {
        Users::load(&self.users.under(dir))
    }

    /// What a client may do.
    pub fn limits(&self) -> Limits {
        Limits {
            login: self.login_timeout.0,
            idle: self.idle_timeout.0,
            failed_logins: self.max_failed_logins,
            ..Limits::default()
        }
    }
}
