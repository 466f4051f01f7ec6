//! The suite's programs as a user meets them: started, fed, read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod certificates;
mod check_host;
mod devices;
mod durability;
mod exit_status;
mod external;
mod fetch;
mod finding;
mod handle_incoming_mail;
mod log;
mod logs;
mod mailbox_tool;
mod maildir;
mod main_job;
mod make_show;
mod metrics;
mod office;
mod pages;
mod peer;
mod post;
mod process;
mod receive;
mod same_set;
mod send;
mod setup;
mod site;
mod taken_over;
mod terminal;
mod users;
mod watch;
