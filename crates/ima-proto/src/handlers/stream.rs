//! A handler that stays, ima-handler(7): one process is asked about many
//! messages, one after the other, in the grammar of IMDP.

use std::io::Write as _;
use std::mem;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ima_message::{HeaderBlock, MessageDigest, Received};
use ima_program::child::{Event, Room};
use ima_program::{Exit, log};

use super::commands::Commands;
use super::exchange::{Exchange, HOLD};
use super::kept::{Attendant, GRACE, Kept, Unavailable};
use super::{A_FAULT, ALIVE, CHECK_TIME, DEFER, Places, TICK, not_supported, too_many};
use crate::imdp::{Command, Drop, HeadersAnswer, INFORMATION, Say};

/// How long a handler may take to forget a message.
const ABORT_TIME: Duration = Duration::from_secs(5);
/// How long it may leave unread what it is given. A sender whose octets are not
/// taken gives up after twice that time.
const STALL: Duration = Duration::from_secs(30);

/// `stream`, where the configuration names neither it nor `check` or `handler`.
#[must_use]
pub fn default_stream() -> Vec<String> {
    vec!["server-handle-incoming-mail".into(), "--stream".into()]
}

/// The command `stream`, of which a few processes are kept.
#[derive(Debug)]
pub struct Stream {
    kept: Arc<Kept>,
    /// Once it is set, what works on a message is killed, and counts as
    /// unfinished.
    abandoned: AtomicBool,
}

/// Why a handler is of no further use. It is killed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It ended; `said` is whether it had begun to answer.
    #[error("it ended in the middle of a message{}", with(*.status))]
    Ended {
        exit: Exit,
        status: Option<ExitStatus>,
        said: bool,
    },
    #[error("it answered before it had read what it was given")]
    Early,
    #[error("this is no answer: {0:?}")]
    NoAnswer(Box<str>),
    #[error("it printed more than 1 MiB for one message")]
    Flood,
    #[error("it closed its standard input")]
    Deaf,
    #[error("it read nothing for {} seconds", STALL.as_secs())]
    Stalled,
    #[error("it took too long")]
    OutOfTime,
    #[error("the server ends")]
    Abandoned,
    /// Nothing was given to it.
    #[error("the header block has no room for its received field")]
    TooLong,
}

impl Stream {
    /// With whoever starts its processes. Nothing is started before the first
    /// message, and never more than there are places.
    #[must_use]
    pub fn new(commands: Arc<dyn Commands>, places: Places) -> Self {
        Self {
            kept: Arc::new(Kept::new(commands, places)),
            abandoned: AtomicBool::new(false),
        }
    }

    /// Asks a handler about a header block, which it is given with its `received`,
    /// and gives what to answer; where that is ACCEPT, also what takes the data,
    /// until `deadline` at the most. A fault of ours is DEFER, never a no.
    ///
    /// # Errors
    /// [`Drop`], where it exits with 3.
    pub fn check(
        &self,
        header: &HeaderBlock,
        received: &Received,
        deadline: Instant,
        say: &mut dyn Say,
    ) -> Result<(HeadersAnswer, Option<Exchange<'_>>), Drop> {
        let fault = || (HeadersAnswer::Defer(DEFER, A_FAULT.into()), None);
        let mut taken = self.kept.take();
        loop {
            let attendant = match taken {
                Ok(attendant) => attendant,
                Err(Unavailable::Busy) => return Ok((too_many(header), None)),
                Err(Unavailable::Failed(error)) => {
                    log::error("handler-failed")
                        .field("digest", header.digest())
                        .field("error", ima_program::report::chain(&error))
                        .emit();
                    return Ok(fault());
                }
            };
            let was_kept = attendant.messages > 0;
            let mut talk = Talk {
                stream: self,
                attendant,
                digest: header.digest(),
            };
            return Ok(match talk.ask(header, received, deadline, say) {
                Ok(HeadersAnswer::Accept) => {
                    let exchange = Exchange::new(talk, header.size(), deadline);
                    (HeadersAnswer::Accept, Some(exchange))
                }
                Ok(answer @ (HeadersAnswer::Reject(..) | HeadersAnswer::Defer(..))) => {
                    talk.rest();
                    (answer, None)
                }
                Ok(answer) => {
                    not_supported(header, &answer);
                    if let HeadersAnswer::AcceptParts(_) = answer {
                        talk.abort();
                    } else {
                        talk.rest();
                    }
                    fault()
                }
                // It went as this message came: nothing has happened yet.
                Err(Fault::Ended {
                    exit: Exit::Done,
                    said: false,
                    ..
                }) if was_kept => {
                    drop(talk);
                    taken = self.kept.start();
                    continue;
                }
                Err(found) => {
                    talk.failed(found)?;
                    fault()
                }
            });
        }
    }

    /// Kills what works on a message, soon.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// No message comes any more: lets the processes that are kept end, in
    /// order, within seconds.
    pub fn end(&self) {
        self.kept.end();
    }
}

/// A handler that is asked about a message. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Talk<'s> {
    stream: &'s Stream,
    attendant: Attendant,
    digest: MessageDigest,
}

impl Talk<'_> {
    fn ask(
        &mut self,
        header: &HeaderBlock,
        received: &Received,
        deadline: Instant,
        say: &mut dyn Say,
    ) -> Result<HeadersAnswer, Fault> {
        let deadline = deadline.min(Instant::now() + CHECK_TIME);
        let held = &mut self.attendant.held;
        held.clear();
        if !header.push_with_received(received, held) {
            return Err(Fault::TooLong);
        }
        let command = Command::Headers {
            octets: held.len() as u64,
            direct: false,
        };
        held.splice(..0, format!("{command}\n").into_bytes());
        self.renew(deadline);
        self.give_held(deadline)?;
        self.hear(HeadersAnswer::parse, say)
    }

    /// Holds a command, to be given with what follows.
    pub(super) fn hold_command(&mut self, command: &Command) {
        let held = &mut self.attendant.held;
        held.clear();
        // A vector takes all that is written to it.
        let _ = writeln!(held, "{command}");
    }

    /// Holds octets.
    pub(super) fn hold(&mut self, octets: &[u8]) {
        self.attendant.held.extend_from_slice(octets);
    }

    /// How many octets are held.
    pub(super) const fn held(&self) -> usize {
        self.attendant.held.len()
    }

    /// Gives it what is held.
    pub(super) fn give_held(&mut self, deadline: Instant) -> Result<(), Fault> {
        let mut held = mem::take(&mut self.attendant.held);
        let given = self.give(&held, deadline);
        held.clear();
        // Not as large as a header block for as long as the data take.
        held.shrink_to(HOLD);
        self.attendant.held = held;
        given
    }

    /// From here on it has until then.
    pub(super) fn renew(&mut self, deadline: Instant) {
        self.attendant.process.renew(deadline);
    }

    /// Gives it octets, all of them, as fast as it takes them.
    fn give(&mut self, mut octets: &[u8], deadline: Instant) -> Result<(), Fault> {
        let process = &mut self.attendant.process;
        // Since when it takes nothing.
        let mut full = None;
        while !octets.is_empty() {
            match process.write(octets) {
                Ok(count) => {
                    octets = octets.get(count..).unwrap_or_default();
                    full = None;
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(self.why()),
            }
            let since = *full.get_or_insert_with(Instant::now);
            if process.wait_for_room(TICK) == Room::Spoke {
                return Err(self.why());
            }
            let now = Instant::now();
            if self.stream.abandoned.load(Ordering::Relaxed) {
                return Err(Fault::Abandoned);
            }
            if now >= deadline {
                return Err(Fault::OutOfTime);
            }
            if now.saturating_duration_since(since) >= STALL {
                return Err(Fault::Stalled);
            }
        }
        Ok(())
    }

    /// Why it takes no octets, or whether it has spoken before it was to.
    fn why(&mut self) -> Fault {
        match self.attendant.process.next(TICK) {
            Event::Exited(exit) => Fault::Ended {
                exit,
                status: self.attendant.process.status(),
                said: false,
            },
            Event::Line(_) => Fault::Early,
            Event::Tick => Fault::Deaf,
        }
    }

    /// An error where it has spoken already, or ended.
    pub(super) fn is_silent(&mut self) -> Result<(), Fault> {
        match self.attendant.process.has_spoken() {
            false => Ok(()),
            true => Err(self.why()),
        }
    }

    /// Its answer, up to the final line; says its information lines.
    pub(super) fn hear<T>(
        &mut self,
        parse: impl Fn(&str) -> Option<T>,
        say: &mut dyn Say,
    ) -> Result<T, Fault> {
        let process = &mut self.attendant.process;
        let mut said = false;
        let mut last = Instant::now();
        loop {
            if self.stream.abandoned.load(Ordering::Relaxed) {
                return Err(Fault::Abandoned);
            }
            match process.next(TICK) {
                Event::Line(line) => {
                    said = true;
                    last = Instant::now();
                    match line.strip_prefix(INFORMATION) {
                        Some(text) if process.has_line() => say.line_before_another(text),
                        Some(text) => say.line(text),
                        None => return parse(&line).ok_or(Fault::NoAnswer(line.into())),
                    }
                }
                Event::Tick if process.has_flooded() => return Err(Fault::Flood),
                Event::Tick if last.elapsed() >= ALIVE => {
                    say.alive();
                    last = Instant::now();
                }
                Event::Tick => {}
                Event::Exited(exit) => {
                    let status = process.status();
                    return Err(Fault::Ended { exit, status, said });
                }
            }
        }
    }

    /// It has given its answer; it goes on with other messages, if it is at rest.
    /// False where it answered without having read all that it was given.
    pub(super) fn rest(self) -> bool {
        let process = &self.attendant.process;
        if process.has_unread() {
            self.report(&Fault::Early);
            return false;
        }
        self.stream.kept.give_back(self.attendant);
        true
    }

    /// Has it forget a message that it accepted.
    pub(super) fn abort(mut self) {
        let deadline = Instant::now() + ABORT_TIME;
        self.attendant.process.renew(deadline);
        self.hold_command(&Command::Abort);
        let forgotten = self
            .give_held(deadline)
            .and_then(|()| self.hear(|line| (line == "OK").then_some(()), &mut Nobody));
        match forgotten {
            Ok(()) => {
                self.rest();
            }
            Err(Fault::Ended {
                exit: Exit::Done, ..
            }) => {}
            Err(fault) => self.report(&fault),
        }
    }

    /// Leaves it with a message of which the last octets do not come: it ends.
    pub(super) fn break_off(self) {
        self.attendant.process.end(GRACE);
    }

    /// It is of no further use.
    ///
    /// # Errors
    /// [`Drop`], where it exited with 3.
    pub(super) fn failed(self, fault: Fault) -> Result<(), Drop> {
        if matches!(
            fault,
            Fault::Ended {
                exit: Exit::Drop,
                ..
            }
        ) {
            return Err(Drop);
        }
        self.report(&fault);
        Ok(())
    }

    fn report(&self, fault: &Fault) {
        log::error("handler-failed")
            .field("digest", self.digest)
            .field("command", self.attendant.process.program().display())
            .field("pid", self.attendant.process.id())
            .field("error", fault)
            .emit();
    }
}

/// How one ended, in a sentence.
pub(super) fn with(status: Option<ExitStatus>) -> String {
    status.map_or_else(String::new, |status| format!(", with {status}"))
}

/// Hears nothing.
struct Nobody;

impl Say for Nobody {
    fn line(&mut self, _line: &str) {}
}
