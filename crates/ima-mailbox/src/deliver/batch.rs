//! Many messages at once, for programs that bring whole mailboxes.

use std::io::Read;

use ima_message::{DateTime, Entry, HeaderBlock, MessageDigest};
use rustix::fs::syncfs;
use rustix::io::retry_on_intr;

use super::incoming::Incoming;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::shared::Shared;
use crate::stage::{Stage, Syncing};

/// Messages whose files are synced one by one. From the next one on the file
/// system is synced as a whole at the end: dearer for a few, cheaper for many.
const SYNCED_EACH: usize = 16;
/// Files of a batch up to which each keeps a descriptor.
const MAX_DESCRIPTORS: usize = 256;

/// Messages that appear in a folder together, by one write of its journal.
/// Nothing of a batch that is dropped stays.
#[derive(Debug)]
pub struct Batch<'a> {
    folder: &'a Folder,
    shared: Shared,
    messages: Vec<(Incoming, DateTime)>,
    again: Vec<Entry>,
    files: usize,
    octets: u64,
}

impl Folder {
    /// An empty batch.
    ///
    /// # Errors
    /// [`MailboxError::Owner`], where root would store in another's folder.
    pub fn batch(&self) -> Result<Batch<'_>, MailboxError> {
        self.refuse_foreign_root()?;
        Ok(Batch {
            folder: self,
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
        let files = self.files.saturating_add(header.attachments().count());
        let syncing = match self.messages.len() < SYNCED_EACH {
            true => Syncing::Each,
            false => Syncing::Later,
        };
        let stage = Stage::new(&self.folder.tmp, files > MAX_DESCRIPTORS, syncing);
        let incoming = Incoming::read(self.folder, stage, header, data, Some(&self.shared))?;
        self.files = self.files.saturating_add(incoming.files());
        self.octets = self.octets.saturating_add(incoming.octets());
        self.messages.push((incoming, time));
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
    /// that are there already, or were deleted in the last days, are passed over.
    /// Gives how many are new.
    ///
    /// # Errors
    /// A fault; none of them is visible then.
    pub fn commit(self) -> Result<usize, MailboxError> {
        if self.is_empty() {
            return Ok(0);
        }
        if self.messages.len() > SYNCED_EACH {
            let tmp = &self.folder.tmp;
            retry_on_intr(|| syncfs(&**tmp)).map_err(|e| tmp.fault(Step::Sync, "", e))?;
        }
        let _lock = self.folder.lock_exclusively()?;
        self.folder.store(&self.messages, &self.again)
    }
}
