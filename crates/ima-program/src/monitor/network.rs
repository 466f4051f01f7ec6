//! The network process: how it is started and ends, from either side.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, set_parent_process_death_signal,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::packets::{PacketError, Packets};
use super::relay::Relay;
use crate::readiness::{is_readable_within, polled};
use crate::{Exit, log};

/// The option that makes a program the network process of the one that started it. It is
/// for no one else.
pub const OPTION: &str = "--network";

/// The program that runs, whatever is by now at the path where it was found.
const OURSELVES: &str = "/proc/self/exe";

/// How long after the network process a signal to all may reach us.
const SIGNALLED: Duration = Duration::from_secs(1);
/// How often it is looked whether we are to stop.
const LOOK: Duration = Duration::from_secs(1);

/// Variables of the environment that the network process gets, in builds for tests.
#[cfg(debug_assertions)]
const FOR_TESTS: &[&str] = &[super::taken_over::VARIABLE];
#[cfg(not(debug_assertions))]
const FOR_TESTS: &[&str] = &[];

/// Why there is no network process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// It cannot be started.
    #[error("the network process cannot be started from {}: {source}", .program.display())]
    Start {
        /// The file that was to be executed.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What it is to do cannot be said.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// Somebody else used [`OPTION`].
    #[error(
        "{OPTION} is how a server starts its own network process: leave it out, and the server does it"
    )]
    NotStartedByMonitor,
}

/// What the network process is told first.
#[derive(Debug)]
pub struct Setup<T> {
    /// What it is to do.
    pub value: T,
    /// What it does it with.
    pub descriptors: Vec<OwnedFd>,
}

/// The network process, for its monitor.
#[derive(Debug)]
pub struct Network {
    child: Child,
    pidfd: Arc<OwnedFd>,
    control: Packets,
    relay: Relay,
}

impl Network {
    /// Starts this program as the network process, with [`OPTION`]. To be
    /// called in the thread that waits for it: when that thread ends, or the whole process,
    /// the network process is killed.
    ///
    /// Its stderr is a pipe: what it writes there goes to our log, as far as it is lines of
    /// a log (`relay.rs`). It has nothing of our environment, and no other descriptor but
    /// those of its [`Setup`].
    ///
    /// # Errors
    /// [`NetworkError::Start`].
    pub fn start() -> Result<Self, NetworkError> {
        let program = Path::new(OURSELVES);
        let failed = |source: io::Error| NetworkError::Start {
            program: program.read_link().unwrap_or_else(|_| program.into()),
            source,
        };
        let (control, theirs) = Packets::pair().map_err(failed)?;
        close_fds::set_fds_cloexec(3, &[]);
        let passed_on = FOR_TESTS
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let (said, stderr) = io::pipe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg0(log::program())
            .arg(OPTION)
            .args(["--log", log::form().name()])
            .env_clear()
            .envs(passed_on)
            // A terminal's Ctrl-C is for us, and we tell it.
            .process_group(0)
            .stdin(theirs.socket())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(failed)?;
        let started = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .map_err(io::Error::from)
            .and_then(|pidfd| {
                let pidfd = Arc::new(pidfd);
                let relay = Relay::start(said, Arc::clone(&pidfd))?;
                Ok((pidfd, relay))
            });
        match started {
            Ok((pidfd, relay)) => Ok(Self {
                child,
                pidfd,
                control,
                relay,
            }),
            Err(error) => {
                child.kill().ok();
                child.wait().ok();
                Err(failed(error))
            }
        }
    }

    /// Tells it what to do, and with what; its clones stay open in it alone. Where it has
    /// ended already, [`wait`](Self::wait) says how.
    ///
    /// # Errors
    /// [`NetworkError::Packet`].
    pub fn set_up(
        &self,
        value: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), NetworkError> {
        match self.control.send(value, descriptors) {
            Err(PacketError::Closed) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Kills it, when that is called: for whoever finds that it breaks the rules.
    pub fn killer(&self) -> impl Fn() + Clone + Send + use<> {
        let pidfd = Arc::clone(&self.pidfd);
        move || {
            // It may have ended by itself.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }

    /// Waits for its end, and until what it said last is in the log: where `is_lasting`,
    /// until `stop` becomes readable, and from then on for as long as a stop may take; it
    /// is killed after that. An end that no server has is logged. Who signals a whole control group may have reached it before it hears
    /// signals: then it has stopped as it was to.
    #[must_use]
    pub fn wait(mut self, stop: &UnixStream, is_lasting: bool, takes: Duration) -> Exit {
        while !is_readable_within(&self.pidfd, LOOK) {
            if is_readable_within(stop, Duration::ZERO) && !is_readable_within(&self.pidfd, takes) {
                log::error("network-process-does-not-end")
                    .field(
                        "consequence",
                        "it is killed, and what it had in hand cut off",
                    )
                    .emit();
                self.killer()();
                break;
            }
        }
        let ended = self.child.wait();
        self.relay.finish();
        let status = match ended {
            Ok(status) => status,
            Err(error) => {
                log::error("network-process-failed")
                    .field("error", error)
                    .emit();
                return Exit::Unfinished;
            }
        };
        if is_told_to_stop(status) && is_readable_within(stop, SIGNALLED) {
            return Exit::Done;
        }
        let exit = Exit::from_status(status);
        let is_known = match status.code() {
            // It has no reason to end.
            Some(0) => !is_lasting || is_readable_within(stop, Duration::ZERO),
            Some(code) => (1..=3).contains(&code),
            None => false,
        };
        if is_known {
            return exit;
        }
        log::error("network-process-failed")
            .field("status", status)
            .field("consequence", "the server ends; start it again")
            .emit();
        Exit::Unfinished
    }
}

impl<T: DeserializeOwned> Setup<T> {
    /// In the network process: what the monitor says on stdin. From here on the network
    /// process ends when its monitor does, at once.
    ///
    /// # Errors
    /// [`NetworkError::NotStartedByMonitor`] where nothing of the kind comes.
    pub fn receive() -> Result<Self, NetworkError> {
        let nobody = |_| NetworkError::NotStartedByMonitor;
        // The program was started as "exe", which nobody would look for, or know.
        let _ = fs::write("/proc/self/comm", log::program());
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| nobody(e.into()))?;
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let mut control = Packets::from(stdin.map_err(nobody)?);
        let (value, descriptors) = control
            .receive()
            .map_err(|_| NetworkError::NotStartedByMonitor)?;
        if is_closed(&control) {
            return Err(PacketError::Closed.into());
        }
        Ok(Self { value, descriptors })
    }
}

/// Whether one of the signals that end a server ended it.
fn is_told_to_stop(status: ExitStatus) -> bool {
    let signals = [Signal::TERM, Signal::INT, Signal::HUP].map(Signal::as_raw);
    status.signal().is_some_and(|one| signals.contains(&one))
}

/// Whether the other side is gone.
fn is_closed(control: &Packets) -> bool {
    polled(control, PollFlags::empty(), Duration::ZERO)
        .is_none_or(|found| found.intersects(PollFlags::HUP | PollFlags::ERR))
}
