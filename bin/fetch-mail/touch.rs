//! What a journal says of one message since a token: whether it is there, and
//! its flags; and whose word each of that is.

use std::collections::{BTreeMap, BTreeSet};

use ima_message::{Entry, Flag, FlagChange};

/// Something that is so or not, told by the lines of one journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// As the last line has it, whoever wrote it. `None`: no line speaks of it.
    pub now: Option<bool>,
    /// The last word of anybody but fetch-mail.
    pub news: Option<bool>,
    /// What fetch-mail itself wrote there last.
    pub ours: Option<bool>,
}

impl Mark {
    /// A line says so; `is_ours`: fetch-mail wrote it.
    pub fn say(&mut self, is_so: bool, is_ours: bool) {
        self.now = Some(is_so);
        if !is_ours {
            self.news = Some(is_so);
            return;
        }
        self.ours = Some(is_so);
        // What somebody wrote just before us was not seen by us: what is set or
        // there wins.
        if let Some(news) = &mut self.news {
            *news |= is_so;
        }
    }

    /// What is new by this, where the journal of the other side says `other`:
    /// what was carried over already is no news.
    pub fn news(&self, other: &Self) -> Option<bool> {
        self.news.filter(|_| other.ours != self.news)
    }
}

/// When a message came, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// In seconds since 1970.
    pub seconds: i64,
    /// Its octets, attachments included.
    pub octets: u64,
}

/// What a journal says of one message of its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// Whether it is there.
    pub presence: Mark,
    /// Its flags.
    pub flags: BTreeMap<Flag, Mark>,
    /// By its last `add`.
    pub added: Option<Added>,
    /// Flags that it has, and of which nobody knows since when: they are news where
    /// it is moved.
    pub carried: BTreeSet<Flag>,
    /// It was deleted and came back: it has no flags but these.
    pub is_fresh: bool,
    /// The server does not have it any more, and there is no word of why.
    pub is_missing: bool,
}

impl Touch {
    /// The next line; `is_ours` says of it, and of each flag of it, whether
    /// fetch-mail wrote it.
    pub fn take(&mut self, entry: &Entry, is_ours: impl Fn(Said<'_>) -> bool) {
        match entry {
            Entry::Add { time, octets, .. } => {
                if self.presence.now == Some(false) {
                    self.flags.clear();
                    self.is_fresh = true;
                }
                self.presence.say(true, is_ours(Said::Presence(true)));
                self.added = Some(Added {
                    seconds: time.unix_seconds(),
                    octets: *octets,
                });
            }
            Entry::Flag { changes, .. } => {
                for change in changes {
                    let mark = self.flags.entry(change.flag.clone()).or_default();
                    mark.say(change.set, is_ours(Said::Flag(change)));
                }
            }
            Entry::Del { .. } => {
                self.presence.say(false, is_ours(Said::Presence(false)));
            }
        }
    }
}

/// One thing that a line says.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// That the message is there, or not.
    Presence(bool),
    /// That a flag is set, or not.
    Flag(&'a FlagChange),
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn what_is_set_wins_over_what_we_wrote_without_having_seen_it() {
        for (theirs, ours, news) in [
            (true, false, true),
            (false, true, true),
            (false, false, false),
            (true, true, true),
        ] {
            let mut mark = Mark::default();
            mark.say(theirs, false);
            mark.say(ours, true);
            assert_eq!((mark.now, mark.news), (Some(ours), Some(news)));
        }
        let mut mark = Mark::default();
        mark.say(true, true);
        assert_eq!(mark.news, None);
        mark.say(false, false);
        assert_eq!(mark.news, Some(false));
    }

    #[test]
    fn what_was_carried_over_is_no_news() {
        let (mut there, mut here) = (Mark::default(), Mark::default());
        there.say(true, false);
        assert_eq!(there.news(&here), Some(true));
        here.say(true, true);
        assert_eq!(there.news(&here), None);
        here.say(false, false);
        assert_eq!((there.news(&here), here.news(&there)), (None, Some(false)));
    }
}
