//! ima-mailbox: looks after mailboxes. The manual page is ima-mailbox(1).

mod args;
mod check;

use std::process::ExitCode;

use clap::Parser as _;
use ima_mailbox::Folder;
use ima_program::{exit::Exit, report};

use crate::args::{Args, Command};

const PROGRAM: &str = "ima-mailbox";

fn main() -> ExitCode {
    let exit = match Args::parse().command {
        Command::Check { quiet, dirs } => check::check(&dirs, quiet),
        Command::Create { dir } => match Folder::create(&dir) {
            Ok(_) => Exit::Done,
            Err(error) => {
                report::report(PROGRAM, &error);
                Exit::Unfinished
            }
        },
    };
    exit.into()
}
