//! IMDP, server to server, imdp(7): header blocks go first, the receiver
//! answers, then data goes.

mod answer;
mod command;
mod receiver;
mod sender;

pub use answer::{DataAnswer, HeadersAnswer, Keyword, PartList, RedirectTo};
pub use command::{Command, CommandError};
pub use receiver::{Accepted, Drop, End, Limits, Outcome, Receiver, Say, Service, SpeaksFor};
pub use sender::{SendError, Sender, Times};

/// The port, where no other is named.
pub const PORT: u16 = 4025;
/// The name of the protocol in ALPN.
pub const ALPN: &str = "imdp/1";
/// Begins an information line.
const INFORMATION: &str = "+ ";

#[cfg(test)]
mod tests;
