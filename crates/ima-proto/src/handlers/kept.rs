//! The processes of a handler that stays, between two messages.
//!
//! A message gets the one that was used last. Where none is free and [`FEW`] are
//! at work, it waits a moment for one of them, since they are bound by the same
//! disk, and only then has another started. Those that nobody needs end in order,
//! and so does each after [`MESSAGES`] messages, whatever it may have piled up.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ima_program::child::{ChildError, Event, Lasting};
use ima_program::{Exit, log};

use super::commands::Commands;

/// So many may rest, and so many are at work before a message waits for one.
const FEW: usize = 12;
/// How long it waits.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long one rests before it ends.
const IDLE: Duration = Duration::from_secs(60);
/// After how many messages one ends.
const MESSAGES: u32 = 1000;
/// How long one may take to end in order. Then it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// So many may be about to end. What is more is killed.
const MOST_ENDING: usize = 1000;
/// The room in octets that one keeps for what it is given next.
const ROOM: usize = 8 << 10;
/// How often those at rest are looked after.
const LOOK: Duration = Duration::from_secs(1);
/// The stack of the thread that does it.
const STACK: usize = 128 << 10;

/// The processes of one command.
#[derive(Debug)]
pub(super) struct Kept {
    commands: Arc<dyn Commands>,
    state: Mutex<State>,
    /// One more is free.
    freed: Condvar,
    /// There is one to look after, or all is over.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Those at rest, with the time since when; the last used is last.
    idle: Vec<(Instant, Rested)>,
    /// Those that are to end.
    ending: Vec<Rested>,
    /// How many are at work.
    at_work: usize,
    /// How many messages wait for one of them.
    waiting: usize,
    is_looked_after: bool,
    is_over: bool,
}

/// A process that has nothing to do.
#[derive(Debug)]
struct Rested {
    process: Lasting,
    messages: u32,
    held: Vec<u8>,
}

/// A process at work for a message. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Attendant {
    pub(super) process: Lasting,
    /// The messages that it was asked about before this one.
    pub(super) messages: u32,
    /// What it is to be given next; between two messages only room.
    pub(super) held: Vec<u8>,
    place: Place,
}

/// The right to be at work.
#[derive(Debug)]
struct Place(Arc<Kept>);

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.at_work = state.at_work.saturating_sub(1);
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.0.freed.notify_one();
        }
    }
}

impl Kept {
    pub(super) fn new(commands: Arc<dyn Commands>) -> Self {
        Self {
            commands,
            state: Mutex::default(),
            freed: Condvar::new(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One for a message: one that rests, else a new one.
    ///
    /// # Errors
    /// As for [`Lasting::start`].
    pub(super) fn take(self: &Arc<Self>) -> Result<Attendant, ChildError> {
        let mut begin = None;
        let mut state = self.state();
        loop {
            if let Some((_, rested)) = state.idle.pop() {
                state.at_work = state.at_work.saturating_add(1);
                drop(state);
                let place = Place(Arc::clone(self));
                let mut attendant = Attendant {
                    process: rested.process,
                    messages: rested.messages,
                    held: rested.held,
                    place,
                };
                if !attendant.process.has_spoken() {
                    return Ok(attendant);
                }
                let Attendant { process, place, .. } = attendant;
                dismiss(process);
                drop(place);
                state = self.state();
                continue;
            }
            let waited = begin.get_or_insert_with(Instant::now).elapsed();
            let left = PATIENCE.saturating_sub(waited);
            if state.at_work < FEW || state.is_over || left.is_zero() {
                break;
            }
            state.waiting = state.waiting.saturating_add(1);
            let waited = self.freed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting = state.waiting.saturating_sub(1);
        }
        drop(state);
        self.start()
    }

    /// A new one.
    ///
    /// # Errors
    /// As for [`Lasting::start`].
    pub(super) fn start(self: &Arc<Self>) -> Result<Attendant, ChildError> {
        let mut state = self.state();
        state.at_work = state.at_work.saturating_add(1);
        drop(state);
        let place = Place(Arc::clone(self));
        let (started, input) = self.commands.stay()?;
        let process = Lasting::new(started, input);
        log::info("handler-started")
            .field("command", process.program().display())
            .field("pid", process.id())
            .emit();
        self.look_after();
        Ok(Attendant {
            process,
            messages: 0,
            held: Vec::new(),
            place,
        })
    }

    /// Takes one back that has dealt with a message and is at rest, or has ended.
    pub(super) fn give_back(&self, attendant: Attendant) {
        let Attendant {
            process,
            messages,
            mut held,
            place,
        } = attendant;
        if !process.is_running() {
            return dismiss(process);
        }
        held.clear();
        held.shrink_to(ROOM);
        let mut rested = Rested {
            process,
            messages: messages.saturating_add(1),
            held,
        };
        let mut state = self.state();
        if state.is_over {
            drop(state);
            return end(rested.process);
        }
        if rested.messages < MESSAGES && state.idle.len() < FEW {
            state.idle.push((Instant::now(), rested));
        } else if state.ending.len() < MOST_ENDING {
            // It ends while others do.
            rested.process.close();
            state.ending.push(rested);
            self.changed.notify_one();
        } else {
            drop(state);
            return drop(rested);
        }
        drop(state);
        drop(place);
    }

    /// Lets all that rest end in order, and those at work when they are given
    /// back.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        let mut ending: Vec<Rested> = state.ending.drain(..).collect();
        ending.extend(state.idle.drain(..).map(|(_, rested)| rested));
        drop(state);
        self.freed.notify_all();
        self.changed.notify_all();
        // All at once, and then each is waited for.
        ending.iter_mut().for_each(|rested| rested.process.close());
        let begin = Instant::now();
        for rested in ending {
            rested.process.end(GRACE.saturating_sub(begin.elapsed()));
        }
    }

    /// Has a thread look after those that rest, if there is none yet.
    fn look_after(self: &Arc<Self>) {
        let mut state = self.state();
        let is_looked_after = std::mem::replace(&mut state.is_looked_after, true);
        drop(state);
        if is_looked_after {
            return self.changed.notify_one();
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().stack_size(STACK);
        if let Err(error) = thread.spawn(move || this.watch()) {
            log::warn("no-thread").field("error", error).emit();
            self.state().is_looked_after = false;
        }
    }

    /// Ends those that have rested for long, and reaps those that have ended by
    /// themselves, with what is left of their process groups.
    fn watch(&self) {
        loop {
            let state = self.state();
            if state.is_over {
                return;
            }
            let nothing = state.at_work == 0 && state.idle.is_empty() && state.ending.is_empty();
            let mut state = if nothing {
                let waited = self.changed.wait(state);
                waited.unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.changed.wait_timeout(state, LOOK);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
            let mut ending: Vec<Lasting> = state
                .ending
                .drain(..)
                .map(|rested| rested.process)
                .collect();
            let is_due = |(since, rested): &mut (Instant, Rested)| {
                since.elapsed() >= IDLE || !rested.process.is_at_rest()
            };
            ending.extend(
                state
                    .idle
                    .extract_if(.., is_due)
                    .map(|(_, rested)| rested.process),
            );
            drop(state);
            ending.into_iter().for_each(end);
        }
    }
}

/// Ends one that rests.
fn end(process: Lasting) {
    if process.is_at_rest() {
        process.end(GRACE);
    } else {
        dismiss(process);
    }
}

/// Lets go of one that is not at rest: that it ended by itself, in order, is its
/// right.
fn dismiss(mut process: Lasting) {
    process.renew(Instant::now() + GRACE);
    let reason = match process.next(GRACE) {
        Event::Exited(Exit::Done) => return,
        Event::Exited(exit) => format!("it ended between two messages, as {exit}"),
        Event::Line(_) | Event::Tick => "it spoke before it was asked".to_owned(),
    };
    log::warn("handler-failed")
        .field("command", process.program().display())
        .field("error", reason)
        .emit();
}
