//! How a server begins and ends: where its log goes, also under inetd, and the
//! signals that stop it.

use std::error::Error;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::Exit;
use crate::log::{self, Form};
use crate::report::{chain, report};
use signal_hook::consts::{SIGINT, SIGTERM};

/// How a server is to serve, by its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// `--inetd`: the one connection on stdin.
    pub inetd: bool,
    /// `--log`.
    pub log: Option<Form>,
}

/// The whole of a server: `parse` reads its options, which may end the process,
/// `manner` finds among them how it is to serve, and `run` does the rest.
///
/// Under inetd stderr is the peer's socket, and nothing may be said there, not
/// even that an option is wrong: then, and with `--inetd`, the log and what went
/// wrong go to syslog.
pub fn main<A>(
    program: &'static str,
    parse: impl FnOnce() -> A,
    manner: impl FnOnce(&A) -> Manner,
    run: impl FnOnce(&A) -> Result<Exit, Box<dyn Error>>,
) -> ExitCode {
    log::init(program);
    let is_socket = log::stderr_is_stdin_socket();
    if is_socket && log::to_syslog().is_err() {
        return Exit::Unfinished.into();
    }
    let args = parse();
    let Manner { inetd, log } = manner(&args);
    if let Some(form) = log {
        log::set_form(form);
    }
    if inetd && !is_socket && log::to_syslog().is_err() {
        return Exit::Unfinished.into();
    }
    let exit = run(&args).unwrap_or_else(|error| {
        if inetd {
            log::error("cannot-start")
                .field("error", chain(&*error))
                .emit();
        } else {
            report(program, &*error);
        }
        Exit::Unfinished
    });
    exit.into()
}

/// Becomes readable at SIGTERM or SIGINT, which do not end the process from here
/// on.
///
/// # Errors
/// Where the system has no descriptors left.
pub fn stop_signal() -> io::Result<UnixStream> {
    let (stop, signalled) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, signalled.try_clone()?)?;
    }
    Ok(stop)
}
