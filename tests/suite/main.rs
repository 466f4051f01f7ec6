//! The suite's programs as a user meets them: started, fed, read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod exit_status;
mod external;
mod handle_incoming_mail;
mod main_job;
mod make_show;
mod pages;
mod peer;
mod receive;
mod send;
mod setup;
mod site;
