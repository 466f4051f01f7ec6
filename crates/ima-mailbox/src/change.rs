//! Flags and deletions.
//!
//! A message is deleted in this order, under the lock: `gone/DIGEST` is made and
//! `gone/` synced; `del` is appended and the journal synced; the message's files
//! are removed. A process that dies before the `del` has deleted nothing, and a
//! `gone/DIGEST` of a message that is here hides nothing but its repetition; one
//! that dies after it leaves files that the next compaction removes.

use std::collections::BTreeSet;
use std::io::BufReader;

use ima_message::{Entry, FlagChange, HeaderBlock, MessageDigest, ReadError};
use rustix::fs::OFlags;

use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::{Journal, Written};
use crate::lock::Lock;
use crate::name::{self, StoredName};

/// Flags that one line of a journal takes: with the longest names it stays far
/// below its limit.
const FLAGS_A_LINE: usize = 100;

/// What is done to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Flags are set and removed, in this order.
    Flag {
        /// The message.
        digest: MessageDigest,
        /// The changes; where there are none nothing is written.
        changes: Vec<FlagChange>,
    },
    /// It is removed from the folder, and for 10 days nobody delivers it again.
    Delete {
        /// The message.
        digest: MessageDigest,
    },
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Messages that are not here, in the order in which they were named; with
    /// them nothing was done.
    pub missing: Vec<MessageDigest>,
    /// The places, from 0, of the acts that were not done, in order: those on
    /// messages that are missing. A message that has lost its files can still be
    /// deleted, and so one act on it may be done and another not.
    pub undone: Vec<usize>,
    /// What was appended; `None` where nothing was.
    pub written: Option<Written>,
}

impl Folder {
    /// Sets and removes flags and deletes messages, in this order, by one write
    /// of the journal. On return all of it would survive a power cut.
    ///
    /// The cost is that of the acts, however many messages the folder holds.
    ///
    /// # Errors
    /// A fault. Where the journal could not be written nothing was done; after
    /// one that came later the journal says what is.
    pub fn apply(&self, acts: &[Act]) -> Result<Applied, MailboxError> {
        self.refuse_foreign_root()?;
        if acts.is_empty() {
            return Ok(Applied::default());
        }
        let lock = self.lock_exclusively()?;
        let mut journal = self.journal_to_append(&lock)?;
        let mut entries = Vec::new();
        let mut deleted = BTreeSet::new();
        let (mut missing, mut undone) = (Vec::new(), Vec::new());
        let lost = self.lost(acts, &journal)?;
        for (place, act) in acts.iter().enumerate() {
            let (Act::Flag { digest, .. } | Act::Delete { digest }) = act;
            let is_here = match act {
                Act::Delete { digest } if lost.contains(digest) => true,
                _ => self.messages.holds(&name::message(*digest))?,
            };
            if deleted.contains(digest) || !is_here {
                missing.push(*digest);
                undone.push(place);
                continue;
            }
            match act {
                Act::Flag { digest, changes } => entries.extend(flag_lines(*digest, changes)),
                Act::Delete { digest } => {
                    deleted.insert(*digest);
                    entries.push(Entry::Del { digest: *digest });
                }
            }
        }
        let written = self.write_and_remove(&lock, &mut journal, &entries, &deleted)?;
        Ok(Applied {
            missing,
            undone,
            written,
        })
    }

    /// Messages to be deleted whose files are lost, and that the journal still
    /// has: against all order, and so it may cost a look through the journal.
    fn lost(
        &self,
        acts: &[Act],
        journal: &Journal,
    ) -> Result<BTreeSet<MessageDigest>, MailboxError> {
        let mut absent = BTreeSet::new();
        for act in acts {
            if let Act::Delete { digest } = act
                && !self.messages.holds(&name::message(*digest))?
            {
                absent.insert(*digest);
            }
        }
        let live = journal.named(&absent, journal.token().offset)?;
        Ok(live.into_keys().collect())
    }

    /// Appends lines, among them the `del` of each of the deleted messages, and
    /// removes the files of those.
    pub(crate) fn write_and_remove(
        &self,
        _lock: &Lock,
        journal: &mut Journal,
        entries: &[Entry],
        deleted: &BTreeSet<MessageDigest>,
    ) -> Result<Option<Written>, MailboxError> {
        if entries.is_empty() {
            return Ok(None);
        }
        let mut files = Vec::new();
        for digest in deleted {
            files.extend(self.files_of(*digest)?);
        }
        let mut made = Vec::new();
        let named = deleted.iter().try_for_each(|digest| {
            let name = name::message(*digest);
            if self.gone.create_or_touch(&name)? {
                made.push(name);
            }
            Ok(())
        });
        let named = named.and_then(|()| match deleted.is_empty() {
            true => Ok(()),
            false => self.gone.sync(),
        });
        let appended = named.map_err(|error| (error, true)).and_then(|()| {
            journal
                .append(entries)
                .map_err(|failed| (failed.error, failed.withdrawn))
        });
        let written = match appended {
            Ok(written) => written,
            Err((error, nothing_done)) => {
                if nothing_done {
                    for name in made {
                        let _ = self.gone.remove(&name);
                    }
                }
                return Err(error);
            }
        };
        for file in &files {
            self.messages.remove_if_there(file)?;
        }
        if !files.is_empty() {
            self.messages.sync()?;
        }
        Ok(Some(written))
    }

    /// The names in `messages/` that a message has, its own first.
    pub(crate) fn files_of(&self, digest: MessageDigest) -> Result<Vec<String>, MailboxError> {
        let mut files = vec![name::message(digest)];
        match self.header(digest)? {
            Some(header) => files.extend(
                header
                    .attachments()
                    .map(|(number, _)| name::attachment(digest, number)),
            ),
            // What its attachments are called can only be seen.
            None => files.extend(self.messages.names()?.into_iter().filter_map(|name| {
                let name = name.into_string().ok()?;
                match StoredName::parse(&name)? {
                    StoredName::Attachment(of, _) if of == digest => Some(name),
                    _ => None,
                }
            })),
        }
        Ok(files)
    }

    /// The header block of a message; `None` where it is damaged or not here.
    pub(crate) fn header(
        &self,
        digest: MessageDigest,
    ) -> Result<Option<HeaderBlock>, MailboxError> {
        let name = name::message(digest);
        let Some(file) = self.messages.find_file(&name, OFlags::RDONLY)? else {
            return Ok(None);
        };
        match HeaderBlock::read(&mut BufReader::new(file)) {
            Ok(header) => Ok(Some(header).filter(|header| header.digest() == digest)),
            Err(ReadError::Io(e)) => Err(self.messages.fault(Step::Read, &name, e)),
            Err(_) => Ok(None),
        }
    }
}

/// The lines that say so of flags; none for no change.
pub(crate) fn flag_lines(
    digest: MessageDigest,
    changes: &[FlagChange],
) -> impl Iterator<Item = Entry> {
    changes
        .chunks(FLAGS_A_LINE)
        .map(move |changes| Entry::Flag {
            digest,
            changes: changes.to_vec(),
        })
}
