//! What happened to the messages, who knew of it, and what of it must not be lost.

use std::collections::{BTreeMap, BTreeSet};

use ima_message::MessageDigest;

use super::contents::{Contents, Copies, copies};

/// What is done to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    New,
    /// Into which folder.
    Moved(String),
    Flagged(String, bool),
    Deleted,
}

/// What happened to a message.
struct Happening {
    digest: MessageDigest,
    what: What,
    /// Somebody did the same kind of thing to it later, before anybody could know
    /// of this.
    overtaken: Option<usize>,
    overruled: Option<Overruled>,
    /// What whoever did it knew of.
    known: BTreeSet<usize>,
    /// Its device forgot when it happened, before the server knew of it.
    is_forgotten: bool,
    /// Where whoever did it had the message then.
    copies: Copies,
}

/// A flag was removed on a device when others had set it on the server: it stays
/// set there, and nothing has changed.
struct Overruled {
    by: BTreeSet<usize>,
    /// What the server knew of then.
    known: BTreeSet<usize>,
}

/// All that happened, in its order, by number.
#[derive(Default)]
pub struct History(Vec<Happening>);

impl History {
    /// How much there is: the number of what happens next.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Somebody does something to a message, has these copies of it then, knows of
    /// this, and has done that (`own`) before, of which nobody else can know.
    pub fn add(
        &mut self,
        (digest, what): (MessageDigest, What),
        copies: Copies,
        known: BTreeSet<usize>,
        own: &[usize],
    ) -> usize {
        let number = self.0.len();
        for earlier in own {
            let earlier = &mut self.0[*earlier];
            let is_alike = match (&earlier.what, &what) {
                (What::Moved(_), What::Moved(_)) => true,
                (What::Flagged(flag, _), What::Flagged(other, _)) => flag == other,
                _ => false,
            };
            if is_alike && earlier.digest == digest && earlier.overtaken.is_none() {
                earlier.overtaken = Some(number);
            }
        }
        self.0.push(Happening {
            digest,
            what,
            overtaken: None,
            overruled: None,
            known,
            is_forgotten: false,
            copies,
        });
        number
    }

    /// That something happened is nothing that anybody has to be told.
    pub fn forget(&mut self, number: usize) {
        self.0[number].is_forgotten = true;
    }

    /// The same of flags that were changed among these.
    pub fn forget_flags(&mut self, numbers: &[usize], digest: MessageDigest) {
        for number in numbers {
            let one = &mut self.0[*number];
            let is_flagged = matches!(one.what, What::Flagged(..));
            one.is_forgotten |= is_flagged && one.digest == digest;
        }
    }

    /// A device, which has done this since it met the server last, meets the server,
    /// which knows of that.
    pub fn meet(&mut self, own: &[usize], server: &BTreeSet<usize>) {
        for number in own {
            let by: BTreeSet<usize> = server
                .iter()
                .copied()
                .filter(|set| self.is_overruling(*set, *number, server))
                .collect();
            if !by.is_empty() {
                let known = server.clone();
                self.0[*number].overruled = Some(Overruled { by, known });
            }
        }
    }

    /// Whether one has set the flag that the other removed, neither knew of the other,
    /// and the flag was not removed again on the server.
    fn is_overruling(&self, set: usize, removed: usize, server: &BTreeSet<usize>) -> bool {
        let (one, other) = (&self.0[set], &self.0[removed]);
        let What::Flagged(flag, false) = &other.what else {
            return false;
        };
        let is_again = |number: &usize| {
            let again = &self.0[*number];
            again.digest == one.digest && again.what == other.what && again.known.contains(&set)
        };
        one.digest == other.digest
            && one.what == What::Flagged(flag.clone(), true)
            && one.overtaken.is_none()
            && other.overtaken.is_none()
            && !other.known.contains(&set)
            && !server.iter().any(is_again)
    }

    /// A message that is nowhere, and must not be.
    pub fn lost(&self, there: &Contents) -> Option<MessageDigest> {
        let lost = self.0.iter().enumerate().find(|(number, happening)| {
            let digest = happening.digest.to_string();
            // Whoever deleted it later had seen this.
            let is_deleted = |(deletion, other): (usize, &Happening)| {
                other.what == What::Deleted
                    && other.digest == happening.digest
                    && self.is_seen(*number, deletion)
            };
            happening.what != What::Deleted
                && !happening.is_forgotten
                && !there.values().any(|folder| folder.contains_key(&digest))
                && !self.0.iter().enumerate().any(is_deleted)
        });
        lost.map(|(_, happening)| happening.digest)
    }

    /// A message to which everything was done one after the other, each time by
    /// somebody who knew all of it, and that is otherwise than the last one left it.
    pub fn altered(&self, there: &Contents) -> Option<MessageDigest> {
        let mut ends = BTreeMap::new();
        for (number, happening) in self.0.iter().enumerate() {
            let (done, is_chain) = ends
                .entry(happening.digest)
                .or_insert_with(|| (Vec::new(), true));
            *is_chain &= done.iter().all(|earlier| happening.known.contains(earlier));
            done.push(number);
        }
        let altered = ends.into_iter().find(|(digest, (done, is_chain))| {
            let last = done.last().map(|last| &self.0[*last].copies);
            *is_chain && last != Some(&copies(there, *digest))
        });
        altered.map(|(digest, _)| digest)
    }

    /// Whether who deleted a message knew what a happening has done to it: of itself,
    /// of one that did the same elsewhere meanwhile, so that this changed nothing, of
    /// one by which it was overruled when the deletion was yet to come to the server,
    /// or of what became of it later.
    fn is_seen(&self, number: usize, deletion: usize) -> bool {
        let happening = &self.0[number];
        let known = &self.0[deletion].known;
        let is_same = |other: &usize| {
            let (number, other) = (other, &self.0[*other]);
            other.digest == happening.digest
                && other.what == happening.what
                && other.overtaken.is_none()
                && !happening.known.contains(number)
        };
        let is_overruled = |overruled: &Overruled| {
            !overruled.known.contains(&deletion) && !overruled.by.is_disjoint(known)
        };
        known.contains(&number)
            || known.iter().any(is_same)
            || happening.overruled.as_ref().is_some_and(is_overruled)
            || happening
                .overtaken
                .is_some_and(|later| self.is_seen(later, deletion))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{History, What};
    use crate::devices::contents::{Contents, Copies};

    /// A flag is set by one, and what another did to it meanwhile comes to the server;
    /// `first`: the deletion of the one is there then, and not afterwards. Whether the
    /// message is lost where it is nowhere.
    fn is_lost(meanwhile: &[bool], is_set_there: bool, first: bool) -> bool {
        let digest = "3b".repeat(32).parse().unwrap();
        let flagged = |is_set| What::Flagged("seen".to_owned(), is_set);
        let mut history = History::default();
        let mut add = |what, known: &BTreeSet<usize>, own: &[usize]| {
            history.add((digest, what), Copies::new(), known.clone(), own)
        };
        let all = BTreeSet::from([add(What::New, &BTreeSet::new(), &[])]);
        let mut one = all.clone();
        let set = add(flagged(true), &one, &[]);
        one.insert(set);
        let deletion = add(What::Deleted, &one, &[set]);
        let (mut other, mut own) = (all.clone(), Vec::new());
        for is_set in meanwhile {
            let number = add(flagged(*is_set), &other, &own);
            own.push(number);
            other.insert(number);
        }
        let mut server = match is_set_there {
            true => one,
            false => all,
        };
        if first {
            server.insert(deletion);
        }
        history.meet(&own, &server);
        history.lost(&Contents::new()).is_some()
    }

    #[test]
    fn what_was_overruled_before_it_was_deleted_is_not_lost() {
        assert!(!is_lost(&[], true, false));
        for meanwhile in [&[false][..], &[true, false]] {
            assert!(!is_lost(meanwhile, true, false));
            // The removal came first, or the deletion did.
            assert!(is_lost(meanwhile, false, false));
            assert!(is_lost(meanwhile, true, true));
        }
        // The same was done on both sides.
        assert!(!is_lost(&[true], true, false));
        assert!(!is_lost(&[false, true], true, false));
    }
}
