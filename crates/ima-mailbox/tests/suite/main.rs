//! The mailbox on real file systems.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod batch;
mod changes;
mod check;
mod compaction;
mod create;
mod damage;
mod delivery;
mod faults;
mod letter;
mod links;
mod locking;
mod message_sharing;
mod model;
mod moving;
mod place;
mod quota;
mod removal;
mod repair;
mod sharing;
mod status;
mod stored;
mod targets;
mod token;
