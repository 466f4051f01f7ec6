//! What changed, where a token means nothing any more: the server's list of all
//! that it holds, against what is known here.
//!
//! What such a list does not have deletes nothing: only a `del` in it does, and
//! that only where the message is known to have been on both sides.

use ima_message::Flag;

use crate::here::{Live, Touches};
use crate::touch::{Mark, Touch};

/// What the server changed, by its whole list and by what both sides held when
/// they were last the same. `is_drained`: messages were deleted there that are to
/// stay here.
pub fn with_base(list: Touches, base: &Live, is_drained: bool) -> Touches {
    let mut changed = Touches::new();
    if !is_drained {
        let is_told = |digest| {
            list.get(digest)
                .is_some_and(|t: &Touch| t.presence.now.is_some())
        };
        let untold = base.keys().filter(|digest| !is_told(*digest));
        changed.extend(untold.map(|digest| (*digest, missing())));
    }
    for (digest, touch) in list {
        let Some(before) = base.get(&digest) else {
            if touch.presence.now == Some(true) {
                changed.insert(digest, touch);
            }
            continue;
        };
        if touch.presence.now.is_none() {
            continue;
        }
        if touch.presence.now != Some(true) {
            if !is_drained {
                changed.insert(digest, touch);
            }
            continue;
        }
        let mut diff = Touch {
            added: touch.added,
            ..Touch::default()
        };
        let is_set = |flag: &Flag| touch.flags.get(flag).and_then(|mark| mark.now) == Some(true);
        for flag in touch.flags.keys().chain(&before.flags) {
            if is_set(flag) == before.flags.contains(flag) {
                continue;
            }
            let ours = touch.flags.get(flag).and_then(|mark| mark.ours);
            let now = Some(is_set(flag));
            let news = now.filter(|_| ours != now);
            diff.flags.insert(flag.clone(), Mark { now, news, ours });
        }
        if !diff.flags.is_empty() {
            changed.insert(digest, diff);
        }
    }
    changed
}

fn missing() -> Touch {
    Touch {
        is_missing: true,
        ..Touch::default()
    }
}

/// What has to travel where nothing is known of what both sides once held: all
/// that one side has and the other does not, and the flags of both. `since`: what
/// the server changed since its own token, where that still holds. Gives what the
/// folder here is to be taken to say, and what the server.
pub fn without_base(
    list: Touches,
    since: Option<&Touches>,
    live: &Live,
    is_drained: bool,
) -> (Touches, Touches) {
    let (mut here, mut there) = (Touches::new(), Touches::new());
    let mut both = Vec::new();
    for (digest, touch) in list {
        if touch.presence.now != Some(true) {
            continue;
        }
        let Some(message) = live.get(&digest) else {
            there.insert(digest, touch);
            continue;
        };
        both.push(digest);
        let is_set = |flag: &Flag| touch.flags.get(flag).and_then(|mark| mark.now) == Some(true);
        let only_here = message.flags.iter().filter(|flag| !is_set(flag));
        let only_there = touch.flags.keys().filter(|flag| is_set(flag));
        let only_there = only_there.filter(|flag| !message.flags.contains(*flag));
        for (flags, of) in [(set(only_here), &mut here), (set(only_there), &mut there)] {
            if !flags.flags.is_empty() {
                of.insert(digest, flags);
            }
        }
    }
    both.sort_unstable();
    for (digest, message) in live {
        if both.binary_search(digest).is_ok() {
            continue;
        }
        let deleted = since.and_then(|touches| touches.get(digest));
        let deleted = deleted.filter(|touch| touch.presence.news == Some(false));
        if let Some(deleted) = deleted {
            there.insert(*digest, deleted.clone());
            let carried = message.flags.clone();
            let unchanged = Touch {
                carried,
                ..Touch::default()
            };
            here.insert(*digest, unchanged);
        } else if !is_drained {
            let mut new = set(message.flags.iter());
            new.presence = said(true);
            here.insert(*digest, new);
        }
    }
    (here, there)
}

fn set<'a>(flags: impl Iterator<Item = &'a Flag>) -> Touch {
    Touch {
        flags: flags.map(|flag| (flag.clone(), said(true))).collect(),
        ..Touch::default()
    }
}

fn said(is_so: bool) -> Mark {
    let mut mark = Mark::default();
    mark.say(is_so, false);
    mark
}
