//! The mailbox on real file systems.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod batch;
mod check;
mod create;
mod delivery;
mod faults;
mod letter;
mod links;
mod locking;
mod place;
mod sharing;
mod token;
