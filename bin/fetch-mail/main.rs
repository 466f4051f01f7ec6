//! fetch-mail(1): brings the mail of a mailbox on a server into a mailbox here.

mod acting;
mod args;
mod attachment;
mod body;
mod compare;
mod config;
mod desk;
mod failure;
mod fetch;
mod headers;
mod here;
mod intake;
mod maildir;
mod merge;
mod mirror;
mod pairs;
mod part;
mod password;
mod plan;
mod progress;
mod room;
mod round;
mod scope;
mod sending;
mod session;
mod shelter;
mod signals;
mod state;
mod stream;
#[cfg(debug_assertions)]
mod taken_over;
mod tally;
mod there;
mod touch;
mod transfer;
mod waiting;
mod wanted;
mod watch;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use ima_program::report::report;
use ima_program::{Exit, descriptors, log};

use args::Args;
use config::Account;
use failure::Failure;
use mirror::Mirror;
use session::Session;
use signals::Signals;
use tally::Spoken;

const PROGRAM: &str = "fetch-mail";

fn main() -> ExitCode {
    log::init(PROGRAM);
    let args: Args = ima_program::options::parse();
    if let Some(form) = args.log {
        log::set_form(form);
    }
    let exit = run(&args).unwrap_or_else(|failure| {
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
    if args.watch {
        return watch::watch(args, &account);
    }
    let open = || Mirror::open(&args.directory, &account.address);
    let is_there = mirror::look(&args.directory)?;
    // Somebody may be long in typing it: nothing is locked before.
    let password = password::password(&account.proof, &account.address)?;
    shelter::enter(args, &account)?;
    let here = is_there.then(open).transpose()?;
    let mut session = Session::open(&account, password.as_deref(), &Signals::default())?;
    // A directory is made for no one who is not let in.
    let mut mirror = match here.map_or_else(open, Ok) {
        Ok(mirror) => mirror,
        Err(failure) => {
            session.end();
            return Err(failure);
        }
    };
    if !is_there {
        shelter::enter(args, &account)?;
    }
    #[cfg(debug_assertions)]
    taken_over::play(&args.directory);
    let exit = match args.headers_only {
        true => headers::list(&mut session, &mut mirror)?,
        false => fetch::fetch(&mut session, &mut mirror, &mut Spoken::default())?,
    };
    session.end();
    Ok(exit)
}
