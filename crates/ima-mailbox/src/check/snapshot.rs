//! What a folder holds at one moment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use ima_message::{Entry, MessageDigest, Token};
use rustix::fs::OFlags;

use super::finding::{Finding, Rule};
use crate::directory::Directory;
use crate::error::MailboxError;
use crate::journal::{Changes, Journal};
use crate::lock::Lock;
use crate::name::JOURNAL;
use crate::patience::Patience;

/// The names in a folder and the messages of its journal, as they were while
/// nobody could change either.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) messages: Vec<OsString>,
    pub(super) attachments: Vec<OsString>,
    /// By the journal; `None` where it cannot be read.
    pub(super) states: Option<BTreeMap<MessageDigest, State>>,
    token: Option<Token>,
}

/// What a journal says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is there, with so many octets.
    Live(u64),
    /// It was deleted.
    Deleted,
}

impl Snapshot {
    /// Takes a snapshot; a directory that is missing counts as empty.
    pub(super) fn take(
        root: &Directory,
        messages: Option<&Directory>,
        attachments: Option<&Directory>,
        report: &mut dyn FnMut(Finding),
    ) -> Result<Self, MailboxError> {
        // A lock that is missing or no file is found with the other entries.
        let lock = Lock::take(root, OFlags::RDONLY, false, &Patience::default());
        let names =
            |directory: Option<&Directory>| directory.map_or(Ok(Vec::new()), Directory::names);
        let mut snapshot = Self {
            messages: names(messages)?,
            attachments: names(attachments)?,
            states: None,
            token: None,
        };
        let journal = Journal::open(root);
        drop(lock);
        snapshot.messages.sort();
        snapshot.attachments.sort();
        let path = root.path().join(JOURNAL);
        match journal {
            Ok(journal) => {
                if journal.rest() > 0 {
                    report(Finding::new(
                        path,
                        Rule::CutLine {
                            octets: journal.rest(),
                        },
                    ));
                }
                snapshot.token = Some(journal.token());
                let mut states = BTreeMap::new();
                if let Changes::Since(entries, _) = journal.changes(None)? {
                    for change in entries {
                        match change {
                            Ok(change) => note(&mut states, &change.entry),
                            Err(error) => report(journal_finding(root, error)),
                        }
                    }
                }
                snapshot.states = Some(states);
            }
            // Found with the other entries.
            Err(MailboxError::Kind { .. }) => {}
            Err(error) => {
                if root.status(JOURNAL)?.is_some() {
                    report(journal_finding(root, error));
                }
            }
        }
        Ok(snapshot)
    }

    /// Whether a message that was live is so still: users delete mail while a
    /// check goes on.
    pub(super) fn is_still_live(
        &self,
        root: &Directory,
        digest: MessageDigest,
    ) -> Result<bool, MailboxError> {
        let Some(token) = self.token else {
            return Ok(true);
        };
        let journal = {
            let _lock = Lock::take(root, OFlags::RDONLY, false, &Patience::default());
            Journal::open(root)?
        };
        let (entries, mut live) = match journal.changes(Some(token))? {
            Changes::Since(entries, _) => (entries, true),
            // A new journal: what it does not name is gone.
            Changes::Reset(_) => match Journal::open(root)?.changes(None)? {
                Changes::Since(entries, _) => (entries, false),
                Changes::Reset(_) => return Ok(true),
            },
        };
        for change in entries {
            match change?.entry {
                Entry::Add { digest: d, .. } if d == digest => live = true,
                Entry::Del { digest: d } if d == digest => live = false,
                _ => {}
            }
        }
        Ok(live)
    }
}

fn note(states: &mut BTreeMap<MessageDigest, State>, entry: &Entry) {
    match entry {
        Entry::Add { digest, octets, .. } => {
            let state = states.entry(*digest).or_insert(State::Deleted);
            if *state == State::Deleted {
                *state = State::Live(*octets);
            }
        }
        Entry::Del { digest } => {
            states.insert(*digest, State::Deleted);
        }
        Entry::Flag { .. } => {}
    }
}

fn journal_finding(root: &Directory, error: MailboxError) -> Finding {
    match error {
        MailboxError::Journal {
            path,
            offset,
            source,
        } => Finding::new(
            path,
            Rule::Journal {
                offset,
                error: source,
            },
        ),
        error => Finding::new(root.path().join(JOURNAL), Rule::Unreadable(error)),
    }
}
