//! The processes of a handler that stays, between two messages.
//!
//! A message gets the one that was used last. Where none is free and [`FEW`] are
//! at work, it waits a moment for one of them, since they are bound by the same
//! disk, and only then has another started, where there is a place for it; those
//! that rest and those that end have one, too. Processes that nobody needs end in
//! order, and so does each after [`MESSAGES`] messages, whatever it may have piled up.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ima_program::child::{ChildError, Event, Lasting};
use ima_program::{Exit, log};

use super::commands::Commands;
use super::places::{PATIENCE as FOR_A_PLACE, Place, Places};
use super::stream::with;

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
    places: Places,
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
    /// Dropped after the process.
    place: Place,
}

/// A process at work for a message. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Attendant {
    pub(super) process: Lasting,
    /// The messages that it was asked about before this one.
    pub(super) messages: u32,
    /// What it is to be given next; between two messages only room.
    pub(super) held: Vec<u8>,
    /// Dropped after the process, and before whoever waits for it is woken.
    place: Place,
    work: Work,
}

/// Why no process can be had.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// All places were taken for as long as a message waits.
    Busy,
    /// None can be started.
    Failed(ChildError),
}

/// One is at work.
#[derive(Debug)]
struct Work(Arc<Kept>);

impl Drop for Work {
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
    pub(super) fn new(commands: Arc<dyn Commands>, places: Places) -> Self {
        Self {
            commands,
            places,
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
    /// [`Unavailable`].
    pub(super) fn take(self: &Arc<Self>) -> Result<Attendant, Unavailable> {
        let begin = Instant::now();
        let mut has_waited = false;
        let mut state = self.state();
        loop {
            // Those that wait come first.
            let may_take = has_waited || state.idle.len() > state.waiting;
            if may_take && let Some((_, rested)) = state.idle.pop() {
                state.at_work = state.at_work.saturating_add(1);
                drop(state);
                let mut attendant = Attendant {
                    process: rested.process,
                    messages: rested.messages,
                    held: rested.held,
                    place: rested.place,
                    work: Work(Arc::clone(self)),
                };
                if !attendant.process.has_spoken() {
                    return Ok(attendant);
                }
                dismiss(attendant.process, GRACE);
                drop((attendant.place, attendant.work));
                state = self.state();
                continue;
            }
            let waited = begin.elapsed();
            let is_due = state.at_work < FEW || state.is_over || waited >= PATIENCE;
            let place = is_due.then(|| self.places.try_take()).flatten();
            if let Some(place) = place {
                drop(state);
                return self.start_in(place).map_err(Unavailable::Failed);
            }
            let left = match is_due {
                true => FOR_A_PLACE.saturating_sub(waited).min(LOOK),
                false => PATIENCE.saturating_sub(waited),
            };
            if left.is_zero() {
                return Err(Unavailable::Busy);
            }
            has_waited = true;
            state.waiting = state.waiting.saturating_add(1);
            let waited = self.freed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting = state.waiting.saturating_sub(1);
        }
    }

    /// A new one, or where there is no place for it any that can be had.
    ///
    /// # Errors
    /// As for [`Kept::take`].
    pub(super) fn start(self: &Arc<Self>) -> Result<Attendant, Unavailable> {
        match self.places.try_take() {
            Some(place) => self.start_in(place).map_err(Unavailable::Failed),
            None => self.take(),
        }
    }

    fn start_in(self: &Arc<Self>, place: Place) -> Result<Attendant, ChildError> {
        let mut state = self.state();
        state.at_work = state.at_work.saturating_add(1);
        drop(state);
        let work = Work(Arc::clone(self));
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
            work,
        })
    }

    /// Takes one back that has dealt with a message and is at rest, or has ended.
    pub(super) fn give_back(&self, attendant: Attendant) {
        let Attendant {
            process,
            messages,
            mut held,
            place,
            work,
        } = attendant;
        if !process.is_running() {
            dismiss(process, GRACE);
            return drop((place, work));
        }
        held.clear();
        held.shrink_to(ROOM);
        let mut rested = Rested {
            process,
            messages: messages.saturating_add(1),
            held,
            place,
        };
        let mut state = self.state();
        if state.is_over {
            drop(state);
            end_all(vec![rested]);
            return drop(work);
        }
        if rested.messages < MESSAGES && state.idle.len() < FEW.max(state.waiting) {
            state.idle.push((Instant::now(), rested));
        } else {
            // It ends while others do.
            rested.process.close();
            state.ending.push(rested);
            self.changed.notify_one();
        }
        drop(state);
        drop(work);
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
        end_all(ending);
    }

    /// Has a thread look after those that rest, if there is none yet.
    fn look_after(self: &Arc<Self>) {
        let mut state = self.state();
        let is_looked_after = mem::replace(&mut state.is_looked_after, true);
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
            let mut ending = mem::take(&mut state.ending);
            let is_due = |(since, rested): &mut (Instant, Rested)| {
                since.elapsed() >= IDLE || !rested.process.is_at_rest()
            };
            let due = state.idle.extract_if(.., is_due);
            ending.extend(due.map(|(_, rested)| rested));
            drop(state);
            if !ending.is_empty() {
                end_all(ending);
                // Their places are free.
                self.freed.notify_all();
            }
        }
    }
}

/// Ends those that rest: all at once, and then each is waited for.
fn end_all(mut ending: Vec<Rested>) {
    let is_at_rest: Vec<bool> = ending
        .iter_mut()
        .map(|rested| {
            let is_at_rest = rested.process.is_at_rest();
            rested.process.close();
            is_at_rest
        })
        .collect();
    let begin = Instant::now();
    for (Rested { process, place, .. }, is_at_rest) in ending.into_iter().zip(is_at_rest) {
        let left = GRACE.saturating_sub(begin.elapsed());
        match is_at_rest {
            true => drop(process.end(left)),
            false => dismiss(process, left),
        }
        drop(place);
    }
}

/// Lets go of one that is not at rest, within `time`: that it ended by itself, in
/// order, is its right.
fn dismiss(mut process: Lasting, time: Duration) {
    process.renew(Instant::now() + time);
    let reason = match process.next(time) {
        Event::Exited(Exit::Done) => return,
        Event::Exited(_) => format!("it ended between two messages{}", with(process.status())),
        Event::Line(_) | Event::Tick => "it spoke before it was asked".to_owned(),
    };
    log::warn("handler-failed")
        .field("command", process.program().display())
        .field("error", reason)
        .emit();
}
