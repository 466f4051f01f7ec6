//! Commands that another process starts: the monitor of a server, for its network
//! process.
//!
//! ```text
//! Run each digest received, with its stdin -> Started number id program, with its
//!                                             pidfd and stdout | NotStarted reason
//! Stay                                     -> the same, and the pipe to its stdin
//! Kill number                              -> Done
//! Reap number                              -> Ended status | Lost reason
//! Leave number                             -> Done
//! Spool                                    -> Done, with a file | Lost reason
//! ```
//!
//! What is run is what the configuration names by the contract that it keeps, with the
//! variables that ima-handler(7) lists and no other; octets go to and fro between the network process and the command
//! without the monitor.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ima_message::{HeaderBlock, MessageDigest, Received};
use ima_program::child::{ChildError, Parent, Started};
use ima_program::log;
use ima_program::monitor::{Questions, Service};
use ima_program::readiness::is_readable_within;
use ima_program::report::chain;
use ima_program::spool::{Disk, SpoolWriter, Spooled};
use serde::{Deserialize, Serialize};

use super::commands::{Commands, Each, OwnCommands};

/// What [`CommandService`] is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum CommandRequest {
    /// Start a command for one message, with the descriptor that comes along as its stdin.
    Run {
        /// Which.
        each: Each,
        /// The message's digest.
        digest: String,
        /// The value of its `received` field.
        received: Option<String>,
    },
    /// Start the command that stays.
    Stay,
    /// Kill one, with its process group.
    Kill {
        /// Which.
        number: u64,
    },
    /// Reap one that has exited, as its pidfd says.
    Reap {
        /// Which.
        number: u64,
    },
    /// Kill one, and reap it when it is gone, however long that takes.
    Leave {
        /// Which.
        number: u64,
    },
    /// An empty file on the disk.
    Spool,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum CommandReply {
    /// It runs.
    Started {
        /// By which it is known here.
        number: u64,
        /// Its process id.
        id: u32,
        /// Its program's file.
        program: String,
    },
    /// It does not run; the reason, for the log.
    NotStarted(String),
    /// Done.
    Done,
    /// It has ended.
    Ended {
        /// Its status, as wait(2) has it.
        status: i32,
    },
    /// That cannot be done; the reason, for the log.
    Lost(String),
}

/// The service of the monitor that starts commands.
#[derive(Debug)]
pub struct CommandService {
    commands: OwnCommands,
    /// How many may run.
    most: usize,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    last: u64,
    /// No more are started.
    is_over: bool,
    running: HashMap<u64, Running>,
}

#[derive(Debug)]
struct Running {
    parent: Box<dyn Parent>,
    /// Readable when it has exited.
    pidfd: Arc<OwnedFd>,
}

impl Running {
    /// Kills it, and reaps it when it is gone.
    fn end(self) {
        self.parent.kill();
        self.parent.leave();
    }
}

impl CommandService {
    /// Starts these, of which at most so many run at once.
    #[must_use]
    pub fn new(commands: OwnCommands, most: usize) -> Self {
        Self {
            commands,
            most,
            children: Mutex::default(),
        }
    }

    /// The network process is gone: kills and reaps what still runs, and starts nothing
    /// more.
    pub fn end(&self) {
        let mut children = self.children();
        children.is_over = true;
        let running: Vec<_> = children.running.drain().collect();
        drop(children);
        for (_, child) in running {
            child.end();
        }
    }

    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(
        &self,
        each: Each,
        digest: &str,
        received: Option<&str>,
        with: Vec<OwnedFd>,
    ) -> (CommandReply, Vec<OwnedFd>) {
        let digest = digest.parse::<MessageDigest>().ok();
        let received = received.map(|value| {
            let received = Received::parse(value).ok()?;
            received.address.parse::<IpAddr>().ok()?;
            Some(received)
        });
        let stdin = with.into_iter().next().map(File::from);
        let (Some(digest), None | Some(Some(_)), Some(stdin)) = (digest, &received, stdin) else {
            return not_started("what it is to be told of the message makes no sense");
        };
        let received = received.flatten();
        self.start(|| {
            let started = self
                .commands
                .run_for(each, digest, received.as_ref(), stdin)?;
            Ok((started, None))
        })
    }

    fn start(
        &self,
        start: impl FnOnce() -> Result<(Started, Option<PipeWriter>), ChildError>,
    ) -> (CommandReply, Vec<OwnedFd>) {
        if self.children().are_enough(self.most) {
            return not_started("too many commands run");
        }
        let (started, input) = match start() {
            Ok(started) => started,
            Err(error) => return not_started(&chain(&error)),
        };
        let Started {
            program,
            id,
            parent,
            pidfd,
            output,
        } = started;
        let child = Running {
            parent,
            pidfd: Arc::clone(&pidfd),
        };
        let pidfd = match pidfd.as_fd().try_clone_to_owned() {
            Ok(pidfd) => pidfd,
            Err(error) => {
                child.end();
                return not_started(&error.to_string());
            }
        };
        let mut children = self.children();
        // Others were started meanwhile, or the end has come.
        if children.are_enough(self.most) {
            drop(children);
            child.end();
            return not_started("too many commands run");
        }
        children.last += 1;
        let number = children.last;
        children.running.insert(number, child);
        drop(children);
        let program = program.display().to_string();
        let mut with = vec![pidfd, output];
        with.extend(input.map(OwnedFd::from));
        let reply = CommandReply::Started {
            number,
            id,
            program,
        };
        (reply, with)
    }

    fn reap(&self, number: u64) -> CommandReply {
        let mut children = self.children();
        let Entry::Occupied(child) = children.running.entry(number) else {
            return CommandReply::Lost("there is no such command".to_owned());
        };
        // Nobody waits for one here.
        if !is_readable_within(&child.get().pidfd, Duration::ZERO) {
            return CommandReply::Lost("that command has not exited".to_owned());
        }
        let mut child = child.remove();
        drop(children);
        match child.parent.reap() {
            Ok(status) => CommandReply::Ended {
                status: status.into_raw(),
            },
            Err(error) => CommandReply::Lost(error.to_string()),
        }
    }
}

impl Children {
    fn are_enough(&self, most: usize) -> bool {
        self.is_over || self.running.len() >= most
    }
}

fn not_started(reason: &str) -> (CommandReply, Vec<OwnedFd>) {
    (CommandReply::NotStarted(reason.to_owned()), Vec::new())
}

impl Service for CommandService {
    type Request = CommandRequest;
    type Reply = CommandReply;

    fn answer(&self, request: CommandRequest, with: Vec<OwnedFd>) -> (CommandReply, Vec<OwnedFd>) {
        let reply = match request {
            CommandRequest::Run {
                each,
                digest,
                received,
            } => return self.run(each, &digest, received.as_deref(), with),
            CommandRequest::Stay => {
                return self.start(|| {
                    let (started, input) = self.commands.stay()?;
                    Ok((started, Some(input)))
                });
            }
            CommandRequest::Kill { number } => {
                if let Some(child) = self.children().running.get(&number) {
                    child.parent.kill();
                }
                CommandReply::Done
            }
            CommandRequest::Reap { number } => self.reap(number),
            CommandRequest::Leave { number } => {
                let child = self.children().running.remove(&number);
                if let Some(child) = child {
                    child.end();
                }
                CommandReply::Done
            }
            CommandRequest::Spool => match Spooled::on_disk() {
                Ok(file) => return (CommandReply::Done, vec![file.into()]),
                Err(error) => CommandReply::Lost(error.to_string()),
            },
        };
        (reply, Vec::new())
    }
}

/// In the network process: the monitor starts them.
#[derive(Debug)]
pub struct RemoteCommands(Arc<Questions<CommandService>>);

impl RemoteCommands {
    /// Asks the monitor.
    #[must_use]
    pub fn new(questions: Questions<CommandService>) -> Self {
        Self(Arc::new(questions))
    }

    fn start(
        &self,
        request: &CommandRequest,
        stdin: Option<File>,
    ) -> Result<(Started, Option<PipeWriter>), ChildError> {
        let refused = |reason: String| ChildError::Refused(reason.into());
        let stdin: Vec<_> = stdin.iter().map(|file| file.as_fd()).collect();
        let asked = self.0.ask(request, &stdin);
        let (number, id, program, with) = match asked {
            Ok((
                CommandReply::Started {
                    number,
                    id,
                    program,
                },
                with,
            )) => (number, id, program, with),
            Ok((CommandReply::NotStarted(reason), _)) => return Err(refused(reason)),
            Ok((other, _)) => return Err(refused(format!("{other:?}"))),
            Err(error) => return Err(refused(error.to_string())),
        };
        let parent = Box::new(Remote {
            questions: Arc::clone(&self.0),
            number,
        });
        let mut with = with.into_iter();
        let (Some(pidfd), Some(output)) = (with.next(), with.next()) else {
            parent.kill();
            parent.leave();
            return Err(refused(no_descriptors().to_string()));
        };
        let started = Started {
            program: program.into(),
            id,
            parent,
            pidfd: Arc::new(pidfd),
            output,
        };
        Ok((started, with.next().map(PipeWriter::from)))
    }
}

impl Commands for RemoteCommands {
    fn run(&self, each: Each, header: &HeaderBlock, stdin: File) -> Result<Started, ChildError> {
        let request = CommandRequest::Run {
            each,
            digest: header.digest().to_string(),
            received: header.received().map(ToString::to_string),
        };
        Ok(self.start(&request, Some(stdin))?.0)
    }

    fn stay(&self) -> Result<(Started, PipeWriter), ChildError> {
        match self.start(&CommandRequest::Stay, None)? {
            (started, Some(input)) => Ok((started, input)),
            (started, None) => {
                started.parent.kill();
                started.parent.leave();
                Err(ChildError::Refused(no_descriptors().to_string().into()))
            }
        }
    }

    fn spool(&self) -> SpoolWriter {
        Spooled::writer_with(Arc::new(RemoteDisk(Arc::clone(&self.0))))
    }
}

/// What came along did not arrive: we may have no more.
fn no_descriptors() -> io::Error {
    rustix::io::Errno::MFILE.into()
}

/// A child of the monitor's.
#[derive(Debug)]
struct Remote {
    questions: Arc<Questions<CommandService>>,
    number: u64,
}

impl Remote {
    fn ask(&self, request: &CommandRequest) -> io::Result<CommandReply> {
        let asked = self.questions.ask(request, &[]);
        asked.map(|(reply, _)| reply).map_err(io::Error::other)
    }
}

impl Parent for Remote {
    fn kill(&self) {
        let number = self.number;
        if let Err(error) = self.ask(&CommandRequest::Kill { number }) {
            log::error("child-not-killed").field("error", error).emit();
        }
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        let number = self.number;
        match self.ask(&CommandRequest::Reap { number })? {
            CommandReply::Ended { status } => Ok(ExitStatus::from_raw(status)),
            CommandReply::Lost(reason) => Err(io::Error::other(reason)),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    fn leave(self: Box<Self>) {
        let number = self.number;
        // Where the monitor is gone, so is the child's parent.
        let _ = self.ask(&CommandRequest::Leave { number });
    }
}

#[derive(Debug)]
struct RemoteDisk(Arc<Questions<CommandService>>);

impl Disk for RemoteDisk {
    fn file(&self) -> io::Result<File> {
        let asked = self.0.ask(&CommandRequest::Spool, &[]);
        match asked.map_err(io::Error::other)? {
            (CommandReply::Done, with) => with
                .into_iter()
                .next()
                .map(File::from)
                .ok_or_else(no_descriptors),
            (CommandReply::Lost(reason), _) => Err(io::Error::other(reason)),
            (other, _) => Err(io::Error::other(format!("{other:?}"))),
        }
    }
}
