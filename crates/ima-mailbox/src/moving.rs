//! Messages from one folder of a mailbox to another.
//!
//! Both folders are locked, in the order of their names. The message is linked
//! into the other folder, its flags are appended there with its `add`, and that
//! journal is synced; then it is deleted here. A process that dies on the way
//! leaves the message in both folders, and never in none.

use std::collections::{BTreeMap, BTreeSet};

use ima_message::{Entry, FolderName, MessageDigest};

use crate::deliver::{Arrival, Giver, Incoming};
use crate::error::MailboxError;
use crate::folder::Folder;
use crate::journal::Written;
use crate::live::Message;
use crate::mailbox::Mailbox;
use crate::stage::{Stage, Syncing};

/// What became of a message that was to be in another folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is there.
    Done {
        /// What was appended to the journal of the folder that it came from.
        here: Option<Written>,
        /// What was appended to the journal of the folder in which it is now.
        there: Option<Written>,
    },
    /// One of the folders is not there.
    NoFolder,
    /// The message is not in the folder that it was to come from, or not whole.
    NoMessage,
}

/// What became of several messages that were to be in another folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Messages that are not in the folder that they were to come from, or not
    /// whole: a message that has lost its header block or an attachment stays where
    /// it is. The others are in the other folder.
    pub missing: Vec<MessageDigest>,
    /// What was appended to the journal of the folder that they came from.
    pub here: Option<Written>,
    /// What was appended to the journal of the folder in which they are now.
    pub there: Option<Written>,
}

/// Whether the messages stay where they were as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Left,
    Kept,
}

impl Mailbox {
    /// Moves a message to another folder, with its attachments and flags. Where
    /// it is there already, its flags are set there too. Moved into the folder in
    /// which it is, it stays as it is.
    ///
    /// The cost is that of the message, and one pass over the journal of the
    /// folder that it comes from: whoever moves many has
    /// [`Mailbox::move_messages`].
    ///
    /// # Errors
    /// A fault; the message is in one of the folders then, or in both.
    pub fn move_message(
        &self,
        from: &FolderName,
        digest: MessageDigest,
        to: &FolderName,
    ) -> Result<Moved, MailboxError> {
        self.transfer(from, &[digest], to, Origin::Left).map(moved)
    }

    /// Copies a message to another folder, as [`Mailbox::move_message`] moves it.
    ///
    /// # Errors
    /// A fault, also where the mailbox's quota has no room for it.
    pub fn copy_message(
        &self,
        from: &FolderName,
        digest: MessageDigest,
        to: &FolderName,
    ) -> Result<Moved, MailboxError> {
        self.transfer(from, &[digest], to, Origin::Kept).map(moved)
    }

    /// Moves messages to another folder, as [`Mailbox::move_message`] does, by one
    /// write of each journal. `None` where one of the folders is not there.
    ///
    /// # Errors
    /// A fault; each message is in one of the folders then, or in both.
    pub fn move_messages(
        &self,
        from: &FolderName,
        digests: &[MessageDigest],
        to: &FolderName,
    ) -> Result<Option<Transfer>, MailboxError> {
        self.transfer(from, digests, to, Origin::Left)
    }

    fn transfer(
        &self,
        from: &FolderName,
        digests: &[MessageDigest],
        to: &FolderName,
        origin: Origin,
    ) -> Result<Option<Transfer>, MailboxError> {
        let (Some(here), Some(there)) = (self.folder(from)?, self.folder(to)?) else {
            return Ok(None);
        };
        there.refuse_foreign_root()?;
        if from == to {
            return here.transfer_within(digests).map(Some);
        }
        let wanted: BTreeSet<MessageDigest> = digests.iter().copied().collect();
        // Most of the journal is read before anybody has to wait.
        let read = match here.read_journal() {
            Err(MailboxError::NoFolder(_)) => return Ok(None),
            read => read?,
        };
        let mut live = read.named(&wanted, read.token().offset)?;
        let read = read.token();
        let room = match origin {
            // What is only moved needs no more room than before.
            Origin::Left => None,
            Origin::Kept => there.hold_room()?,
        };
        let (first, second) = if from < to {
            (&here, &there)
        } else {
            (&there, &here)
        };
        let locked = first
            .lock_exclusively()
            .and_then(|first| Ok((first, second.lock_exclusively()?)));
        let (first, second) = match locked {
            Ok(locks) => locks,
            // It was removed while we waited.
            Err(MailboxError::NoFolder(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (here_lock, there_lock) = if from < to {
            (&first, &second)
        } else {
            (&second, &first)
        };
        let mut journal = here.journal_to_append(here_lock)?;
        let now = journal.token().offset;
        match journal.is_place(read)? {
            true => journal.renew(&mut live, &wanted, read.offset, now)?,
            false => live = journal.named(&wanted, now)?,
        }
        let arrivals = here.arrivals(&live, &there)?;
        let found: BTreeSet<MessageDigest> =
            arrivals.iter().map(|one| one.incoming.digest()).collect();
        let stored = there.store(there_lock, &arrivals, &[], Giver::User, room.as_ref())?;
        let left = match origin {
            Origin::Left => {
                let gone: Vec<Entry> = found.iter().map(|&digest| Entry::Del { digest }).collect();
                here.write_and_remove(here_lock, &mut journal, &gone, &found)?
            }
            Origin::Kept => None,
        };
        Ok(Some(Transfer {
            missing: missing(digests, &found),
            here: left,
            there: stored.written,
        }))
    }
}

impl Folder {
    /// Where the messages are to be where they are.
    fn transfer_within(&self, digests: &[MessageDigest]) -> Result<Transfer, MailboxError> {
        let wanted: BTreeSet<MessageDigest> = digests.iter().copied().collect();
        let journal = self.read_journal()?;
        let live = journal.named(&wanted, journal.token().offset)?;
        Ok(Transfer {
            missing: missing(digests, &live.into_keys().collect()),
            ..Transfer::default()
        })
    }

    /// Those of the messages that are whole here, for another folder.
    fn arrivals(
        &self,
        live: &BTreeMap<MessageDigest, Message>,
        to: &Folder,
    ) -> Result<Vec<Arrival>, MailboxError> {
        let mut arrivals = Vec::new();
        for (digest, message) in live {
            let Some(header) = self.header(*digest)? else {
                continue;
            };
            let stage = Stage::new(&to.tmp, false, Syncing::Each);
            let Some(incoming) = Incoming::stored(self, stage, &header)? else {
                continue;
            };
            let (time, flags) = (message.time.clone(), message.flags.clone());
            arrivals.push(Arrival::of(incoming, time, flags));
        }
        Ok(arrivals)
    }
}

fn moved(transfer: Option<Transfer>) -> Moved {
    match transfer {
        None => Moved::NoFolder,
        Some(Transfer { missing, .. }) if !missing.is_empty() => Moved::NoMessage,
        Some(Transfer { here, there, .. }) => Moved::Done { here, there },
    }
}

fn missing(digests: &[MessageDigest], found: &BTreeSet<MessageDigest>) -> Vec<MessageDigest> {
    let missing = digests.iter().filter(|digest| !found.contains(digest));
    missing.copied().collect()
}
