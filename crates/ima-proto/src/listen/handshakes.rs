//! Connections that have not proved anything yet. They are counted apart from
//! those that are served, so that who never speaks TLS takes nobody's place.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::gate::block;

/// The handshakes in progress, up to a number. One more, and the oldest gives
/// way: of the address that has most of them in progress, counted as by
/// [`Gate`](super::Gate), so that one address cannot drive out another.
#[derive(Debug, Clone)]
pub struct Handshakes {
    max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    sockets: BTreeMap<u64, (IpAddr, Arc<TcpStream>)>,
}

/// A handshake in progress; to be dropped when it is over.
#[derive(Debug)]
pub struct Handshake {
    number: u64,
    drove_out: usize,
    open: Arc<Mutex<Open>>,
}

impl Handshakes {
    /// Up to `max` at once; 0 counts as 1.
    pub fn new(max: usize) -> Handshakes {
        Handshakes {
            max: max.max(1),
            open: Arc::default(),
        }
    }

    /// Takes note of a handshake with `ip` on `socket`. Where that is one too
    /// many, the socket of another is shut down, and its handshake fails.
    pub fn enter(&self, socket: &Arc<TcpStream>, ip: IpAddr) -> Handshake {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.next;
        open.next += 1;
        open.sockets.insert(number, (block(ip), socket.clone()));
        let mut drove_out = 0;
        while open.sockets.len() > self.max {
            let Some((_, socket)) = open.weakest().and_then(|one| open.sockets.remove(&one)) else {
                break;
            };
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
            drove_out += 1;
        }
        Handshake {
            number,
            drove_out,
            open: self.open.clone(),
        }
    }

    /// How many are in progress.
    pub fn count(&self) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.sockets.len()
    }
}

impl Open {
    /// The oldest of the address with most; among equals the oldest of all.
    fn weakest(&self) -> Option<u64> {
        let mut by_address: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for (number, (address, _)) in &self.sockets {
            by_address.entry(*address).or_insert((0, *number)).0 += 1;
        }
        by_address
            .into_values()
            .max_by_key(|(count, oldest)| (*count, std::cmp::Reverse(*oldest)))
            .map(|(_, oldest)| oldest)
    }
}

impl Handshake {
    /// Whether it was shut down for another.
    pub fn gave_way(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        !open.sockets.contains_key(&self.number)
    }

    /// How many others were shut down for it.
    pub fn drove_out(&self) -> usize {
        self.drove_out
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.sockets.remove(&self.number);
    }
}
