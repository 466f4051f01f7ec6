//! What is known so far: one line on stdout for each recipient, as soon as it
//! is known, and the exit code.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ima_message::HandlerLine;
use ima_program::exit::Exit;
use ima_program::log;

use crate::outcome::{about, exit_of, merged, not_looked_up};
use crate::plan::Plan;

/// Octets of text that commands may add in all to the recipients' lines, of
/// which whoever reads us takes 1 MiB.
const MAX_TEXT: usize = 256 << 10;

/// Where the lines go. They are written whole, any number at once.
pub(crate) trait Outlet: Write + Send {
    /// No line comes any more; everything ended so.
    ///
    /// # Errors
    /// What was written is not all gone out.
    fn close(&mut self, exit: Exit) -> io::Result<()>;
}

impl Outlet for io::Stdout {
    fn close(&mut self, _exit: Exit) -> io::Result<()> {
        self.flush()
    }
}

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

impl<'p, W: Outlet> Ledger<'p, W> {
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
        state.print(&lines, true);
        state.add(Exit::Refused);
    }

    /// Recipients that cannot be looked up now.
    pub(crate) fn faulty(&self) {
        let faulty = self.plan.faulty.iter().map(not_looked_up);
        let lines: String = faulty.map(|line| format!("{line}\n")).collect();
        if !lines.is_empty() {
            let mut state = self.state();
            state.print(&lines, true);
            state.add(Exit::Unfinished);
        }
    }

    /// A place, by its number, has its line: recipients who have no other place
    /// left are told.
    pub(crate) fn answer(&self, place: usize, line: &HandlerLine) {
        let mut state = self.state();
        let lines = state.settle(self.plan, place, line);
        state.print(&lines, true);
    }

    /// The same for many. Where nobody is left who waits, their lines go out with
    /// what [`Ledger::close`] says.
    pub(crate) fn answer_all(&self, known: &[(usize, HandlerLine)]) {
        let mut state = self.state();
        let mut lines = String::new();
        for (place, line) in known {
            lines += &state.settle(self.plan, *place, line);
        }
        let waiting = state.groups.iter().any(|group| group.places_left > 0);
        state.print(&lines, waiting);
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
            state.print(&format!("{text}\n"), true);
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
        let mut state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let exit = match state.exit.unwrap_or(Exit::Done) {
            Exit::Drop => Exit::Drop,
            _ if state.unheard => Exit::Unfinished,
            exit => exit,
        };
        let closed = state.stdout.close(exit);
        state.heard(closed);
        match exit {
            Exit::Drop => Exit::Drop,
            _ if state.unheard => Exit::Unfinished,
            exit => exit,
        }
    }
}

impl<W: Outlet> State<W> {
    fn add(&mut self, exit: Exit) {
        self.exit = Some(Exit::combine(self.exit.into_iter().chain([exit])));
    }

    /// The lines of recipients who have their answer with this place's.
    fn settle(&mut self, plan: &Plan, place: usize, line: &HandlerLine) -> String {
        let mut lines = String::new();
        let Some(place) = plan.places.get(place) else {
            return lines;
        };
        self.add(exit_of(line));
        for &index in &place.groups {
            let (Some(group), Some(progress)) =
                (plan.groups.get(index), self.groups.get_mut(index))
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
        lines
    }

    /// In one write; a line that cannot be written does not stop deliveries.
    fn print(&mut self, lines: &str, now: bool) {
        if lines.is_empty() {
            return;
        }
        let written = self.stdout.write_all(lines.as_bytes());
        let written = match now {
            true => written.and_then(|()| self.stdout.flush()),
            false => written,
        };
        self.heard(written);
    }

    fn heard(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && !self.unheard
        {
            self.unheard = true;
            log::error("answer-lost").field("error", error).emit();
        }
    }
}
