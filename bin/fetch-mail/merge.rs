//! What is to be done with one message so that both sides hold the same of it.
//!
//! Each side's journal says what changed there since both were the same. What
//! changed on one side is done on the other. Where both changed: a flag that one
//! of them set is set; a message that one changed and the other deleted is kept,
//! or put back; one that was moved to two places is in both. A message is deleted
//! on a side only where the other deleted it, or moved it away, and this side left
//! it as it was.

mod flags;

use std::collections::{BTreeMap, BTreeSet};

use ima_message::{Flag, FlagChange};

use crate::touch::Touch;

/// What both journals of a folder say of a message.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// The folder here.
    pub here: Touch,
    /// The server's.
    pub there: Touch,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Here.
    Here,
    /// The server.
    There,
}

/// Both.
pub const BOTH: [Side; 2] = [Side::Here, Side::There];

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Here => Self::There,
            Self::There => Self::Here,
        }
    }
}

impl Sides {
    /// What the journal of one side says.
    pub fn touch(&self, side: Side) -> &Touch {
        match side {
            Side::Here => &self.here,
            Side::There => &self.there,
        }
    }

    /// Whether a side has put the message there, or taken it away.
    fn presence(&self, side: Side) -> Option<bool> {
        let other = &self.touch(side.other()).presence;
        self.touch(side).presence.news(other)
    }
}

/// Something that is done to a message on one side. Folders are numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is brought to a folder from the other side, with these flags alone.
    Put {
        /// The folder.
        at: usize,
        /// All of its flags.
        flags: BTreeSet<Flag>,
    },
    /// It is moved.
    Move {
        /// Out of this folder
        from: usize,
        /// into this one.
        to: usize,
        /// Before that, these flags of it are set and removed, so that it has, where
        /// it comes to, no others
        changes: Vec<FlagChange>,
        /// than these.
        flags: BTreeSet<Flag>,
    },
    /// Flags of it are set and removed.
    Flag {
        /// The folder.
        at: usize,
        /// The changes; at least one.
        changes: Vec<FlagChange>,
    },
    /// It is deleted.
    Delete {
        /// The folder.
        at: usize,
    },
}

/// What is done to a message, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Here.
    pub here: Vec<Deed>,
    /// On the server.
    pub there: Vec<Deed>,
}

impl Deeds {
    /// The deeds on one side.
    pub fn on(&mut self, side: Side) -> &mut Vec<Deed> {
        match side {
            Side::Here => &mut self.here,
            Side::There => &mut self.there,
        }
    }
}

/// The flags that a message had in a folder when both sides were the same; `None`
/// where it was not there, or nothing is known of that moment. Asked only where
/// the answer decides.
pub type Base<'a, E> = dyn FnMut(usize) -> Result<Option<BTreeSet<Flag>>, E> + 'a;

/// What has to happen to the presence of the message in one folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is, or stays, on both sides; or on neither.
    Stays,
    /// It is to be put on this side.
    Put(Side),
    /// It is to be deleted on this side.
    Delete(Side),
    /// It has gone from both.
    Gone,
}

/// Decides what is done with one message, of which `folders` are the folders that
/// a journal speaks of.
///
/// # Errors
/// Those of `base`.
pub fn merge<E>(folders: &BTreeMap<usize, Sides>, base: &mut Base<'_, E>) -> Result<Deeds, E> {
    let mut news = flags::news(folders, base)?;
    let moved = |side, from| {
        let mut to = folders
            .iter()
            .filter(|(at, sides)| **at != from && sides.presence(side) == Some(true));
        to.next().map(|(at, _)| *at)
    };
    let mut verdicts = BTreeMap::new();
    for (at, sides) in folders {
        let is_fresh = BOTH.iter().any(|side| sides.touch(*side).is_fresh);
        let has_returned = is_fresh && base(*at)?.is_some();
        let verdict = verdict(sides, has_returned, |side| {
            news.is_changed(*at, side) && moved(side.other(), *at).is_none()
        });
        verdicts.insert(*at, verdict);
    }
    for (from, sides) in folders {
        for side in BOTH {
            if sides.presence(side) == Some(false)
                && let Some(to) = moved(side, *from)
            {
                let other = side.other();
                let carried = &sides.touch(other).carried;
                let meets = sides.presence(other).is_none()
                    && folders
                        .get(&to)
                        .is_some_and(|there| there.presence(other) == Some(true));
                news.follow(side, *from, to, carried, meets, base)?;
            }
        }
    }
    let mut deeds = Deeds::default();
    for side in BOTH {
        let of = |wanted| {
            let found = verdicts.iter().filter(move |(_, is)| **is == wanted);
            found.map(|(at, _)| *at)
        };
        let mut leaves: Vec<usize> = of(Verdict::Delete(side)).collect();
        let mut moves = BTreeMap::new();
        let mut rest = Vec::new();
        for at in of(Verdict::Put(side)) {
            // Rather where the other side has moved it from there.
            let best = leaves
                .iter()
                .position(|from| moved(side.other(), *from) == Some(at));
            match best.or(leaves.len().checked_sub(1)) {
                Some(place) => drop(moves.insert(at, leaves.swap_remove(place))),
                None => rest.push(at),
            }
        }
        let out = deeds.on(side);
        for at in rest {
            let flags = news.all(folders, at, side, base)?;
            out.push(Deed::Put { at, flags });
        }
        for (to, from) in moves {
            let flags = news.all(folders, to, side, base)?;
            let carried = flags::held(folders, from, side, base)?;
            out.push(Deed::Move {
                from,
                to,
                changes: flags::changing(&carried, &flags),
                flags,
            });
        }
        for (at, verdict) in &verdicts {
            match verdict {
                Verdict::Stays => {}
                Verdict::Put(other) if *other != side => {}
                _ => continue,
            }
            let changes = news.changes(folders, *at, side);
            if !changes.is_empty() {
                out.push(Deed::Flag { at: *at, changes });
            }
        }
        out.extend(leaves.into_iter().map(|at| Deed::Delete { at }));
    }
    Ok(deeds)
}

/// What becomes of the message in one folder; `is_kept` says of a side whether it
/// changed the message otherwise, so that it is kept where the other deleted it.
/// `has_returned`: it was there before, on both sides.
fn verdict(sides: &Sides, has_returned: bool, is_kept: impl Fn(Side) -> bool) -> Verdict {
    let is_now = |side, is_there| sides.touch(side).presence.now == Some(is_there);
    for side in BOTH {
        let other = side.other();
        let verdict = match (sides.presence(side), sides.presence(other)) {
            (Some(true), Some(true)) => Verdict::Stays,
            (Some(false), Some(false)) => Verdict::Gone,
            (Some(true), None) if is_now(other, true) => Verdict::Stays,
            // Where an earlier run has deleted it on the other side already, it does not.
            (Some(true), None) if has_returned && !is_now(other, false) => Verdict::Stays,
            (Some(true), _) => Verdict::Put(other),
            (Some(false), None) if sides.touch(other).is_missing => Verdict::Gone,
            (Some(false), None) if is_kept(other) => Verdict::Put(side),
            (Some(false), None) => Verdict::Delete(other),
            (None, None) if sides.touch(side).is_missing => Verdict::Put(side),
            (None | Some(false), _) => continue,
        };
        return verdict;
    }
    Verdict::Stays
}

#[cfg(test)]
mod tests;
