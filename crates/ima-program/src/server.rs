//! How a server begins and ends: where its log goes, also under inetd, and the
//! signals that stop it.

use std::error::Error;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::Exit;
use crate::log;
use crate::report::{chain, report};
use signal_hook::consts::{SIGINT, SIGTERM};

/// The whole of a server: `parse` reads its options, which may end the process,
/// `is_inetd` says whether `--inetd` is among them, and `run` does the rest.
///
/// Under inetd stderr is the peer's socket, and nothing may be said there, not
/// even that an option is wrong: then, and with `--inetd`, the log and what went
/// wrong go to syslog.
pub fn main<A>(
    program: &'static str,
    parse: impl FnOnce() -> A,
    is_inetd: impl FnOnce(&A) -> bool,
    run: impl FnOnce(&A) -> Result<Exit, Box<dyn Error>>,
) -> ExitCode {
    log::init(program);
    let is_socket = log::stderr_is_stdin_socket();
    if is_socket && log::to_syslog().is_err() {
        return Exit::Unfinished.into();
    }
    let args = parse();
    let inetd = is_inetd(&args);
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
