//! IMDP, server to server, imdp(7): header blocks go first, the receiver
//! answers, then data goes.

use std::time::Duration;

mod answer;
mod command;
mod end;
mod receiver;
mod refusal;
mod sender;

pub use answer::{DataAnswer, HeadersAnswer, Keyword, PartList, RedirectTo};
pub use command::{Command, CommandError};
pub use end::{End, NotDelivered, ProtocolError};
pub use receiver::{Accepted, Drop, Limits, Outcome, Receiver, Say, Service};
pub use refusal::{Refused, SpeaksFor};
pub use sender::{SendError, Sender, Times};

/// The port, where no other is named.
pub const PORT: u16 = 4025;
/// The name of the protocol in ALPN.
pub const ALPN: &str = "imdp/1";
/// How long a message of so many octets of data may take: a basic time, and as
/// long again as it takes at 16 KiB/s.
#[must_use]
pub fn message_time(basic: Duration, octets: u64) -> Duration {
    basic.saturating_add(Duration::from_secs(octets / (16 << 10)))
}

/// Begins an information line.
pub(crate) const INFORMATION: &str = "+ ";

#[cfg(test)]
mod tests;
