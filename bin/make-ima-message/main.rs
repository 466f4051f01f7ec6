//! make-ima-message: makes a message of a text, files and header fields, and
//! writes it to standard output. The manual pages are make-ima-message(1) and
//! ima-message(5).

mod args;
mod attachment;
mod failure;
mod field;
mod letter;
mod line;
mod mailbox;
mod media_type;
mod parts;
mod signing;
mod source;
mod utf8;
mod write;

use std::io::{self, Write as _};
use std::process::ExitCode;

use ima_program::exit::Exit;
use ima_program::report;

use crate::args::Args;
use crate::failure::Failure;
use crate::letter::Letter;
use crate::parts::{Input, Parts};
use crate::signing::Keys;

const PROGRAM: &str = "make-ima-message";

fn main() -> ExitCode {
    let args: Args = ima_program::options::parse();
    let exit = match run(&args) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            report::report(PROGRAM, &failure);
            Exit::Unfinished
        }
    };
    exit.into()
}

/// Checks every option, digests every file, composes and signs the header
/// block, and writes it with the octets of the files behind it, which are
/// digested again on the way.
fn run(args: &Args) -> Result<(), Failure> {
    let letter = Letter::new(args)?;
    let keys = Keys::read(&args.sign)?;
    let inputs = Input::of(args)?;
    if inputs.iter().any(Input::awaits_terminal) {
        // A terminal that cannot be written to is no reason to stop.
        let _ = writeln!(
            io::stderr(),
            "{PROGRAM}: type the text of the message, and Ctrl-D on a line of its own to end it"
        );
    }
    let parts = Parts::digest(inputs)?;
    let header = keys.sign(letter.compose(&parts)?)?;
    write::write(&header, &parts)
}
