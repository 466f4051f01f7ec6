//! Writing a journal anew, without what no longer matters.
//!
//! Under the lock, first the files go that belong to no message; then the new
//! journal is written in `tmp/`, with a new generation, synced, and renamed over
//! the old one, and the folder's directory is synced. Whoever reads the old
//! journal at that moment reads it to its end.
//!
//! The new journal holds the `del` of each message that was deleted in the last
//! days, so that whoever has to read it all again still learns of them; and for
//! each message its `add` as it was, and a `flag` line where flags are set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use ima_message::{Entry, Flag, FlagChange, MessageDigest, Token};

use crate::change::flag_lines;
use crate::error::MailboxError;
use crate::folder::Folder;
use crate::journal::{Changes, FIRST_LINE, Journal};
use crate::live::{self, Message};
use crate::status::{Malformed, SEEN, Status};
use crate::sweep::Swept;

/// A journal of so many octets is small enough, whatever is in it.
const SMALL: u64 = 64 * 1024;
/// Octets of the shortest `add` line of a message, and of a `flag` line.
const SHORTEST_ADD: u64 = 94;
const SHORTEST_FLAG: u64 = 76;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The token of the old journal's end; its offset is what it had of octets.
    pub from: Token,
    /// The token that says the same of the new journal: whoever knew all that was
    /// changed up to `from` goes on from here. Messages that were added beside stand
    /// behind it.
    pub to: Token,
    /// What was removed beside.
    pub swept: Swept,
}

/// What a journal says, in the order in which it was said.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) live: BTreeMap<MessageDigest, Message>,
    /// Messages that were deleted and did not come back.
    pub(crate) deleted: BTreeSet<MessageDigest>,
    /// Where the `add` of a live message stands.
    places: HashMap<MessageDigest, u64>,
}

impl Folder {
    /// Writes the journal anew and removes what belongs to no message: files that
    /// a process left that died, attachments that no message holds any more, and
    /// in `gone/` and `tmp/` what is too old. In the mailbox it removes what is
    /// left of folders that were not made to the end, or are removed. A message that
    /// is whole, and that was never added or deleted, is added a day later.
    ///
    /// Deliveries and readers may go on meanwhile; those that need the folder's
    /// lock wait. Old tokens of this folder mean nothing any more.
    ///
    /// # Errors
    /// [`MailboxError::Damaged`] where a line of the journal breaks the grammar; a
    /// fault. The journal is the old one then.
    pub fn compact(&self) -> Result<Compacted, MailboxError> {
        self.compact_at(SystemTime::now())
    }

    /// Compacts where it is worth it: where the journal has more than 64 KiB and a
    /// quarter of it no longer matters. Where it is not, little more is read than
    /// the summary. Of a folder whose journal is smaller the attachments go that no
    /// message holds, for which its names are read, and its tokens stay what they are.
    ///
    /// # Errors
    /// As for [`Folder::compact`].
    pub fn tidy(&self) -> Result<Option<Compacted>, MailboxError> {
        let journal = self.read_journal()?;
        let octets = journal.token().offset;
        if octets <= SMALL {
            self.refuse_foreign_root()?;
            let lock = self.lock_exclusively()?;
            return self.sweep_attachments(&lock).map(|_| None);
        }
        let Status {
            messages, unseen, ..
        } = self.status_of(&journal, Malformed::Fault)?;
        let seen = messages.saturating_sub(unseen);
        let least = FIRST_LINE
            .saturating_add(messages.saturating_mul(SHORTEST_ADD))
            .saturating_add(seen.saturating_mul(SHORTEST_FLAG));
        if !is_worth_it(octets, least) {
            return Ok(None);
        }
        let now = SystemTime::now();
        let contents = Contents::of(&journal)?;
        let lines = contents.entries(&self.removals(&contents, now)?);
        let needed = lines
            .iter()
            .map(|entry| (entry.to_string().len() as u64).saturating_add(1))
            .fold(FIRST_LINE, u64::saturating_add);
        match is_worth_it(octets, needed) {
            true => self.compact_at(now).map(Some),
            false => Ok(None),
        }
    }

    pub(crate) fn compact_at(&self, now: SystemTime) -> Result<Compacted, MailboxError> {
        self.refuse_foreign_root()?;
        let lock = self.lock_exclusively()?;
        let journal = self.journal_to_append(&lock)?;
        // Files go for each `del` in it, also for one whose writer died before it
        // was on the disk.
        journal.sync()?;
        let contents = Contents::of(&journal)?;
        let removals = self.removals(&contents, now)?;
        let completion = self.completion(&contents, now)?;
        let mut swept = self.sweep_messages(&lock, &contents, &completion, now)?;
        let to = self.replace_journal(&lock, &contents.entries(&removals))?;
        // It only saves time.
        let _ = self.write_summary(&contents.status(to));
        swept.completed = self.complete(&lock, &completion)?;
        self.sweep_the_rest(&lock, &contents, now, &mut swept)?;
        drop(lock);
        self.sweep_mailbox(now);
        Ok(Compacted {
            from: journal.token(),
            to,
            swept,
        })
    }
}

impl Contents {
    /// What a journal says.
    ///
    /// # Errors
    /// [`MailboxError::Damaged`]; a fault.
    pub(crate) fn of(journal: &Journal) -> Result<Self, MailboxError> {
        let mut contents = Self::default();
        let Changes::Since(changes, _) = journal.changes(None)? else {
            return Ok(contents);
        };
        for change in changes {
            match change {
                Ok(change) => contents.take(change.entry, change.token.offset),
                Err(MailboxError::Journal {
                    path,
                    offset,
                    source,
                }) => {
                    return Err(MailboxError::Damaged {
                        path,
                        offset,
                        source,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(contents)
    }

    /// One more line, and a number that grows from line to line.
    pub(crate) fn take(&mut self, entry: Entry, place: u64) {
        match entry {
            Entry::Add { digest, .. } => {
                self.places.entry(digest).or_insert(place);
                self.deleted.remove(&digest);
            }
            Entry::Del { digest } => {
                self.places.remove(&digest);
                self.deleted.insert(digest);
            }
            Entry::Flag { .. } => {}
        }
        live::fold(&mut self.live, entry);
    }

    /// The lines that say the same.
    pub(crate) fn entries(&self, removals: &BTreeSet<MessageDigest>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = removals
            .iter()
            .map(|&digest| Entry::Del { digest })
            .collect();
        let mut messages: Vec<_> = self.live.iter().collect();
        messages.sort_by_key(|(digest, _)| self.places.get(digest));
        for (&digest, message) in messages {
            entries.push(Entry::Add {
                digest,
                time: message.time.clone(),
                octets: message.octets,
            });
            let set = |flag: &Flag| FlagChange {
                flag: flag.clone(),
                set: true,
            };
            let flags: Vec<FlagChange> = message.flags.iter().map(set).collect();
            entries.extend(flag_lines(digest, &flags));
        }
        entries
    }

    /// What it comes to, at a token.
    pub(crate) fn status(&self, token: Token) -> Status {
        let seen = |message: &&Message| message.flags.iter().any(|flag| flag.as_str() == SEEN);
        let octets = self.live.values().map(|message| message.octets);
        Status {
            messages: self.live.len() as u64,
            unseen: self.live.values().filter(|message| !seen(message)).count() as u64,
            octets: octets.fold(0, u64::saturating_add),
            token,
        }
    }
}

/// Whether a quarter of so many octets would go, were only so many needed.
fn is_worth_it(octets: u64, needed: u64) -> bool {
    octets.saturating_sub(needed) >= octets / 4
}
