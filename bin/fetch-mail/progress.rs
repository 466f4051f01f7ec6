//! What a person at a terminal sees. Nobody else is told how far it is.

use std::io::{self, IsTerminal as _};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::tally::{Spoken, say};

/// How far it is.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    is_seen: bool,
    expected: u64,
    messages: u64,
}

impl Progress {
    /// Nothing is shown before there is something to fetch.
    pub fn new() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            is_seen: io::stderr().is_terminal(),
            expected: 0,
            messages: 0,
        }
    }

    /// So many messages of so many octets are to come.
    pub fn expect(&mut self, messages: u64, octets: u64) {
        if messages == 0 {
            return;
        }
        if self.is_seen && self.expected == 0 {
            let bar = ProgressBar::new(0);
            // The template is right; were it not, the default would do.
            if let Ok(style) = ProgressStyle::with_template(
                "{msg} {bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left",
            ) {
                bar.set_style(style);
            }
            self.bar = bar;
        }
        self.expected = self.expected.saturating_add(messages);
        self.bar.inc_length(octets);
        self.show();
    }

    /// So many octets are dealt with.
    pub fn octets(&self, octets: u64) {
        self.bar.inc(octets);
    }

    /// A message is dealt with.
    pub fn message(&mut self) {
        self.messages = self.messages.saturating_add(1);
        self.show();
    }

    /// The end: so many messages of so many octets are new in the mailbox, and
    /// that is all that there was, or not.
    pub fn end(&self, spoken: &mut Spoken, stored: usize, octets: u64, is_all: bool) {
        self.bar.finish_and_clear();
        if self.is_seen {
            match stored {
                0 if is_all => return spoken.nothing_new(),
                // What is said of the rest is enough.
                0 => return,
                1 => say(&format!("1 new message, {}", HumanBytes(octets))),
                stored => say(&format!("{stored} new messages, {}", HumanBytes(octets))),
            }
            spoken.something_new();
        }
    }

    fn show(&self) {
        let (messages, expected) = (self.messages, self.expected);
        self.bar
            .set_message(format!("{messages} of {expected} messages,"));
    }
}
