//! How much a folder holds, kept in its `summary`.
//!
//! ```text
//! summary = "ima-mailbox-summary 1 " token SP messages SP unseen SP octets LF
//! ```
//!
//! It is derived from the journal and holds for one token of it; at any other it
//! is made again. It may be missing, and what is not of this form counts for
//! nothing.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use ima_message::{Entry, MessageDigest, Token, text};
use rustix::fs::{OFlags, renameat};

use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::Changes;
use crate::name::SUMMARY;

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

impl Folder {
    /// What the folder holds now. Nothing but the journal's end is read where
    /// `summary` still holds; otherwise the journal is.
    ///
    /// # Errors
    /// A fault, also a journal that breaks its grammar.
    pub fn status(&self) -> Result<Status, MailboxError> {
        let journal = self.read_journal()?;
        let token = journal.token();
        if let Some(status) = self.summary()?.filter(|status| status.token == token) {
            return Ok(status);
        }
        let mut messages: HashMap<MessageDigest, (u64, bool)> = HashMap::new();
        if let Changes::Since(entries, _) = journal.changes(None)? {
            for change in entries {
                match change?.entry {
                    Entry::Add { digest, octets, .. } => {
                        messages.entry(digest).or_insert((octets, false));
                    }
                    Entry::Flag { digest, changes } => {
                        let seen = changes.iter().rev().find(|c| c.flag.as_str() == "seen");
                        if let (Some(change), Some(message)) = (seen, messages.get_mut(&digest)) {
                            message.1 = change.set;
                        }
                    }
                    Entry::Del { digest } => {
                        messages.remove(&digest);
                    }
                }
            }
        }
        let status = Status {
            messages: messages.len() as u64,
            unseen: messages.values().filter(|(_, seen)| !seen).count() as u64,
            octets: messages
                .values()
                .fold(0, |sum: u64, (octets, _)| sum.saturating_add(*octets)),
            token,
        };
        // It only saves time: a mailbox that cannot be written can still be read.
        let _ = self.write_summary(&status);
        Ok(status)
    }

    fn summary(&self) -> Result<Option<Status>, MailboxError> {
        let Some(file) = self.root.find_file(SUMMARY, OFlags::RDONLY)? else {
            return Ok(None);
        };
        let mut line = String::new();
        let read = file.take(MAX_SUMMARY).read_to_string(&mut line);
        Ok(read.ok().and_then(|_| parse(&line)))
    }

    /// Puts a new summary in the place of the old. It need not survive a power
    /// cut: whatever is there then is of this form and holds for its token, or
    /// counts for nothing.
    fn write_summary(&self, status: &Status) -> Result<(), MailboxError> {
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
