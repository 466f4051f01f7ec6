//! Where a connection stands: among those that have proved nothing, or inside.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ima_program::log;
use ima_program::metrics::Present;

use super::counts::Counts;
use super::gate::{Gate, Pass};
use super::handshakes::Handshake;

/// The way of one connection through the gate. Until it is through it gives way to
/// newer ones; from then on it is one of those that the gate counts.
#[derive(Debug)]
pub(super) struct Entrance {
    gate: Gate,
    address: IpAddr,
    counts: Arc<Counts>,
    place: Mutex<Place>,
}

#[derive(Debug)]
enum Place {
    /// `None`: it is the only connection of the process.
    Before(#[allow(dead_code, reason = "held, until it is dropped")] Option<Handshake>),
    Inside(#[allow(dead_code, reason = "held, until it is dropped")] (Pass, Present)),
    Left,
}

impl Entrance {
    /// Before the gate.
    pub(super) fn new(
        gate: Gate,
        address: IpAddr,
        handshake: Option<Handshake>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            gate,
            address,
            counts,
            place: Mutex::new(Place::Before(handshake)),
        }
    }

    /// Goes in, where it is not inside already, as one of `domain`, where that is
    /// proved. False where there are too many, which is logged.
    pub(super) fn pass(&self, domain: Option<&str>) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Place::Inside(_) = *place {
            return true;
        }
        match self.gate.enter(self.address, domain) {
            Ok(pass) => {
                *place = Place::Inside((pass, self.counts.inside()));
                true
            }
            Err(full) => {
                self.counts.refused(full);
                let mut event = log::warn("too-many-connections")
                    .field("address", self.address)
                    .field("limit", full);
                if let Some(domain) = domain {
                    event = event.field("domain", domain);
                }
                event.emit();
                false
            }
        }
    }

    /// The connection is over: its place is given back.
    pub(super) fn leave(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Place::Left;
    }
}
