//! Two devices of one user and the server, each changed by itself, and synchronised
//! in any order: in the end all hold the same, and nothing is lost.
//!
//! Lost is a message that is in no folder any more although nobody deleted it, or
//! although somebody changed it without knowing of its deletion, and whoever
//! deleted it did not know of the change. Who removed a flag that stays set, since
//! another has set it meanwhile, has changed nothing.
//!
//! Where all that was done to a message was done one after the other, each time by
//! somebody who knew of all before, it is as the last one has left it.
//!
//! `EMEMO_CASES` says how many cases are tried, in place of as many as fit into
//! some seconds, and `EMEMO_SEED` where they begin: where nothing is said, always at
//! the same, so that a build that fails has something to do with what was changed. What fails says its seed and all
//! that had happened at once, and a shorter history, where one fails too, later: when
//! somebody is killed is never twice at the same octet.

mod contents;
mod history;
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
    let first = number("EMEMO_SEED").unwrap_or(1);
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

/// Another had set the flag already, and what is set wins: whoever deleted the message
/// then knew all of it. Where the deletion was first, the removal was not overruled.
#[test]
fn a_flag_that_is_removed_in_vain_keeps_no_message() {
    use Event::{Delete, Flag, Synchronise};
    use Replica::{One, Two};

    let world = World::new();
    let removed_in_vain = [Flag(One, 0, 1), Flag(One, 0, 1)];
    for (before, after, held) in [
        (
            vec![Flag(Two, 0, 1), Synchronise(Two)],
            vec![Delete(Two, 0)],
            1,
        ),
        (
            vec![Flag(Two, 0, 1), Delete(Two, 0), Synchronise(Two)],
            vec![],
            2,
        ),
    ] {
        let events = [
            &[Synchronise(One)],
            before.as_slice(),
            &removed_in_vain,
            &after,
        ];
        world.play(&events.concat()).unwrap();
        let folders = world.held().into_values();
        assert_eq!(folders.map(|f| f.len()).sum::<usize>(), held, "{events:?}");
    }
}

/// What a device removed before it moved the message came back as the server's news.
#[test]
fn a_flag_that_is_removed_before_the_message_is_moved_stays_removed() {
    use Event::{Flag, Move, Synchronise};
    use Replica::{One, Server};

    let world = World::new();
    for by in [One, Server] {
        let events = [
            Synchronise(One),
            Flag(Server, 0, 2),
            Synchronise(One),
            Flag(by, 0, 2),
            Move(by, 0, 1),
        ];
        world.play(&events).unwrap();
        let held = world.held();
        assert_eq!(held["archive"].len(), 1, "{by:?}: {held:?}");
        let mut flags = held.values().flat_map(|folder| folder.values().flatten());
        assert_eq!(flags.next(), None, "{by:?}: {held:?}");
    }
}

/// One copy was moved here to where the server had moved another one, and took the
/// flags along that it had here.
#[test]
fn where_two_copies_are_moved_at_once_both_sides_have_the_same_flags() {
    use Event::{Flag, Move, Synchronise};
    use Replica::{One, Server};

    // Into the archive and the trash,
    let mut events = vec![Synchronise(One), Move(Server, 0, 2), Move(One, 0, 1)];
    // and from there to the inbox and the archive.
    events.extend([Synchronise(One), Move(Server, 0, 0), Flag(One, 2, 1)]);
    events.push(Move(Server, 2, 1));
    World::new().play(&events).unwrap();
}
