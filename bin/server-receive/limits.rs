//! What server-receive(8) allows, all of it: how many peers, how much each may
//! have, and what that takes from the system. The page's section LIMITS is this.

use std::time::Duration;

use ima_program::child::MOST_LEFT;
use ima_proto::{imdp, listen};
use serde::{Deserialize, Serialize};

/// Octets of memory that a connection takes at the most, whatever its peer does: the
/// stack of its thread ([`listen::STACK`]), of which most is never touched; what TLS
/// holds back of a record, and the buffers of the framing, 128 KiB together; the
/// header block, as it comes and as a handler is given it, 1 MiB each; and what was
/// understood of it, for each octet less than six. Twice
/// of the last where a handler is run for each message; with `stream` it is half.
#[allow(dead_code, reason = "what the page says, which a test compares")]
pub const MEMORY_PER_CONNECTION: usize = 16 << 20;

/// Descriptors beside those that are counted: standard streams, listening sockets,
/// signals, files that are read again, children about to be started.
const DESCRIPTORS: u64 = 64;
/// Of a message in hand: the file that holds it.
const OF_A_MESSAGE: u64 = 1;
/// Of a handler: the pipes from and to it, and the process itself.
const OF_A_HANDLER: u64 = 3;

/// The numbers, as the configuration has set them. It is plain, so that a process
/// can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `max-connections`, 1000: peers at once that have proved who they are. One
    /// more is closed in order.
    pub connections: usize,
    /// `max-connections-per-address`, 50: the same from one IPv4 address or one IPv6
    /// /64.
    pub connections_per_address: usize,
    /// `max-connections-per-domain`, 100: the same of one registered domain, by the
    /// first name of the certificate.
    pub connections_per_domain: usize,
    /// `max-handshakes`, 256: connections at once that have proved nothing yet. One
    /// more, and the oldest of the address with most of them is closed.
    pub handshakes: usize,
    /// `max-handlers`, 250: processes of `stream`, or of `check` and `handler`. A
    /// message beyond it waits for 4 seconds, and then is answered with DEFER, or
    /// where its data are here already with PARTIAL.
    pub handlers: usize,
    /// `max-size`, 64 MiB: octets of data. More is REJECT size.
    pub data: u64,
    /// `max-messages-per-connection`, 1000: more is an ERROR.
    pub messages: u64,
    /// `idle-timeout`, 60 s: for a command line, and for a read in which nothing
    /// comes. Then the connection is closed.
    pub idle: Duration,
    /// `message-timeout`, 10 min: for a message, and as long again as it takes at
    /// 16 KiB/s. Then the connection is closed, and its handler is killed.
    pub message: Duration,
    /// Fixed, 20: NORECIPIENT that a domain may draw within an hour. Then it is
    /// answered with DEFER.
    pub unknown_recipients: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            connections_per_address: 50,
            connections_per_domain: 100,
            handshakes: 256,
            handlers: 250,
            data: 64 << 20,
            messages: 1000,
            idle: Duration::from_secs(60),
            message: Duration::from_secs(600),
            unknown_recipients: 20,
        }
    }
}

impl Limits {
    /// Of connections.
    pub const fn listen(&self) -> listen::Limits {
        listen::Limits {
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            connections_per_domain: self.connections_per_domain,
            handshakes: self.handshakes,
        }
    }

    /// Of a sender, in the protocol. The others are fixed there: a header block of
    /// 1,040,384 octets, and 120 s from ACCEPT to DATA.
    pub fn imdp(&self) -> imdp::Limits {
        imdp::Limits {
            data: self.data,
            messages: self.messages,
            idle: self.idle,
            message: self.message,
            ..imdp::Limits::default()
        }
    }

    /// Children at once, whoever starts them: handlers, and those among them that
    /// were killed and are not gone.
    pub const fn children(&self) -> usize {
        self.handlers.saturating_add(MOST_LEFT)
    }

    /// Descriptors that serving connections takes: their sockets, a message each, and
    /// the pipes of handlers.
    pub const fn descriptors(&self) -> u64 {
        let messages = (self.connections as u64).saturating_mul(OF_A_MESSAGE);
        self.listen()
            .descriptors()
            .saturating_add(messages)
            .saturating_add(self.descriptors_of_handlers())
    }

    /// Descriptors that starting handlers takes: their pipes.
    pub const fn descriptors_of_handlers(&self) -> u64 {
        (self.handlers as u64)
            .saturating_mul(OF_A_HANDLER)
            .saturating_add(DESCRIPTORS)
    }
}
