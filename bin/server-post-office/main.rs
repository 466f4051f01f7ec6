//! server-post-office(8): gives users their mail, by IMRP.
//!
//! It is two processes. The monitor (`monitor.rs`) reads the configuration, holds the
//! keys, checks passwords and opens mailboxes; the network process (`network.rs`), which
//! the monitor starts, speaks with clients. What they say to each other is in
//! `packets.rs`.

mod args;
mod config;
mod limits;
mod monitor;
mod network;
mod packets;
#[cfg(debug_assertions)]
mod taken_over;

use std::error::Error;
use std::process::ExitCode;

use ima_program::Exit;
use ima_program::server::{self as process, Manner};

use args::Args;

const PROGRAM: &str = "server-post-office";

fn main() -> ExitCode {
    process::main(
        PROGRAM,
        ima_program::options::parse::<Args>,
        |args| Manner {
            inetd: args.inetd,
            log: args.log,
        },
        run,
    )
}

fn run(args: &Args) -> Result<Exit, Box<dyn Error>> {
    match args.network {
        true => network::run(),
        false => monitor::run(args),
    }
}
