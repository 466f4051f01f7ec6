//! server-give-recipient: stores a message in a mailbox. The manual page is
//! server-give-recipient(8).

mod args;
mod failure;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use ima_mailbox::Folder;
use ima_message::HeaderBlock;
use ima_program::{exit::Exit, log, report};

use crate::args::Args;
use crate::failure::Failure;

const PROGRAM: &str = "server-give-recipient";

fn main() -> ExitCode {
    log::init(PROGRAM);
    let args: Args = ima_program::options::parse();
    let exit = give(&args).map_or_else(
        |failure| {
            report::report(PROGRAM, &failure);
            failure.exit()
        },
        |()| Exit::Done,
    );
    exit.into()
}

/// Opens the inbox, reads the message, verifies it, and stores it. A message
/// that is there already is as good as stored.
fn give(args: &Args) -> Result<(), Failure> {
    let inbox = Folder::open(&args.inbox)?;
    let mut message = open(args.file())?;
    let header = HeaderBlock::read(&mut message)?;
    let delivered = inbox.deliver(&header, &mut message, None)?;
    if log::chosen().is_some() {
        log::info("delivered")
            .field("digest", header.digest())
            .field("inbox", args.inbox.display())
            .field("how", delivered)
            .emit();
    }
    Ok(())
}

fn open(file: Option<&Path>) -> Result<Box<dyn BufRead>, Failure> {
    if let Some(path) = file {
        let opened = File::open(path).map_err(|source| Failure::Open {
            file: path.to_owned(),
            source,
        })?;
        return Ok(Box::new(BufReader::new(opened)));
    }
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        // Nobody is kept from delivering by a stderr that is closed.
        let _ = writeln!(
            io::stderr(),
            "{PROGRAM}: waiting for a message, ima-message(5); end it with Control-D"
        );
    }
    Ok(Box::new(stdin))
}
