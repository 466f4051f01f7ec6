//! How many connections a server has at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The stack of a thread that serves a connection, in octets: enough for debug
/// builds too. What of it was never touched takes no memory.
pub const STACK: usize = 512 << 10;
/// How long what is in hand may take after SIGTERM.
pub const FINISH: Duration = Duration::from_secs(30);
/// The longest that a stop takes, with time to spare: whoever is still there then is no
/// server any more.
pub const STOP: Duration = Duration::from_secs(40);

/// What a [`Server`](super::Server) lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections that have proved who they are. One more is closed in order.
    pub connections: usize,
    /// The same from one IPv4 address or IPv6 /64.
    pub connections_per_address: usize,
    /// The same of one domain, where the handshake proves it.
    pub connections_per_domain: usize,
    /// Connections that have proved nothing yet. One more, and the oldest of the
    /// address with most of them gives way. 0 counts as 1.
    pub handshakes: usize,
}

impl Limits {
    /// Descriptors of the sockets that they are, the listening ones aside: one
    /// each, and for those that have given way to another, as many as may be
    /// about to end.
    #[must_use]
    pub const fn descriptors(&self) -> u64 {
        let sockets = self
            .connections
            .saturating_add(self.handshakes.saturating_mul(2));
        sockets as u64
    }
}
