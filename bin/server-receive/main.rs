//! server-receive(8): receives mail from other servers by IMDP.
//!
//! It is two processes: `monitor.rs` and `network.rs`.

mod args;
mod config;
mod counts;
mod limits;
mod monitor;
mod network;
mod server;
mod service;
mod strangers;
#[cfg(debug_assertions)]
mod taken_over;

use std::process::ExitCode;

use ima_program::server::{self as process, Manner};

use args::Args;

const PROGRAM: &str = "server-receive";

fn main() -> ExitCode {
    process::main(
        PROGRAM,
        ima_program::options::parse::<Args>,
        |args| Manner {
            inetd: args.inetd,
            log: args.log,
        },
        |args| match args.network {
            true => network::run(),
            false => monitor::run(args),
        },
    )
}
