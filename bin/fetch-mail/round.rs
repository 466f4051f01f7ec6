//! One round: both sides are read, and what changed on one is done on the other.

use std::collections::{BTreeSet, HashMap, HashSet};

use ima_message::{FolderName, MessageDigest, Token};
use ima_proto::imrp::{FolderStatus, SyncMode};

use crate::failure::Failure;
use crate::here::Here;
use crate::merge::Deed;
use crate::mirror::Mirror;
use crate::pairs::Pair;
use crate::part::{Lists, Part};
use crate::plan::{Changed, Order, Plan};
use crate::progress::Progress;
use crate::scope::Scope;
use crate::session::Session;
use crate::state::{MAX_MISSING, Place};
use crate::stream::Stream;
use crate::tally::Tally;
use crate::there::{List, Listed, MAX_TOUCHES};
use crate::wanted::Wanted;

/// What all rounds share.
pub struct Run<'a> {
    /// The server.
    pub session: &'a mut Session,
    /// The mailbox here.
    pub mirror: &'a mut Mirror,
    /// What a person sees.
    pub progress: &'a mut Progress,
    /// What came of it so far.
    pub tally: &'a mut Tally,
    /// How much is to be done.
    pub scope: &'a Scope,
    /// Which messages, of which folders, the server did not find there.
    pub refused: HashSet<(FolderName, MessageDigest)>,
    /// With which it did not do what it was asked to, and why: in this run it is not
    /// asked again.
    pub undone: HashMap<(FolderName, MessageDigest), String>,
    /// A folder here could not be read: what is gone may be in it.
    pub is_partly_read: bool,
    /// A folder of the server was not listed.
    pub is_partly_listed: bool,
}

/// What is to be asked of a folder.
#[derive(Clone, Copy, Debug, Default)]
struct Questions {
    since: bool,
    whole: bool,
    /// Whole, with the messages.
    messages: bool,
    widens: bool,
}

/// What a list is an answer to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// What changed since the token.
    Since,
    /// All of it.
    Whole,
    /// All of it, and the messages.
    Messages,
}

/// A folder that takes part in the round.
struct Reading {
    part: Part,
    there: FolderStatus,
    questions: Questions,
    lists: Lists,
}

impl Run<'_> {
    /// Goes through one round. Says whether there may be more to do.
    ///
    /// # Errors
    /// What ended it; what was done is done, and what the state says is so.
    pub fn round(&mut self, statuses: Vec<FolderStatus>) -> Result<bool, Failure> {
        let pairs = self.pairs(statuses)?;
        let mut readings = self.read(pairs)?;
        if readings.is_empty() {
            return Ok(false);
        }
        self.list(&mut readings)?;
        let mut changed = Changed::new();
        let mut parts = Vec::with_capacity(readings.len());
        let mut held = Vec::new();
        for (at, reading) in readings.into_iter().enumerate() {
            let Reading {
                mut part,
                questions,
                lists,
                ..
            } = reading;
            held.push(self.held(&part, &lists));
            let since = self.scope.since;
            let (here, there) = part.changes(lists, since, questions.widens)?;
            for (digest, touch) in here {
                changed.entry((digest, at)).or_default().here = touch;
            }
            for (digest, touch) in there {
                changed.entry((digest, at)).or_default().there = touch;
            }
            parts.push(part);
        }
        let mut plan = self.plan(&mut parts, changed)?;
        restore(&mut parts, &held, &mut plan)?;
        for (at, wanted) in &plan.wanted {
            if parts.get(*at).is_some_and(|part| part.is_expected) {
                continue;
            }
            let octets = wanted.iter().map(|wanted| wanted.added.octets);
            let octets = octets.fold(0, u64::saturating_add);
            self.progress.expect(wanted.len() as u64, octets);
        }
        self.foretell(&parts, &plan);
        self.announce(&mut parts, &plan);
        if !plan.is_only_wanted() {
            self.mirror.write_state()?;
        }
        self.act(&mut parts, &mut plan)?;
        for part in &parts {
            self.mirror.state.place_mut(&part.name).coming = Default::default();
        }
        self.drain(&mut parts, held, &mut plan.orders)?;
        self.send(&mut parts, plan)?;
        let again = self.settle(&parts)?;
        self.mirror.write_state()?;
        Ok(again)
    }

    /// The folders in which something may have changed, read.
    fn read(&mut self, pairs: Vec<Pair>) -> Result<Vec<Reading>, Failure> {
        let messages = self.is_first(&pairs)?;
        let mut readings = Vec::new();
        for pair in pairs {
            let Pair { folder, there, .. } = pair;
            let (name, end) = (there.name.clone(), there.token);
            let place = self.mirror.state.place(&name).cloned().unwrap_or_default();
            let token = match folder.token() {
                Ok(token) => token,
                Err(fault) => {
                    self.is_partly_read = true;
                    self.tally.spoiled(&name, &fault);
                    continue;
                }
            };
            let widens = match (place.since, self.scope.since) {
                (Some(before), Some(now)) => now < before,
                (before, None) => before.is_some(),
                (None, Some(_)) => false,
            };
            let drains = self.scope.is_drain && place.drained != Some(end);
            let is_same = place.server == Some(end);
            if is_same && place.here == Some(token) && place.is_quiet() && !widens && !drains {
                continue;
            }
            let here = match Here::read(&folder, &place) {
                Ok(here) => here,
                Err(Failure::Mailbox(fault)) => {
                    self.is_partly_read = true;
                    self.tally.spoiled(&name, &fault);
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let mut part = Part::new(name, folder, place, here, end);
            part.is_keeping |= self.scope.is_drain;
            let drains = drains && part.place.drained != part.place.server;
            let questions = Questions {
                since: part.place.server.is_some() && !is_same,
                whole: part.place.server.is_none() || part.is_whole() || widens || drains,
                messages,
                widens,
            };
            readings.push(Reading {
                part,
                there,
                questions,
                lists: Lists::default(),
            });
        }
        Ok(readings)
    }

    /// Asks for all lists at once; and for those whose token means nothing any more
    /// once again.
    fn list(&mut self, readings: &mut [Reading]) -> Result<(), Failure> {
        let mut left = MAX_TOUCHES;
        for _ in 0..2 {
            for Reading {
                part, questions, ..
            } in readings.iter()
            {
                let client = &mut self.session.client;
                if questions.since {
                    client.ask_sync(&part.name, part.place.server, SyncMode::List)?;
                }
                if questions.whole {
                    let mode = match questions.messages {
                        true => SyncMode::Messages,
                        false => SyncMode::List,
                    };
                    client.ask_sync(&part.name, None, mode)?;
                }
            }
            let mut is_again = false;
            for reading in readings.iter_mut() {
                let asked = std::mem::take(&mut reading.questions);
                reading.questions.widens = asked.widens;
                if asked.since && !self.answer(reading, Asked::Since, &mut left)? {
                    // Then all of it, if that was not asked for anyway.
                    reading.questions.whole = !asked.whole;
                }
                let whole = match asked.messages {
                    true => Asked::Messages,
                    false => Asked::Whole,
                };
                if asked.whole && !self.answer(reading, whole, &mut left)? {
                    // Then the list will say what did not come.
                    reading.questions.whole = asked.messages;
                }
                reading.questions.whole &= !reading.part.is_behind;
                is_again |= reading.questions.whole;
            }
            if !is_again {
                break;
            }
        }
        Ok(())
    }

    /// Takes one list. False: there is none, or it was not whole.
    fn answer(
        &mut self,
        reading: &mut Reading,
        asked: Asked,
        left: &mut usize,
    ) -> Result<bool, Failure> {
        let is_since = asked == Asked::Since;
        let part = &mut reading.part;
        let since = part.place.server.filter(|_| is_since);
        let (most, is_cuttable) = match is_since {
            true => (*left, true),
            false => part.room(*left)?,
        };
        let mut list = List::new(&part.name, &part.place, since, most, is_cuttable);
        let mut is_whole = true;
        let synced = if asked == Asked::Messages {
            let there = &reading.there;
            self.progress.expect(there.messages, there.octets);
            part.is_expected = true;
            let stream = Stream::new(self, &part.name, &part.folder, there);
            let streamed = stream.take(&mut list)?;
            part.brought = streamed.brought;
            is_whole = streamed.is_whole;
            streamed.synced
        } else {
            let client = &mut self.session.client;
            client.sync_answer(&mut |change, _| list.take(&change))?
        };
        let listed = list.end(synced)?;
        let (touches, is_cut) = (list.touches, list.is_cut);
        if matches!(listed, Listed::Upto(_)) && !is_whole {
            return Ok(false);
        }
        *left = left.saturating_sub(touches.len()).max(1);
        match &listed {
            Listed::Upto(end) => {
                // Where both were asked for, what changed goes as far as it goes.
                let is_end = is_since || reading.lists.since.is_none();
                if is_end {
                    part.end = *end;
                    part.is_cut |= is_cut;
                }
                match is_since {
                    true => reading.lists.since = Some(touches),
                    false => reading.lists.whole = Some(touches),
                }
                Ok(true)
            }
            Listed::Reset if is_since => Ok(false),
            Listed::Reset => Err(Failure::List(part.name.clone())),
            Listed::Refused(text) => {
                part.is_behind = true;
                self.is_partly_listed = true;
                let text = format!("{}: the server does not list it: {text}", part.name);
                self.tally.miss(text);
                Ok(false)
            }
        }
    }

    /// What the server holds, by its lists, where that is to be deleted there.
    fn held(&self, part: &Part, lists: &Lists) -> Vec<MessageDigest> {
        if !self.scope.is_drain {
            return Vec::new();
        }
        let missing = part.place.missing.keys();
        let list = lists.whole.iter().chain(&lists.since).flatten();
        let held = list.filter(|(_, touch)| touch.presence.now == Some(true));
        let held = held.map(|(digest, _)| digest).chain(missing);
        held.copied().collect()
    }

    /// Plans that what is here now is deleted on the server, and puts what the
    /// server will be told into the state, on the disk.
    fn drain(
        &mut self,
        parts: &mut [Part],
        held: Vec<Vec<MessageDigest>>,
        orders: &mut Vec<Order>,
    ) -> Result<(), Failure> {
        for (at, held) in held.into_iter().enumerate() {
            let Some(part) = parts.get_mut(at).filter(|_| self.scope.is_drain) else {
                continue;
            };
            let live = part.folder.live(None)?.unwrap_or_default();
            let place = self.mirror.state.place_mut(&part.name);
            // Until all are deleted, it is so up to no place yet.
            let nowhere = Token {
                offset: 0,
                ..part.end
            };
            place.drained = Some(part.place.drained.unwrap_or(nowhere));
            for digest in held.into_iter().filter(|digest| live.contains_key(digest)) {
                if !part.folder.has_whole(digest)? {
                    self.tally.miss(format!(
                        "{}, message {digest}: it is not whole here, and so it is not deleted on the server",
                        part.name
                    ));
                    part.is_undone = true;
                    continue;
                }
                if self.is_undone(&part.name, digest) {
                    part.is_undone = true;
                    continue;
                }
                let place = self.mirror.state.place_mut(&part.name);
                part.is_asked = true;
                place.sent.presence(digest, false);
                let deed = Deed::Delete { at };
                orders.push(Order::new(digest, deed));
            }
        }
        match self.scope.is_drain {
            true => self.mirror.write_state(),
            false => Ok(()),
        }
    }

    /// Where all of a part is done, its tokens go on. Says whether there may be
    /// more to do.
    fn settle(&mut self, parts: &[Part]) -> Result<bool, Failure> {
        let mut again = false;
        for part in parts {
            again |= part.is_cut || part.is_asked || part.is_behind;
            if part.is_behind {
                continue;
            }
            if !self.mirror.state.has_room(&part.name, part.missing.len()) {
                self.tally.miss(format!(
                    "{}: more than {MAX_MISSING} messages did not come: what the server lists of this folder is asked for again by the next run",
                    part.name
                ));
                continue;
            }
            let place: &mut Place = self.mirror.state.place_mut(&part.name);
            place.server = Some(part.end);
            place.missing.clone_from(&part.missing);
            place.since = self.scope.since;
            if self.scope.is_drain && !part.is_cut && !part.is_undone {
                place.drained = Some(part.end);
            }
            match part.is_unsent {
                true => place.done.take_over(&place.sent),
                false => place.is_sent(part.read),
            }
            if !part.is_asked {
                place.sent = Default::default();
            }
            again |=
                self.scope.sends() && !part.is_unsent && place.here != Some(part.folder.token()?);
        }
        Ok(again)
    }
}

/// What is to be deleted on the server, and is here by the journal but not whole, is
/// brought once more.
fn restore(
    parts: &mut [Part],
    held: &[Vec<MessageDigest>],
    plan: &mut Plan,
) -> Result<(), Failure> {
    for ((at, part), held) in parts.iter_mut().enumerate().zip(held) {
        let wanted = plan.wanted.get(&at).into_iter().flatten();
        let wanted: HashSet<_> = wanted.map(|one| one.digest).collect();
        for digest in held.iter().filter(|digest| !wanted.contains(*digest)) {
            if part.folder.has_whole(*digest)? {
                continue;
            }
            if let Some(message) = part.now(*digest)? {
                let wanted = plan.wanted.entry(at).or_default();
                let index = wanted.len();
                wanted.push(Wanted::again(index, *digest, message, BTreeSet::new()));
            }
        }
    }
    Ok(())
}
