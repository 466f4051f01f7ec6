//! How many connections are served at once, in all, from one address and for one
//! domain.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;

/// Counts connections. An IPv6 address counts as its /64, which one subscriber
/// has whole; an IPv4 address mapped into IPv6 counts as itself.
#[derive(Debug, Clone)]
pub struct Gate {
    limits: Limits,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    by_domain: HashMap<String, usize>,
}

/// The right to one connection, given back when it is dropped.
#[derive(Debug)]
pub struct Pass {
    address: IpAddr,
    domain: Option<String>,
    inside: Arc<Mutex<Inside>>,
}

/// Which limit keeps a connection out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// [`Limits::connections`].
    All,
    /// [`Limits::connections_per_address`].
    Address,
    /// [`Limits::connections_per_domain`].
    Domain,
}

/// The key of the configuration that sets it.
impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Full::All => "max-connections",
            Full::Address => "max-connections-per-address",
            Full::Domain => "max-connections-per-domain",
        })
    }
}

impl Gate {
    /// A gate for so many connections.
    pub fn new(limits: Limits) -> Gate {
        Gate {
            limits,
            inside: Arc::default(),
        }
    }

    /// A pass for a connection from `ip`, of a peer that has proved to be `domain`,
    /// where the handshake proves that.
    ///
    /// # Errors
    /// [`Full`], where there are too many. A domain or an address that has its
    /// share is told so also where all places are taken.
    pub fn enter(&self, ip: IpAddr, domain: Option<&str>) -> Result<Pass, Full> {
        let address = block(ip);
        let mut inside = self.inside();
        let limits = &self.limits;
        if count(&inside.by_address, &address) >= limits.connections_per_address {
            return Err(Full::Address);
        }
        if let Some(domain) = domain
            && count(&inside.by_domain, domain) >= limits.connections_per_domain
        {
            return Err(Full::Domain);
        }
        if inside.all >= limits.connections {
            return Err(Full::All);
        }
        inside.all += 1;
        *inside.by_address.entry(address).or_default() += 1;
        if let Some(domain) = domain {
            *inside.by_domain.entry(domain.to_owned()).or_default() += 1;
        }
        drop(inside);
        Ok(Pass {
            address,
            domain: domain.map(str::to_owned),
            inside: self.inside.clone(),
        })
    }

    /// How many passes are out.
    pub fn count(&self) -> usize {
        self.inside().all
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        one_less(&mut inside.by_address, &self.address);
        if let Some(domain) = &self.domain {
            one_less(&mut inside.by_domain, domain);
        }
    }
}

fn count<K: Hash + Eq + std::borrow::Borrow<Q>, Q: Hash + Eq + ?Sized>(
    counts: &HashMap<K, usize>,
    key: &Q,
) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

/// Who has none left is forgotten.
fn one_less<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            counts.remove(key);
        }
    }
}

/// What is counted as one address.
pub(crate) fn block(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}
