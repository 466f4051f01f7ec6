//! server-handle-incoming-mail: gives a message to those of its recipients who
//! live here, by the routing table. The manual pages are
//! server-handle-incoming-mail(8) and server-handle-incoming-mail.toml(5).

mod args;
mod check;
mod config;
mod copies;
mod current;
mod failure;
mod headers;
mod inbox;
mod ledger;
mod message;
mod outcome;
mod plan;
mod routed_command;
mod serve;
mod stream;

use std::io::{self, Write as _};
use std::process::ExitCode;

use ima_mailbox::OpenFolders;
use ima_program::exit::Exit;
use ima_program::{log, report};

use crate::args::Args;
use crate::config::Setup;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::message::Message;
use crate::plan::Plan;

const PROGRAM: &str = "server-handle-incoming-mail";

fn main() -> ExitCode {
    log::init(PROGRAM);
    let args: Args = ima_program::options::parse();
    let exit = run(&args).unwrap_or_else(|failure| {
        report::report(PROGRAM, &failure);
        failure.exit()
    });
    exit.into()
}

/// Reads the configuration and the message, looks everyone up, and then either
/// says whether the message could be delivered or delivers it.
fn run(args: &Args) -> Result<Exit, Failure> {
    if args.stream {
        return Ok(stream::serve(args.config.clone()));
    }
    let setup = Setup::load(args.config.as_deref())?;
    if args.check {
        let header = message::read_header(args.file())?;
        let plan = Plan::new(&setup.table, &header)?;
        let (lines, exit) = check::check(&plan, &header, &mut OpenFolders::default());
        let mut stdout = io::stdout();
        let written = stdout
            .write_all(lines.as_bytes())
            .and_then(|()| stdout.flush());
        return Ok(written.map_or(Exit::Unfinished, |()| exit));
    }
    let message = Message::read(args.file())?;
    let plan = Plan::new(&setup.table, &message.header)?;
    let ledger = Ledger::new(&plan, io::stdout());
    if plan.unknown.is_empty() {
        serve::serve(&plan, &message, &ledger, &setup, Vec::new());
    } else {
        ledger.nobody_of_that_name();
    }
    Ok(ledger.close())
}
