//! server-setup: writes a working configuration into a folder, with certificates
//! and inboxes, and says what to run and what to publish. The manual page is
//! server-setup(8).

mod advice;
mod args;
mod authority;
mod certificate;
mod configuration;
mod failure;
mod plan;
mod shell;
mod user;
mod writing;

use std::io::{self, Write as _};
use std::process::ExitCode;

use ima_program::exit::Exit;
use ima_program::{log, report};

use crate::args::Args;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::plan::Plan;
use crate::writing::Writing;

const PROGRAM: &str = "server-setup";

fn main() -> ExitCode {
    log::init(PROGRAM);
    let exit = match run(ima_program::options::parse::<Args>()) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            report::report(PROGRAM, &failure);
            Exit::Unfinished
        }
    };
    exit.into()
}

/// Checks everything that was said, and that nothing is in the way; then makes
/// certificates, writes, and says what comes next.
fn run(args: Args) -> Result<(), Failure> {
    let plan = Plan::new(args)?;
    let configuration = Configuration::new(&plan)?;
    writing::refuse_what_exists(&plan)?;

    let mut writing = Writing::new();
    let made = certificate::obtain(&plan, &mut writing);
    let written = made.and_then(|made| writing.write(&plan, &made, &configuration));
    written.map_err(|failure| writing.left_behind(failure))?;

    let text = advice::text(&plan);
    let mut stdout = io::stdout().lock();
    let printed = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    printed.map_err(|source| Failure::Print {
        dir: plan.dir,
        source,
    })
}
