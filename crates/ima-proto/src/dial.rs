//! Finding the server of a mail domain, and connecting to it.
//!
//! `[hosts]` of the configuration comes first; otherwise the addresses of the
//! domain itself, by the system's resolver, at the protocol's port.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ima_message::{Hostpart, HostpartError};
use serde::Deserialize;

/// What one address may take while others remain.
const ONE_ADDRESS: Duration = Duration::from_secs(2);

/// `[hosts]`: fixed places of servers, `"b.test" = "127.0.0.1:4025"`. A name in
/// the place of the address is looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Hosts(BTreeMap<Hostpart, String>);

/// What is wrong with `[hosts]`.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// A key is no hostpart.
    #[error("{host:?} in [hosts] is not a mail domain: {source}")]
    NoHost {
        /// What was written.
        host: String,
        /// The rule it breaks.
        source: HostpartError,
    },
    /// A value is no address with a port.
    #[error(
        "{place:?} for {host} in [hosts] is not \"address:port\", like \"127.0.0.1:4025\" or \"[::1]:4025\""
    )]
    NoPlace {
        /// The host.
        host: Hostpart,
        /// What was written.
        place: String,
    },
    /// A host stands there in two spellings.
    #[error("{host} stands in [hosts] twice")]
    Twice {
        /// The host.
        host: Hostpart,
    },
}

/// Why a server was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The resolver failed, or knows no such name.
    #[error("{host}: no address was found for {name}: {source}")]
    Unknown {
        /// The mail domain.
        host: Hostpart,
        /// The name that was looked up.
        name: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The resolver did not answer in time.
    #[error("{host}: the look-up of {name} took more than {} s", within.as_secs_f32())]
    LookUpTimedOut {
        /// The mail domain.
        host: Hostpart,
        /// The name that was looked up.
        name: String,
        /// `connect-timeout`.
        within: Duration,
    },
    /// No address answered.
    #[error("{host} cannot be reached: {}", List(attempts))]
    Unreachable {
        /// The mail domain.
        host: Hostpart,
        /// Each address that was tried, and what became of it.
        attempts: Vec<(SocketAddr, io::Error)>,
    },
}

/// Connects to the servers of mail domains.
#[derive(Debug, Clone)]
pub struct Dialler {
    hosts: Hosts,
    port: u16,
    connect_timeout: Duration,
}

impl TryFrom<BTreeMap<String, String>> for Hosts {
    type Error = HostsError;

    fn try_from(written: BTreeMap<String, String>) -> Result<Hosts, HostsError> {
        let mut hosts = BTreeMap::new();
        for (host, place) in written {
            let host =
                Hostpart::parse(&host).map_err(|source| HostsError::NoHost { host, source })?;
            let is_place = place.rsplit_once(':').is_some_and(|(name, port)| {
                let is_name = !name.is_empty() && !name.contains(':');
                port.parse::<u16>().is_ok() && is_name
            });
            if !is_place && place.parse::<SocketAddr>().is_err() {
                return Err(HostsError::NoPlace { host, place });
            }
            if hosts.insert(host.clone(), place).is_some() {
                return Err(HostsError::Twice { host });
            }
        }
        Ok(Hosts(hosts))
    }
}

impl Dialler {
    /// `port` is the protocol's; `connect_timeout` holds for one dialling in
    /// all, look-up included.
    pub fn new(hosts: Hosts, port: u16, connect_timeout: Duration) -> Dialler {
        Dialler {
            hosts,
            port,
            connect_timeout,
        }
    }

    /// A TCP connection to the server of `host`. Addresses are tried one after
    /// the other, IPv6 and IPv4 in turn, in the order of the resolver; each has
    /// 2 s while others remain.
    ///
    /// # Errors
    /// A [`DialError`] that names the host, and each address with its cause.
    pub fn dial(&self, host: &Hostpart) -> Result<TcpStream, DialError> {
        let now = Instant::now();
        let deadline = now.checked_add(self.connect_timeout).unwrap_or(now);
        let addresses = self.addresses(host, deadline)?;
        try_each(addresses, deadline).map_err(|attempts| DialError::Unreachable {
            host: host.clone(),
            attempts,
        })
    }

    /// The addresses of a host's server, at least one.
    fn addresses(&self, host: &Hostpart, deadline: Instant) -> Result<Vec<SocketAddr>, DialError> {
        let place = match self.hosts.0.get(host) {
            Some(place) => place.clone(),
            None => format!("{}:{}", host.ascii(), self.port),
        };
        if let Ok(address) = place.parse() {
            return Ok(vec![address]);
        }
        let name = place
            .rsplit_once(':')
            .map_or("", |(name, _)| name)
            .to_owned();
        let unknown = |source| DialError::Unknown {
            host: host.clone(),
            name: name.clone(),
            source,
        };
        // getaddrinfo(3) knows no deadline: its thread ends when it does.
        let (answer, answered) = mpsc::channel();
        std::thread::Builder::new()
            .name("look-up".to_owned())
            .spawn(move || {
                let found = place.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
                // Nobody may be waiting any more.
                let _ = answer.send(found);
            })
            .map_err(unknown)?;
        let found = answered
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .map_err(|_| DialError::LookUpTimedOut {
                host: host.clone(),
                name: name.clone(),
                within: self.connect_timeout,
            })?
            .map_err(unknown)?;
        match found.is_empty() {
            true => Err(unknown(ErrorKind::NotFound.into())),
            false => Ok(alternate(found)),
        }
    }
}

fn try_each(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<TcpStream, Vec<(SocketAddr, io::Error)>> {
    let mut attempts = Vec::new();
    let mut left = addresses.into_iter();
    while let Some(address) = left.next() {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let within = match left.as_slice() {
            [] => remaining,
            _ => remaining.min(ONE_ADDRESS),
        };
        if within.is_zero() {
            attempts.push((address, ErrorKind::TimedOut.into()));
            break;
        }
        match TcpStream::connect_timeout(&address, within) {
            Ok(stream) => return Ok(stream),
            Err(error) => attempts.push((address, error)),
        }
    }
    Err(attempts)
}

/// The two families in turn, beginning with the resolver's first (RFC 8305, 4).
fn alternate(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed
}

/// Addresses with their causes, in a row.
struct List<'a>(&'a [(SocketAddr, io::Error)]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (address, cause) in self.0 {
            write!(f, "{between}{address}: {cause}")?;
            between = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
