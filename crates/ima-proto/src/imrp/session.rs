//! The server's side: one connection, as a state machine over a [`Channel`].

mod change;
mod login;
mod octets;
mod store;
mod sync;
mod watch;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::INFORMATION;
use super::answer::{Final, Information};
use super::command::Command;
use super::office::{Act, Busy, Fault, Mailbox, Office};
use crate::framing::{Channel, Wire, WireError};

pub use watch::{Watcher, Watching};

/// What a session allows a client.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// From the first octet to a login that succeeded.
    pub login: Duration,
    /// For the next command after that.
    pub idle: Duration,
    /// For a read or a write within a command in which nothing goes.
    pub stall: Duration,
    /// In which nothing is said to a client that watches, until it is told that the
    /// server is there.
    pub alive: Duration,
    /// For the octets of a STORE to come, and as long again as they take at
    /// 16 KiB/s.
    pub message: Duration,
    /// Octets of a message that is stored; longer ones are read and refused.
    pub max_message: u64,
    /// Logins that may fail before the connection is closed.
    pub failed_logins: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(30),
            idle: Duration::from_secs(30 * 60),
            stall: Duration::from_secs(60),
            alive: Duration::from_secs(5 * 60),
            message: Duration::from_secs(600),
            max_message: 256 << 20,
            failed_logins: 3,
        }
    }
}

/// How a session came to its end.
#[derive(Debug)]
pub enum End {
    /// The client said DONE, or closed between commands.
    Done,
    /// [`Office::goes_on`] said no.
    Stopped,
    /// Too many logins failed, none came in time, a command came behind one that had
    /// failed, or the client is to come later.
    NoLogin,
    /// The login was right, and there are too many connections.
    Full,
    /// The client broke the rules.
    Error(Box<str>),
    /// A fault on our side.
    Fault,
    /// The connection broke, or the client took too long.
    Broken(WireError),
}

/// One connection.
pub struct Session<C: Channel, O: Office> {
    wire: Wire<C>,
    office: O,
    limits: Limits,
    mailbox: Option<O::Mailbox>,
    failed: u32,
    /// A line that was read to see whether it belongs to the command before it.
    ahead: Option<Result<String, WireError>>,
}

/// Why a session does not go on.
enum Stop {
    End(End),
    /// What the client is told before the end.
    Error(String),
    /// Octets that belong to a command did not come in time.
    Late,
    Later(Busy),
    /// A login failed, and no other came before a command that needs one.
    NotIn,
    Fault,
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::End(End::Broken(error))
    }
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Self {
        Self::Fault
    }
}

impl<C: Channel, O: Office> Session<C, O> {
    /// A session on a channel whose handshake is over.
    pub fn new(channel: C, office: O, limits: Limits) -> Self {
        Self {
            wire: Wire::new(channel, limits.stall),
            office,
            limits,
            mailbox: None,
            failed: 0,
            ahead: None,
        }
    }

    /// Serves the connection to its end, and closes it; then the mailbox is told.
    pub fn run(mut self) -> End {
        let stop = self.serve();
        let Self {
            wire, mut mailbox, ..
        } = self;
        let end = farewell(wire, stop, mailbox.is_some());
        if let Some(mailbox) = &mut mailbox {
            mailbox.ends();
        }
        end
    }

    fn serve(&mut self) -> Stop {
        // However many commands come, a login must be among them in time.
        self.wire
            .set_message_deadline(Instant::now().checked_add(self.limits.login));
        loop {
            if let Err(stop) = self.turn() {
                return stop;
            }
        }
    }

    /// One command and its answer, or several of a kind.
    fn turn(&mut self) -> Result<(), Stop> {
        // Answers to commands that came together go out together.
        if self.ahead.is_none() && !self.wire.has_line() {
            self.wire.flush(self.limits.stall)?;
        }
        if !self.office.goes_on() {
            return Err(Stop::End(End::Stopped));
        }
        let line = match self.ahead.take() {
            Some(line) => line,
            None => self.wire.read_line(self.limits.idle),
        };
        let line = match line {
            Ok(line) => line,
            Err(_) if !self.office.goes_on() => return Err(Stop::End(End::Stopped)),
            Err(WireError::Closed) => return Err(Stop::End(End::Done)),
            Err(error) => return Err(error.into()),
        };
        self.office.begins();
        let command = Command::parse(&line).map_err(|error| Stop::Error(error.to_string()))?;
        match command {
            Command::Done => Err(Stop::End(End::Done)),
            Command::LoginByPassword { address, octets } => self.password(&address, octets),
            Command::LoginByCertificate { address } => self.certificate(&address),
            _ if self.mailbox.is_none() => Err(self.without_login()),
            Command::Folders => self.folders(),
            Command::Sync {
                folder,
                since,
                mode,
            } => self.sync(folder.as_ref(), since.as_ref(), mode),
            Command::Fetch { folder, digest } => self.fetch(folder.as_ref(), digest),
            Command::Part {
                folder,
                digest,
                from,
            } => self.part(folder.as_ref(), digest, from),
            Command::Flag {
                folder,
                digest,
                changes,
            } => self.apply(folder.as_ref(), Act::Flag { digest, changes }),
            Command::Delete { folder, digest } => {
                self.apply(folder.as_ref(), Act::Delete { digest })
            }
            Command::Move { from, digest, to } => self.relocate(from.as_ref(), digest, to.as_ref()),
            Command::Store { folder, octets } => self.store(folder.as_ref(), octets),
            Command::Create { folder } => self.create(folder.as_ref()),
            Command::Remove { folder } => self.remove(folder.as_ref()),
            Command::Watch { folders } => self.watch(folders),
        }
    }

    /// A command came that needs a login. Behind one that failed it may have come
    /// before the client knew of that: then it broke no rule.
    fn without_login(&self) -> Stop {
        match self.failed {
            0 => Stop::Error("LOGIN comes first".into()),
            _ => Stop::NotIn,
        }
    }

    fn mailbox(&mut self) -> Result<&mut O::Mailbox, Stop> {
        self.mailbox
            .as_mut()
            .ok_or_else(|| Stop::Error("LOGIN comes first".into()))
    }

    fn no_folder(&mut self) -> Result<(), Stop> {
        self.fail("no such folder")
    }

    fn fail(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.say(&Final::Fail(text.into()))?)
    }

    fn tell(&mut self, information: &Information) -> Result<(), WireError> {
        self.wire.write_line(&format!("{INFORMATION}{information}"))
    }

    fn say(&mut self, line: &Final) -> Result<(), WireError> {
        self.wire.write_line(&line.to_string())
    }
}

/// Says why it ends, where there is something to say, and closes.
fn farewell<C: Channel>(mut wire: Wire<C>, stop: Stop, is_in: bool) -> End {
    wire.set_message_deadline(None);
    let (end, text) = match stop {
        Stop::End(end @ (End::Done | End::Stopped | End::NoLogin)) => (end, None),
        Stop::End(End::Broken(WireError::TimedOut)) if !is_in => {
            (End::NoLogin, Some("no login in time".to_owned()))
        }
        Stop::End(end @ End::Broken(WireError::TimedOut)) => {
            (end, Some("no command in time".to_owned()))
        }
        Stop::Late => (
            End::Broken(WireError::TimedOut),
            Some("the octets did not come in time".to_owned()),
        ),
        Stop::End(End::Broken(error @ (WireError::TooLong { .. } | WireError::NotText))) => {
            let text = error.to_string();
            (End::Error(text.as_str().into()), Some(text))
        }
        Stop::End(end) => return end,
        Stop::Error(text) => (End::Error(text.as_str().into()), Some(text)),
        Stop::Later(busy @ Busy::Connections) => (End::Full, Some(busy.to_string())),
        Stop::Later(busy) => (End::NoLogin, Some(busy.to_string())),
        Stop::NotIn => (End::NoLogin, Some("LOGIN comes first".to_owned())),
        Stop::Fault => {
            let text = "a fault here; try again later".to_owned();
            (End::Fault, Some(text))
        }
    };
    // The end stands; whether the client hears of it changes nothing.
    if let Some(text) = text {
        let _ = wire.write_line(&Final::Error(text.into()).to_string());
    }
    let _ = wire.close();
    end
}
