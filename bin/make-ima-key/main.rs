//! make-ima-key: makes a signing key, keeps the secret in a file, and prints
//! what is to be published of it. The manual page is make-ima-key(1).

mod args;
mod failure;
mod key;
mod key_file;

use std::io::{self, Write as _};
use std::process::ExitCode;

use ima_message::KeyLine;
use ima_program::exit::Exit;
use ima_program::report;

use crate::args::Args;
use crate::failure::Failure;

const PROGRAM: &str = "make-ima-key";

fn main() -> ExitCode {
    let exit = match run(&ima_program::options::parse::<Args>()) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            report::report(PROGRAM, &failure);
            Exit::Unfinished
        }
    };
    exit.into()
}

/// Makes a key, stores it durably and prints its public half; or prints that of
/// a key that was made before.
fn run(args: &Args) -> Result<(), Failure> {
    if let Some(file) = &args.public {
        return print(&key_file::read(file)?.public()).map_err(Failure::Write);
    }
    let (Some(signer), Some(file)) = (&args.signer, &args.file) else {
        return Err(Failure::NoOperands);
    };
    let key = key::make(signer, args.days)?;
    key_file::create(file, &key)?;
    print(&key.public()).map_err(|error| Failure::NotPrinted(file.clone(), error))
}

fn print(key: &KeyLine) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{key}")?;
    output.flush()
}
