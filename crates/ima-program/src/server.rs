//! How a server begins and ends: where its log goes, also under inetd, and the
//! signals that stop it.

use std::error::Error;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::Exit;
use crate::log::{self, Form};
use crate::report::{chain, report};
use rustix::fs::{FileType, fstat};
use rustix::process::geteuid;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

/// How a server is to serve, by its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// `--inetd`: the one connection on stdin.
    pub inetd: bool,
    /// `--log`.
    pub log: Option<Form>,
}

/// Somebody at a terminal uses what is for inetd.
#[derive(Debug, thiserror::Error)]
#[error(
    "--inetd is for inetd(8) and systemd, and standard input is no socket: without it, the server listens by itself"
)]
struct NoSocket;

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
    log::set_usual_form(Form::Text);
    let is_socket = log::stderr_is_stdin_socket();
    if is_socket && log::to_syslog().is_err() {
        return Exit::Unfinished.into();
    }
    let args = parse();
    let Manner { inetd, log } = manner(&args);
    if let Some(form) = log {
        log::set_form(form);
    }
    if inetd && !is_socket {
        if !is_a_socket(io::stdin()) {
            report(program, &NoSocket);
            return Exit::Unfinished.into();
        }
        if log::to_syslog().is_err() {
            return Exit::Unfinished.into();
        }
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

/// Warns where root runs a server whose configuration is another's, and so perhaps the
/// mailboxes: what root makes in them is of no use to their owner.
pub fn warn_of_root(config_dir: &Path) {
    let owner = fs::metadata(config_dir).map(|folder| folder.uid());
    if let Ok(owner @ 1..) = owner
        && geteuid().is_root()
    {
        log::warn("runs-as-root")
            .field("folder", config_dir.display())
            .field("owner", owner)
            .field(
                "advice",
                "run the server as the user to whom the folder belongs",
            )
            .emit();
    }
}

/// Becomes readable at SIGTERM, SIGINT or SIGHUP, which do not end the process from here
/// on. A SIGHUP that was ignored at the start, as nohup(1) has it, stays ignored.
///
/// # Errors
/// Where the system has no descriptors left.
pub fn stop_signal() -> io::Result<UnixStream> {
    let (stop, signalled) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        signal_hook::low_level::pipe::register(signal, signalled.try_clone()?)?;
    }
    survive()?;
    Ok(stop)
}

fn is_a_socket(fd: impl AsFd) -> bool {
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

/// Signals that must not end a server. What outgrows a limit of the process is a fault
/// as a full disk is (`EFBIG`, setrlimit(2)). And whoever started us may have no use for
/// its own children's exit statuses, but we need those of ours.
fn survive() -> io::Result<()> {
    let nobody_looks = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGXFSZ, Arc::clone(&nobody_looks))?;
    if is_ignored(SIGCHLD) {
        signal_hook::flag::register(SIGCHLD, nobody_looks)?;
    }
    Ok(())
}

/// As proc(5) has it; false where it cannot be read.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
