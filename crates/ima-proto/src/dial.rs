//! Connecting to the server of a mail domain.
//!
//! [`find`](crate::find) says where it is; the addresses are tried in the manner
//! of Happy Eyeballs (RFC 8305), and the first that connects is taken.

mod race;
mod survey;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ima_message::Hostpart;
use tokio::runtime::{Builder, Runtime};

use crate::find::{self, FindError, LookUpError, NameError, Resolver, Unusable, Way};
pub use survey::{Found, Survey};

pub use crate::find::{Dns, DnsError, Hosts, HostsError, Service};

/// Most attempts that a message names.
const SHOWN: usize = 8;

/// Why a server was not reached. Trying again later may help, whatever it is.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody could say where it is.
    #[error(transparent)]
    NotFound(#[from] FindError),
    /// Nobody could be asked.
    #[error("{host}: nothing can be looked up: {source}")]
    NoResolver {
        /// The mail domain.
        host: Hostpart,
        /// Why not.
        source: NameError,
    },
    /// The look-up did not end in time.
    #[error(
        "{host}: the look-up of {name} by {servers} took more than {} s: is that server up, and can it be reached?",
        within.as_secs_f32()
    )]
    LookUpTimedOut {
        /// The mail domain.
        host: Hostpart,
        /// The name that was looked up.
        name: String,
        /// Who was asked.
        servers: String,
        /// `connect-timeout`.
        within: Duration,
    },
    /// No address answered.
    #[error("{host} cannot be reached: {}{}", List(attempts), How(way, *service, host, hosts_of))]
    Unreachable {
        /// The mail domain.
        host: Hostpart,
        /// What was to be reached.
        service: Service,
        /// How its servers were found.
        way: Way,
        /// What says so, for [`Way::Hosts`].
        hosts_of: &'static str,
        /// What was tried, and what became of it.
        attempts: Vec<Attempt>,
    },
    /// The system gave no means to dial at all.
    #[error("{host} cannot be dialled: {source}")]
    System {
        /// The mail domain.
        host: Hostpart,
        /// The reason.
        source: io::Error,
    },
}

/// One thing that was tried.
#[derive(Debug)]
pub struct Attempt {
    /// The target's name, where one was looked up.
    pub name: Option<String>,
    /// The address, where it came so far.
    pub address: Option<SocketAddr>,
    /// What became of it.
    pub cause: Cause,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It could not be connected to.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It did not answer before the time was over.
    #[error("no answer in time")]
    Silent,
    /// The name has no address.
    #[error("it has no address")]
    NoAddress,
    /// The name could not be looked up.
    #[error("{} (asked {} for addresses)", .0.source, .0.servers)]
    LookUp(LookUpError),
    /// The look-up did not end before the time was over.
    #[error("the look-up of its addresses did not end in time")]
    LookUpSilent,
    /// The address is not connected to.
    #[error("{0}")]
    Unusable(#[from] Unusable),
}

/// Connects to the servers of mail domains.
#[derive(Debug, Clone)]
pub struct Dialler {
    hosts: Hosts,
    service: Service,
    dns: Dns,
    connect_timeout: Duration,
    /// What the hosts were given in, for messages.
    hosts_of: &'static str,
}

impl Dialler {
    /// `connect_timeout` holds for one dialling in all, look-ups included.
    #[must_use]
    pub fn new(hosts: Hosts, service: Service, dns: Dns, connect_timeout: Duration) -> Dialler {
        Dialler {
            hosts,
            service,
            dns,
            connect_timeout,
            hosts_of: "[hosts]",
        }
    }

    /// Messages say that the hosts were found in this, in place of the table
    /// `[hosts]` of a configuration.
    #[must_use]
    pub fn with_hosts_of(mut self, hosts_of: &'static str) -> Dialler {
        self.hosts_of = hosts_of;
        self
    }

    /// A TCP connection to the server of `host`: to the first of its addresses
    /// that takes one. That it is the right server is for its certificate to
    /// prove.
    ///
    /// Targets of a smaller priority go before others; within a priority, the
    /// next address is tried when one has failed, or has not answered for
    /// 250 ms, and the next priority 2 s after the last address of the one
    /// before. At most 32 addresses are tried.
    ///
    /// # Errors
    /// A [`DialError`] that names the host, and what was tried with its causes.
    pub fn dial(&self, host: &Hostpart) -> Result<TcpStream, DialError> {
        if let Some(address) = find::fixed(&self.hosts, host) {
            return self.dial_fixed(host, address);
        }
        let deadline = self.deadline();
        let runtime = runtime().map_err(|source| DialError::System {
            host: host.clone(),
            source,
        })?;
        let outcome = runtime.block_on(self.search(host, deadline));
        // Questions that are still open are dropped, and no thread waits.
        drop(runtime);
        outcome
    }

    async fn search(&self, host: &Hostpart, deadline: Instant) -> Result<TcpStream, DialError> {
        let resolver = self.resolver(host)?;
        let servers = self.servers(&resolver, host, deadline).await?;
        let way = servers.way.clone();
        let mut attempts = match race::connect(&resolver, servers.targets, deadline).await {
            Ok(stream) => return self.blocking(host, stream),
            Err(attempts) => attempts,
        };
        if matches!(way, Way::Own | Way::HostsFile) {
            // The message begins with this name.
            for attempt in attempts.iter_mut().filter(|one| one.address.is_some()) {
                attempt.name = None;
            }
        }
        Err(DialError::Unreachable {
            host: host.clone(),
            service: self.service,
            way,
            hosts_of: self.hosts_of,
            attempts,
        })
    }

    fn resolver(&self, host: &Hostpart) -> Result<Resolver, DialError> {
        Resolver::open(&self.dns, self.connect_timeout).map_err(|source| DialError::NoResolver {
            host: host.clone(),
            source,
        })
    }

    fn blocking(
        &self,
        host: &Hostpart,
        stream: tokio::net::TcpStream,
    ) -> Result<TcpStream, DialError> {
        let blocking = || {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            Ok(stream)
        };
        blocking().map_err(|source| DialError::System {
            host: host.clone(),
            source,
        })
    }

    /// Without a look-up there is one address, and nothing to be asked.
    fn dial_fixed(&self, host: &Hostpart, address: SocketAddr) -> Result<TcpStream, DialError> {
        let within = self.connect_timeout.max(Duration::from_millis(1));
        let cause = match TcpStream::connect_timeout(&address, within) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Cause::Silent,
            Err(error) => error.into(),
        };
        Err(DialError::Unreachable {
            host: host.clone(),
            service: self.service,
            way: Way::Hosts,
            hosts_of: self.hosts_of,
            attempts: vec![Attempt {
                name: None,
                address: Some(address),
                cause,
            }],
        })
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.connect_timeout).unwrap_or(now)
    }
}

/// For one dialling: no thread of its own, and gone with it.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

/// Attempts with their causes, in a row.
struct List<'a>(&'a [Attempt]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for attempt in self.0.iter().take(SHOWN) {
            write!(f, "{between}{attempt}")?;
            between = "; ";
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.address) {
            (Some(name), Some(address)) => write!(f, "{name}, {address}: {}", self.cause),
            (Some(name), None) => write!(f, "{name}: {}", self.cause),
            (None, Some(address)) => write!(f, "{address}: {}", self.cause),
            (None, None) => self.cause.fmt(f),
        }
    }
}

/// How the server was found, at the end of a message.
struct How<'a>(&'a Way, Service, &'a Hostpart, &'static str);

impl fmt::Display for How<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.1.name(self.2);
        match self.0 {
            Way::Hosts => write!(f, " (found in {})", self.3),
            Way::Srv => write!(f, " (found by the SRV records of {name})"),
            Way::Own => write!(
                f,
                " (it has no SRV record {name}: its own addresses were tried)"
            ),
            Way::HostsFile => write!(
                f,
                " (found in /etc/hosts, after the look-up of {name} had failed)"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
