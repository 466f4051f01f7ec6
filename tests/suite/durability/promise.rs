//! What was acknowledged so far, and whether it is there after a power cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::act::Act;
use super::letter::Letter;
use super::place::{Place, THERE, state, stored};

/// What a reader was told of some mailboxes.
#[derive(Default)]
pub struct Promises {
    /// The journals as they were.
    journals: BTreeMap<PathBuf, Vec<u8>>,
    letters: Vec<(PathBuf, Letter)>,
}

impl Promises {
    /// What mailboxes hold that were just furnished.
    pub fn of(place: &Place) -> Promises {
        let inbox = place.folder("bob/inbox");
        Promises {
            journals: place.journals(),
            letters: THERE.map(|name| (inbox.clone(), Letter::full(name))).into(),
        }
    }

    /// An act was acknowledged, and nobody has changed anything since.
    pub fn add(&mut self, place: &Place, act: &Act) {
        for (folder, letter) in &act.puts {
            self.add_letter(place.folder(folder), letter.clone());
        }
        for (folder, letter) in &act.takes {
            self.take_letter(&place.folder(folder), letter);
        }
        self.note(place);
    }

    pub fn add_letter(&mut self, folder: PathBuf, letter: Letter) {
        self.letters.push((folder, letter));
    }

    /// A letter is no longer in a folder.
    pub fn take_letter(&mut self, folder: &Path, letter: &Letter) {
        let is_other = |at: &Path, known: &Letter| at != folder || known.digest != letter.digest;
        self.letters.retain(|(at, known)| is_other(at, known));
    }

    /// The journals are as they are, and synced: tokens of them may be handed out.
    pub fn note(&mut self, place: &Place) {
        self.journals = place.journals();
    }

    /// What is not as it was promised.
    pub fn broken(&self, place: &Place) -> Vec<String> {
        let mut problems = place.damage();
        for (folder, before) in &self.journals {
            // A token is a place in a journal: what stands before it is as it was.
            match fs::read(folder.join("journal")) {
                Ok(now) if now.starts_with(before) => {}
                Ok(now) => {
                    let (kept, all) = (common(before, &now), before.len());
                    let folder = folder.display();
                    problems.push(format!("{folder}: of {all} octets of its journal {kept}"));
                }
                Err(error) => problems.push(format!("{}: {error}", folder.display())),
            }
        }
        problems.extend(self.broken_letters());
        problems
    }

    /// The same where journals may have been written anew.
    pub fn broken_beside_journals(&self, place: &Place) -> Vec<String> {
        let mut problems = place.damage();
        problems.extend(self.broken_letters());
        problems
    }

    fn broken_letters(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (folder, letter) in &self.letters {
            let digest = &letter.digest;
            if !folder.join("journal").exists() || !state(folder).contains_key(digest) {
                problems.push(format!("{}: no add {digest}", folder.display()));
            } else if stored(folder, digest).as_ref() != Some(&letter.octets) {
                problems.push(format!("{}: {digest} is not whole", folder.display()));
            }
        }
        problems
    }
}

/// Octets that are the same at the start of both.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}
