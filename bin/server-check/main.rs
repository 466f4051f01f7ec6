//! server-check(8): looks at a host as another server would, and says what it
//! finds.

mod address;
mod args;
mod certificate;
mod config;
mod demand;
mod finding;
mod report;
mod service;

use std::error::Error;
use std::process::ExitCode;

use ima_program::report::report as complain;
use ima_program::{Exit, log};

use args::Args;
use config::Eyes;
use report::Report;
use service::Services;

const PROGRAM: &str = "server-check";

fn main() -> ExitCode {
    let args: Args = ima_program::options::parse();
    log::init(PROGRAM);
    let exit = run(&args).unwrap_or_else(|error| {
        complain(PROGRAM, &*error);
        Exit::Unfinished
    });
    exit.into()
}

fn run(args: &Args) -> Result<Exit, Box<dyn Error>> {
    let eyes = Eyes::open(args)?;
    let services = Services::check(&args.host, &args.services, &eyes);
    let report = Report::new(&args.host, &eyes, services);
    if args.json {
        report.print_json()?;
    } else {
        report.print_lines()?;
    }
    Ok(report.exit())
}
