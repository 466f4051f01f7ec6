//! Each call that a program makes on a mailbox fails once with EIO.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::act::{self, Act};
use super::order::{self, Acknowledgements};
use super::place::Place;
use super::trace::{Call, path_in};
use super::traced::{run, trace_of};
use super::{Build, copy, count, has, none, quick};
use crate::site::{code, feed, stderr, stdout};

/// Calls of which each is made to fail in its turn.
pub const FAILING: [&str; 26] = [
    "open",
    "openat",
    "openat2",
    "fsync",
    "fdatasync",
    "syncfs",
    "write",
    "writev",
    "pwrite64",
    "read",
    "pread64",
    "linkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "mkdirat",
    "ftruncate",
    "fchmod",
    "fstat",
    "newfstatat",
    "statx",
    "fstatfs",
    "flock",
    "getdents64",
    "faccessat2",
    "utimensat",
];

/// The status of a program whose libraries could not be loaded.
const NOT_STARTED: i32 = 127;

/// A mailbox to be copied for each run.
struct Template {
    dir: TempDir,
    build: Build,
}

impl Template {
    fn new(build: &Build) -> Template {
        let dir = quick();
        fs::create_dir(dir.path().join("template")).unwrap();
        Place::furnished(&dir.path().join("template"), build);
        Template {
            dir,
            build: build.clone(),
        }
    }

    /// A copy of it, in the place of the last one.
    fn place(&self) -> Place {
        let root = fs::canonicalize(self.dir.path()).unwrap().join("mail");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        copy(&self.dir.path().join("template"), &root);
        Place::at(&root, &self.build)
    }
}

/// For each call that an act makes on the mailbox, what goes wrong when that
/// fails. Gives how many there were, too.
pub fn wrong(build: &Build, act: &Act) -> (Vec<String>, usize) {
    let template = Template::new(build);
    let place = template.place();
    let trace = trace_of(&FAILING);
    let (command, octets) = (act.command)(&place);
    let (output, calls) = run(&command, &octets, &["-e", &trace]);
    assert_eq!(code(&output), 0, "{}: {output:?}", act.name);
    let turns = some(turns(&calls, &place.root), 150);
    let mut problems = Vec::new();
    for (name, number) in &turns {
        let place = template.place();
        let failing = format!("inject={name}:error=EIO:when={number}");
        for problem in run_failing(act, &place, &trace, &failing) {
            problems.push(format!("{}, {name} {number}: {problem}", act.name));
        }
    }
    (problems, turns.len())
}

/// Of each name of a call the numbers, counted for each thread, at which it was
/// about something beneath a path.
pub fn turns(calls: &[Call], root: &Path) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let mut turns = Vec::new();
    for call in calls.iter().filter(|call| FAILING.contains(&&*call.name)) {
        let count = counts.entry((call.thread, &call.name)).or_default();
        *count += 1;
        let mut paths = call.arguments.iter().filter_map(|text| path_in(text));
        let is_ours = |path: &Path| path.starts_with(root);
        let turn = (call.name.clone(), *count);
        let is_new = !turns.contains(&turn);
        if is_new
            && (paths.any(|path| is_ours(&path)) || call.opened.as_deref().is_some_and(is_ours))
        {
            turns.push(turn);
        }
    }
    turns
}

/// All of them, or of very many every fifth or so: each run of the tests begins at
/// another one, and EMEMO_EVERY=1 takes all.
pub fn some(turns: Vec<(String, usize)>, most: usize) -> Vec<(String, usize)> {
    let stride = count("EMEMO_EVERY", turns.len().div_ceil(most).max(1));
    let begin = usize::try_from(std::process::id()).unwrap() % stride;
    turns.into_iter().skip(begin).step_by(stride).collect()
}

fn run_failing(act: &Act, place: &Place, trace: &str, failing: &str) -> Vec<String> {
    let before = place.journals();
    let (command, octets) = (act.command)(place);
    let (output, calls) = run(&command, &octets, &["-e", trace, "-e", failing]);
    if code(&output) == NOT_STARTED {
        // Numbers are counted for each thread: in this one the loader made the call.
        return Vec::new();
    }
    let mut problems = Vec::new();
    if code(&output) == 0 {
        problems.extend(order::problems(
            &calls,
            &place.root,
            Acknowledgements::default(),
        ));
        problems.extend(act.missing(place));
    } else {
        if code(&output) != 2 {
            let said = format!("{}{}", stdout(&output), stderr(&output));
            problems.push(format!("status {}: {said}", code(&output)));
        }
        if !act.in_parts
            && act.makes.is_none()
            && !act.flags_or_takes()
            && place.journals() != before
        {
            problems.push("it failed, and a journal has changed".to_owned());
        }
    }
    problems.extend(place.damage());
    let (command, octets) = (act.command)(place);
    let again = feed(command, &octets);
    // What was done although it could not be acknowledged may be refused now.
    let may_refuse = code(&again) == 1 || act.makes.is_some();
    let is_done = code(&again) == 0 || (may_refuse && act.missing(place).is_empty());
    if !is_done {
        problems.push(format!(
            "the second run: {}{}",
            stdout(&again),
            stderr(&again)
        ));
    }
    problems.extend(act.missing(place));
    problems.extend(place.damage());
    problems
}

fn no_loss(acts: Vec<Act>) {
    if !has(&["strace"]) {
        return;
    }
    let mut problems = Vec::new();
    for act in acts {
        let (wrong, turns) = wrong(&Build::default(), &act);
        assert!(turns > 5, "{}: {turns}", act.name);
        problems.extend(wrong);
    }
    none(&problems);
}

#[test]
fn no_call_of_a_delivery_fails_with_a_loss() {
    no_loss(act::deliveries());
}

#[test]
fn no_call_of_a_command_fails_with_a_loss() {
    no_loss(act::tools());
}
