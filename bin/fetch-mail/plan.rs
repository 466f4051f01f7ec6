//! What is to be done in one round, by folders.

use std::collections::{BTreeMap, BTreeSet};

use ima_mailbox::Act;
use ima_message::{Flag, FlagChange, FolderName, MessageDigest};
use ima_program::report::chain;

use crate::failure::Failure;
use crate::merge::{Deed, Sides, merge};
use crate::part::Part;
use crate::round::Run;
use crate::wanted::Wanted;

/// A message that is moved, and its flags then.
pub type Moved = (MessageDigest, BTreeSet<Flag>);

/// What is to be done. Folders are numbered as in the round.
#[derive(Debug, Default)]
pub struct Plan {
    /// Here: messages that are brought.
    pub wanted: BTreeMap<usize, Vec<Wanted>>,
    /// Messages that are moved, by the folders that they leave and enter.
    pub moves: BTreeMap<(usize, usize), Vec<Moved>>,
    /// Flags; they come first.
    pub flags: BTreeMap<usize, Vec<Act>>,
    /// Deletions.
    pub deletions: BTreeMap<usize, Vec<Act>>,
    /// On the server, in this order: what is stored,
    pub stores: Vec<Order>,
    /// and what is moved, flagged and deleted.
    pub orders: Vec<Order>,
}

impl Plan {
    /// Whether nothing is done but that messages are brought here.
    pub fn is_only_wanted(&self) -> bool {
        self.moves.is_empty()
            && self.flags.is_empty()
            && self.deletions.is_empty()
            && self.stores.is_empty()
            && self.orders.is_empty()
    }
}

/// Something that the server is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// With which message.
    pub digest: MessageDigest,
    /// What.
    pub deed: Deed,
    /// The server has deleted the message where this puts it: as long as that is
    /// not done, the server's word of it is not dealt with.
    pub is_reply: bool,
}

impl Order {
    /// Something that is no reply.
    pub fn new(digest: MessageDigest, deed: Deed) -> Self {
        Self {
            digest,
            deed,
            is_reply: false,
        }
    }

    /// It is not done on the server.
    pub fn is_left(&self, parts: &mut [Part]) {
        unsent(parts, &self.deed);
        if let (true, Deed::Put { at, .. } | Deed::Move { to: at, .. }) =
            (self.is_reply, &self.deed)
        {
            behind(parts, *at);
        }
    }
}

/// A message, in the folders in which something is said of it.
type Folders = BTreeMap<usize, Sides>;
/// What is said of all messages, by folder.
pub type Changed = BTreeMap<(MessageDigest, usize), Sides>;

impl Run<'_> {
    /// Decides what is done with each message.
    ///
    /// # Errors
    /// A fault.
    pub fn plan(&mut self, parts: &mut [Part], changed: Changed) -> Result<Plan, Failure> {
        let mut plan = Plan::default();
        let mut changed = changed.into_iter().peekable();
        while let Some(((digest, at), sides)) = changed.next() {
            let mut folders = Folders::from([(at, sides)]);
            while let Some(((_, at), sides)) = changed.next_if(|((of, _), _)| *of == digest) {
                folders.insert(at, sides);
            }
            let folders = &folders;
            let mut base = |at: usize| match parts.get_mut(at) {
                Some(part) => Ok(part.before(digest)?.map(|message| message.flags.clone())),
                None => Ok::<_, Failure>(None),
            };
            let deeds = merge(folders, &mut base)?;
            for deed in deeds.here {
                self.plan_here(parts, &mut plan, digest, folders, deed)?;
            }
            for deed in deeds.there {
                self.plan_there(parts, &mut plan, digest, folders, deed)?;
            }
        }
        self.leave_beside(parts, &mut plan)?;
        // All that is put somewhere is, before anything goes anywhere.
        plan.orders.sort_by_key(|order| match order.deed {
            Deed::Put { .. } => 0,
            Deed::Move { .. } => 1,
            Deed::Flag { .. } => 2,
            Deed::Delete { .. } => 3,
        });
        Ok(plan)
    }

    fn plan_here(
        &mut self,
        parts: &mut [Part],
        plan: &mut Plan,
        digest: MessageDigest,
        folders: &Folders,
        deed: Deed,
    ) -> Result<(), Failure> {
        match deed {
            Deed::Put { at, flags } => {
                let Some(part) = parts.get_mut(at) else {
                    return Ok(());
                };
                if part.brought.contains(&digest) {
                    let changes = setting(&flags);
                    if !changes.is_empty() {
                        let acts = plan.flags.entry(at).or_default();
                        acts.push(Act::Flag { digest, changes });
                    }
                    return Ok(());
                }
                let added = folders.get(&at).and_then(|sides| sides.there.added);
                let wanted = plan.wanted.entry(at).or_default();
                let index = wanted.len();
                let one = match (added, part.before(digest)?) {
                    (Some(added), _) => Wanted::new(index, digest, added, flags),
                    (None, Some(message)) => Wanted::again(index, digest, message, flags),
                    // The server never said that it has it.
                    (None, None) => return Ok(()),
                };
                wanted.push(one);
            }
            Deed::Move {
                from,
                to,
                changes,
                flags,
            } => {
                let (is_here, is_whole) = match parts.get(from).map(|part| &part.folder) {
                    Some(folder) => (folder.message(digest)?.is_some(), folder.has_whole(digest)?),
                    None => (false, false),
                };
                if !is_whole {
                    let put = Deed::Put { at: to, flags };
                    self.plan_here(parts, plan, digest, folders, put)?;
                    let delete = Deed::Delete { at: from };
                    return match is_here {
                        true => self.plan_here(parts, plan, digest, folders, delete),
                        false => Ok(()),
                    };
                }
                if !changes.is_empty() {
                    let acts = plan.flags.entry(from).or_default();
                    acts.push(Act::Flag { digest, changes });
                }
                let moves = plan.moves.entry((from, to)).or_default();
                moves.push((digest, flags));
            }
            Deed::Flag { at, changes } => {
                let acts = plan.flags.entry(at).or_default();
                acts.push(Act::Flag { digest, changes });
            }
            Deed::Delete { at } if self.is_partly_listed => behind(parts, at),
            Deed::Delete { at } if parts.get(at).is_some_and(|part| part.is_keeping) => {}
            Deed::Delete { at } => {
                let acts = plan.deletions.entry(at).or_default();
                acts.push(Act::Delete { digest });
            }
        }
        Ok(())
    }

    fn plan_there(
        &mut self,
        parts: &mut [Part],
        plan: &mut Plan,
        digest: MessageDigest,
        folders: &Folders,
        deed: Deed,
    ) -> Result<(), Failure> {
        let is_reply = |deed: &Deed| match deed {
            Deed::Put { at, .. } | Deed::Move { to: at, .. } => folders.get(at).is_some_and(|of| {
                let there = &of.there;
                there.is_missing || there.presence.now == Some(false)
            }),
            Deed::Flag { .. } | Deed::Delete { .. } => false,
        };
        let mut order = Order::new(digest, deed);
        order.is_reply = is_reply(&order.deed);
        if !self.scope.sends() {
            order.is_left(parts);
            return Ok(());
        }
        let Some(deed) = self.another_way(parts, digest, order.deed)? else {
            return Ok(());
        };
        let mut order = Order::new(digest, deed);
        order.is_reply = is_reply(&order.deed);
        if self.must_wait(parts, digest, &order.deed) {
            order.is_left(parts);
            return Ok(());
        }
        match order.deed {
            Deed::Put { .. } => plan.stores.push(order),
            _ => plan.orders.push(order),
        }
        Ok(())
    }

    /// Whether something cannot be done in this run: the server did not take it, or
    /// it is not known whether what is gone was deleted.
    fn must_wait(&mut self, parts: &[Part], digest: MessageDigest, deed: &Deed) -> bool {
        let (Deed::Put { at, .. }
        | Deed::Move { from: at, .. }
        | Deed::Flag { at, .. }
        | Deed::Delete { at }) = deed;
        if let Some(part) = parts.get(*at)
            && self.is_undone(&part.name, digest)
        {
            return true;
        }
        match deed {
            Deed::Delete { .. } => self.is_partly_read,
            Deed::Put { .. } | Deed::Move { .. } | Deed::Flag { .. } => false,
        }
    }

    /// Whether the server refused in this run to do something with a message of a
    /// folder; that is said, then.
    pub fn is_undone(&mut self, name: &FolderName, digest: MessageDigest) -> bool {
        let why = self.undone.get(&(name.clone(), digest)).cloned();
        let is_undone = why.is_some();
        why.into_iter().for_each(|why| self.tally.miss(why));
        is_undone
    }

    fn is_refused(&self, parts: &[Part], at: usize, digest: MessageDigest) -> bool {
        let part = parts.get(at);
        part.is_some_and(|part| self.refused.contains(&(part.name.clone(), digest)))
    }

    /// What is done where the server has refused something: it does not have the
    /// message there any more.
    fn another_way(
        &self,
        parts: &mut [Part],
        digest: MessageDigest,
        deed: Deed,
    ) -> Result<Option<Deed>, Failure> {
        let (Deed::Move { from: at, .. } | Deed::Flag { at, .. } | Deed::Delete { at }) = deed
        else {
            return Ok(Some(deed));
        };
        if !self.is_refused(parts, at, digest) {
            return Ok(Some(deed));
        }
        Ok(match deed {
            Deed::Move { to, flags, .. } => Some(Deed::Put { at: to, flags }),
            Deed::Flag { at, changes } => {
                let Some(part) = parts.get_mut(at) else {
                    return Ok(None);
                };
                if part.place.drained.is_some() {
                    return Ok(None);
                }
                // Nobody has said that it was deleted, or it was before.
                let flags = part.now(digest)?.map(|message| message.flags.clone());
                Some(match flags {
                    Some(flags) => Deed::Put { at, flags },
                    None => Deed::Flag { at, changes },
                })
            }
            _ => None,
        })
    }

    /// What was deleted here and was, or may have been, moved to a folder that this
    /// run does not look at stays on the server.
    fn leave_beside(&mut self, parts: &mut [Part], plan: &mut Plan) -> Result<(), Failure> {
        let deleted = plan.orders.iter().filter_map(|order| match order.deed {
            Deed::Delete { at } => Some((at, order.digest)),
            _ => None,
        });
        let mut deleted: BTreeSet<_> = deleted.collect();
        if self.scope.folders.is_empty() || deleted.is_empty() {
            return Ok(());
        }
        let mut beside = BTreeSet::new();
        // As they are now: others make folders too. One at a time is open.
        for name in self.mirror.mailbox.names()? {
            let folder = match self.mirror.mailbox.folder(&name) {
                Ok(Some(folder)) => folder,
                Ok(None) => continue,
                Err(fault) => {
                    self.tally.miss(format!(
                        "{name}: as long as this folder cannot be opened, nothing is deleted on the server: {}",
                        chain(&fault)
                    ));
                    beside.append(&mut deleted);
                    break;
                }
            };
            deleted.retain(|(at, digest)| {
                let is_its = parts.get(*at).is_some_and(|part| part.name == name);
                let lies = !is_its && !matches!(folder.message(*digest), Ok(None));
                if lies {
                    beside.insert((*at, *digest));
                }
                !lies
            });
        }
        plan.orders.retain(|order| {
            let stays =
                matches!(order.deed, Deed::Delete { at } if beside.contains(&(at, order.digest)));
            if stays {
                order.is_left(parts);
            }
            !stays
        });
        Ok(())
    }
}

/// The folders that a deed changes.
pub fn touched(deed: &Deed) -> BTreeSet<usize> {
    match deed {
        Deed::Move { from, to, .. } => BTreeSet::from([*from, *to]),
        Deed::Put { at, .. } | Deed::Flag { at, .. } | Deed::Delete { at } => BTreeSet::from([*at]),
    }
}

/// A deed on the server is not done.
pub fn unsent(parts: &mut [Part], deed: &Deed) {
    for at in touched(deed) {
        if let Some(part) = parts.get_mut(at) {
            part.is_unsent = true;
        }
    }
}

/// Something is not done here.
pub fn behind(parts: &mut [Part], at: usize) {
    if let Some(part) = parts.get_mut(at) {
        part.is_behind = true;
    }
}

/// The changes that set these flags.
pub fn setting(flags: &BTreeSet<Flag>) -> Vec<FlagChange> {
    let flags = flags.iter().cloned();
    flags.map(|flag| FlagChange { flag, set: true }).collect()
}
