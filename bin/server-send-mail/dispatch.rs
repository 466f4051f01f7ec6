//! A message to all of its hosts, or to none.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::thread;

use ima_message::{Address, HandlerLine, Hostpart, MessageDigest};
use ima_program::Exit;
use ima_program::escape::visible;
use ima_program::{log, report};
use indicatif::{ProgressBar, ProgressStyle};

use crate::PROGRAM;
use crate::config::Office;
use crate::input::InputError;
use crate::leg::{Leg, Verdict, deferred};
use crate::outgoing::Outgoing;
use crate::upcoming::{Item, Upcoming};
use crate::way::Way;

/// A host's thread: enough for debug builds too.
const STACK: usize = 512 << 10;
/// From so many octets on a person at a terminal is shown how far it is.
const SHOWN: u64 = 1 << 20;

/// Sends messages one after the other; connections stay open between them.
pub struct Dispatch<'o> {
    office: &'o Office,
    upcoming: &'o Upcoming,
    options: Options,
    /// Of the message that is under way, from 1.
    number: u64,
    digest: Option<MessageDigest>,
    /// By return-path host and recipients' host: one connection serves one of each.
    ways: HashMap<(Hostpart, Hostpart), Way>,
    printer: Mutex<Printer>,
}

/// What the caller may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Hosts that are willing are sent to, also where others are not.
    pub partial: bool,
    /// Each line begins with the number of its message.
    pub number: bool,
}

/// Prints a recipient's line as soon as it is known.
#[derive(Default)]
struct Printer {
    exits: Vec<Exit>,
    /// Of any message so far.
    has_deferred: bool,
    error: Option<io::Error>,
}

impl Printer {
    fn line(&mut self, number: Option<u64>, line: &HandlerLine) {
        self.has_deferred |= matches!(line, HandlerLine::Defer { .. });
        self.exits.push(match line {
            HandlerLine::Ok(_) => Exit::Done,
            HandlerLine::Fail { .. } | HandlerLine::NoRecipient(_) => Exit::Refused,
            HandlerLine::Defer { .. } => Exit::Unfinished,
        });
        let mut stdout = io::stdout().lock();
        let line = line.to_string();
        let line = visible(&line);
        let printed = match number {
            Some(number) => writeln!(stdout, "{number} {line}"),
            None => writeln!(stdout, "{line}"),
        };
        let printed = printed.and_then(|()| stdout.flush());
        if let Err(error) = printed {
            self.error.get_or_insert(error);
        }
    }
}

impl<'o> Dispatch<'o> {
    pub fn new(office: &'o Office, upcoming: &'o Upcoming, options: Options) -> Self {
        Self {
            office,
            upcoming,
            options,
            number: 0,
            digest: None,
            ways: HashMap::new(),
            printer: Mutex::default(),
        }
    }

    /// Deals with what was read: sends a message, or says why there is none.
    pub fn take(&mut self, item: Item) -> Exit {
        self.number += 1;
        match item {
            Ok(message) => {
                self.digest = Some(message.header().digest());
                self.send(&message)
            }
            Err(error) => self.pass_over(&error),
        }
    }

    fn pass_over(&self, error: &InputError) -> Exit {
        self.complain(&report::chain(error));
        error.exit()
    }

    /// Sends one message and prints a line for each recipient.
    fn send(&mut self, message: &Outgoing) -> Exit {
        let from = message.header().return_path().hostpart().clone();
        if self.office.identities.for_host(&from).is_none()
            && !self.office.local_hosts.contains(&from)
        {
            let reason = |file: &str| {
                format!("no [[identity]] for {from} in {file}, so nobody would believe it")
            };
            self.complain(&reason(&self.office.file.display().to_string()));
            let text = reason("the configuration");
            self.answer_all(message.header().recipients(), |address| {
                deferred(address, None, &text)
            });
            return self.exit();
        }
        let mut legs = self.legs(message, &from);
        let verdicts = each(&mut legs, |leg| leg.ask(self.office));
        let refused = self.report(&legs, &verdicts);
        let willing = verdicts
            .iter()
            .all(|verdict| matches!(verdict, Verdict::Accepts(_)));
        if willing || self.options.partial {
            self.deliver(message, &mut legs, &verdicts);
        } else {
            self.abort(&mut legs, &verdicts, refused.as_deref());
        }
        for leg in legs {
            self.ways
                .insert((leg.from.clone(), leg.host.clone()), leg.into_way());
        }
        self.exit()
    }

    /// Whether somebody is to get a message later.
    pub fn has_deferred(&self) -> bool {
        let printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        printer.has_deferred
    }

    /// Closes all connections.
    pub fn done(self) {
        let mut ways: Vec<_> = self.ways.into_values().map(Some).collect();
        each(&mut ways, |way| {
            if let Some(Way::Remote(Some(connection))) = way.take() {
                connection.done();
            }
        });
    }

    fn legs<'m>(&mut self, message: &'m Outgoing, from: &Hostpart) -> Vec<Leg<'m>> {
        let mut hosts: Vec<(Hostpart, Vec<&Address>)> = Vec::new();
        let mut places = HashMap::new();
        for address in message.header().recipients() {
            let host = address.hostpart();
            let place = *places.entry(host).or_insert(hosts.len());
            match hosts.get_mut(place) {
                Some((_, recipients)) => recipients.push(address),
                None => hosts.push((host.clone(), vec![address])),
            }
        }
        hosts
            .into_iter()
            .map(|(host, recipients)| {
                let way = match self.ways.remove(&(from.clone(), host.clone())) {
                    Some(way) => way,
                    None if self.office.local_hosts.contains(&host) => Way::Local,
                    None => Way::Remote(None),
                };
                Leg::new(message, host, recipients, way)
            })
            .collect()
    }

    /// Tells a person of each host that does not take the message; gives the
    /// first refusal.
    fn report(&self, legs: &[Leg<'_>], verdicts: &[Verdict]) -> Option<String> {
        let mut refusal = None;
        for (leg, verdict) in legs.iter().zip(verdicts) {
            match verdict {
                Verdict::Accepts(_) => {}
                Verdict::Refuses(text) => {
                    self.complain(&format!("{} refused: {text}", leg.host));
                    self.tell_of_recipients(leg);
                    refusal.get_or_insert_with(|| leg.host.to_string());
                }
                Verdict::Defers(_, text) => {
                    self.complain(&format!("{} does not take it now: {text}", leg.host));
                    self.tell_of_recipients(leg);
                }
            }
        }
        refusal
    }

    fn tell_of_recipients(&self, leg: &Leg<'_>) {
        for address in &leg.recipients {
            if let Some(text) = leg.said.get(*address) {
                self.complain(&format!("{} says of {address}: {text}", leg.host));
            }
        }
    }

    /// Data go to every host that accepted, at the same time.
    fn deliver(&self, message: &Outgoing, legs: &mut [Leg<'_>], verdicts: &[Verdict]) {
        let mut pairs: Vec<_> = legs.iter_mut().zip(verdicts).collect();
        let takers = verdicts
            .iter()
            .filter(|verdict| matches!(verdict, Verdict::Accepts(_)))
            .count() as u64;
        let bar = progress_bar(message.header().size().saturating_mul(takers));
        each(&mut pairs, |(leg, verdict)| match verdict {
            Verdict::Accepts(parts) => {
                let progress = |octets| bar.inc(octets);
                let unsaid = leg.deliver(
                    self.office,
                    message,
                    parts.as_ref(),
                    self.upcoming,
                    &progress,
                    &mut |line| {
                        bar.suspend(|| self.print(line));
                    },
                );
                if let Some(text) = unsaid {
                    let text = format!("{} does not deliver it now: {text}", leg.host);
                    bar.suspend(|| self.complain(&text));
                }
            }
            Verdict::Refuses(text) => self.refuse(leg, text),
            Verdict::Defers(seconds, text) => {
                self.defer(leg, *seconds, text);
            }
        });
        bar.finish_and_clear();
    }

    /// No data to anyone. Where a host refused, that is final for all. What became of
    /// the message is said first: a host that answers ABORT late holds nobody's line.
    fn abort(&self, legs: &mut [Leg<'_>], verdicts: &[Verdict], refusal: Option<&str>) {
        for (leg, verdict) in legs.iter().zip(verdicts) {
            self.not_sent(leg, verdict, refusal);
        }
        let mut pairs: Vec<_> = legs.iter_mut().zip(verdicts).collect();
        each(&mut pairs, |(leg, verdict)| {
            if matches!(verdict, Verdict::Accepts(_)) {
                leg.abort(self.upcoming);
            }
        });
    }

    /// Answers the recipients of a host for a message that nobody is sent.
    fn not_sent(&self, leg: &Leg<'_>, verdict: &Verdict, refusal: Option<&str>) {
        let others = |text: &str| match refusal {
            Some(host) => format!("not sent to anyone, since {host} refused{text}"),
            None => format!("not sent to anyone yet, since not every host takes it now{text}"),
        };
        let text = match verdict {
            Verdict::Refuses(text) => return self.refuse(leg, text),
            Verdict::Accepts(_) => others(""),
            Verdict::Defers(_, text) if refusal.is_some() => others(&format!("; here: {text}")),
            Verdict::Defers(seconds, text) => return self.defer(leg, *seconds, text),
        };
        self.answer_all(leg.recipients.iter().copied(), |address| match refusal {
            Some(_) => HandlerLine::Fail {
                address,
                text: text.as_str().into(),
            },
            None => deferred(address, None, &text),
        });
    }

    fn defer(&self, leg: &Leg<'_>, seconds: Option<u64>, text: &str) {
        self.answer_all(leg.recipients.iter().copied(), |address| {
            let text = leg.said.get(&address).map_or(text, String::as_str);
            deferred(address, seconds, text)
        });
    }

    fn refuse(&self, leg: &Leg<'_>, text: &str) {
        self.answer_all(leg.recipients.iter().copied(), |address| {
            let text = match leg.said.get(&address) {
                Some(said) => said.as_str().into(),
                None if leg.said.is_empty() => text.into(),
                None => format!("refused because of others: {text}").into(),
            };
            HandlerLine::Fail { address, text }
        });
    }

    fn answer_all<'a>(
        &self,
        addresses: impl IntoIterator<Item = &'a Address>,
        line: impl Fn(Address) -> HandlerLine,
    ) {
        for address in addresses {
            self.print(&line(address.clone()));
        }
    }

    fn print(&self, line: &HandlerLine) {
        if log::chosen().is_some()
            && let Some(digest) = self.digest
        {
            log_outcome(digest, line);
        }
        self.printer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .line(self.shown_number(), line);
    }

    fn shown_number(&self) -> Option<u64> {
        self.options.number.then_some(self.number)
    }

    /// Says something about the message that is under way.
    fn complain(&self, text: &str) {
        match self.shown_number() {
            Some(number) => complain(&format!("message {number}: {text}")),
            None => complain(text),
        }
    }

    /// By the lines of the message that is over. Where they could not be
    /// printed, nobody knows what became of it.
    fn exit(&self) -> Exit {
        let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        let exit = Exit::combine(printer.exits.drain(..));
        match printer.error.take() {
            Some(error) => {
                self.complain(&format!("cannot print the recipients' lines: {error}"));
                Exit::Unfinished
            }
            None => exit,
        }
    }
}

fn log_outcome(digest: MessageDigest, line: &HandlerLine) {
    let event =
        |entry: log::Entry, recipient| entry.field("digest", digest).field("recipient", recipient);
    match line {
        HandlerLine::Ok(address) => event(log::info("sent"), address),
        HandlerLine::Fail { address, text } => {
            event(log::warn("refused"), address).field("reason", text)
        }
        HandlerLine::NoRecipient(address) => event(log::warn("no-recipient"), address),
        HandlerLine::Defer { address, text, .. } => {
            event(log::warn("deferred"), address).field("reason", text)
        }
    }
    .emit();
}

/// Does the same with each, at the same time.
fn each<T: Send, R: Send>(items: &mut [T], act: impl Fn(&mut T) -> R + Sync) -> Vec<R> {
    if let [only] = items {
        return vec![act(only)];
    }
    let act = &act;
    thread::scope(|scope| {
        let mut started = Vec::with_capacity(items.len());
        for item in items {
            // Where no thread can be had, this one does it.
            let slot = Mutex::new(Some(item));
            let slot = std::sync::Arc::new(slot);
            let theirs = std::sync::Arc::clone(&slot);
            let take = |slot: &Mutex<Option<&mut T>>| {
                slot.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
                    .map(act)
            };
            let thread = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, move || take(&theirs));
            started.push(match thread {
                Ok(thread) => Ok(thread),
                Err(_) => Err(take(&slot)),
            });
        }
        started
            .into_iter()
            .filter_map(|thread| match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(done) => done,
            })
            .collect()
    })
}

fn progress_bar(octets: u64) -> ProgressBar {
    if octets < SHOWN {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left",
    );
    let bar = ProgressBar::new(octets);
    style
        .map(|style| bar.clone().with_style(style))
        .unwrap_or(bar)
}

/// Says something to the person at the terminal, or to the log behind stderr.
pub fn complain(text: &str) {
    report::say(PROGRAM, text);
}
