//! Steps 4 and 5 of a delivery, one after the other: whoever stores in many folders at
//! once does each for all of them.

use std::sync::Arc;

use ima_message::{Entry, MessageDigest};

use super::Delivered;
use super::links::Links;
use super::message::MessageFile;
use super::store::{Arrival, Giver, SYNCED_EACH};
use crate::durable::{Barrier, can_sync_whole};
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::{Journal, Written};
use crate::lock::Lock;
use crate::name;
use crate::quota::Room;

/// What was stored.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// How many messages are new.
    pub(crate) new: usize,
    /// What was appended to the journal.
    pub(crate) written: Option<Written>,
    /// Messages whose `add` was to be written once more, and that are not here.
    pub(crate) missing: Vec<MessageDigest>,
}

impl Stored {
    /// What became of a single message.
    pub(super) fn delivered(&self) -> Delivered {
        match self.new {
            0 => Delivered::Duplicate,
            _ => Delivered::Stored,
        }
    }
}

/// What is to be written of the messages that were given names.
#[derive(Debug, Default)]
pub(super) struct Linked {
    pub(super) entries: Vec<Entry>,
    pub(super) new: usize,
    /// Octets of the new ones.
    pub(super) octets: u64,
    /// Whether some message was there before: nobody knows what the journal says
    /// of it.
    pub(super) has_known: bool,
    /// Whether some name may not be on the disk yet.
    pub(super) has_names: bool,
    /// Files that were there before.
    pub(super) found: usize,
    /// Files that have their names and are to be synced.
    pub(super) unsynced: Vec<Arc<MessageFile>>,
}

/// Messages that have their names, and whose lines are not in the journal yet. The
/// folder's lock is held until this is at its end.
#[derive(Debug)]
pub(super) struct Storing<'a> {
    folder: &'a Folder,
    giver: Giver,
    journal: Journal,
    links: Links<'a>,
    linked: Linked,
    has_attachments: bool,
    missing: Vec<MessageDigest>,
}

impl Folder {
    /// Stores messages; `again` are lines to be written once more for messages
    /// that are here. Either all of it is done or, after an error, nothing is
    /// visible; but where the journal was written, and what followed failed, all
    /// of it is.
    pub(crate) fn store(
        &self,
        lock: &Lock,
        arrivals: &[Arrival],
        again: &[Entry],
        giver: Giver,
        room: Option<&Room>,
    ) -> Result<Stored, MailboxError> {
        let mut storing = self.begin_storing(lock, arrivals, again, giver, room)?;
        if storing.is_idle() {
            return Ok(storing.idle());
        }
        if let Err(error) = storing.sync_names() {
            storing.withdraw();
            return Err(error);
        }
        let written = storing.write().and_then(|()| storing.sync_journal());
        storing.finish(written, room)
    }

    /// Gives messages their names.
    pub(super) fn begin_storing<'a>(
        &'a self,
        lock: &'a Lock,
        arrivals: &'a [Arrival],
        again: &[Entry],
        giver: Giver,
        room: Option<&Room>,
    ) -> Result<Storing<'a>, MailboxError> {
        let journal = self.journal_to_append(lock)?;
        if let Some(room) = room {
            room.refuse_beyond(self.new_octets(arrivals, giver)?)?;
        }
        let mut linked = Linked::default();
        let mut missing = Vec::new();
        for add in again {
            if self.is_here(add.digest())? {
                linked.entries.push(add.clone());
                (linked.has_known, linked.has_names) = (true, true);
            } else {
                missing.push(add.digest());
            }
        }
        let mut links = Links::default();
        let mut each = arrivals.iter();
        if let Err(error) = each.try_for_each(|one| self.link(one, giver, &mut links, &mut linked))
        {
            links.remove();
            return Err(error);
        }
        let mut attachments = arrivals.iter().flat_map(|one| one.incoming.attachments());
        Ok(Storing {
            folder: self,
            giver,
            journal,
            links,
            linked,
            // Where others' messages are among them, their attachments may not be on
            // the disk yet.
            has_attachments: !again.is_empty() || attachments.next().is_some(),
            missing,
        })
    }

    /// What was added by its user was not deleted. A process that dies before this
    /// leaves a name that hides nothing, since the message is here.
    fn forget_removal(&self, added: &[Entry]) -> Result<(), MailboxError> {
        let mut forgotten = false;
        for entry in added {
            if matches!(entry, Entry::Add { .. }) {
                forgotten |= self.gone.remove_if_there(&name::message(entry.digest()))?;
            }
        }
        match forgotten {
            true => self.gone.sync(),
            false => Ok(()),
        }
    }
}

impl Storing<'_> {
    /// Whether there is nothing to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.linked.entries.is_empty()
    }

    /// What was stored where there is nothing to be written.
    pub(super) fn idle(self) -> Stored {
        Stored {
            missing: self.missing,
            ..Stored::default()
        }
    }

    /// Brings the files and their names onto the disk: before that no line tells of
    /// them.
    pub(super) fn sync_names(&self) -> Result<(), MailboxError> {
        self.linked
            .unsynced
            .iter()
            .try_for_each(|file| file.sync())?;
        let messages = &self.folder.messages;
        if self.linked.found > SYNCED_EACH && can_sync_whole(&**messages) {
            Barrier::FileSystem
                .sync(&**messages)
                .map_err(|e| messages.fault(Step::Sync, "", e))?;
        }
        if self.has_attachments {
            self.folder.attachments.sync()?;
        }
        match self.linked.has_names {
            true => self.folder.messages.sync(),
            false => Ok(()),
        }
    }

    /// The file system on which all of the folder lies was synced, or could not be, in
    /// place of the files and their names.
    pub(super) fn names_were_synced(
        &self,
        whole: Result<(), MailboxError>,
    ) -> Result<(), MailboxError> {
        let files = self.linked.unsynced.iter();
        let synced: Vec<_> = files.map(|file| file.was_synced(&whole)).collect();
        synced.into_iter().chain([whole]).collect()
    }

    /// Writes the lines.
    pub(super) fn write(&mut self) -> Result<(), MailboxError> {
        self.journal.write(&self.linked.entries)
    }

    /// Brings the lines onto the disk.
    pub(super) fn sync_journal(&self) -> Result<(), MailboxError> {
        self.journal.sync()
    }

    /// Takes the names back; no line was written.
    pub(super) fn withdraw(self) {
        self.links.remove();
    }

    /// The end, once the lines were written and synced, or could not be.
    pub(super) fn finish(
        mut self,
        written: Result<(), MailboxError>,
        room: Option<&Room>,
    ) -> Result<Stored, MailboxError> {
        let written = match self.journal.settle(written) {
            Ok(written) => written,
            Err(failed) => {
                if failed.withdrawn {
                    self.links.remove();
                }
                return Err(failed.error);
            }
        };
        let linked = &self.linked;
        if self.giver == Giver::User {
            self.folder.forget_removal(&linked.entries)?;
        }
        if room.is_some() && !linked.has_known {
            self.folder
                .advance_summary(written, linked.new, linked.octets);
        }
        Ok(Stored {
            new: linked.new,
            written: Some(written),
            missing: self.missing,
        })
    }
}
