//! IMRP, mailbox to user agent, imrp(7): a user logs in, learns what changed in
//! each folder since a token, and fetches what is new.

mod answer;
mod client;
mod command;
mod office;
mod session;

pub use answer::{Change, Final, FolderStatus, Information};
pub use client::{
    Answer, Client, ClientError, Event, Next, SinkError, Stored, Synced, Syncing, TakeChange,
    Times, Watch,
};
pub use command::{Command, CommandError, MAX_FLAG_CHANGES, SyncMode};
pub use office::{Act, Busy, Changes, Fault, Login, Mailbox, Octets, Office, Outcome, Source};
pub use session::{End, Limits, Session, Watcher, Watching};

/// The port, where no other is named.
pub const PORT: u16 = 4110;
/// The name of the protocol in ALPN.
pub const ALPN: &str = "imrp/1";
/// The longest password, in octets.
const MAX_PASSWORD: u64 = crate::users::MAX_PASSWORD as u64;

/// Begins an information line.
const INFORMATION: &str = "+ ";

#[cfg(test)]
mod tests;
