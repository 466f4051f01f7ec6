//! Disks that are full, read-only, or another's: nothing is visible then, and
//! the next run succeeds where there is room.

use std::process::Command;

use super::act::{self, Act};
use super::disk::Memory;
use super::ground::{self, NotAllowed};
use super::letter::Letter;
use super::place::{Place, expect, state};
use super::{Build, none, tool};
use crate::site::{feed, stderr, stdout};

/// Octets of a journal that the next line goes beyond: it needs a new block.
const NEARLY_A_BLOCK: u64 = 4096 - 40;

/// bob's mailbox on a small disk.
fn small() -> Result<(Memory, Place), NotAllowed> {
    let memory = Memory::new()?;
    let place = Place::furnished(memory.path(), &Build::default());
    let inbox = place.folder("bob/inbox");
    for number in 0.. {
        let journal = std::fs::metadata(inbox.join("journal")).unwrap().len();
        if journal % memory.block() > NEARLY_A_BLOCK {
            break;
        }
        let letter = Letter::plain(&format!("filling {}", number % 3));
        let (command, octets) = place.delivery("bob/inbox", &letter);
        expect(0, &feed(command, &octets));
    }
    Ok((memory, place))
}

/// Runs an act with one more block or inode at each step, until it succeeds: each
/// of its writes is the one that fails, once.
fn grow(act: &Act, option: &str) -> Result<Vec<String>, NotAllowed> {
    let (memory, place) = small()?;
    let (blocks, inodes) = memory.taken();
    let before = place.journals();
    let mut problems = Vec::new();
    for more in 0.. {
        let limit = match option {
            "size" => (blocks + more) * memory.block(),
            _ => inodes + more,
        };
        memory.set(&format!("{option}={limit}"));
        let (command, octets) = (act.command)(&place);
        let output = feed(command, &octets);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        let mut problem = |text: &str| {
            problems.push(format!("{}, {option} + {more}: {text}\n{said}", act.name));
        };
        place.damage().iter().for_each(|text| problem(text));
        match output.status.code() {
            Some(0) => {
                act.missing(&place).iter().for_each(|text| problem(text));
                return Ok(problems);
            }
            Some(2) => {}
            code => problem(&format!("{code:?}")),
        }
        let is_one = !act.in_parts;
        if is_one && place.journals() != before {
            problem("it failed, and a journal has changed");
        }
        if is_one && memory.taken() != (blocks, inodes) {
            problem(&format!(
                "{:?} are taken, {:?} before",
                memory.taken(),
                (blocks, inodes)
            ));
        }
        assert!(more < 2000, "{} never succeeds", act.name);
        if problems.len() > 20 {
            return Ok(problems);
        }
    }
    Ok(problems)
}

fn grow_each(option: &str) -> Result<(), NotAllowed> {
    let mut problems = Vec::new();
    for act in act::all() {
        problems.extend(grow(&act, option)?);
    }
    none(&problems);
    Ok(())
}

#[test]
fn where_the_disk_is_full_nothing_is_visible() {
    let test = "where_the_disk_is_full_nothing_is_visible";
    ground::run(module_path!(), test, &[], || grow_each("size"));
}

#[test]
fn where_the_inodes_are_used_up_nothing_is_visible() {
    let test = "where_the_inodes_are_used_up_nothing_is_visible";
    ground::run(module_path!(), test, &[], || grow_each("nr_inodes"));
}

#[test]
fn on_a_disk_for_reading_alone_nothing_changes() {
    let test = "on_a_disk_for_reading_alone_nothing_changes";
    ground::run(module_path!(), test, &[], || {
        let (memory, place) = small()?;
        memory.set("ro");
        nothing_changes(&place, |command| command);
        memory.set("rw");
        every_act_succeeds(&place);
        Ok(())
    });
}

#[test]
fn another_user_changes_nothing() {
    let test = "another_user_changes_nothing";
    ground::run(module_path!(), test, &["setpriv"], || {
        let (_memory, place) = small()?;
        nothing_changes(&place, |command| {
            let mut another = tool("setpriv");
            another.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            another.arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                if let Some(value) = value {
                    another.env(name, value);
                }
            }
            another
        });
        every_act_succeeds(&place);
        Ok(())
    });
}

fn nothing_changes(place: &Place, with: impl Fn(Command) -> Command) {
    let before = place.journals();
    let states: Vec<_> = before.keys().map(|folder| state(folder)).collect();
    for act in act::all() {
        let (command, octets) = (act.command)(place);
        expect(2, &feed(with(command), &octets));
        assert_eq!(place.journals(), before, "{}", act.name);
    }
    none(&place.damage());
    assert_eq!(
        states,
        before
            .keys()
            .map(|folder| state(folder))
            .collect::<Vec<_>>()
    );
}

fn every_act_succeeds(place: &Place) {
    for act in act::all() {
        let (command, octets) = (act.command)(place);
        expect(0, &feed(command, &octets));
        none(&act.missing(place));
    }
    none(&place.damage());
}
