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
#[cfg_attr(not(test), expect(dead_code, reason = "what the page says"))]
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use ima_proto::handlers::{CHECK_TIME, PATIENCE};
    use ima_proto::tls::HANDSHAKE_TIME;

    use super::*;

    const PAGE: &str = include_str!("../../man/server-receive.8");

    fn seconds(time: Duration) -> String {
        format!("{} s", time.as_secs())
    }

    fn minutes(time: Duration) -> String {
        format!("{} min", time.as_secs() / 60)
    }

    fn mebibytes(octets: u64) -> String {
        format!("{}MiB", octets >> 20)
    }

    /// 1040384 as 1,040,384.
    fn thousands(number: u64) -> String {
        let digits = number.to_string();
        let groups = digits.as_bytes().rchunks(3).rev();
        let groups: Vec<&str> = groups.map(|group| str::from_utf8(group).unwrap()).collect();
        groups.join(",")
    }

    /// The rows of the table in LIMITS: the key, or what has none, and the default.
    fn rows() -> Vec<(&'static str, String)> {
        let (_, section) = PAGE.split_once("\n.Sh LIMITS\n").unwrap();
        let (section, _) = section.split_once("\n.Sh ").unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix(".It "));
        rows.skip(1)
            .map(|row| {
                let cells: Vec<&str> = row.split(" Ta ").collect();
                let [limit, key, default, _] = cells[..] else {
                    panic!("{row}")
                };
                let name = key.strip_prefix("Ic ").unwrap_or(limit);
                (name, default.trim_matches('"').to_owned())
            })
            .collect()
    }

    #[test]
    fn the_page_says_what_the_limits_are() {
        let limits = Limits::default();
        let said = [
            ("max-connections", limits.connections.to_string()),
            (
                "max-connections-per-address",
                limits.connections_per_address.to_string(),
            ),
            (
                "max-connections-per-domain",
                limits.connections_per_domain.to_string(),
            ),
            ("max-handshakes", limits.handshakes.to_string()),
            ("a handshake", seconds(HANDSHAKE_TIME)),
            ("max-handlers", limits.handlers.to_string()),
            ("those killed and not gone", MOST_LEFT.to_string()),
            (
                "header block",
                format!("{} octets", thousands(limits.imdp().header_block)),
            ),
            ("max-size", mebibytes(limits.data)),
            ("max-messages-per-connection", limits.messages.to_string()),
            ("idle-timeout", seconds(limits.idle)),
            ("from ACCEPT to DATA", seconds(limits.imdp().decision)),
            ("message-timeout", minutes(limits.message)),
            ("a check", seconds(CHECK_TIME)),
            (
                "unknown recipients in an hour",
                limits.unknown_recipients.to_string(),
            ),
            ("to finish after a signal", seconds(listen::FINISH)),
            (
                "memory of a connection",
                mebibytes(MEMORY_PER_CONNECTION as u64),
            ),
        ];
        assert_eq!(rows(), said);
        let files = format!(
            "and 64: {} with the defaults",
            thousands(limits.descriptors())
        );
        assert!(PAGE.contains(&files), "{files}");
        let waits = format!("DEFER after {}", seconds(PATIENCE));
        assert!(PAGE.contains(&waits));
        assert_eq!(limits.children(), 314);
    }
}
