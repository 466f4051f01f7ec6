//! A command of the routing table, ima-handler(7).

use std::time::{Duration, Instant};

use ima_message::{Address, HandlerLine, HeaderBlock};
use ima_program::child::{Command, Event, Group, Limits, Running};
use ima_program::exit::Exit;
use ima_program::{log, report};

use crate::config::Setup;
use crate::copies::Copies;
use crate::ledger::{Ledger, Outlet};
use crate::outcome::{deferred, failed};
use crate::plan::Place;

/// How long a command may take.
const TIME: Duration = Duration::from_secs(600);
/// Octets of a line that is passed on: 4,096 with its LF and the `+ ` that it
/// gets in the protocol.
const MAX_LINE: usize = 4093;
/// What lines begin with that mean something.
const WORDS: [&str; 4] = ["OK", "FAIL", "DEFER", "NORECIPIENT"];

/// What commands are run with.
pub(crate) struct Commands<'m> {
    pub(crate) setup: &'m Setup,
    pub(crate) copies: &'m Copies<'m>,
    /// The message digest.
    pub(crate) digest: String,
    /// What they are told of the message's way, beside what our own environment
    /// says.
    pub(crate) way: Vec<(&'static str, String)>,
}

/// The environment that says by what way a message came: what its `received` says.
pub(crate) fn way(header: &HeaderBlock) -> Vec<(&'static str, String)> {
    let Some(received) = header.received() else {
        return Vec::new();
    };
    vec![
        ("IMA_PEER_DOMAIN", received.from.to_string()),
        ("IMA_PEER_ADDRESS", received.address.to_string()),
        ("IMA_AUTHOR", received.author.to_string()),
    ]
}

impl Commands<'_> {
    /// Runs the command of a place, and reports its answer.
    pub(crate) fn run<W: Outlet>(
        &self,
        index: usize,
        place: &Place,
        words: &[String],
        ledger: &Ledger<'_, W>,
    ) {
        let address = &place.destination.address;
        let mut running = match self.start(place, words) {
            Ok(running) => running,
            Err(error) => {
                log::error("command-not-started")
                    .field("digest", &self.digest)
                    .field("recipient", address)
                    .field("error", report::chain(error.as_ref()))
                    .emit();
                return ledger.answer(index, &deferred(address, "not delivered yet"));
            }
        };
        let mut answered = false;
        let exit = loop {
            match running.next(TIME) {
                Event::Tick => {}
                Event::Exited(exit) => break exit,
                Event::Line(line) => match HandlerLine::parse(&line) {
                    Some(own) if own.address() == address && !answered => {
                        answered = true;
                        ledger.answer(index, &own);
                    }
                    _ => ledger.pass_on(&meaningless(address, &line)),
                },
            }
        };
        let status = running.status();
        let event = match (exit, status.and_then(|status| status.code())) {
            (Exit::Unfinished, Some(2)) => log::warn("command-ended"),
            (Exit::Unfinished, _) => log::error("command-ended"),
            (Exit::Done | Exit::Refused | Exit::Drop, _) => log::info("command-ended"),
        };
        let event = event
            .field("digest", &self.digest)
            .field("recipient", address)
            .field("command", words.first().map_or("", String::as_str))
            .field("exit", exit);
        match status {
            Some(status) => event.field("status", status).emit(),
            None => event.emit(),
        }
        ledger.ended(exit);
        if !answered && let Some(line) = answer_of(exit, address) {
            ledger.answer_all(&[(index, line)]);
        }
    }

    fn start(
        &self,
        place: &Place,
        words: &[String],
    ) -> Result<Running, Box<dyn std::error::Error>> {
        let address = &place.destination.address;
        let argv = words.iter().cloned().chain([address.to_string()]);
        let mut env = self.way.clone();
        env.push(("IMA_DIGEST", self.digest.clone()));
        env.push(("IMA_RECIPIENT", address.to_string()));
        let command = Command {
            argv: argv.map(Into::into).collect(),
            config_dir: self.setup.dir.clone(),
            env,
            stdin: self.copies.file(&place.written)?,
            group: Group::Ours,
        };
        Ok(command.start(Limits::until(Instant::now() + TIME))?)
    }
}

/// What an exit code says for a command that printed no line; nothing where the
/// connection is closed.
fn answer_of(exit: Exit, address: &Address) -> Option<HandlerLine> {
    match exit {
        Exit::Done => Some(HandlerLine::Ok(address.clone())),
        Exit::Refused => Some(failed(address, "refused")),
        Exit::Unfinished => Some(deferred(address, "not delivered yet")),
        Exit::Drop => None,
    }
}

/// A line that says nothing about anyone: one that might is put behind the
/// address of the one whose command wrote it.
fn meaningless(address: &Address, line: &str) -> String {
    let first = line.split_whitespace().next().unwrap_or_default();
    let harmless = !WORDS.iter().any(|word| first.eq_ignore_ascii_case(word));
    let mut text = if harmless {
        line.to_owned()
    } else {
        format!("{address}: {line}")
    };
    text.truncate(text.floor_char_boundary(MAX_LINE));
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_somebody_else_loses_its_meaning() {
        let bob = Address::parse("bob@b.test").unwrap();
        assert_eq!(meaningless(&bob, "hello"), "hello");
        assert_eq!(meaningless(&bob, "OKAY then"), "OKAY then");
        for line in [
            "OK eve@b.test",
            " ok eve@b.test",
            "FAIL",
            "DEFER x",
            "NoRecipient eve@b.test",
        ] {
            let text = meaningless(&bob, line);
            assert_eq!(text, format!("bob@b.test: {line}"));
            assert_eq!(HandlerLine::parse(&text), None);
        }
        let long = format!("FAIL eve@b.test {}", "é".repeat(2035));
        let text = meaningless(&bob, &long);
        assert!(text.len() <= MAX_LINE && text.len() > MAX_LINE - 2);
    }
}
