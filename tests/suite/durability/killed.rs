//! Programs killed at any moment, while others go on in the same folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

use super::letter::{Letter, octets};
use super::place::{Place, THERE, expect, state, stored};
use super::promise::Promises;
use super::{Build, count, none};
use crate::site::feed;

const WRITERS: usize = 8;

/// What is done beside the deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Flag,
    Delete,
    Compact,
}

/// What all who take part know.
struct Storm<'a> {
    place: &'a Place,
    dir: &'a TempDir,
    /// Programs that are to be killed still.
    left: AtomicUsize,
    /// Letters whose delivery was acknowledged.
    stored: Mutex<Vec<Letter>>,
    /// Digests that somebody has set out to delete.
    condemned: Mutex<BTreeSet<String>>,
    /// Digests whose deletion, and whose flag, was acknowledged.
    deleted: Mutex<BTreeSet<String>>,
    flagged: Mutex<BTreeSet<String>>,
    /// Letters whose delivery was killed.
    unfinished: Mutex<Vec<Letter>>,
}

#[test]
fn what_was_acknowledged_outlives_any_number_of_killed_programs() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("mail");
    fs::create_dir(&root).unwrap();
    let place = Place::furnished(&root, &Build::default());
    let mut promises = Promises::of(&place);
    let kills = count("EMEMO_KILLS", 60);
    let storm = Storm {
        place: &place,
        dir: &dir,
        left: AtomicUsize::new(kills),
        stored: Mutex::default(),
        condemned: Mutex::default(),
        deleted: Mutex::default(),
        flagged: Mutex::default(),
        unfinished: Mutex::default(),
    };
    thread::scope(|scope| {
        let storm = &storm;
        for writer in 0..WRITERS {
            scope.spawn(move || storm.write(writer));
        }
        for change in [Change::Flag, Change::Delete, Change::Compact] {
            scope.spawn(move || storm.change(change));
        }
    });
    let inbox = place.folder("bob/inbox");
    let condemned = storm.condemned.into_inner().unwrap();
    for letter in storm.stored.into_inner().unwrap() {
        if !condemned.contains(&letter.digest) {
            promises.add_letter(inbox.clone(), letter);
        }
    }
    none(&promises.broken_beside_journals(&place));
    let now = state(&inbox);
    for digest in storm.deleted.into_inner().unwrap() {
        assert!(!now.contains_key(&digest), "{digest} was deleted");
    }
    for digest in storm.flagged.into_inner().unwrap() {
        let is_flagged = now.get(&digest).is_some_and(|flags| flags.contains("seen"));
        assert!(
            is_flagged || condemned.contains(&digest),
            "{digest} was flagged"
        );
    }
    // Whatever they left, a second delivery succeeds.
    let unfinished = storm.unfinished.into_inner().unwrap();
    assert!(unfinished.len() <= kills);
    for letter in &unfinished {
        let (command, octets) = place.delivery("bob/inbox", letter);
        expect(0, &feed(command, &octets));
        assert!(state(&inbox).contains_key(&letter.digest));
        assert_eq!(
            stored(&inbox, &letter.digest).as_ref(),
            Some(&letter.octets)
        );
    }
    none(&place.damage());
    assert!(state(&inbox).len() >= THERE.len());
    let compact = place.tool("compact", &["bob/inbox"], &[]);
    expect(0, &feed(compact, b""));
    none(&promises.broken_beside_journals(&place));
}

impl Storm<'_> {
    /// Takes one of the kills, if any is left.
    fn take(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        self.left.fetch_update(order, order, one_less).is_ok()
    }

    /// Delivers letter after letter, and is killed at most of them, as long as
    /// somebody is to be killed.
    fn write(&self, writer: usize) {
        let file = self.dir.path().join(format!("letter-{writer}"));
        let mut usual = Duration::from_millis(5);
        for number in 0.. {
            if self.left.load(Ordering::SeqCst) == 0 {
                return;
            }
            let letter = letter(writer, number);
            fs::write(&file, &letter.octets).unwrap();
            let (mut command, _) = self.place.delivery("bob/inbox", &letter);
            command.stdin(File::open(&file).unwrap());
            // Every fourth goes its way, and says how long that takes now.
            let kill_at = (number % 4 > 0).then(|| (usual * 3 / 2).mul_f64(fraction()));
            let begin = Instant::now();
            match self.end(&mut command, kill_at) {
                Some(0) => self.stored.lock().unwrap().push(letter),
                Some(code) => panic!("{code}"),
                None => self.unfinished.lock().unwrap().push(letter),
            }
            if kill_at.is_none() {
                usual = begin.elapsed();
            }
        }
    }

    /// Flags or deletes letters that were delivered, or compacts, again and again;
    /// killed like the others.
    fn change(&self, change: Change) {
        let mut usual = Duration::from_millis(5);
        for number in 0.. {
            if self.left.load(Ordering::SeqCst) == 0 {
                return;
            }
            let digest = {
                let stored = self.stored.lock().unwrap();
                let place = usize::try_from(getrandom::u32().unwrap()).unwrap();
                let letter = place.checked_rem(stored.len()).map(|place| &stored[place]);
                letter
                    .map(|letter| letter.digest.clone())
                    .unwrap_or_default()
            };
            let words = ["+seen", &digest];
            let mut command = match change {
                Change::Compact => self.place.tool("compact", &["bob/inbox"], &[]),
                _ if digest.is_empty() => {
                    thread::yield_now();
                    continue;
                }
                Change::Flag => self.place.tool("flag", &["bob/inbox"], &words),
                Change::Delete => self.place.tool("delete", &["bob/inbox"], &words[1..]),
            };
            if change == Change::Delete {
                self.condemned.lock().unwrap().insert(digest.clone());
            }
            let kill_at = (number % 4 > 0).then(|| (usual * 3 / 2).mul_f64(fraction()));
            let begin = Instant::now();
            match (self.end(&mut command, kill_at), change) {
                (Some(0), Change::Flag) => drop(self.flagged.lock().unwrap().insert(digest)),
                (Some(0), Change::Delete) => drop(self.deleted.lock().unwrap().insert(digest)),
                // It is deleted already.
                (Some(1), Change::Flag | Change::Delete) => {
                    assert!(self.condemned.lock().unwrap().contains(&digest), "{digest}");
                }
                (Some(0) | None, _) => {}
                (Some(code), _) => panic!("{change:?}: {code}"),
            }
            if kill_at.is_none() {
                usual = begin.elapsed();
            }
        }
    }

    /// Runs a command to its end, or to a moment at which it is killed. Gives its
    /// exit status.
    fn end(&self, command: &mut Command, kill_at: Option<Duration>) -> Option<i32> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        if let Some(moment) = kill_at
            && !ends_within(&child, moment)
            && self.take()
        {
            child.kill().unwrap();
        }
        child.wait().unwrap().code()
    }
}

/// Whether a program has ended by itself before that time was over.
fn ends_within(child: &Child, time: Duration) -> bool {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let mut ends = [PollFd::new(&process, PollFlags::IN)];
    let time = Timespec::try_from(time).unwrap();
    poll(&mut ends, Some(&time)).unwrap() > 0
}

/// Something between 0 and 1.
fn fraction() -> f64 {
    f64::from(getrandom::u32().unwrap()) / f64::from(u32::MAX)
}

/// Letters with attachments that many have, that none has, and very many.
fn letter(writer: usize, number: usize) -> Letter {
    let name = format!("storm {writer} {number}");
    match number % 5 {
        0 => Letter::plain(&name),
        1 => Letter::crowded(&name),
        2 => Letter::full(&name),
        _ => Letter::new(
            &["bob"],
            &name,
            &[octets("storm", 50_000), octets("kept", 150_000)],
        ),
    }
}
