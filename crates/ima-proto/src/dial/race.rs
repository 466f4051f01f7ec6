//! Many addresses, and the first that connects (RFC 8305).

mod lane;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::{Attempt, Cause};
use crate::find::{LookUpError, RecordKind, Resolver, Target};
use lane::{Lane, LaneNext};

/// How long an address may be silent before the next one is tried as well.
const STAGGER: Duration = Duration::from_millis(250);
/// What the last address of a priority may take before the next priority's turn.
const ONE_ADDRESS: Duration = Duration::from_secs(2);
/// Most addresses that are tried in one dialling.
const MOST: usize = 32;

/// The first connection to one of the targets, which stand in the order of their
/// priorities; or everything that was tried, when nothing is left or the
/// deadline has come.
pub(super) async fn connect(
    resolver: &Resolver,
    targets: Vec<Target>,
    deadline: Instant,
) -> Result<TcpStream, Vec<Attempt>> {
    let mut race = Race {
        tasks: JoinSet::new(),
        running: Vec::new(),
        failed: Vec::new(),
        seen: HashSet::new(),
        next_start: Instant::now(),
        deadline,
    };
    let mut groups = targets.chunk_by(|a, b| a.priority == b.priority).peekable();
    let mut number = 0;
    while let Some(group) = groups.next() {
        number += 1;
        let mut heat = Heat::new(group, number, &mut race, resolver);
        if let Some(stream) = heat.run(&mut race, groups.peek().is_none()).await {
            return Ok(stream);
        }
    }
    let silent = race.running.drain(..).map(|(name, address)| Attempt {
        name,
        address: Some(address),
        cause: Cause::Silent,
    });
    race.failed.extend(silent);
    Err(race.failed)
}

/// What all priorities share.
struct Race {
    tasks: JoinSet<Event>,
    running: Vec<(Option<String>, SocketAddr)>,
    failed: Vec<Attempt>,
    /// Addresses that have had their turn.
    seen: HashSet<SocketAddr>,
    next_start: Instant,
    deadline: Instant,
}

/// What a task has to say at its end.
enum Event {
    Found {
        /// Of which priority, and there of which target.
        at: (usize, usize),
        kind: RecordKind,
        addresses: Result<Vec<IpAddr>, LookUpError>,
    },
    Tried(SocketAddr, std::io::Result<TcpStream>),
}

/// The targets of one priority.
struct Heat<'t> {
    number: usize,
    began: Instant,
    lanes: Vec<Lane<'t>>,
}

/// What can be done now.
enum Next {
    Try(usize, RecordKind),
    Wait(Option<Instant>),
    Exhausted,
}

impl<'t> Heat<'t> {
    fn new(group: &'t [Target], number: usize, race: &mut Race, resolver: &Resolver) -> Heat<'t> {
        let began = Instant::now();
        let lanes: Vec<_> = group
            .iter()
            .map(|target| Lane::new(target, began))
            .collect();
        for (index, lane) in lanes.iter().enumerate() {
            let Some(name) = lane.name() else { continue };
            for kind in [RecordKind::Aaaa, RecordKind::A] {
                let (resolver, name) = (resolver.clone(), name.clone());
                race.tasks.spawn(async move {
                    Event::Found {
                        at: (number, index),
                        kind,
                        addresses: resolver.addresses(&name, kind).await,
                    }
                });
            }
        }
        Heat {
            number,
            began,
            lanes,
        }
    }

    /// None when it is the next priority's turn, or nothing is left.
    async fn run(&mut self, race: &mut Race, is_last: bool) -> Option<TcpStream> {
        let mut last_start = None;
        loop {
            let now = Instant::now();
            if now >= race.deadline {
                break;
            }
            let wake = match self.next(now) {
                Next::Try(index, kind) if race.seen.len() < MOST => {
                    if now < race.next_start {
                        race.next_start
                    } else {
                        if self.start(index, kind, race) {
                            last_start = Some(now);
                            race.next_start = now + STAGGER;
                        }
                        continue;
                    }
                }
                Next::Wait(until) => until.unwrap_or(race.deadline),
                _ if race.running.is_empty() => break,
                _ if is_last => race.deadline,
                _ => match last_start.map(|start| start + ONE_ADDRESS) {
                    Some(end) if now < end => end,
                    _ => break,
                },
            };
            match timeout_at(wake.min(race.deadline).into(), race.tasks.join_next()).await {
                Ok(Some(Ok(Event::Tried(_, Ok(stream))))) => return Some(stream),
                Ok(Some(Ok(Event::Tried(address, Err(error))))) => race.failed(address, error),
                Ok(Some(Ok(Event::Found {
                    at: (number, index),
                    kind,
                    addresses,
                }))) if number == self.number => {
                    if let Some(lane) = self.lanes.get_mut(index) {
                        race.failed
                            .extend(lane.learn(kind, addresses, Instant::now()));
                    }
                }
                // A late answer for a priority whose turn is over.
                Ok(Some(Ok(Event::Found { .. }))) | Ok(Some(Err(_))) | Err(_) => {}
                Ok(None) => break,
            }
        }
        let unanswered = self.lanes.iter().filter(|lane| lane.is_asking());
        race.failed.extend(unanswered.map(|lane| Attempt {
            name: lane.name(),
            address: None,
            cause: Cause::LookUpSilent,
        }));
        None
    }

    /// The first target that has an address goes first; one whose addresses are
    /// not known yet is waited for as long as an address would be.
    fn next(&self, now: Instant) -> Next {
        let passed_by = self.began + STAGGER;
        let mut waiting = None;
        for (index, lane) in self.lanes.iter().enumerate() {
            match lane.next(now) {
                LaneNext::Try(kind) => match waiting {
                    Some(_) if now < passed_by => return Next::Wait(Some(passed_by)),
                    _ => return Next::Try(index, kind),
                },
                LaneNext::Wait(Some(until)) if waiting.is_none() => {
                    return Next::Wait(Some(until));
                }
                LaneNext::Wait(until) => waiting = Some(until),
                LaneNext::Exhausted => {}
            }
        }
        match waiting {
            Some(until) => Next::Wait(until),
            None => Next::Exhausted,
        }
    }

    /// False where the address was tried already.
    fn start(&mut self, index: usize, kind: RecordKind, race: &mut Race) -> bool {
        let Some(lane) = self.lanes.get_mut(index) else {
            return false;
        };
        let Some(address) = lane.take(kind) else {
            return false;
        };
        if !race.seen.insert(address) {
            return false;
        }
        race.running.push((lane.name(), address));
        race.tasks
            .spawn(async move { Event::Tried(address, TcpStream::connect(address).await) });
        true
    }
}

impl Race {
    fn failed(&mut self, address: SocketAddr, error: std::io::Error) {
        let place = self.running.iter().position(|(_, at)| *at == address);
        let name = place.and_then(|place| self.running.swap_remove(place).0);
        self.failed.push(Attempt {
            name,
            address: Some(address),
            cause: error.into(),
        });
        // Who has failed need not be waited for.
        self.next_start = Instant::now();
    }
}
