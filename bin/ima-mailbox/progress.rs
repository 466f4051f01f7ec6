//! How far a long command has come, on a terminal only.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often it is said.
const EVERY: Duration = Duration::from_millis(200);

/// A line that is written over again and again.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    done: u64,
    said: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Of something that is counted, such as `messages exported`.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            done: 0,
            said: None,
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// One more is done.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        if !self.is_terminal || self.said.is_some_and(|said| said.elapsed() < EVERY) {
            return;
        }
        // The first may be all of them.
        if self.said.is_some() {
            let _ = write!(io::stderr(), "\r{} {}", self.done, self.what);
        }
        self.said = Some(Instant::now());
    }

    /// Makes room for another line.
    pub(crate) fn clear(&mut self) {
        if self.is_terminal && self.said.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
