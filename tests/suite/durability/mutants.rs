//! Programs that break one promise each, and what catches them.
//!
//! EMEMO_MUTANTS names the folder of a build with `--cfg ememo_mutants`.

use std::process::Command;

use super::act::{self, Act};
use super::disk::{CUTS, Cut, KINDS, Kind, TOOLS};
use super::ground::{self, NotAllowed};
use super::{Build, has, injected, none, power, say, traced};
use crate::pages::root;
use crate::site::stderr;

/// The build with that promise broken; `None` where there is none to be tested.
fn build(mutant: Option<&'static str>) -> Option<Build> {
    let Some(folder) = std::env::var_os("EMEMO_MUTANTS") else {
        say("skipped: EMEMO_MUTANTS=FOLDER runs it, with a build of --cfg ememo_mutants");
        return None;
    };
    Some(Build {
        folder: Some(folder.into()),
        mutant,
    })
}

/// What caught a mutant: all of these must have found something.
fn caught(mutant: &str, by: &str, problems: &[String]) {
    let Some(first) = problems.first() else {
        panic!("mutant {mutant}: NOT caught by {by}");
    };
    let first = first.lines().next().unwrap_or_default();
    say(&format!("mutant {mutant}: caught by {by}: {first}"));
}

fn one(name: &str) -> Vec<Act> {
    let mut acts = act::all();
    acts.retain(|act| act.name == name);
    assert_eq!(acts.len(), 1, "{name}");
    acts
}

#[test]
fn a_power_cut_catches_files_that_were_not_synced() {
    let test = "a_power_cut_catches_files_that_were_not_synced";
    let Some(sound) = build(None) else {
        return;
    };
    ground::run(module_path!(), test, TOOLS, || {
        for kind in KINDS {
            for how in CUTS {
                catch_by_power_cut(&sound, kind, how)?;
            }
        }
        Ok(())
    });
}

fn catch_by_power_cut(sound: &Build, kind: Kind, how: Cut) -> Result<(), NotAllowed> {
    for (mutant, act) in [
        ("no-file-sync", "first delivery"),
        ("no-file-sync", "one file for two"),
        ("no-journal-sync", "first delivery"),
        ("no-file-system-sync", "import"),
        ("no-file-system-sync", "four recipients"),
    ] {
        let acts = one(act);
        none(&power::lost(sound, kind, how, &acts)?);
        let broken = build(Some(mutant)).expect("as before");
        let problems = power::lost(&broken, kind, how, &acts)?;
        caught(
            mutant,
            &format!("a power cut, {kind:?}, {how:?}"),
            &problems,
        );
    }
    Ok(())
}

#[test]
fn the_order_of_calls_shows_what_was_not_synced() {
    let Some(sound) = build(None) else {
        return;
    };
    if !has(&["strace"]) {
        return;
    }
    for (mutant, act) in [
        ("no-directory-sync", "first delivery"),
        ("no-directory-sync", "delete"),
        ("no-file-sync", "first delivery"),
        ("no-file-sync", "one file for two"),
        ("no-journal-sync", "flag"),
        ("no-file-system-sync", "import"),
        ("no-file-system-sync", "four recipients"),
    ] {
        let act = &one(act)[0];
        none(&traced::too_early(&sound, act));
        let broken = build(Some(mutant)).expect("as before");
        let problems = traced::too_early(&broken, act);
        caught(
            mutant,
            &format!("the order of calls of {:?}", act.name),
            &problems,
        );
    }
}

#[test]
fn calls_that_fail_show_who_does_not_look() {
    let Some(sound) = build(None) else {
        return;
    };
    if !has(&["strace"]) {
        return;
    }
    let mutant = "sync-result-ignored";
    for act in ["first delivery", "flag"] {
        let act = &one(act)[0];
        none(&injected::wrong(&sound, act).0);
        let broken = build(Some(mutant)).expect("as before");
        let (problems, _) = injected::wrong(&broken, act);
        caught(
            mutant,
            &format!("calls of {:?} that fail", act.name),
            &problems,
        );
    }
}

/// What a build for release does with the mutants: it is none.
#[test]
fn a_build_for_release_cannot_break_a_promise() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    for (assertions, is_refused) in [("off", true), ("on", false)] {
        let mut command = Command::new(&rustc);
        command.args([
            "--edition=2024",
            "--crate-type=lib",
            "--emit=metadata",
            "-o",
            "-",
        ]);
        command.args([
            "--cfg=ememo_mutants",
            "-C",
            &format!("debug-assertions={assertions}"),
        ]);
        command.arg(root().join("crates/ima-mailbox/src/durable.rs"));
        let output = command.output().expect("rustc runs");
        // By itself the file lacks what it imports, in either case.
        let said = stderr(&output);
        let refused = said.contains("a mailbox that breaks its promises is for tests alone");
        assert_eq!(refused, is_refused, "{said}");
    }
}
