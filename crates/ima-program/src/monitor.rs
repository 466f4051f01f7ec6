//! Privilege separation: a server is two processes.
//!
//! The *monitor* is the one that was started. It reads the configuration, holds the
//! private keys, starts commands and opens mailboxes, and never reads an octet that came
//! from the network. The *network process* is its child, the same program with the option
//! `--network`: it speaks with peers, and has shut itself in before the first of them is
//! heard ([`confine`]). What it cannot do itself it asks the monitor for, which does it only
//! where that is part of serving.
//!
//! ```text
//! peers ⇄ network process ⇄ packets (packets.rs) ⇄ services of the monitor (service.rs)
//!                         → lines → the log (relay.rs)
//! ```
//!
//! Each [`Service`] has sockets of its own, so that a question that takes long holds up no
//! other kind. What crosses is plain: a value in the form of `postcard`, and descriptors. The
//! monitor treats every packet as if a stranger had written it; one that cannot be read ends
//! the network process, and with it the server.

mod confine;
mod network;
mod packets;
mod relay;
mod service;
#[cfg(debug_assertions)]
pub mod taken_over;

pub use confine::confine;
pub use network::{Network, NetworkError, OPTION, Setup};
pub use packets::{MAX_DESCRIPTORS, MAX_OCTETS, PacketError, Packets, from_memory, to_memory};
pub use service::{Questions, Service, serve};
