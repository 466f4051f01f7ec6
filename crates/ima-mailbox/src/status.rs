//! How much a folder holds, kept in its `summary`.
//!
//! ```text
//! summary = "ima-mailbox-summary 1 " token SP messages SP unseen SP octets LF
//! ```
//!
//! It is derived from the journal and holds for one token of it; from there it is
//! brought forward by what came since. It may be missing, and what is not of this
//! form counts for nothing.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read as _, Write as _};

use ima_message::{Entry, MessageDigest, Token, text};
use rustix::fs::{OFlags, renameat};

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::{Changes, Journal, Written};
use crate::name::SUMMARY;

/// The flag that the summary counts.
pub(crate) const SEEN: &str = "seen";
const BEGINS: &str = "ima-mailbox-summary 1 ";
/// The longest summary: three numbers of 19 digits and a token.
const MAX_SUMMARY: u64 = 256;

/// What a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// How many messages.
    pub messages: u64,
    /// How many of them without the flag `seen`.
    pub unseen: u64,
    /// Their octets, attachments included.
    pub octets: u64,
    /// The token for which this holds.
    pub token: Token,
}

/// What a status makes of lines that break the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// They are a fault.
    Fault,
    /// They count for nothing.
    PassOver,
}

impl Folder {
    /// What the folder holds now. Nothing but the journal's end is read where
    /// `summary` still holds. Where it holds for an earlier token of the same
    /// journal, what came since is read and, of the rest, what is said of the same
    /// messages; otherwise the whole journal.
    ///
    /// # Errors
    /// A fault, also a journal that breaks its grammar.
    pub fn status(&self) -> Result<Status, MailboxError> {
        self.status_of(&self.read_journal()?, Malformed::Fault)
    }

    /// The status by a journal of this folder that was opened under its lock, and
    /// synced: a summary must not hold for lines that a power cut takes.
    pub(crate) fn status_of(
        &self,
        journal: &Journal,
        malformed: Malformed,
    ) -> Result<Status, MailboxError> {
        let token = journal.token();
        let before = match self.summary()? {
            Some(status) if status.token == token => return Ok(status),
            Some(status) if journal.is_place(status.token)? => Some(status),
            _ => None,
        };
        let since = before.map(|status| status.token);
        let mut is_whole = true;
        let mut each = |take: &mut dyn FnMut(Entry)| -> Result<(), MailboxError> {
            let Changes::Since(changes, _) = journal.changes(since)? else {
                return Ok(());
            };
            for change in changes {
                match change {
                    Ok(change) => take(change.entry),
                    Err(MailboxError::Journal { .. }) if malformed == Malformed::PassOver => {
                        is_whole = false;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let mut count = Count::default();
        let mut status = Status {
            messages: 0,
            unseen: 0,
            octets: 0,
            token,
        };
        if let Some(before) = before {
            let mut named = BTreeSet::new();
            each(&mut |entry| {
                named.insert(entry.digest());
            })?;
            for (digest, message) in journal.named(&named, before.token.offset)? {
                let seen = message.flags.iter().any(|flag| flag.as_str() == SEEN);
                count.messages.insert(digest, (message.octets, seen));
            }
            let others = count.total();
            status.messages = before.messages.saturating_sub(others.messages);
            status.unseen = before.unseen.saturating_sub(others.unseen);
            status.octets = before.octets.saturating_sub(others.octets);
        }
        each(&mut |entry| count.take(entry))?;
        let counted = count.total();
        status.messages = status.messages.saturating_add(counted.messages);
        status.unseen = status.unseen.saturating_add(counted.unseen);
        status.octets = status.octets.saturating_add(counted.octets);
        if is_whole {
            // It only saves time: a mailbox that cannot be written can still be read.
            let _ = self.write_summary(&status);
        }
        Ok(status)
    }

    /// Brings the summary behind a write that added new messages alone, none of
    /// them seen. Where it did not hold before, or cannot be written, it is left
    /// to whoever asks next.
    pub(crate) fn advance_summary(&self, written: Written, messages: usize, octets: u64) {
        let before = self.summary().ok().flatten();
        let Some(before) = before.filter(|before| before.token == written.from) else {
            return;
        };
        let _ = self.write_summary(&Status {
            messages: before.messages.saturating_add(messages as u64),
            unseen: before.unseen.saturating_add(messages as u64),
            octets: before.octets.saturating_add(octets),
            token: written.to,
        });
    }

    pub(crate) fn summary(&self) -> Result<Option<Status>, MailboxError> {
        summary(&self.root)
    }

    /// Puts a new summary in the place of the old. It need not survive a power
    /// cut: whatever is there then is of this form and holds for its token, or
    /// counts for nothing.
    pub(crate) fn write_summary(&self, status: &Status) -> Result<(), MailboxError> {
        let random = getrandom::u64().map_err(MailboxError::Random)?;
        let name = format!("{SUMMARY}-{random:016x}");
        let mut file = self.tmp.create(&name)?;
        let line = format!(
            "{BEGINS}{} {} {} {}\n",
            status.token, status.messages, status.unseen, status.octets
        );
        let written = file
            .write_all(line.as_bytes())
            .map_err(|e| self.tmp.fault(Step::Write, &name, e))
            .and_then(|()| {
                renameat(&*self.tmp, &*name, &self.root, SUMMARY)
                    .map_err(|e| self.root.fault(Step::Rename, SUMMARY, e))
            });
        if written.is_err() {
            let _ = self.tmp.remove(&name);
        }
        written
    }
}

/// What the summary in a folder's directory says.
pub(crate) fn summary(folder: &Directory) -> Result<Option<Status>, MailboxError> {
    let Some(file) = folder.find_file(SUMMARY, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let mut line = String::new();
    let read = file.take(MAX_SUMMARY).read_to_string(&mut line);
    Ok(read.ok().and_then(|_| parse(&line)))
}

/// Messages, with their octets and whether they are seen.
#[derive(Debug, Default)]
struct Count {
    messages: HashMap<MessageDigest, (u64, bool)>,
}

/// What they come to.
struct Total {
    messages: u64,
    unseen: u64,
    octets: u64,
}

impl Count {
    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Add { digest, octets, .. } => {
                self.messages.entry(digest).or_insert((octets, false));
            }
            Entry::Flag { digest, changes } => {
                let seen = changes.iter().rev().find(|c| c.flag.as_str() == SEEN);
                if let (Some(change), Some(message)) = (seen, self.messages.get_mut(&digest)) {
                    message.1 = change.set;
                }
            }
            Entry::Del { digest } => {
                self.messages.remove(&digest);
            }
        }
    }

    fn total(&self) -> Total {
        let messages = self.messages.values();
        Total {
            messages: self.messages.len() as u64,
            unseen: messages.clone().filter(|(_, seen)| !seen).count() as u64,
            octets: messages.fold(0, |sum, (octets, _)| sum.saturating_add(*octets)),
        }
    }
}

fn parse(line: &str) -> Option<Status> {
    let mut words = line.strip_suffix('\n')?.strip_prefix(BEGINS)?.split(' ');
    let token = words.next()?.parse().ok()?;
    let mut number = || text::parse_decimal(words.next()?);
    let status = Status {
        messages: number()?,
        unseen: number()?,
        octets: number()?,
        token,
    };
    words.next().is_none().then_some(status)
}
