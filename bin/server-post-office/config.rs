//! server-post-office.toml(5).

use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use ima_message::ByteSize;
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
    pub max_connections: NonZero<usize>,
    #[serde(default = "max_connections_per_address")]
    pub max_connections_per_address: NonZero<usize>,
    #[serde(default = "max_size")]
    max_size: ByteSize,
    #[serde(default = "max_failed_logins")]
    max_failed_logins: NonZero<usize>,
    #[serde(default = "login_timeout")]
    login_timeout: Timeout,
    #[serde(default = "idle_timeout")]
    idle_timeout: Timeout,
    /// Where what is counted goes.
    pub metrics: Option<ConfigPath>,
    identity: Vec<IdentityToml>,
}

/// A time in which something can be done.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Period")]
struct Timeout(Duration);

#[derive(Debug, thiserror::Error)]
#[error("nobody can keep a time of 0: write a longer one, such as \"30s\"")]
struct ZeroTimeout;

impl TryFrom<Period> for Timeout {
    type Error = ZeroTimeout;
    fn try_from(Period(time): Period) -> Result<Self, ZeroTimeout> {
        match time.is_zero() {
            true => Err(ZeroTimeout),
            false => Ok(Self(time)),
        }
    }
}

fn listen() -> Vec<String> {
    vec!["[::]:4110".into()]
}
fn max_connections() -> NonZero<usize> {
    const { NonZero::new(1000).unwrap() }
}
fn max_connections_per_address() -> NonZero<usize> {
    const { NonZero::new(50).unwrap() }
}
/// More than any provider takes: what a user brings along comes in.
fn max_size() -> ByteSize {
    ByteSize(256 << 20)
}
fn max_failed_logins() -> NonZero<usize> {
    const { NonZero::new(3).unwrap() }
}
fn login_timeout() -> Timeout {
    Timeout(Duration::from_secs(30))
}
fn idle_timeout() -> Timeout {
    Timeout(Duration::from_secs(30 * 60))
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
            max_message: self.max_size.0,
            failed_logins: u32::try_from(self.max_failed_logins.get()).unwrap_or(u32::MAX),
            ..Limits::default()
        }
    }
}
