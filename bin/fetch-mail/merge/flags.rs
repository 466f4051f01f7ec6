//! What is new of the flags of a message.

use std::collections::{BTreeMap, BTreeSet};

use ima_message::{Flag, FlagChange};

use super::{BOTH, Base, Side, Sides};

type Changes = BTreeMap<Flag, bool>;

/// By folder and side, the flags that were set or removed there.
#[derive(Debug, Default)]
pub struct News {
    here: BTreeMap<usize, Changes>,
    there: BTreeMap<usize, Changes>,
}

/// What is new of the flags, by the lines of the journals.
///
/// # Errors
/// Those of `base`.
pub fn news<E>(folders: &BTreeMap<usize, Sides>, base: &mut Base<'_, E>) -> Result<News, E> {
    let mut news = News::default();
    for (at, sides) in folders {
        for side in BOTH {
            let (touch, other) = (sides.touch(side), sides.touch(side.other()));
            let nothing = Default::default();
            let mut changes: Changes = touch
                .flags
                .iter()
                .filter_map(|(flag, mark)| {
                    let other = other.flags.get(flag).unwrap_or(&nothing);
                    Some((flag.clone(), mark.news(other)?))
                })
                .collect();
            // What went and came back brought its flags along: new is only what
            // they were not before.
            if touch.is_fresh
                && sides.presence(side) == Some(true)
                && let Some(before) = base(*at)?
            {
                for flag in before {
                    let is_set = touch.flags.get(&flag).and_then(|mark| mark.now) == Some(true);
                    match is_set {
                        true => drop(changes.remove(&flag)),
                        false => drop(changes.insert(flag, false)),
                    }
                }
            }
            news.on(side).insert(*at, changes);
        }
    }
    Ok(news)
}

/// The flags that the message of one side has now.
///
/// # Errors
/// Those of `base`.
pub fn held<E>(
    folders: &BTreeMap<usize, Sides>,
    at: usize,
    side: Side,
    base: &mut Base<'_, E>,
) -> Result<BTreeSet<Flag>, E> {
    let mut held = BTreeSet::new();
    let Some(sides) = folders.get(&at) else {
        return Ok(held);
    };
    let touch = sides.touch(side);
    let mut told: Changes = BTreeMap::new();
    if !touch.is_fresh {
        held = base(at)?.unwrap_or_default();
        held.extend(touch.carried.iter().cloned());
        // What was done here by the server's word, or the server was told of what was
        // done here, in earlier runs, it does not say again.
        if side == Side::There {
            let ours = sides.here.flags.iter();
            told.extend(ours.filter_map(|(flag, mark)| Some((flag.clone(), mark.ours?))));
        }
    }
    let now = touch.flags.iter();
    told.extend(now.filter_map(|(flag, mark)| Some((flag.clone(), mark.now?))));
    for (flag, is_set) in told {
        match is_set {
            true => held.insert(flag),
            false => held.remove(&flag),
        };
    }
    Ok(held)
}

/// The changes that make flags those that are wanted.
pub fn changing(held: &BTreeSet<Flag>, wanted: &BTreeSet<Flag>) -> Vec<FlagChange> {
    let change = |set| {
        move |flag: &Flag| FlagChange {
            flag: flag.clone(),
            set,
        }
    };
    let removed = held.difference(wanted).map(change(false));
    removed
        .chain(wanted.difference(held).map(change(true)))
        .collect()
}

impl News {
    fn on(&mut self, side: Side) -> &mut BTreeMap<usize, Changes> {
        match side {
            Side::Here => &mut self.here,
            Side::There => &mut self.there,
        }
    }

    fn of(&self, at: usize, side: Side) -> Option<&Changes> {
        match side {
            Side::Here => self.here.get(&at),
            Side::There => self.there.get(&at),
        }
    }

    /// Whether a side has changed flags in a folder.
    pub fn is_changed(&self, at: usize, side: Side) -> bool {
        self.of(at, side).is_some_and(|changes| !changes.is_empty())
    }

    /// A side has moved the message: what either of them changed before follows
    /// it, and what it carried along as it was is not new, unless the other side has
    /// put the message there too, and from elsewhere (`meets`): then the flags of both
    /// are united.
    /// `carried` are flags that it has on the other side since nobody knows when.
    ///
    /// # Errors
    /// Those of `base`.
    pub fn follow<E>(
        &mut self,
        side: Side,
        from: usize,
        to: usize,
        carried: &BTreeSet<Flag>,
        meets: bool,
        base: &mut Base<'_, E>,
    ) -> Result<(), E> {
        let is_double = BOTH.iter().any(|side| self.is_changed(from, *side))
            || self.is_changed(to, side.other());
        let before = match self.is_changed(to, side) && is_double && !meets {
            true => base(from)?.unwrap_or_default(),
            false => BTreeSet::new(),
        };
        let earlier = self.of(from, side).cloned().unwrap_or_default();
        let theirs = self.of(from, side.other()).cloned().unwrap_or_default();
        let now = self.on(side).entry(to).or_default();
        for flag in before {
            if !earlier.contains_key(&flag) && now.get(&flag) == Some(&true) {
                now.remove(&flag);
            }
        }
        for (flag, is_set) in earlier {
            now.entry(flag).or_insert(is_set);
        }
        let others = self.on(side.other()).entry(to).or_default();
        for (flag, is_set) in theirs {
            others.entry(flag).or_insert(is_set);
        }
        for flag in carried {
            others.entry(flag.clone()).or_insert(true);
        }
        Ok(())
    }

    /// How each flag of which there is news is to be: what was set wins.
    fn wanted(&self, at: usize) -> Changes {
        let mut wanted = self.of(at, Side::Here).cloned().unwrap_or_default();
        for (flag, is_set) in self.of(at, Side::There).into_iter().flatten() {
            *wanted.entry(flag.clone()).or_insert(false) |= is_set;
        }
        wanted
    }

    /// The changes that bring the message of one side to what is wanted.
    pub fn changes(
        &self,
        folders: &BTreeMap<usize, Sides>,
        at: usize,
        side: Side,
    ) -> Vec<FlagChange> {
        let is_so = |flag: &Flag| {
            let touch = folders.get(&at)?.touch(side);
            let now = touch.flags.get(flag).and_then(|mark| mark.now);
            now.or(touch.is_fresh.then_some(false))
        };
        let wanted = self.wanted(at).into_iter();
        wanted
            .filter(|(flag, set)| is_so(flag) != Some(*set))
            .map(|(flag, set)| FlagChange { flag, set })
            .collect()
    }

    /// All flags of a message that is put on one side, or moved there.
    ///
    /// # Errors
    /// Those of `base`.
    pub fn all<E>(
        &self,
        folders: &BTreeMap<usize, Sides>,
        at: usize,
        side: Side,
        base: &mut Base<'_, E>,
    ) -> Result<BTreeSet<Flag>, E> {
        let mut all = BTreeSet::new();
        let Some(sides) = folders.get(&at) else {
            return Ok(all);
        };
        let (touch, other) = (sides.touch(side), sides.touch(side.other()));
        let was_there = touch.presence.now == Some(false) || touch.is_missing;
        if was_there && !other.is_fresh {
            all = base(at)?.unwrap_or_default();
        }
        let told = other.flags.iter();
        let told = told.filter_map(|(flag, mark)| Some((flag.clone(), mark.now?)));
        for (flag, is_set) in told.chain(self.wanted(at)) {
            match is_set {
                true => all.insert(flag),
                false => all.remove(&flag),
            };
        }
        Ok(all)
    }
}
