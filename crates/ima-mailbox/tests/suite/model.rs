//! Anything in any order, against a model of what a mailbox is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ima_mailbox::{Act, Changes, Delivered, Folder, Moved};
use ima_message::{DateTime, Entry, FolderName, MessageDigest, Token};
use proptest::prelude::*;

use crate::letter::{Letter, Parts};
use crate::place::{Place, findings, flags, inbox, live};

const LETTERS: usize = 5;
const FLAGS: [&str; 4] = ["+seen", "-seen", "+x -seen", "+y -x"];

#[derive(Clone, Debug)]
enum Step {
    Deliver(usize, usize),
    Store(usize, usize, bool),
    Flag(usize, usize, usize),
    Delete(usize, usize),
    Move(usize, usize, usize),
    Copy(usize, usize, usize),
    Compact(usize),
    Status(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (folder, letter) = (0..2_usize, 0..LETTERS);
    let of = (folder.clone(), letter.clone());
    prop_oneof![
        4 => of.clone().prop_map(|(f, l)| Step::Deliver(f, l)),
        2 => (of.clone(), any::<bool>()).prop_map(|((f, l), seen)| Step::Store(f, l, seen)),
        4 => (of.clone(), 0..FLAGS.len()).prop_map(|((f, l), n)| Step::Flag(f, l, n)),
        3 => of.clone().prop_map(|(f, l)| Step::Delete(f, l)),
        3 => (of.clone(), 0..2_usize).prop_map(|((f, l), to)| Step::Move(f, l, to)),
        1 => (of, 0..2_usize).prop_map(|((f, l), to)| Step::Copy(f, l, to)),
        1 => folder.clone().prop_map(Step::Compact),
        1 => folder.prop_map(Step::Status),
    ]
}

/// What a folder holds: messages with their flags; and what was deleted from it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    live: BTreeMap<MessageDigest, BTreeSet<String>>,
    gone: BTreeSet<MessageDigest>,
}

impl Model {
    fn add(&mut self, digest: MessageDigest, flags: &BTreeSet<String>) {
        self.gone.remove(&digest);
        self.live.entry(digest).or_default().extend(flags.clone());
    }

    fn change(&mut self, digest: MessageDigest, text: &str) {
        let Some(known) = self.live.get_mut(&digest) else {
            return;
        };
        for change in flags(text) {
            let name = change.flag.as_str().to_owned();
            match change.set {
                true => known.insert(name),
                false => known.remove(&name),
            };
        }
    }

    fn delete(&mut self, digest: MessageDigest) {
        if self.live.remove(&digest).is_some() {
            self.gone.insert(digest);
        }
    }
}

fn state(folder: &Path) -> BTreeMap<MessageDigest, BTreeSet<String>> {
    let messages = live(folder).into_iter();
    messages
        .map(|(digest, message)| {
            let flags = message.flags.iter();
            (digest, flags.map(|flag| flag.as_str().to_owned()).collect())
        })
        .collect()
}

/// The changes since a token, done to the state at the token.
fn caught_up(
    folder: &Folder,
    token: &Token,
    mut state: BTreeMap<MessageDigest, BTreeSet<String>>,
) -> Option<BTreeMap<MessageDigest, BTreeSet<String>>> {
    let Changes::Since(entries, _) = folder.changes(Some(token)).unwrap() else {
        return None;
    };
    for change in entries {
        match change.unwrap().entry {
            Entry::Add { digest, .. } => drop(state.entry(digest).or_default()),
            Entry::Del { digest } => drop(state.remove(&digest)),
            Entry::Flag { digest, changes } => {
                let Some(known) = state.get_mut(&digest) else {
                    continue;
                };
                for change in changes {
                    let name = change.flag.as_str().to_owned();
                    match change.set {
                        true => known.insert(name),
                        false => known.remove(&name),
                    };
                }
            }
        }
    }
    Some(state)
}

struct World {
    place: Place,
    names: [FolderName; 2],
    paths: [PathBuf; 2],
    letters: Vec<Letter>,
    models: [Model; 2],
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        let (name, path) = place.folder("other");
        let letters = (0..LETTERS)
            .map(|n| {
                let text = n.to_string();
                let parts = Parts::default().inline(text.as_bytes());
                let shared: &[u8] = if n % 2 == 0 { b"even" } else { b"odd" };
                parts.attach(shared).letter(&text)
            })
            .collect();
        Self {
            names: [inbox(), name],
            paths: [place.inbox.clone(), path],
            place,
            letters,
            models: Default::default(),
        }
    }

    fn folder(&self, folder: usize) -> Folder {
        Folder::open(&self.paths[folder]).unwrap()
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Deliver(f, l) => {
                let letter = &self.letters[l];
                let digest = letter.header.digest();
                let known = self.models[f].live.contains_key(&digest)
                    || self.models[f].gone.contains(&digest);
                let delivered = self
                    .folder(f)
                    .deliver(&letter.header, &mut &*letter.data, None);
                let expected = match known {
                    true => Delivered::Duplicate,
                    false => Delivered::Stored,
                };
                assert_eq!(delivered.unwrap(), expected);
                if !known {
                    self.models[f].add(digest, &BTreeSet::new());
                }
            }
            Step::Store(f, l, seen) => {
                let letter = &self.letters[l];
                let digest = letter.header.digest();
                let folder = self.folder(f);
                let mut batch = folder.batch_of_user().unwrap();
                let brought = flags(if seen { "+seen" } else { "" });
                batch
                    .stage_flagged(
                        &letter.header,
                        &mut &*letter.data,
                        DateTime::utc(1_800_000_000).unwrap(),
                        brought.into_iter().map(|change| change.flag).collect(),
                    )
                    .unwrap();
                let new = usize::from(!self.models[f].live.contains_key(&digest));
                assert_eq!(batch.commit().unwrap().new, new);
                let set = seen.then(|| "seen".to_owned());
                self.models[f].add(digest, &set.into_iter().collect());
            }
            Step::Flag(f, l, n) => {
                let digest = self.letters[l].header.digest();
                let changes = flags(FLAGS[n]);
                let applied = self.folder(f).apply(&[Act::Flag { digest, changes }]);
                assert_eq!(
                    applied.unwrap().written.is_some(),
                    self.models[f].live.contains_key(&digest)
                );
                self.models[f].change(digest, FLAGS[n]);
            }
            Step::Delete(f, l) => {
                let digest = self.letters[l].header.digest();
                let applied = self.folder(f).apply(&[Act::Delete { digest }]);
                assert_eq!(
                    applied.unwrap().missing.is_empty(),
                    self.models[f].live.contains_key(&digest)
                );
                self.models[f].delete(digest);
            }
            Step::Move(f, l, to) => self.transfer(f, l, to, true),
            Step::Copy(f, l, to) => self.transfer(f, l, to, false),
            Step::Compact(f) => drop(self.folder(f).compact().unwrap()),
            Step::Status(f) => drop(self.folder(f).status().unwrap()),
        }
    }

    fn transfer(&mut self, from: usize, letter: usize, to: usize, moves: bool) {
        let digest = self.letters[letter].header.digest();
        let mailbox = self.place.mailbox();
        let (here, there) = (&self.names[from], &self.names[to]);
        let moved = match moves {
            true => mailbox.move_message(here, digest, there),
            false => mailbox.copy_message(here, digest, there),
        };
        let Some(flags) = self.models[from].live.get(&digest).cloned() else {
            assert_eq!(moved.unwrap(), Moved::NoMessage);
            return;
        };
        assert!(matches!(moved.unwrap(), Moved::Done { .. }));
        if from != to {
            self.models[to].add(digest, &flags);
            if moves {
                self.models[from].delete(digest);
            }
        }
    }

    fn is_as_the_model(&self) {
        for (path, model) in self.paths.iter().zip(&self.models) {
            assert_eq!(&state(path), &model.live);
            let status = Folder::open(path).unwrap().status().unwrap();
            let unseen = model.live.values().filter(|flags| !flags.contains("seen"));
            assert_eq!(status.messages, model.live.len() as u64);
            assert_eq!(status.unseen, unseen.count() as u64);
            for digest in &model.gone {
                let folder = Folder::open(path).unwrap();
                assert!(folder.was_removed(*digest).unwrap());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_mailbox_is_what_was_done_to_it(steps in prop::collection::vec(step(), 1..30)) {
        let mut world = World::new();
        let mut tokens: [Vec<_>; 2] = Default::default();
        for step in &steps {
            world.take(step);
            for (f, tokens) in tokens.iter_mut().enumerate() {
                let folder = world.folder(f);
                let token = folder.token().unwrap();
                tokens.push((token, world.models[f].live.clone()));
                // The last one, and each other one now and then.
                let count = tokens.len();
                for (n, (token, then)) in tokens.iter().enumerate() {
                    if n % 7 != count % 7 && n + 2 < count {
                        continue;
                    }
                    let now = caught_up(&folder, token, then.clone());
                    // A token means nothing any more, or all that came since.
                    let is_of_now = token.generation == folder.token().unwrap().generation;
                    prop_assert_eq!(now, is_of_now.then(|| world.models[f].live.clone()));
                    let past = folder.live(Some(token)).unwrap();
                    prop_assert_eq!(past.map(|live| live.len()), is_of_now.then_some(then.len()));
                }
            }
        }
        world.is_as_the_model();
        for f in 0..2 {
            world.folder(f).compact().unwrap();
        }
        world.is_as_the_model();
        for path in &world.paths {
            prop_assert!(findings(path).is_empty());
        }
    }
}
