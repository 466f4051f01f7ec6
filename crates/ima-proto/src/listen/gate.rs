//! How many connections are served at once, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections. An IPv6 address counts as its /64, which one subscriber
/// has whole; an IPv4 address mapped into IPv6 counts as itself.
#[derive(Debug, Clone)]
pub struct Gate {
    max: usize,
    max_per_address: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are too many in all.
    All,
    /// There are too many from its address.
    Address,
}

/// The right to one connection, given back when it is dropped.
#[derive(Debug)]
pub struct Pass {
    address: IpAddr,
    inside: Arc<Mutex<Inside>>,
}

impl Gate {
    /// A gate for `max` connections in all, `max_per_address` from one address.
    pub fn new(max: usize, max_per_address: usize) -> Gate {
        Gate {
            max,
            max_per_address,
            inside: Arc::default(),
        }
    }

    /// A pass for a connection from `ip`.
    ///
    /// # Errors
    /// Where there are too many.
    pub fn enter(&self, ip: IpAddr) -> Result<Pass, Full> {
        let address = block(ip);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let here = inside.by_address.get(&address).copied().unwrap_or(0);
        if inside.all >= self.max {
            return Err(Full::All);
        }
        if here >= self.max_per_address {
            return Err(Full::Address);
        }
        inside.all += 1;
        inside.by_address.insert(address, here + 1);
        Ok(Pass {
            address,
            inside: self.inside.clone(),
        })
    }

    /// How many passes are out.
    pub fn count(&self) -> usize {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        match inside.by_address.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            _ => {
                inside.by_address.remove(&self.address);
            }
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
