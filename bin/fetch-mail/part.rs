//! One folder in one round: what both sides say of it, and what is known to come
//! of that.

use std::collections::{BTreeMap, HashSet};

use ima_mailbox::{Folder, Message};
use ima_message::{FolderName, MessageDigest, Token};

use crate::compare;
use crate::failure::Failure;
use crate::here::{Here, Known, Live, Touches};
use crate::state::{Missing, Place};
use crate::there::MAX_COMPARED;
use crate::touch::Touch;

/// A folder in which something changed.
#[derive(Debug)]
pub struct Part {
    /// Its name.
    pub name: FolderName,
    /// The one here.
    pub folder: Folder,
    /// How far it had come before.
    pub place: Place,
    /// How far the one here was read.
    pub read: Token,
    /// How far the server's is told.
    pub end: Token,
    /// There is more behind that.
    pub is_cut: bool,
    /// Something that the server said is not done here.
    pub is_behind: bool,
    /// Something that was done here is not done on the server.
    pub is_unsent: bool,
    /// Something was asked of the server.
    pub is_asked: bool,
    /// The server refused to do something with a message that it has.
    pub is_undone: bool,
    /// What the server deletes stays here: fetch-mail may have deleted it there, or
    /// is about to, also where the state does not know that.
    pub is_keeping: bool,
    /// How much is to come was foretold.
    pub is_expected: bool,
    /// Messages that came with the list, and are here but for their flags.
    pub brought: HashSet<MessageDigest>,
    /// Messages that did not come.
    pub missing: BTreeMap<MessageDigest, Missing>,
    known: Known,
    base: Option<Option<Live>>,
    now: Option<Live>,
}

/// The lists of one folder that the server gave.
#[derive(Debug, Default)]
pub struct Lists {
    /// Since the token; `None` where it was not asked for or means nothing.
    pub since: Option<Touches>,
    /// Of all.
    pub whole: Option<Touches>,
}

impl Part {
    /// Of a folder here that was read.
    pub fn new(name: FolderName, folder: Folder, place: Place, here: Here, end: Token) -> Self {
        Self {
            is_keeping: place.drained.is_some(),
            name,
            folder,
            place,
            read: here.read,
            end,
            is_cut: false,
            is_behind: false,
            is_unsent: false,
            is_asked: false,
            is_undone: false,
            is_expected: false,
            brought: HashSet::new(),
            missing: BTreeMap::new(),
            known: here.known,
            base: None,
            now: None,
        }
    }

    /// Whether nothing is known of a moment when both sides were the same.
    pub fn is_whole(&self) -> bool {
        matches!(self.known, Known::Whole(_))
    }

    /// How many messages a list of all may speak of, and whether it may be cut
    /// there: where nothing here is to be compared with it.
    ///
    /// # Errors
    /// A fault.
    pub fn room(&mut self, left: usize) -> Result<(usize, bool), Failure> {
        let is_empty = match &self.known {
            Known::Whole(live) => live.is_empty(),
            Known::Since(_) => self.base()?.is_none_or(Live::is_empty),
        };
        Ok(match is_empty {
            true => (left, true),
            false => (left.max(MAX_COMPARED), false),
        })
    }

    /// What the folder here held when both sides were the same.
    fn base(&mut self) -> Result<Option<&Live>, Failure> {
        if self.base.is_none() {
            let base = match (&self.known, self.place.here) {
                (Known::Since(_), Some(here)) => self.folder.live(Some(&here))?,
                _ => None,
            };
            self.base = Some(base);
        }
        Ok(self.base.as_ref().and_then(Option::as_ref))
    }

    /// A message, as both sides had it when they were the same.
    ///
    /// # Errors
    /// A fault.
    pub fn before(&mut self, digest: MessageDigest) -> Result<Option<&Message>, Failure> {
        // What is not here, and was not removed either, was not here then: no journal
        // has to be read for mail that is new.
        if self.base.is_none()
            && self.folder.message(digest)?.is_none()
            && !self.folder.was_removed(digest)?
        {
            return Ok(None);
        }
        Ok(self.base()?.and_then(|base| base.get(&digest)))
    }

    /// A message, as it is here now.
    ///
    /// # Errors
    /// A fault.
    pub fn now(&mut self, digest: MessageDigest) -> Result<Option<&Message>, Failure> {
        if self.now.is_none() {
            self.now = self.folder.live(None)?;
        }
        Ok(self.now.as_ref().and_then(|now| now.get(&digest)))
    }

    /// What changed here and on the server, by the lists. `since`: messages that
    /// came to the server earlier are left there; `widens`: it was a later moment
    /// before.
    ///
    /// # Errors
    /// A fault.
    pub fn changes(
        &mut self,
        lists: Lists,
        since: Option<i64>,
        widens: bool,
    ) -> Result<(Touches, Touches), Failure> {
        let is_drained = self.place.drained.is_some();
        let is_keeping = self.is_keeping;
        if let Some(whole) = &lists.whole {
            self.place.missing.retain(|digest, _| {
                let touch = whole.get(digest);
                touch.is_some_and(|touch| touch.presence.now == Some(true))
            });
        }
        let gone = match is_keeping {
            true => Touches::new(),
            false => self.gone(lists.whole.iter().flatten()),
        };
        let nothing = Known::Since(Touches::new());
        let (mut here, mut there) = match std::mem::replace(&mut self.known, nothing) {
            Known::Whole(mut live) => {
                let whole = lists.whole.unwrap_or_default();
                // What was taken away by hand, or in part, is not here, whatever the
                // journal says.
                let mut gone = Vec::new();
                for digest in live.keys() {
                    if !self.folder.has_whole(*digest)? {
                        gone.push(*digest);
                    }
                }
                gone.iter().for_each(|digest| drop(live.remove(digest)));
                compare::without_base(whole, lists.since.as_ref(), &live, is_drained)
            }
            Known::Since(here) => {
                self.known = Known::Since(Touches::new());
                let there = match (lists.since, lists.whole) {
                    (Some(since), None) => since,
                    (Some(mut changed), Some(whole)) if widens => {
                        for (digest, touch) in whole {
                            let is_new = touch.presence.now == Some(true)
                                && !changed.contains_key(&digest)
                                && !here.contains_key(&digest)
                                && self.folder.message(digest)?.is_none();
                            if is_new {
                                changed.insert(digest, touch);
                            }
                        }
                        changed
                    }
                    (Some(since), Some(_)) => since,
                    (None, Some(whole)) => match self.base()? {
                        Some(base) => compare::with_base(whole, base, is_keeping),
                        None => whole,
                    },
                    (None, None) => Touches::new(),
                };
                (here, there)
            }
        };
        for (digest, touch) in gone {
            there.entry(digest).or_insert(touch);
        }
        self.recall(&mut there);
        if let Some(since) = since {
            self.leave_older(&mut here, &mut there, since)?;
        }
        Ok((here, there))
    }

    /// What a whole list says to be deleted and was brought here since both sides were
    /// the same: nobody else can have put it here.
    fn gone<'t>(&self, list: impl Iterator<Item = (&'t MessageDigest, &'t Touch)>) -> Touches {
        let is_brought = |digest: &MessageDigest| match &self.known {
            _ if self.brought.contains(digest) => true,
            Known::Since(here) => here
                .get(digest)
                .is_some_and(|touch| touch.presence.ours == Some(true)),
            Known::Whole(_) => false,
        };
        let gone = list.filter(|(_, touch)| touch.presence.now == Some(false));
        gone.filter(|(digest, _)| is_brought(digest))
            .map(|(digest, touch)| (*digest, touch.clone()))
            .collect()
    }

    /// What is missing since an earlier run is wanted still.
    fn recall(&self, there: &mut Touches) {
        for (digest, missing) in &self.place.missing {
            let touch = there.entry(*digest).or_default();
            if touch.presence.now.is_some() {
                continue;
            }
            touch.presence.say(true, false);
            touch.added = Some(missing.added);
            for flag in &missing.flags {
                let mark = touch.flags.entry(flag.clone()).or_default();
                if mark.now.is_none() {
                    mark.say(true, false);
                }
            }
        }
    }

    fn leave_older(
        &self,
        here: &mut Touches,
        there: &mut Touches,
        since: i64,
    ) -> Result<(), Failure> {
        let is_older = |touch: &Touch| touch.added.is_some_and(|added| added.seconds < since);
        let older: Vec<MessageDigest> = there
            .iter()
            .filter(|(digest, touch)| is_older(touch) && !here.contains_key(*digest))
            .map(|(digest, _)| *digest)
            .collect();
        for digest in older {
            if self.folder.message(digest)?.is_none() {
                there.remove(&digest);
            }
        }
        Ok(())
    }
}
