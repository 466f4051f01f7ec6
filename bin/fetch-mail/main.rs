//! fetch-mail(1): brings the mail of a mailbox on a server into a mailbox here.

mod args;
mod attachment;
mod body;
mod config;
mod desk;
mod failure;
mod fetch;
mod intake;
mod listing;
mod mirror;
mod password;
mod progress;
mod session;
mod state;
mod tally;
mod transfer;
mod waiting;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use ima_program::report::report;
use ima_program::{Exit, descriptors, log};

use args::Args;
use config::Account;
use failure::Failure;
use mirror::Mirror;
use session::Session;

const PROGRAM: &str = "fetch-mail";

fn main() -> ExitCode {
    log::init(PROGRAM);
    let exit = run(&Args::parse()).unwrap_or_else(|failure| {
        // To cron a run that still goes on is nothing to write home about.
        if !matches!(failure, Failure::Busy(_)) || io::stderr().is_terminal() {
            report(PROGRAM, &failure);
        }
        failure.exit()
    });
    exit.into()
}

fn run(args: &Args) -> Result<Exit, Failure> {
    let account = Account::open(args)?;
    descriptors::raise_limit();
    let open = || Mirror::open(&args.directory, &account.address);
    let is_there = mirror::look(&args.directory)?;
    // Somebody may be long in typing it: nothing is locked before.
    let password = password::password(&account.proof, &account.address)?;
    let here = is_there.then(open).transpose()?;
    let mut session = Session::open(&account, password.as_deref())?;
    // A directory is made for no one who is not let in.
    let mut mirror = match here.map_or_else(open, Ok) {
        Ok(mirror) => mirror,
        Err(failure) => {
            session.end();
            return Err(failure);
        }
    };
    let exit = fetch::fetch(&mut session, &mut mirror)?;
    session.end();
    Ok(exit)
}
