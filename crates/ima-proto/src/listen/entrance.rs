//! Where a connection stands: among those that have proved nothing, or inside.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ima_program::log;

use super::gate::{Gate, Pass};
use super::handshakes::Handshake;

/// The way of one connection through the gate. Until it is through it gives way to
/// newer ones; from then on it is one of those that the gate counts.
#[derive(Debug)]
pub(super) struct Entrance {
    gate: Gate,
    address: IpAddr,
    place: Mutex<Place>,
}

#[derive(Debug)]
enum Place {
    /// `None`: it is the only connection of the process.
    Before(#[allow(dead_code, reason = "held, until it is dropped")] Option<Handshake>),
    Inside(#[allow(dead_code, reason = "held, until it is dropped")] Pass),
}

impl Entrance {
    /// Before the gate.
    pub(super) fn new(gate: Gate, address: IpAddr, handshake: Option<Handshake>) -> Self {
        Self {
            gate,
            address,
            place: Mutex::new(Place::Before(handshake)),
        }
    }

    /// Goes in, where it is not inside already. False where there are too many,
    /// which is logged.
    pub(super) fn pass(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Place::Inside(_) = *place {
            return true;
        }
        let Some(pass) = self.gate.enter(self.address) else {
            log::warn("too-many-connections")
                .field("address", self.address)
                .emit();
            return false;
        };
        *place = Place::Inside(pass);
        true
    }
}
