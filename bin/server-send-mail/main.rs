//! server-send-mail(8): sends messages to the hosts of their recipients.

mod args;
mod config;
mod dispatch;
mod leg;
mod outgoing;

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use ima_program::config::load;
use ima_program::report::report;
use ima_program::{Exit, descriptors, log};

use args::Args;
use config::{Config, Office};
use dispatch::{Dispatch, complain};
use outgoing::Outgoing;

const PROGRAM: &str = "server-send-mail";

fn main() -> ExitCode {
    let args = Args::parse();
    log::init(PROGRAM);
    let exit = run(&args).unwrap_or_else(|error| {
        report(PROGRAM, &*error);
        Exit::Unfinished
    });
    exit.into()
}

fn run(args: &Args) -> Result<Exit, Box<dyn Error>> {
    let office = Office::open(load::<Config>(PROGRAM, args.config.as_deref())?)?;
    // Those who only run it for each message see it in their servers' logs.
    office.identities.warn_now(io::stderr().is_terminal());
    descriptors::raise_limit();
    let stdin = [Path::new("-").to_owned()];
    let files = if args.files.is_empty() {
        &stdin[..]
    } else {
        &args.files
    };
    let mut dispatch = Dispatch::new(&office, args.partial);
    let mut exits = Vec::with_capacity(files.len());
    for file in files {
        if file == Path::new("-") && io::stdin().is_terminal() {
            complain("reading a message from the terminal; end it with Ctrl-D");
        }
        exits.push(match Outgoing::read(file) {
            Ok(message) => dispatch.send(&message),
            Err(error) => {
                report(PROGRAM, &error);
                error.exit()
            }
        });
    }
    dispatch.done();
    Ok(Exit::combine(exits))
}
