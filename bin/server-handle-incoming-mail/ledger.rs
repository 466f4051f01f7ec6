//! What is known so far: one line on stdout for each recipient, as soon as it
//! is known, and the exit code.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ima_message::HandlerLine;
use ima_program::exit::Exit;
use ima_program::log;

use crate::outcome::{about, exit_of, merged, not_looked_up};
use crate::plan::Plan;

/// Octets of text that commands may add in all to the recipients' lines, of
/// which whoever reads us takes 1 MiB.
const MAX_TEXT: usize = 256 << 10;

/// The account of a delivery. Threads share it.
pub(crate) struct Ledger<'p, W> {
    plan: &'p Plan,
    state: Mutex<State<W>>,
}

struct State<W> {
    stdout: W,
    /// Whether a line could not be written: somebody does not know.
    unheard: bool,
    groups: Vec<Progress>,
    /// Of everything that has ended; None before the first has.
    exit: Option<Exit>,
    /// Octets of text passed on.
    text: usize,
}

/// How far a group is.
struct Progress {
    places_left: usize,
    line: Option<HandlerLine>,
}

impl<'p, W: Write> Ledger<'p, W> {
    pub(crate) fn new(plan: &'p Plan, stdout: W) -> Self {
        let progress = |places| Progress {
            places_left: places,
            line: None,
        };
        let groups = plan
            .groups
            .iter()
            .map(|group| progress(group.places))
            .collect();
        let state = State {
            stdout,
            unheard: false,
            groups,
            exit: None,
            text: 0,
        };
        Self {
            plan,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Some recipients are nobody's: they are named, and that is all.
    pub(crate) fn nobody_of_that_name(&self) {
        let unknown = self
            .plan
            .unknown
            .iter()
            .cloned()
            .map(HandlerLine::NoRecipient);
        let lines: String = unknown.map(|line| format!("{line}\n")).collect();
        let mut state = self.state();
        state.print(&lines);
        state.add(Exit::Refused);
    }

    /// Recipients that cannot be looked up now.
    pub(crate) fn faulty(&self) {
        let faulty = self.plan.faulty.iter().map(not_looked_up);
        let lines: String = faulty.map(|line| format!("{line}\n")).collect();
        if !lines.is_empty() {
            let mut state = self.state();
            state.print(&lines);
            state.add(Exit::Unfinished);
        }
    }

    /// A place, by its number, has its line: recipients who have no other place
    /// left are told.
    pub(crate) fn answer(&self, place: usize, line: &HandlerLine) {
        let Some(place) = self.plan.places.get(place) else {
            return;
        };
        let mut state = self.state();
        state.add(exit_of(line));
        let mut lines = String::new();
        for &index in &place.groups {
            let (Some(group), Some(progress)) =
                (self.plan.groups.get(index), state.groups.get_mut(index))
            else {
                continue;
            };
            progress.places_left = progress.places_left.saturating_sub(1);
            let line = match progress.line.take() {
                Some(before) => merged(before, line.clone()),
                None => line.clone(),
            };
            if progress.places_left == 0 {
                group
                    .recipients
                    .iter()
                    .for_each(|recipient| lines += &format!("{}\n", about(&line, recipient)));
            } else {
                progress.line = Some(line);
            }
        }
        state.print(&lines);
    }

    /// A command ended with this code, whatever it printed.
    pub(crate) fn ended(&self, exit: Exit) {
        self.state().add(exit);
    }

    /// Text from a command, which means nothing, for the sender to read.
    pub(crate) fn pass_on(&self, text: &str) {
        let mut state = self.state();
        let before = state.text;
        state.text = before.saturating_add(text.len()).saturating_add(1);
        if state.text <= MAX_TEXT {
            state.print(&format!("{text}\n"));
        } else if before <= MAX_TEXT {
            log::warn("text-cut").field("octets", MAX_TEXT).emit();
        }
    }

    /// Whether the connection is to be closed now.
    pub(crate) fn is_dropped(&self) -> bool {
        self.state().exit == Some(Exit::Drop)
    }

    /// What it all comes to.
    pub(crate) fn close(self) -> Exit {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match state.exit.unwrap_or(Exit::Done) {
            Exit::Drop => Exit::Drop,
            _ if state.unheard => Exit::Unfinished,
            exit => exit,
        }
    }
}

impl<W: Write> State<W> {
    fn add(&mut self, exit: Exit) {
        self.exit = Some(Exit::combine(self.exit.into_iter().chain([exit])));
    }

    /// In one write; a line that cannot be written does not stop deliveries.
    fn print(&mut self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        let written = self
            .stdout
            .write_all(lines.as_bytes())
            .and_then(|()| self.stdout.flush());
        if let Err(error) = written
            && !self.unheard
        {
            self.unheard = true;
            log::error("answer-lost").field("error", error).emit();
        }
    }
}
