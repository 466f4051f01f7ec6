//! Commands that are run for a message: `check`, handlers, routed commands.
//!
//! A child gets the message on stdin, a file; its stdout is read line by line;
//! its stderr is ours. It has no other descriptor. Of our environment it gets
//! `PATH`, `LANG`, `TZ` and what begins with `EMEMO_` or `IMA_`; its working
//! directory is ours. Signals are at their default in it.
//!
//! A child runs in a process group of its own, or in ours ([`Group`]). When it
//! exits, or its time is up, or nobody waits for it any more, it is killed, and
//! with it what is left of a group of its own: a command that wants to leave
//! something running in the background starts it with setsid(1). What it wrote to stdout before it exited still counts;
//! whatever else holds its stdout open is not waited for.
//!
//! Nothing a child prints can forge a line elsewhere: each line is UTF-8, in
//! which octets that are not, and characters that are not `text` (message.md),
//! CR and TAB among them, stand as U+FFFD, so that they are seen and an
//! address with one in it is no address. Empty lines are passed over.
//!
//! A child is started without a fork (posix_spawn, which costs the same
//! whatever our size), and waited for with poll(2) on its stdout and a pidfd:
//! there is no thread and no signal handler. `SIGCHLD` must not be ignored,
//! or a child's exit code is lost, and counts as unfinished.
//!
//! A [`Lasting`] child is one that is asked more than once: its stdin is a pipe.

mod lasting;
mod left;
mod lines;
pub mod orphans;
mod parent;
mod script;
mod watched;

use crate::exit::Exit;
use crate::log;
use crate::program::{LocateError, locate};
pub use lasting::{Lasting, Room};
use lines::Lines;
use parent::Own;
pub use parent::{Parent, Started};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
pub use script::ScriptError;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use watched::{CHUNK, Watched};

/// How long a process that was killed may take to be gone. Then it is left to
/// itself (it hangs in the kernel, or belongs to another user) and reaped when
/// the next one is started.
const GRACE: Duration = Duration::from_secs(1);

/// So many of those may be there. Then no further one is started.
pub const MOST_LEFT: usize = 64;

/// Octets of output that count, in the handler contract.
const MAX_OUTPUT: usize = 1 << 20;

/// What to run.
#[derive(Debug)]
pub struct Command {
    /// The program, found by [`locate`], and its arguments.
    pub argv: Vec<OsString>,
    /// The folder of the configuration file that names the program.
    pub config_dir: PathBuf,
    /// Set beside what is passed on; wins over a variable of the same name.
    pub env: Vec<(&'static str, String)>,
    /// The child reads from where it stands. Two children that run at the same
    /// time need files that were opened, not cloned: clones share their place.
    pub stdin: File,
    /// Whether killing us is to kill it.
    pub group: Group,
}

/// The process group that a child runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// A new one, which ends with the child: for a server, which outlives it.
    Own,
    /// Ours: who kills our group, because our time is up or with Ctrl-C, kills
    /// the child too. For a program that is run for one message.
    Ours,
}

/// What a child may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// When it is killed.
    pub deadline: Instant,
    /// The longest line in octets, without its LF; what is more is cut off.
    pub max_line: usize,
    /// The most octets of output that count. What is more is read and thrown
    /// away, as is the line that would be in part beyond it.
    pub max_output: usize,
}

impl Limits {
    /// The handler contract's: lines of 4,096 octets, 1 MiB in all.
    #[must_use]
    pub const fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            max_line: 4096,
            max_output: MAX_OUTPUT,
        }
    }
}

/// Why a child could not be started. To whoever asked for it, it counts as
/// [`Exit::Unfinished`].
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The list in the configuration is empty.
    #[error("a command is empty: name at least a program, [\"program\", \"argument\"]")]
    Empty,
    /// Too many that were killed are not gone.
    #[error(
        "{MOST_LEFT} commands that were killed are still there: they hang in the kernel, perhaps at a disk or a file server that does not answer"
    )]
    Stuck,
    /// There is no such program.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The system does not start it.
    #[error("{}: cannot be started", .program.display())]
    Start {
        /// The file that was to be executed.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The same, of a script.
    #[error("{}: cannot be started: {fault}", .program.display())]
    Script {
        /// The file that was to be executed.
        program: PathBuf,
        /// What is wrong with it.
        fault: ScriptError,
    },
    /// The process that starts commands for us did not.
    #[error("{0}")]
    Refused(Box<str>),
}

/// What a child did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A line of its stdout, without the LF: as soon as it is written, but a
    /// last one without LF when the child has exited, and only where it exited
    /// of its own accord (half a line may say something else than a whole one).
    Line(String),
    /// As much time as was asked for went by since the start or the last tick.
    Tick,
    /// It is gone, and reaped. From here on every event is this one.
    Exited(Exit),
}

impl Command {
    /// Starts it.
    ///
    /// # Errors
    /// Where the program is not there, not executable, or the system is out of
    /// something.
    pub fn start(self, limits: Limits) -> Result<Running, ChildError> {
        Ok(Running::new(self.spawn()?, limits))
    }

    /// Starts it, for whoever makes a [`Running`] of it: this process or another.
    ///
    /// # Errors
    /// As for [`Command::start`].
    pub fn spawn(self) -> Result<Started, ChildError> {
        let passed_on = env::vars_os().filter(|(name, _)| is_passed_on(name));
        // What it does for what others sent is in our log, in the form of that; where
        // we have none, it is as silent as we are.
        let log = log::chosen().map(|form| (log::VARIABLE.into(), form.name().into()));
        self.spawn_in(passed_on.chain(log))
    }

    /// Starts it with all of our environment: a command of the user's own, which
    /// finds a keyring or an agent by it, and not one that is run for what
    /// others sent.
    ///
    /// # Errors
    /// As for [`Command::start`].
    pub fn start_as_user(self, limits: Limits) -> Result<Running, ChildError> {
        Ok(Running::new(self.spawn_in(env::vars_os())?, limits))
    }

    fn spawn_in(
        self,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Started, ChildError> {
        if left::reap() >= MOST_LEFT {
            return Err(ChildError::Stuck);
        }
        let (program, arguments) = self.argv.split_first().ok_or(ChildError::Empty)?;
        let program = locate(program, &self.config_dir)?;
        let failed = |source: io::Error| {
            let program = program.clone();
            match ScriptError::of(&program, &source) {
                Some(fault) => ChildError::Script { program, fault },
                None => ChildError::Start { program, source },
            }
        };

        close_fds::set_fds_cloexec(3, &[]);
        let mut command = process::Command::new(&program);
        if self.group == Group::Own {
            command.process_group(0);
        }
        let mut child = command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .envs(self.env)
            .stdin(self.stdin)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;

        let id = child.id();
        let opened = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let output = child.stdout.take().map(OwnedFd::from);
        let opened = opened.and_then(|pidfd| {
            let output = output.ok_or(Errno::BADF)?;
            ioctl_fionbio(&output, true)?;
            Ok((Arc::new(pidfd), output))
        });
        let (pidfd, output) = match opened {
            Ok(opened) => opened,
            Err(errno) => {
                child.kill().ok();
                child.wait().ok();
                return Err(failed(errno.into()));
            }
        };
        let parent = Box::new(Own {
            child,
            pidfd: Arc::clone(&pidfd),
            group: self.group,
        });
        Ok(Started {
            program,
            id,
            parent,
            pidfd,
            output,
        })
    }
}

fn is_passed_on(name: &OsStr) -> bool {
    let octets = name.as_encoded_bytes();
    ["PATH", "LANG", "TZ"].iter().any(|passed| name == *passed)
        || octets.starts_with(b"EMEMO_")
        || octets.starts_with(b"IMA_")
}

/// A child that was started. Dropped before it exited, it is killed, with its
/// process group, and reaped.
#[derive(Debug)]
pub struct Running {
    program: PathBuf,
    id: u32,
    /// None once it is reaped: its process id may then be another's.
    parent: Option<Box<dyn Parent>>,
    watched: Watched,
    lines: Lines,
    deadline: Instant,
    last_tick: Instant,
    exit: Exit,
    status: Option<ExitStatus>,
    /// Whether what has no LF behind it is no line, however the child ends.
    ends_with_line: bool,
}

impl Running {
    /// A child that was started a moment ago.
    #[must_use]
    pub fn new(started: Started, limits: Limits) -> Self {
        let Started {
            program,
            id,
            parent,
            pidfd,
            output,
        } = started;
        Self {
            program,
            id,
            parent: Some(parent),
            watched: Watched::new(pidfd, output),
            lines: Lines::new(limits.max_line, limits.max_output),
            deadline: limits.deadline,
            last_tick: Instant::now(),
            exit: Exit::Unfinished,
            status: None,
            ends_with_line: false,
        }
    }

    /// The program's file.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// How it ended: the number that it exited with, or the signal. `None` before
    /// [`Event::Exited`], and where that is lost, or it cannot be killed.
    #[must_use]
    pub const fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Waits for what happens next. At the deadline the child is killed, with
    /// its process group, and counts as unfinished; the whole lines that it
    /// wrote are still given.
    pub fn next(&mut self, tick: Duration) -> Event {
        loop {
            if let Some(line) = self.lines.take() {
                return Event::Line(line);
            }
            if self.parent.is_none() {
                self.log_cut();
                return Event::Exited(self.exit);
            }
            let now = Instant::now();
            let next_tick = self.last_tick.checked_add(tick);
            let until = next_tick.map_or(self.deadline, |tick| tick.min(self.deadline));
            let ready = self.watched.wait(until.saturating_duration_since(now));
            if ready.exited {
                self.settle();
                continue;
            }
            if ready.output {
                self.watched.read(&mut self.lines, CHUNK);
                if let Some(line) = self.lines.take() {
                    return Event::Line(line);
                }
            }
            let now = Instant::now();
            if now >= self.deadline {
                log::warn("child-out-of-time")
                    .field("command", self.program.display())
                    .field("pid", self.id)
                    .emit();
                self.kill();
            } else if next_tick.is_some_and(|tick| now >= tick) {
                self.last_tick = now;
                return Event::Tick;
            }
        }
    }

    /// Kills it and its group, and waits for its end.
    fn kill(&mut self) {
        if let Some(parent) = &self.parent {
            parent.kill();
        }
        if self.watched.wait_for_end(GRACE) {
            self.settle();
            return;
        }
        if let Some(parent) = self.parent.take() {
            log::error("child-cannot-be-killed")
                .field("command", self.program.display())
                .field("pid", self.id)
                .emit();
            parent.leave();
        }
        self.lines.end(false);
    }

    /// Reaps a child that has exited.
    fn settle(&mut self) {
        let Some(mut parent) = self.parent.take() else {
            return;
        };
        self.watched.drain(&mut self.lines);
        match parent.reap() {
            Ok(status) => {
                self.exit = Exit::from_status(status);
                self.status = Some(status);
                let by_itself = status.code().is_some();
                self.lines.end(by_itself && !self.ends_with_line);
            }
            Err(error) => {
                log::error("child-status-lost")
                    .field("command", self.program.display())
                    .field("error", error)
                    .emit();
                self.lines.end(false);
            }
        }
    }

    fn log_cut(&mut self) {
        let cut = self.lines.cut();
        if cut.lines > 0 || cut.octets > 0 {
            log::warn("child-output-cut")
                .field("command", self.program.display())
                .field("long-lines", cut.lines)
                .field("octets-lost", cut.octets)
                .emit();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.parent.is_some() {
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests;
