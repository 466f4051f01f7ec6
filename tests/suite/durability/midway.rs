//! The power is cut in the middle, while several writers deliver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::disk::{CUTS, Cut, Disk, KINDS, Kind, TOOLS};
use super::ground::{self, NotAllowed};
use super::letter::{Letter, octets};
use super::place::{Place, expect};
use super::promise::Promises;
use super::{Build, count, none};
use crate::site::{PATIENCE, code, feed};

const WRITERS: usize = 4;

#[test]
fn what_was_acknowledged_before_a_cut_in_the_middle_is_there() {
    let test = "what_was_acknowledged_before_a_cut_in_the_middle_is_there";
    ground::run(module_path!(), test, TOOLS, || {
        for kind in KINDS {
            for how in CUTS {
                cut_in_the_middle(kind, how, count("EMEMO_CUTS", 3))?;
            }
        }
        Ok(())
    });
}

fn cut_in_the_middle(kind: Kind, how: Cut, rounds: usize) -> Result<(), NotAllowed> {
    let disk = Disk::new(kind)?;
    let place = Place::furnished(&disk.path(), &Build::default());
    disk.start();
    let mut promises = Promises::of(&place);
    for round in 0..rounds {
        let acknowledged = write_until_the_cut(&disk, &place, how, round);
        disk.start();
        for letter in acknowledged {
            promises.add_letter(place.folder("bob/inbox"), letter);
        }
        let broken = promises.broken(&place);
        let at = format!("{kind:?}, {how:?}, round {round}");
        none(
            &broken
                .iter()
                .map(|text| format!("{at}: {text}"))
                .collect::<Vec<_>>(),
        );
        // Whoever delivers next finds nothing in the way.
        let letter = Letter::full(&format!("after {round}"));
        let (command, octets) = place.delivery("bob/inbox", &letter);
        expect(0, &feed(command, &octets));
        none(&place.damage());
        promises.add_letter(place.folder("bob/inbox"), letter);
        promises.note(&place);
    }
    Ok(())
}

/// Writers deliver until they cannot; gives what they were told is stored. The
/// cut comes right after some acknowledgement, when the others are anywhere.
///
/// What is acknowledged while the cut goes on is left out: of an fsync that was
/// under way the kernel may say that it succeeded although it did not. A real
/// power cut lets nobody say anything.
fn write_until_the_cut(disk: &Disk, place: &Place, how: Cut, round: usize) -> Vec<Letter> {
    let is_cut = AtomicBool::new(false);
    let (is_stored, told) = mpsc::channel();
    let random = usize::try_from(getrandom::u32().unwrap() % 40).unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (is_stored, is_cut) = (is_stored.clone(), &is_cut);
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("{round} {writer} {number}");
                    let own = octets(&name, number % 7 * 1000);
                    let letter = Letter::new(&["bob"], &name, &[own, octets("kept", 150_000)]);
                    let (command, octets) = place.delivery("bob/inbox", &letter);
                    let output = feed(command, &octets);
                    match (code(&output), is_cut.load(Ordering::SeqCst)) {
                        (0, _) => is_stored.send(letter).unwrap(),
                        (2, true) => return,
                        // The cut has happened, and is about to be said.
                        (2, false) => {}
                        _ => panic!("{output:?}"),
                    }
                }
            });
        }
        drop(is_stored);
        let mut letters = Vec::new();
        for _ in 0..=random {
            letters.push(told.recv_timeout(PATIENCE).unwrap());
        }
        letters.extend(told.try_iter());
        disk.cut(how);
        is_cut.store(true, Ordering::SeqCst);
        told.iter().for_each(drop);
        letters
    })
}
