//! Delivery, in this order:
//!
//! 1. Without the lock, the message is read to its end, verified and staged:
//!    header block and inline parts in one file, each attachment that the folder
//!    does not have yet in another; each is synced. Nothing is visible so far.
//! 2. The lock is taken. `gone/DIGEST` is there: a duplicate. `messages/DIGEST`
//!    is there: a duplicate; its `add` is written once more, since whoever linked
//!    it may have died before doing so.
//! 3. Attachments are linked to `attachments/SHA256` and `messages/DIGEST.N`, and
//!    last the message to `messages/DIGEST`. The directories are synced.
//! 4. `add` is appended to the journal, which is synced. The lock is let go.
//!
//! The directories are synced before the journal is written, so that an `add`
//! that survives a power cut always has its files. What fails in step 3 or 4 is
//! taken back; only where the journal cannot be brought back to what it was do
//! the files stay, so that no `add` is ever without them.
//!
//! The cost is that of the message: no directory is listed and no journal read.

mod batch;
mod incoming;

use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use ima_message::{DateTime, Entry, HeaderBlock, Part};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::folder::{Folder, Kept};
use crate::journal::Journal;
use crate::name;
use crate::shared::Shared;
use crate::stage::{Stage, Staged, Syncing};
pub use batch::Batch;
use incoming::Incoming;

/// Attachments of a message up to which each keeps a descriptor.
const MAX_DESCRIPTORS: usize = 64;

/// What became of a message that was delivered. Both are final and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is in the folder now.
    Stored,
    /// It was there before, or was deleted in the last days.
    Duplicate,
}

impl Folder {
    /// Stores a message: its header block as it is given, and its data, which
    /// are read to their end and held nowhere but on disk. On return they would
    /// survive a power cut. With `shared`, the one for this message, folders on
    /// one file system and of one owner keep one copy of its attachments.
    ///
    /// # Errors
    /// A refusal where the data are not those that the header block announces,
    /// or more follow; otherwise a fault. Nothing is visible then.
    pub fn deliver(
        &self,
        header: &HeaderBlock,
        data: &mut dyn Read,
        shared: Option<&Shared>,
    ) -> Result<Delivered, MailboxError> {
        self.refuse_foreign_root()?;
        let named = header.attachments().count() > MAX_DESCRIPTORS;
        let stage = Stage::new(&self.tmp, named, Syncing::Each);
        let incoming = Incoming::read(self, stage, header, data, shared)?;
        let time = now()?;
        let _lock = self.lock_exclusively()?;
        self.store(&[(incoming, time)], &[])
            .map(|stored| match stored {
                0 => Delivered::Duplicate,
                _ => Delivered::Stored,
            })
    }

    /// Steps 2 to 4, under the lock, for any number of messages; `again` are
    /// lines to be written once more for messages that are here. Gives how many
    /// messages are new.
    fn store(
        &self,
        messages: &[(Incoming, DateTime)],
        again: &[Entry],
    ) -> Result<usize, MailboxError> {
        let mut journal = Journal::open_to_append(&self.root)?;
        let mut links = Links::default();
        let mut entries = Vec::new();
        for add in again {
            if self.messages.holds(&name::message(add.digest()))? {
                entries.push(add.clone());
            }
        }
        let has_again = !entries.is_empty();
        let mut stored = 0;
        let linked = messages
            .iter()
            .try_for_each(|(incoming, time)| {
                let Some((delivered, octets)) = self.link(incoming, &mut links)? else {
                    return Ok(());
                };
                stored += usize::from(delivered == Delivered::Stored);
                entries.push(Entry::Add {
                    digest: incoming.digest(),
                    time: time.clone(),
                    octets,
                });
                Ok(())
            })
            .and_then(|()| match entries.is_empty() {
                true => Ok(()),
                false => self.sync_directories(messages, has_again),
            });
        if let Err(error) = linked {
            links.remove();
            return Err(error);
        }
        if entries.is_empty() {
            return Ok(0);
        }
        match journal.append(&entries) {
            Ok(()) => Ok(stored),
            Err(failed) => {
                if failed.withdrawn {
                    links.remove();
                }
                Err(failed.error)
            }
        }
    }

    /// Gives a message its names. `None` where it was deleted in the last days;
    /// otherwise whether it is new, and its octets here.
    fn link<'a>(
        &'a self,
        incoming: &Incoming,
        links: &mut Links<'a>,
    ) -> Result<Option<(Delivered, u64)>, MailboxError> {
        let name = name::message(incoming.digest());
        if self.gone.holds(&name)? {
            return Ok(None);
        }
        let stored = self.messages.find_file(&name, OFlags::RDONLY)?;
        self.link_attachments(incoming, stored.is_some(), links)?;
        Ok(Some(match &stored {
            // Transport fields may differ from those of the message that is there.
            Some(file) => {
                let header_and_inline = self.messages.metadata(&name, file)?.len();
                (
                    Delivered::Duplicate,
                    header_and_inline.saturating_add(incoming.attached_octets()),
                )
            }
            None => {
                links.add(&self.messages, &name, &incoming.message)?;
                (Delivered::Stored, incoming.octets())
            }
        }))
    }

    /// Links each attachment under its digest and under the message's. Where the
    /// message is there already, so are its attachments: one that is not, against
    /// all order, is put back.
    fn link_attachments<'a>(
        &'a self,
        incoming: &Incoming,
        is_stored: bool,
        links: &mut Links<'a>,
    ) -> Result<(), MailboxError> {
        for (number, part, staged) in incoming.attachments() {
            let name = name::attachment(incoming.digest(), number);
            if self.messages.holds(&name)? {
                if is_stored {
                    continue;
                }
                // Left by a delivery of this message that died before its end.
                self.messages.remove(&name)?;
            }
            self.link_attachment(incoming, &name, part, staged, links)?;
        }
        Ok(())
    }

    fn link_attachment<'a>(
        &'a self,
        incoming: &Incoming,
        name: &str,
        part: &Part,
        staged: &Staged,
        links: &mut Links<'a>,
    ) -> Result<(), MailboxError> {
        let kept_name = name::kept(part.digest());
        match self.kept(part)? {
            Kept::Absent => {
                let copy = links.add_or_copy(&self.attachments, &kept_name, staged, incoming)?;
                let source = copy.as_ref().unwrap_or(staged);
                links.add_or_copy(&self.messages, name, source, incoming)?;
            }
            Kept::Whole(file) => {
                let kept = Staged::of(file, &self.attachments, &kept_name);
                if let Some(copy) = links.add_or_copy(&self.messages, name, &kept, incoming)? {
                    // It has as many names as it can have: the next messages link the copy.
                    incoming
                        .stage
                        .replace(&copy, &self.attachments, &kept_name)?;
                }
            }
            Kept::Damaged => {
                links.add_or_copy(&self.messages, name, staged, incoming)?;
            }
        }
        Ok(())
    }

    /// Where others' messages are among them, their attachments may not be on the
    /// disk yet.
    fn sync_directories(
        &self,
        messages: &[(Incoming, DateTime)],
        has_others: bool,
    ) -> Result<(), MailboxError> {
        let mut attachments = messages.iter().flat_map(|(one, _)| one.attachments());
        if has_others || attachments.next().is_some() {
            self.attachments.sync()?;
        }
        self.messages.sync()
    }
}

/// The names that were made, to be taken back if something fails.
#[derive(Debug, Default)]
struct Links<'a> {
    made: Vec<(&'a Directory, String)>,
}

impl<'a> Links<'a> {
    fn add(
        &mut self,
        directory: &'a Directory,
        name: &str,
        file: &Staged,
    ) -> Result<(), MailboxError> {
        self.try_add(directory, name, file)
            .map_err(|e| directory.fault(Step::Link, name, e))
    }

    /// Links the file, or a copy where it cannot be linked: it has too many names,
    /// lies on another file system, is another's, or has lost its last name.
    fn add_or_copy(
        &mut self,
        directory: &'a Directory,
        name: &str,
        file: &Staged,
        incoming: &Incoming,
    ) -> Result<Option<Staged>, MailboxError> {
        match self.try_add(directory, name, file) {
            Ok(()) => Ok(None),
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::NOENT) => {
                let copy = incoming.stage.copy(file)?;
                self.add(directory, name, &copy)?;
                Ok(Some(copy))
            }
            Err(e) => Err(directory.fault(Step::Link, name, e)),
        }
    }

    fn try_add(
        &mut self,
        directory: &'a Directory,
        name: &str,
        file: &Staged,
    ) -> rustix::io::Result<()> {
        file.link(directory, name)?;
        self.made.push((directory, name.to_owned()));
        Ok(())
    }

    /// Removes the names again. One that stays was never acknowledged, and the
    /// next delivery of the message deals with it.
    fn remove(self) {
        for (directory, name) in self.made.into_iter().rev() {
            let _ = directory.remove(&name);
        }
    }
}

/// The time of now in whole seconds.
fn now() -> Result<DateTime, MailboxError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since
        .and_then(|since| DateTime::utc(i64::try_from(since.as_secs()).ok()?))
        .ok_or(MailboxError::Clock)
}
