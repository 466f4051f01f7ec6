//! ima-mailbox: looks after mailboxes. The manual page is ima-mailbox(1).

mod args;
mod change;
mod check;
mod export;
mod failure;
mod folders;
mod import;
mod list;
mod maintain;
mod progress;

use std::process::ExitCode;

use ima_mailbox::Folder;
use ima_program::{descriptors, exit::Exit, report};

use crate::args::{Args, Command};
use crate::failure::Failure;

const PROGRAM: &str = "ima-mailbox";

fn main() -> ExitCode {
    let done = match ima_program::options::parse::<Args>().command {
        Command::Check { quiet, dirs } => Ok(check::check(&dirs, quiet)),
        Command::Create { dir } => Folder::create(&dir)
            .map(|_| Exit::Done)
            .map_err(Failure::from),
        Command::Compact { dir } => maintain::compact(&dir),
        Command::Repair {
            new_generation,
            dir,
        } => maintain::repair(&dir, new_generation),
        Command::List { folder } => list::list(&folder),
        Command::Flag { folder, words } => change::flag(&folder, &words),
        Command::Delete { folder, digests } => change::delete(&folder, &digests),
        Command::Move { from, to, digests } => change::move_to(&from, &to, &digests),
        Command::Export { maildir, mbox, dir } => {
            descriptors::raise_limit();
            export::export(&dir, maildir.as_deref(), mbox.as_deref())
        }
        Command::Import {
            maildir,
            mbox,
            owner,
            folder,
        } => {
            descriptors::raise_limit();
            import::import(&folder, maildir.as_deref(), mbox.as_deref(), owner)
        }
    };
    done.unwrap_or_else(|failure| {
        report::report(PROGRAM, &failure);
        Exit::Unfinished
    })
    .into()
}
