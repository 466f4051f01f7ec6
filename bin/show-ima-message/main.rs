//! show-ima-message: shows a message to a person or a script, verifies it, or
//! takes its attachments out. The manual page is show-ima-message(1).

mod args;
mod data;
mod extract;
mod failure;
mod input;
mod json;
mod keys;
mod show;
mod staged;
mod verify;
mod visible_text;

use std::io::BufWriter;
use std::process::ExitCode;

use ima_message::HeaderBlock;
use ima_program::exit::Exit;
use ima_program::report;

use crate::args::Args;
use crate::failure::Failure;
use crate::input::{Input, Output};
use crate::keys::Keys;

const PROGRAM: &str = "show-ima-message";

fn main() -> ExitCode {
    let args: Args = ima_program::options::parse();
    let exit = run(&args).unwrap_or_else(|failure| {
        report::report(PROGRAM, &failure);
        failure.exit()
    });
    exit.into()
}

/// Reads the header block, which is valid or ends the program, and the data,
/// which must be what it announces, and does what the options ask for.
fn run(args: &Args) -> Result<Exit, Failure> {
    let keys = Keys::read(args.keys.as_deref(), args.file())?;
    let mut input = Input::open(args.file())?;
    let header = HeaderBlock::read(&mut input)
        .map_err(|error| Failure::Header(input.origin().clone(), error))?;
    let mut output: Output = BufWriter::new(input::stdout()?);
    if args.json {
        json::print(&header, &mut input, &keys, args.verify, &mut output)
    } else if args.verify {
        verify::print(&header, &mut input, &keys, &mut output)
    } else if let Some(directory) = &args.extract {
        extract::extract(&header, &mut input, directory, &mut output)
    } else {
        show::print(&header, &mut input, &keys, &mut output)
    }
}
