//! Runs that meet, that are ended, and that run out of room.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use super::{Place, contents, folder};
use crate::peer::office::Office;
use crate::site::{PATIENCE, code, feed, stderr, stdout};

/// A door that a server stands at until a test opens it.
#[derive(Default)]
struct Door {
    state: Mutex<(bool, bool)>,
    moved: Condvar,
}

impl Door {
    /// The server is at the door, and goes on when it is opened.
    fn pass(&self) {
        self.state.lock().unwrap().0 = true;
        self.moved.notify_all();
        let state = self.state.lock().unwrap();
        drop(
            self.moved
                .wait_timeout_while(state, PATIENCE, |(_, open)| !*open)
                .unwrap(),
        );
    }

    fn wait(&self) {
        let state = self.state.lock().unwrap();
        let (state, _) = self
            .moved
            .wait_timeout_while(state, PATIENCE, |(at, _)| !*at)
            .unwrap();
        assert!(state.0, "nobody came");
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.moved.notify_all();
    }
}

/// An office that stops at the command that this begins, and holds this many
/// letters, each with an attachment.
fn stopping(place: &Place, letters: usize, at: String) -> (Office, Arc<Door>) {
    let letters: Vec<_> = (0..letters)
        .map(|n| place.letter(&format!("{n}\n"), &[format!("{n}").as_bytes()]))
        .collect();
    let door = Arc::new(Door::default());
    let theirs = Arc::clone(&door);
    let folders = [folder("inbox", &letters)];
    let office = Office::start(&place.identity(), &folders, move |line, said| {
        if line.starts_with(&at) {
            theirs.pass();
        }
        said
    });
    (office, door)
}

fn start(place: &Place, office: &Office) -> Child {
    let mut command = place.command(office.address);
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_second_run_leaves_the_first_alone_and_says_nothing() {
    let place = Place::new();
    let (office, door) = stopping(&place, 3, "FETCH".to_owned());
    let first = start(&place, &office);
    door.wait();
    let second = place.fetch(office.address);
    assert_eq!(
        (code(&second), stdout(&second), stderr(&second)),
        (2, String::new(), String::new())
    );
    door.open();
    let first = first.wait_with_output().unwrap();
    assert_eq!((code(&first), stderr(&first)), (0, String::new()));
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 3);
    assert_eq!(office.connections(), 1);
}

#[test]
fn a_signal_ends_it_and_what_is_whole_is_kept() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        // Of 100 letters some are there by then.
        let (office, door) = {
            let letters: Vec<_> = (0..100)
                .map(|n| place.letter(&format!("{n}\n"), &[]))
                .collect();
            let door = Arc::new(Door::default());
            let theirs = Arc::clone(&door);
            let asked = AtomicUsize::new(0);
            let folders = [folder("inbox", &letters)];
            place.begin(&folders);
            let office = Office::start(&place.identity(), &folders, move |line, said| {
                let is_late =
                    line.starts_with("FETCH") && asked.fetch_add(1, Ordering::SeqCst) == 80;
                if is_late {
                    theirs.pass();
                }
                said
            });
            (office, door)
        };
        let child = start(&place, &office);
        door.wait();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 2);
        assert_eq!(
            stderr(&output),
            "fetch-mail: ended by a signal; what had come whole is kept, and the next run goes on\n"
        );
        door.open();
        let stored = contents(&place.mail().join("inbox")).1.len();
        assert!((2..=81).contains(&stored), "{stored}");
        place.check();
        place.fetch_well(office.address);
        // What the server went on to hear of the first run counts for nothing.
        let lines = office.lines();
        let login = lines.iter().rposition(|l| l.starts_with("LOGIN")).unwrap();
        let second = lines[login..].iter();
        let fetches = second.filter(|l| l.starts_with("FETCH")).count();
        assert_eq!(fetches, 100 - stored);
        assert_eq!(contents(&place.mail().join("inbox")).1.len(), 100);
    }
}

/// Killed at the first question, at the second, and so on.
#[test]
fn killed_at_any_moment_it_goes_on() {
    let place = Place::new();
    let words = ["FOLDERS", "SYNC", "FETCH", "PART"];
    let letters: Vec<_> = (0..4)
        .map(|n| place.letter(&format!("{n}\n"), &[b"same", format!("{n}").as_bytes()]))
        .collect();
    let folders = [folder("inbox", &letters), folder("other", &letters[2..])];
    let honest = Office::start(&place.identity(), &folders, |_, said| said);
    for question in 0..1 + 2 + 4 + 5 {
        let _ = fs::remove_dir_all(place.mail());
        let door = Arc::new(Door::default());
        let (theirs, asked) = (Arc::clone(&door), AtomicUsize::new(0));
        let office = Office::start(&place.identity(), &folders, move |line, said| {
            let counts = words.iter().any(|word| line.starts_with(word));
            if counts && asked.fetch_add(1, Ordering::SeqCst) == question {
                theirs.pass();
            }
            said
        });
        let mut child = start(&place, &office);
        door.wait();
        child.kill().unwrap();
        child.wait().unwrap();
        door.open();
        place.check();
        place.fetch_well(honest.address);
        assert_eq!(
            contents(&place.mail().join("inbox")).1.len(),
            4,
            "{question}"
        );
        assert_eq!(
            contents(&place.mail().join("other")).1.len(),
            2,
            "{question}"
        );
        assert_eq!(place.partials(), [""; 0]);
        place.check();
    }
}

/// A file system of its own, where the tests may mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: &Place, options: &str) -> Option<Disk> {
        let dir = place.file("disk");
        fs::create_dir(&dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(&dir);
        let mounted = mount
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success());
        mounted.then_some(Disk(dir))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_keeps_what_fits_and_more_room_brings_the_rest() {
    let place = Place::new();
    let Some(disk) = Disk::mount(&place, "size=6m") else {
        return;
    };
    std::os::unix::fs::symlink(&disk.0, place.mail()).unwrap();
    let letters: Vec<_> = (0..9_u8)
        .map(|n| place.letter(&format!("{n}\n"), &[&vec![n; 1_000_000]]))
        .collect();
    let office = Office::start(&place.identity(), &[folder("inbox", &letters)], |_, s| s);
    for _ in 0..3 {
        let output = place.fetch(office.address);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(!stderr(&output).is_empty());
        place.check();
    }
    // Of those that wait nobody is told that there is nothing.
    let seen = at_terminal(&place.command(office.address));
    assert!(seen.contains(" has room for "), "{seen}");
    assert!(!seen.contains("nothing new"), "{seen}");
    let stored = contents(&disk.0.join("inbox")).1.len();
    assert!((1..9).contains(&stored), "{stored}");
    let mut grow = Command::new("mount");
    grow.args(["-o", "remount,size=30m"]).arg(&disk.0);
    assert!(grow.status().unwrap().success());
    place.fetch_well(office.address);
    assert_eq!(contents(&disk.0.join("inbox")).1.len(), 9);
    place.check();
}

/// What a person sees of a run.
fn at_terminal(fetch: &Command) -> String {
    let output = feed(crate::terminal::at(fetch), b"");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Of what came in part there is no word.
#[test]
fn at_a_terminal_the_messages_that_are_here_are_counted_with_their_octets() {
    let place = Place::new();
    let small = place.letter("small\n", &[]);
    let large = place.letter("large\n", &[&vec![7; 300_000]]);
    let folders = [folder("inbox", &[small.clone(), large])];
    let office = Office::start(&place.identity(), &folders, |line, said| {
        match line.starts_with("PART") {
            true => [&said[..200_000], &vec![0; said.len() - 200_003], b"OK\n"].concat(),
            false => said,
        }
    });
    let seen = at_terminal(&place.command(office.address));
    let said = format!("fetch-mail: 1 new message, {} B", small.len());
    assert!(seen.contains(&said), "{seen}");
    let seen = at_terminal(&place.command(office.address));
    assert!(!seen.contains("new"), "{seen}");
}
