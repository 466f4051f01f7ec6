//! Two devices of one user and the server, each changed by itself, and synchronised
//! in any order: in the end all hold the same, and nothing is lost.
//!
//! Lost is a message that is in no folder any more although nobody deleted it, or
//! although somebody changed it without knowing of its deletion, and whoever
//! deleted it did not know of the change.
//!
//! `EMEMO_CASES` says how many cases are tried, in place of as many as fit into
//! some seconds, and `EMEMO_SEED` where they begin. What fails says its seed and all
//! that had happened at once, and a shorter history, where one fails too, later: when
//! somebody is killed is never twice at the same octet.

mod contents;
mod model;

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use model::{Replica, World};

/// After how long no further case is begun, where their number is not given.
const TIME: Duration = Duration::from_secs(12);
/// How long, in milliseconds, a shorter history is looked for.
const SHRINKING: u32 = 30_000;

/// Something that happens. Numbers choose among what is there.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new message.
    New(Replica, usize, usize),
    /// A flag of a message is set, or removed where it is set.
    Flag(Replica, usize, usize),
    /// A message is moved to a folder.
    Move(Replica, usize, usize),
    /// A message is deleted.
    Delete(Replica, usize),
    /// A folder's journal is written anew.
    Compact(Replica, usize),
    /// A device synchronises.
    Synchronise(Replica),
    /// The same; the connection is cut after so many octets.
    Cut(Replica, u64),
    /// The same; the program is killed after so many octets.
    Kill(Replica, u64),
}

fn event() -> impl Strategy<Value = Event> {
    let any = || {
        prop_oneof![
            Just(Replica::One),
            Just(Replica::Two),
            Just(Replica::Server)
        ]
    };
    let device = || prop_oneof![Just(Replica::One), Just(Replica::Two)];
    let octets = || 1_000_u64..12_000;
    prop_oneof![
        4 => (any(), 0..100_usize, 0..3_usize).prop_map(|(r, m, f)| Event::New(r, m, f)),
        6 => (any(), 0..100_usize, 0..3_usize).prop_map(|(r, m, f)| Event::Flag(r, m, f)),
        5 => (any(), 0..100_usize, 0..3_usize).prop_map(|(r, m, f)| Event::Move(r, m, f)),
        3 => (any(), 0..100_usize).prop_map(|(r, m)| Event::Delete(r, m)),
        1 => (any(), 0..3_usize).prop_map(|(r, f)| Event::Compact(r, f)),
        5 => device().prop_map(Event::Synchronise),
        1 => (device(), octets()).prop_map(|(r, o)| Event::Cut(r, o)),
        1 => (device(), octets()).prop_map(|(r, o)| Event::Kill(r, o)),
    ]
}

#[test]
fn two_devices_and_the_server_end_with_the_same_and_nothing_is_lost() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let first = number("EMEMO_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 16);
    let cases = number("EMEMO_CASES");
    let world = World::new();
    let begin = Instant::now();
    let mut done = 0;
    while cases.map_or(begin.elapsed() < TIME, |cases| done < cases) {
        let seed = first + done;
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases: 1,
            max_shrink_iters: 150,
            max_shrink_time: SHRINKING,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let whole = RefCell::new(None);
        let outcome = runner.run(&proptest::collection::vec(event(), 1..25), |events| {
            let played = world.play(&events);
            if let Err(why) = &played
                && whole.borrow().is_none()
            {
                let said = format!("EMEMO_SEED={seed} EMEMO_CASES=1: {why}\n{events:?}");
                // Before anything is looked for, which somebody may cut short.
                let _ = writeln!(std::io::stderr().lock(), "{said}");
                *whole.borrow_mut() = Some(said);
            }
            played.map_err(TestCaseError::fail)
        });
        if let Err(TestError::Fail(why, events)) = outcome {
            let whole = whole.into_inner().unwrap_or_default();
            panic!("{whole}\nshorter: {why}\n{events:?}");
        }
        outcome.unwrap();
        done += 1;
    }
    assert!(done >= cases.unwrap_or(1), "{done} cases");
}
