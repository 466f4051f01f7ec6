//! server-send-mail(8): sends messages to the hosts of their recipients.

mod args;
mod config;
mod dispatch;
mod input;
mod leg;
mod outgoing;
mod upcoming;
mod way;

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::{iter, panic};

use ima_program::config::load;
use ima_program::report::report;
use ima_program::{Exit, descriptors, log};

use args::Args;
use config::{Config, Office};
use dispatch::{Dispatch, Options};
use input::Input;
use upcoming::Upcoming;

const PROGRAM: &str = "server-send-mail";
/// For a person who sees DEFER and could think that somebody tries again.
const NOTHING_IS_KEPT: &str = "nothing is kept here: keep the message, and send the same one \
                               again later, and nobody gets it twice";

fn main() -> ExitCode {
    let args: Args = ima_program::options::parse();
    log::init(PROGRAM);
    if let Some(form) = args.log {
        log::set_form(form);
    }
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
    let files = if args.files.is_empty() {
        vec![PathBuf::from("-")]
    } else {
        args.files.clone()
    };
    let options = Options {
        partial: args.partial,
        number: args.number,
    };
    let upcoming =
        Arc::new(Upcoming::new().map_err(|error| format!("no pipe can be had: {error}"))?);
    let reader = read(&upcoming, Input::of(files))?;
    let mut dispatch = Dispatch::new(&office, &upcoming, options);
    let items = iter::from_fn(|| upcoming.take());
    let exit = Exit::combine(items.map(|item| dispatch.take(item)));
    let has_deferred = dispatch.has_deferred();
    dispatch.done();
    if has_deferred && io::stderr().is_terminal() {
        dispatch::complain(NOTHING_IS_KEPT);
    }
    if let Some(reader) = reader {
        reader
            .join()
            .unwrap_or_else(|cause| panic::resume_unwind(cause))?;
    }
    Ok(exit)
}

/// Reads and verifies what comes next while a message is under way: in a thread,
/// unless the first message is all there is.
fn read(
    upcoming: &Arc<Upcoming>,
    mut input: Input,
) -> Result<Option<JoinHandle<io::Result<()>>>, Box<dyn Error>> {
    let first = input.next();
    let is_over = input.is_over();
    let items = first.into_iter().chain(input);
    let items = items.map(|message| message.map(Arc::new));
    if is_over {
        upcoming.fill(items.take(1))?;
        return Ok(None);
    }
    let upcoming = Arc::clone(upcoming);
    thread::Builder::new()
        .spawn(move || upcoming.fill(items))
        .map(Some)
        .map_err(|error| format!("no thread can be had to read with: {error}").into())
}
