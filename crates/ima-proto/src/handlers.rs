//! The commands behind a receiver: `check` and `handler` of the configuration,
//! which are run for each message, and `stream`, which stays, ima-handler(7).
//! server-receive runs them for its peers, server-send-mail the first two for its
//! own hosts.

mod commands;
mod exchange;
mod kept;
mod places;
mod remote;
mod stream;

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ima_message::{DateTime, HandlerLine, HeaderBlock};
use ima_program::child::{Event, Limits, Running};
use ima_program::spool::SpoolWriter;
use ima_program::{Exit, log};

pub use commands::{Commands, Contract, Each, OwnCommands};
pub use exchange::Exchange;
pub use ima_program::child::Group;
pub use places::{PATIENCE, Place, Places};
pub use remote::{CommandReply, CommandRequest, CommandService, RemoteCommands};
pub use stream::{Stream, default_stream};

use crate::imdp::{DataAnswer, Drop, HeadersAnswer, Keyword, Outcome, Say};
use places::BUSY;

/// How long `check` may take; then it is killed and counts as unfinished.
pub const CHECK_TIME: Duration = Duration::from_secs(25);
/// How often `+ alive` is said while a command runs.
pub const ALIVE: Duration = Duration::from_secs(20);
/// How often a running command is looked after.
const TICK: Duration = Duration::from_secs(1);
/// What DEFER says where `check` does not: seconds.
const DEFER: u64 = 300;
/// And what, where the fault is ours.
const A_FAULT: &str = "a fault here; try again later";

/// `check`, where the configuration names none.
#[must_use]
pub fn default_check() -> Vec<String> {
    vec!["server-handle-incoming-mail".into(), "--check".into()]
}

/// `handler`, where the configuration names none.
#[must_use]
pub fn default_handler() -> Vec<String> {
    vec!["server-handle-incoming-mail".into()]
}

/// The time for a `received` line: now, in whole seconds. None where the clock
/// stands outside the years 0 to 9999.
#[must_use]
pub fn now() -> Option<DateTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    DateTime::utc(i64::try_from(since.as_secs()).ok()?)
}

/// The two commands that are run for each message.
#[derive(Clone, Debug)]
pub struct Handlers {
    /// Who starts them.
    pub commands: Arc<dyn Commands>,
    /// Once it is set, what runs is killed, and counts as unfinished.
    pub abandoned: Arc<AtomicBool>,
    /// How many may run at once.
    pub places: Places,
}

impl Handlers {
    /// Runs `check` on a header block that bears its `received`, and gives what
    /// to answer: by its last line, where that is a final line to HEADERS, else
    /// by its exit code. A fault of ours is DEFER, never a no.
    ///
    /// # Errors
    /// [`Drop`], where it exits with 3.
    pub fn check(&self, header: &HeaderBlock, say: &mut dyn Say) -> Result<HeadersAnswer, Drop> {
        let fault = |error: &dyn std::error::Error| {
            log::error("check-failed")
                .field("digest", header.digest())
                .field("error", ima_program::report::chain(error))
                .emit();
            Ok(HeadersAnswer::Defer(DEFER, A_FAULT.into()))
        };
        let Some(_place) = self.places.take() else {
            return Ok(too_many(header));
        };
        let spooled = self.message_file(header).and_then(SpoolWriter::finish);
        let stdin = match spooled {
            Ok(stdin) => stdin,
            Err(error) => return fault(&error),
        };
        let limits = Limits::until(Instant::now() + CHECK_TIME);
        let mut running = match self.commands.run(Each::Check, header, stdin) {
            Ok(started) => Running::new(started, limits),
            Err(error) => return fault(&error),
        };
        let mut ticks = 0;
        let mut last: Option<String> = None;
        let mut unknown = false;
        let exit = loop {
            match self.next(&mut running, &mut ticks) {
                Event::Tick => say.alive(),
                Event::Line(line) => {
                    unknown |=
                        matches!(HandlerLine::parse(&line), Some(HandlerLine::NoRecipient(_)));
                    if let Some(line) = last.replace(line) {
                        say.line(&line);
                    }
                }
                Event::Exited(exit) => break exit,
            }
        };
        let verdict = last.as_deref().and_then(HeadersAnswer::parse);
        if exit == Exit::Unfinished && !matches!(verdict, Some(HeadersAnswer::Defer(..))) {
            self.log_unfinished("check-failed", header, &running);
        }
        if let (None, Some(line)) = (&verdict, &last) {
            say.line(line);
        }
        let answer = match (exit, verdict) {
            (Exit::Drop, _) => return Err(Drop),
            (Exit::Done, Some(HeadersAnswer::Accept) | None) => HeadersAnswer::Accept,
            // A command that died may have said anything: that is no final no.
            (Exit::Done | Exit::Refused, Some(answer @ HeadersAnswer::Reject(..)))
            | (_, Some(answer @ HeadersAnswer::Defer(..))) => answer,
            (
                Exit::Done,
                Some(answer @ (HeadersAnswer::AcceptParts(_) | HeadersAnswer::Redirect(_))),
            ) => {
                not_supported(header, &answer);
                HeadersAnswer::Defer(DEFER, A_FAULT.into())
            }
            (Exit::Refused, _) if unknown => {
                HeadersAnswer::Reject(Keyword::Recipient, "no such recipient here".into())
            }
            (Exit::Refused, _) => HeadersAnswer::Reject(Keyword::Recipient, "refused".into()),
            (Exit::Unfinished, _) => HeadersAnswer::Defer(DEFER, "not now; try again later".into()),
        };
        Ok(answer)
    }

    /// Runs `handler` on a message that bears its `received`, until `deadline`
    /// at the most, and passes its lines on as they come.
    ///
    /// # Errors
    /// [`Drop`], where it exits with 3.
    pub fn deliver(
        &self,
        header: &HeaderBlock,
        message: File,
        deadline: Instant,
        say: &mut dyn Say,
    ) -> Outcome {
        let Some(_place) = self.places.take() else {
            log_too_many(header);
            say.line(BUSY.1);
            return Ok(DataAnswer::Partial);
        };
        let mut running = match self.commands.run(Each::Handler, header, message) {
            Ok(started) => Running::new(started, Limits::until(deadline)),
            Err(error) => {
                log::error("handler-failed")
                    .field("digest", header.digest())
                    .field("error", ima_program::report::chain(&error))
                    .emit();
                return Ok(DataAnswer::Partial);
            }
        };
        let mut ticks = 0;
        loop {
            match self.next(&mut running, &mut ticks) {
                Event::Tick => say.alive(),
                Event::Line(line) => say.line(&line),
                Event::Exited(Exit::Done) => return Ok(DataAnswer::Ok),
                Event::Exited(Exit::Refused) => return Ok(DataAnswer::Fail),
                Event::Exited(Exit::Unfinished) => {
                    self.log_unfinished("handler-failed", header, &running);
                    return Ok(DataAnswer::Partial);
                }
                Event::Exited(Exit::Drop) => return Err(Drop),
            }
        }
    }

    /// What a command does next; a tick is the time for `+ alive`. Abandoned, it
    /// is killed when the caller lets go of it.
    fn next(&self, running: &mut Running, ticks: &mut u64) -> Event {
        loop {
            if self.abandoned.load(Ordering::Relaxed) {
                return Event::Exited(Exit::Unfinished);
            }
            match running.next(TICK) {
                Event::Tick => {
                    *ticks += 1;
                    if ticks.is_multiple_of(ALIVE.as_secs() / TICK.as_secs()) {
                        return Event::Tick;
                    }
                }
                event => return event,
            }
        }
    }

    /// Says how a command ended that is not done: by 2, which is its right, or as it
    /// must not.
    fn log_unfinished(&self, event: &'static str, header: &HeaderBlock, running: &Running) {
        let status = running.status();
        let by_rule = i32::from(Exit::Unfinished.code());
        let entry = match status {
            Some(status) if status.code() == Some(by_rule) => log::warn(event),
            _ => log::error(event),
        };
        let entry = entry
            .field("digest", header.digest())
            .field("command", running.program().display());
        let entry = match status {
            Some(status) => entry.field("status", status),
            None if self.abandoned.load(Ordering::Relaxed) => {
                entry.field("error", "the server ends")
            }
            None => entry.field("error", "how it ended is not known"),
        };
        entry.emit();
    }

    /// A handler's stdin in the making: the header block, behind which the data are
    /// to be written.
    ///
    /// # Errors
    /// Those of writing: a full disk.
    pub fn message_file(&self, header: &HeaderBlock) -> io::Result<SpoolWriter> {
        let mut writer = self.commands.spool();
        writer.write_all(header.as_bytes())?;
        Ok(writer)
    }
}

/// An answer that a check may give, and that nobody here can carry out.
fn not_supported(header: &HeaderBlock, answer: &HeadersAnswer) {
    log::warn("check-answer-not-supported")
        .field("digest", header.digest())
        .field("answer", answer)
        .emit();
}

/// The answer to a header block for which no handler may be started.
fn too_many(header: &HeaderBlock) -> HeadersAnswer {
    log_too_many(header);
    HeadersAnswer::Defer(BUSY.0, BUSY.1.into())
}

fn log_too_many(header: &HeaderBlock) {
    log::warn("too-many-handlers")
        .field("digest", header.digest())
        .emit();
}
