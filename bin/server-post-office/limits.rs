//! What server-post-office(8) allows, all of it: how many clients, how much each may
//! have, and what that takes from the system. The page's section LIMITS is this.

use std::time::Duration;

use ima_proto::{imrp, listen};
use serde::{Deserialize, Serialize};

/// Octets of memory that a connection takes at the most in the two processes together,
/// whatever its client does: the stack of its thread ([`listen::STACK`]), and of that
/// of its session in the monitor, of which most is never touched; what
/// TLS holds back of a record, and the buffers of the framing, 128 KiB together; the
/// header block of a message that is stored, and what was understood of it, in each
/// process; and the
/// changes of a folder that is told.
#[allow(dead_code, reason = "what the page says, which a test compares")]
pub const MEMORY_PER_CONNECTION: usize = 16 << 20;

/// Folders of a mailbox up to which a user may make more. Then CREATE is answered
/// with FAIL.
pub const FOLDERS: usize = 1000;
/// Messages of one user that may be on their way in, in all sessions. Then STORE is
/// answered with FAIL.
pub const STORES: usize = 4;
/// Messages of a mailbox that may be known to be gone, for 10 days each, while users
/// store more. Then STORE is answered with FAIL.
pub const REMOVALS: u64 = 250_000;

/// Descriptors that a session may need at once, but for one that stores a message:
/// it has one more for each part of that.
pub const OF_A_SESSION: u64 = 16;
/// Descriptors beside those that are counted: standard streams, listening sockets,
/// signals, files that are read again, the one inotify.
const DESCRIPTORS: u64 = 64;

/// The numbers, as the configuration has set them. It is plain, so that a process
/// can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `max-connections`, 1000: clients at once that have logged in. One more login
    /// is answered with ERROR.
    pub connections: usize,
    /// `max-connections-per-address`, 50: the same from one IPv4 address or one IPv6
    /// /64.
    pub connections_per_address: usize,
    /// `max-handshakes`, 256: connections at once that have not logged in. One more,
    /// and the oldest of the address with most of them is closed.
    pub handshakes: usize,
    /// `max-failed-logins`, 3: as many close the connection.
    pub failed_logins: usize,
    /// `max-size`, 256 MiB: octets of a message that is stored. More is FAIL.
    pub message: u64,
    /// `login-timeout`, 30 s: from the handshake to the login. Then ERROR.
    pub login: Duration,
    /// `idle-timeout`, 30 min: for the next command after it. Then ERROR.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            connections_per_address: 50,
            handshakes: 256,
            failed_logins: 3,
            // More than any provider takes: what a user brings along comes in.
            message: 256 << 20,
            login: Duration::from_secs(30),
            idle: Duration::from_secs(30 * 60),
        }
    }
}

impl Limits {
    /// Of connections. Nobody proves to be a domain here.
    pub const fn listen(&self) -> listen::Limits {
        listen::Limits {
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            connections_per_domain: usize::MAX,
            handshakes: self.handshakes,
        }
    }

    /// Of a client, in the protocol. The others are fixed there: 60 s for a read or a
    /// write in which nothing goes.
    pub fn imrp(&self) -> imrp::Limits {
        imrp::Limits {
            login: self.login,
            idle: self.idle,
            max_message: self.message,
            failed_logins: u32::try_from(self.failed_logins).unwrap_or(u32::MAX),
            ..imrp::Limits::default()
        }
    }

    /// Descriptors that all sessions take together, their sockets included.
    pub const fn descriptors(&self) -> u64 {
        let sessions = (self.connections as u64).saturating_mul(OF_A_SESSION);
        self.listen()
            .descriptors()
            .saturating_add(sessions)
            .saturating_add(DESCRIPTORS)
    }
}
