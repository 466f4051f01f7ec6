//! Delivery, in this order:
//!
//! 1. Without the lock, the message is read to its end, verified and staged:
//!    header block and inline parts in one file, each attachment that the folder
//!    does not have yet, or has with other octets, in another. Attachments are
//!    synced, and so is a message of more than 128 KiB. Nothing is visible so far.
//! 2. Where the mailbox has a quota, its lock is taken; then the folder's.
//!    `gone/DIGEST` is there: a duplicate. `messages/DIGEST` is there: a duplicate,
//!    which is verified and synced; its `add` is written once more, since whoever
//!    linked it may have died before doing so.
//! 3. Attachments are linked to `attachments/SHA256` and `messages/DIGEST.N`, and
//!    last the message to `messages/DIGEST`. What bears one of these names and is
//!    damaged is replaced. The message is synced where it is not yet, and then the
//!    directories.
//! 4. `add` is appended to the journal, which is synced. The lock is let go.
//!
//! Files and directories are synced before the journal is written, so that an `add`
//! that survives a power cut always has its files. A file is linked first and synced
//! then because ext4 and xfs bring both onto the disk at once, and the sync of the
//! directory finds nothing left to do; it stays, since nobody promises that. What a
//! power cut leaves under a name without an `add` may be an empty file: whoever finds
//! such a name reads, verifies and syncs the file before relying on it.
//!
//! What fails in step 3 or 4 is taken back; only where the journal cannot be brought
//! back to what it was do the files stay, so that no `add` is ever without them.
//!
//! A message for many folders is staged once for all that can link the same file: those
//! on one file system and of one owner, where the header block is the same. It is synced
//! once, and where that fails it is lost for all of them and for those that come later.
//! Nothing is ever written into a file that has a name: a damaged one is replaced, by a
//! renaming, under the name at hand alone.
//!
//! The cost is that of the message: no directory is listed and no journal read, but
//! with a quota the names and summaries of the mailbox's folders.

mod batch;
mod block;
mod common;
mod found;
mod incoming;
mod links;
mod message;
mod shelf;
mod source;
mod store;
mod storing;
mod targets;

use std::fmt;
use std::io::Read;
use std::slice;
use std::time::{SystemTime, UNIX_EPOCH};

use ima_message::{DateTime, HeaderBlock};

use crate::error::MailboxError;
use crate::folder::Folder;
use crate::shared::Shared;
use crate::stage::{Stage, Syncing};
pub use batch::{Batch, Committed};
pub(crate) use incoming::Incoming;
pub(crate) use store::{Arrival, Giver};
pub use targets::{
    Early, Heading, Outcomes, PathTarget, Target, deliver_to_all, deliver_to_paths,
    deliver_to_paths_early,
};

/// Attachments of a message up to which each keeps a descriptor.
pub(crate) const MAX_DESCRIPTORS: usize = 64;

/// What became of a message that was delivered. Both are final and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is in the folder now.
    Stored,
    /// It was there before, or was deleted in the last days.
    Duplicate,
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
        })
    }
}

impl Folder {
    /// Stores a message: its header block as it is given, and its data, which
    /// are read to their end and held nowhere but on disk. On return they would
    /// survive a power cut. With `shared`, the one for this message, folders on
    /// one file system and of one owner keep one copy of its attachments.
    ///
    /// # Errors
    /// A refusal where the data are not those that the header block announces,
    /// or more follow; [`MailboxError::Locked`] where somebody else has the folder
    /// locked for half a minute; otherwise a fault. Nothing is visible then.
    pub fn deliver(
        &self,
        header: &HeaderBlock,
        data: &mut dyn Read,
        shared: Option<&Shared>,
    ) -> Result<Delivered, MailboxError> {
        self.refuse_foreign_root()?;
        let named = header.attachments().count() > MAX_DESCRIPTORS;
        let stage = Stage::new(&self.tmp, named, Syncing::Each);
        let incoming = Incoming::read(self, stage, header, data, shared)
            .map_err(|error| self.or_removed(error))?;
        let arrival = Arrival::of_now(incoming)?;
        let (room, lock) = targets::lock_in_time(self)?;
        let arrivals = slice::from_ref(&arrival);
        let stored = self.store(&lock, arrivals, &[], Giver::Sender, room.as_ref());
        stored.map(|stored| stored.delivered())
    }
}

/// The time of now in whole seconds.
pub(crate) fn now() -> Result<DateTime, MailboxError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since
        .and_then(|since| DateTime::utc(i64::try_from(since.as_secs()).ok()?))
        .ok_or(MailboxError::Clock)
}
