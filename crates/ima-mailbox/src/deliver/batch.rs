//! Many messages at once, for programs that bring whole mailboxes.

use std::collections::BTreeSet;
use std::io::Read;
use std::thread;

use ima_message::{DateTime, Entry, Flag, HeaderBlock, MessageDigest};

use super::incoming::Incoming;
use super::store::{Arrival, Giver};
use crate::durable::{Barrier, can_sync_whole};
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::Written;
use crate::shared::Shared;
use crate::stage::{Stage, Staged, Syncing};

/// Messages whose files are synced by themselves. Of more than these the file
/// system is synced as a whole, where it can be: dearer for a few, cheaper for many.
const SYNCED_EACH: usize = 16;
/// Files that are synced at once: a file system brings them onto the disk
/// together, and takes for that as long as for one.
const SYNCED_AT_ONCE: usize = 16;
/// Files of a batch up to which each keeps a descriptor.
const MAX_DESCRIPTORS: usize = 512;

/// Messages that appear in a folder together, by one write of its journal.
/// Nothing of a batch that is dropped stays.
#[derive(Debug)]
pub struct Batch<'a> {
    folder: &'a Folder,
    giver: Giver,
    shared: Shared,
    messages: Vec<Arrival>,
    again: Vec<Entry>,
    files: usize,
    octets: u64,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// How many messages were not in the folder before.
    pub new: usize,
    /// What was appended to the journal; `None` where nothing was.
    pub written: Option<Written>,
    /// Messages that [`Batch::add_again`] named, and that are not here.
    pub missing: Vec<MessageDigest>,
}

impl Folder {
    /// An empty batch of messages from senders: those that were deleted in the
    /// last days are passed over.
    ///
    /// # Errors
    /// [`MailboxError::Owner`], where root would store in another's folder.
    pub fn batch(&self) -> Result<Batch<'_>, MailboxError> {
        self.batch_of(Giver::Sender)
    }

    /// An empty batch of messages that the folder's user puts there: also those
    /// that were deleted come back, and count as deleted no longer.
    ///
    /// # Errors
    /// [`MailboxError::Owner`], where root would store in another's folder.
    pub fn batch_of_user(&self) -> Result<Batch<'_>, MailboxError> {
        self.batch_of(Giver::User)
    }

    fn batch_of(&self, giver: Giver) -> Result<Batch<'_>, MailboxError> {
        self.refuse_foreign_root()?;
        Ok(Batch {
            folder: self,
            giver,
            shared: Shared::new(),
            messages: Vec::new(),
            again: Vec::new(),
            files: 0,
            octets: 0,
        })
    }
}

impl Batch<'_> {
    /// Reads a message's data to their end, verifies them and writes them where
    /// nobody sees them yet. `time` is when it arrived, for its `add`.
    ///
    /// # Errors
    /// As for [`Folder::deliver`]; the batch is as it was before.
    pub fn stage(
        &mut self,
        header: &HeaderBlock,
        data: &mut dyn Read,
        time: DateTime,
    ) -> Result<(), MailboxError> {
        self.stage_flagged(header, data, time, BTreeSet::new())
    }

    /// As [`Batch::stage`], with flags that the message brings. Where it is there
    /// already they are set as well.
    ///
    /// # Errors
    /// As for [`Batch::stage`].
    pub fn stage_flagged(
        &mut self,
        header: &HeaderBlock,
        data: &mut dyn Read,
        time: DateTime,
        flags: BTreeSet<Flag>,
    ) -> Result<(), MailboxError> {
        let files = self.files.saturating_add(header.attachments().count());
        let named = files > MAX_DESCRIPTORS;
        let stage = Stage::new(&self.folder.tmp, named, Syncing::Later);
        let incoming = Incoming::read(self.folder, stage, header, data, Some(&self.shared))
            .map_err(|error| self.folder.or_removed(error))?;
        self.files = self.files.saturating_add(incoming.files());
        self.octets = self.octets.saturating_add(incoming.octets());
        self.messages.push(Arrival::of(incoming, time, flags));
        Ok(())
    }

    /// Writes the `add` of a message whose files are in the folder already, if
    /// they are there still: whoever linked them may have died before doing so.
    /// Repeating an `add` changes nothing.
    pub fn add_again(&mut self, digest: MessageDigest, time: DateTime, octets: u64) {
        self.again.push(Entry::Add {
            digest,
            time,
            octets,
        });
    }

    /// How many messages were staged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.again.is_empty()
    }

    /// Octets of the messages that were staged.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Makes them visible. On return they would survive a power cut. Messages
    /// that are there already are passed over, but for the flags that they bring.
    ///
    /// # Errors
    /// A fault, also where the mailbox's quota has no room for all of them; none
    /// of them is visible then, or all of them are.
    pub fn commit(self) -> Result<Committed, MailboxError> {
        if self.is_empty() {
            return Ok(Committed::default());
        }
        self.sync_files()?;
        let room = self.folder.hold_room()?;
        let lock = self.folder.lock_exclusively()?;
        let stored = self.folder.store(
            &lock,
            &self.messages,
            &self.again,
            self.giver,
            room.as_ref(),
        )?;
        Ok(Committed {
            new: stored.new,
            written: stored.written,
            missing: stored.missing,
        })
    }

    /// Brings the octets of what is staged onto the disk.
    fn sync_files(&self) -> Result<(), MailboxError> {
        let tmp = &self.folder.tmp;
        if self.messages.len() > SYNCED_EACH && can_sync_whole(&**tmp) {
            return Barrier::FileSystem
                .sync(&**tmp)
                .map_err(|e| tmp.fault(Step::Sync, "", e));
        }
        let messages = self.messages.iter();
        let files: Vec<&Staged> = messages
            .flat_map(|one| one.incoming.staged_files())
            .collect();
        let shares: Vec<&[&Staged]> = files
            .chunks(files.len().div_ceil(SYNCED_AT_ONCE).max(1))
            .collect();
        let Some((first, others)) = shares.split_first() else {
            return Ok(());
        };
        thread::scope(|scope| {
            let begin = |share| {
                let thread = thread::Builder::new();
                (share, thread.spawn_scoped(scope, move || sync_each(share)))
            };
            let begun: Vec<_> = others.iter().map(|share| begin(*share)).collect();
            sync_each(first)?;
            begun.into_iter().try_for_each(|(share, thread)| {
                // Where there is no thread, or it fell over, it is done here.
                let ended = thread.ok().and_then(|thread| thread.join().ok());
                ended.unwrap_or_else(|| sync_each(share))
            })
        })
    }
}

fn sync_each(files: &[&Staged]) -> Result<(), MailboxError> {
    files.iter().try_for_each(|file| file.sync())
}
