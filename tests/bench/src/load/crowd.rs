//! Many connections at once, each in a thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::Fault;
use crate::args::Load;
use crate::letter::{Attachment, Letters};
use crate::report::{Report, processor_time};

/// The stack of a thread, in octets.
const STACK: usize = 512 << 10;
/// After so many failures in all nobody begins anything more.
const PATIENCE: usize = 20;
/// Failures that are said.
const SAID: usize = 5;

/// How messages are sent.
pub trait Protocol: Sync {
    /// One message.
    type Letter;

    /// Whether attachments go as base64.
    const AS_MAIL: bool;

    /// The message with a number.
    fn letter(&self, letters: &mut Letters<'_>, number: usize) -> Self::Letter;

    /// Connects, sends what `turn` gives until it gives nothing more, and closes.
    ///
    /// # Errors
    /// Anything but OK. What `turn` gave and was not told of has failed.
    fn converse(&self, turn: &mut Turn<'_, Self::Letter>) -> Result<(), Fault>;
}

/// What one connection is to send, and what became of it.
pub struct Turn<'a, L> {
    next: &'a mut dyn FnMut() -> Option<L>,
    left: u64,
    /// Octets inside TLS, sent and received.
    pub octets: (u64, u64),
    /// How long each message took that was answered with OK.
    times: Vec<Duration>,
    last: Option<Instant>,
}

impl<L> Turn<'_, L> {
    /// The next message of this connection.
    pub fn next(&mut self) -> Option<L> {
        self.left = self.left.checked_sub(1)?;
        (self.next)()
    }

    /// A message that was begun at `since` is answered with OK.
    pub fn delivered(&mut self, since: Instant) {
        let now = Instant::now();
        self.times.push(now.saturating_duration_since(since));
        self.last = Some(now);
    }
}

/// What all threads found.
#[derive(Default)]
struct Tally {
    times: Vec<Duration>,
    connections: usize,
    octets: (u64, u64),
    last: Option<Instant>,
}

/// Sends all messages.
///
/// # Errors
/// A clock before 1970. Without threads the program ends.
pub fn run<P: Protocol>(load: &Load, protocol: &P) -> Result<Report, Fault> {
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let run = u64::try_from(run.as_nanos())?;
    let attachment = Attachment::new(load.attachment, P::AS_MAIL);
    // Which message is next, and how many connections have failed.
    let (taken, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let gate = Barrier::new(load.connections.max(1) + 1);
    let tally = Mutex::new(Tally::default());
    let (mut begin, mut wall, mut used) = (Instant::now(), SystemTime::now(), Duration::ZERO);
    thread::scope(|scope| {
        for _ in 0..load.connections.max(1) {
            let letters = Letters::new(load, run, attachment.clone());
            let work = || {
                gate.wait();
                let mine = connections(load, protocol, letters, &taken, &failures);
                add(&tally, mine);
            };
            // Without all of them nobody passes the gate.
            if let Err(error) = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, work)
            {
                eprintln!("load: no more threads: {error}");
                std::process::exit(2);
            }
        }
        (begin, wall, used) = (Instant::now(), SystemTime::now(), processor_time());
        gate.wait();
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.times.sort_unstable();
    let missing = load.messages.saturating_sub(tally.times.len());
    Ok(Report {
        begin: wall,
        time: tally.last.unwrap_or(begin).saturating_duration_since(begin),
        failed: missing.max(failures.into_inner()),
        times: tally.times,
        connections: tally.connections,
        processor: processor_time().saturating_sub(used),
        octets: tally.octets,
    })
}

/// What one thread does: a connection after the other, while there are messages.
fn connections<P: Protocol>(
    load: &Load,
    protocol: &P,
    mut letters: Letters<'_>,
    taken: &AtomicUsize,
    failures: &AtomicUsize,
) -> Tally {
    let mut mine = Tally::default();
    loop {
        let mut next = || {
            let patient = failures.load(Ordering::Relaxed) < PATIENCE;
            let number = patient.then(|| taken.fetch_add(1, Ordering::Relaxed))?;
            (number < load.messages).then(|| protocol.letter(&mut letters, number))
        };
        // Whoever connects has something to say.
        let Some(first) = next() else {
            return mine;
        };
        let mut first = Some(first);
        let mut turn = Turn {
            next: &mut || first.take().or_else(&mut next),
            left: load.per_connection,
            octets: (0, 0),
            times: Vec::new(),
            last: None,
        };
        let outcome = protocol.converse(&mut turn);
        mine.connections += 1;
        mine.octets.0 += turn.octets.0;
        mine.octets.1 += turn.octets.1;
        mine.last = mine.last.max(turn.last);
        mine.times.append(&mut turn.times);
        if let Err(error) = outcome
            && failures.fetch_add(1, Ordering::Relaxed) < SAID
        {
            eprintln!("load: {error}");
        }
    }
}

fn add(all: &Mutex<Tally>, mine: Tally) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.times.extend(mine.times);
    all.connections += mine.connections;
    all.octets.0 += mine.octets.0;
    all.octets.1 += mine.octets.1;
    all.last = all.last.max(mine.last);
}
