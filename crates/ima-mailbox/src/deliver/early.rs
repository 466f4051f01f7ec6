//! A message that gets its name before the folder is locked, so that others need not
//! wait until it is on the disk.
//!
//! Nobody sees it there: what is in a folder is what its journal says. Whoever finds
//! it under the lock takes it for one whose delivery has died, and completes or
//! removes it; so it is looked at again, under the lock, whether it is still there and
//! still without its `add`.

use std::collections::{BTreeMap, BTreeSet};

use ima_message::{MessageDigest, Token};
use rustix::io::Errno;

use super::incoming::Incoming;
use super::store::Arrival;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::name;

impl Folder {
    /// Gives a message without attachments its name, and brings both onto the disk.
    /// Gives the journal's token of before that; `None` where the name is to be given
    /// under the lock.
    pub(super) fn link_early(&self, incoming: &Incoming) -> Result<Option<Token>, MailboxError> {
        if !incoming.is_synced_late || incoming.attachments().next().is_some() {
            return Ok(None);
        }
        let name = name::message(incoming.digest());
        if self.gone.status(&name)?.is_some() {
            return Ok(None);
        }
        // Nothing is left where the folder cannot be locked or written.
        if !self.root.holds(name::LOCK)? {
            return Ok(None);
        }
        let token = Journal::open(&self.root)?.token();
        match incoming.message.link(&self.messages, &name) {
            Ok(()) => {}
            // Under the lock it is found, or copied.
            Err(Errno::EXIST | Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::NOENT) => {
                return Ok(None);
            }
            Err(e) => return Err(self.messages.fault(Step::Link, &name, e)),
        }
        let synced = incoming.message.sync().and_then(|()| self.messages.sync());
        if let Err(error) = synced {
            if let Ok(lock) = self.lock_exclusively() {
                let _ = self.unlink_early(&lock, incoming, token);
            }
            return Err(error);
        }
        Ok(Some(token))
    }

    /// Whether the message has the name that it got early, and no `add`: nobody else
    /// has completed it.
    pub(super) fn is_early(
        &self,
        arrival: &Arrival,
        journal: &Journal,
    ) -> Result<bool, MailboxError> {
        match arrival.early {
            None => Ok(false),
            Some(token) => self.is_ours(&arrival.incoming, token, journal),
        }
    }

    /// Takes the name back after a fault. One that stays was never acknowledged.
    pub(super) fn withdraw_early(&self, lock: &Lock, arrival: &Arrival) {
        if let Some(token) = arrival.early {
            let _ = self.unlink_early(lock, &arrival.incoming, token);
        }
    }

    fn unlink_early(
        &self,
        _lock: &Lock,
        incoming: &Incoming,
        token: Token,
    ) -> Result<(), MailboxError> {
        let journal = Journal::open(&self.root)?;
        match self.is_ours(incoming, token, &journal)? {
            true => self.messages.remove(&name::message(incoming.digest())),
            false => Ok(()),
        }
    }

    fn is_ours(
        &self,
        incoming: &Incoming,
        token: Token,
        journal: &Journal,
    ) -> Result<bool, MailboxError> {
        let digest = incoming.digest();
        let name = name::message(digest);
        let Some(there) = self.messages.status(&name)? else {
            return Ok(false);
        };
        let is_there = incoming.message.inode()? == (there.st_dev, there.st_ino);
        Ok(is_there && !has_since(journal, token, digest)?)
    }
}

/// Whether a journal has a message that it did not have when its token was this.
fn has_since(journal: &Journal, token: Token, digest: MessageDigest) -> Result<bool, MailboxError> {
    let now = journal.token();
    if now == token {
        return Ok(false);
    }
    let digests = BTreeSet::from([digest]);
    let mut live = BTreeMap::new();
    match journal.is_place(token)? {
        true => journal.renew(&mut live, &digests, token.offset, now.offset)?,
        false => live = journal.named(&digests, now.offset)?,
    }
    Ok(live.contains_key(&digest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use ima_message::HeaderBlock;

    use super::*;
    use crate::deliver::{Delivered, Giver};
    use crate::stage::{Stage, Syncing};

    struct Ground {
        mailbox: tempfile::TempDir,
        folder: Folder,
        header: HeaderBlock,
        arrival: Arrival,
    }

    impl Ground {
        /// A folder, and a message that has its name in it.
        fn new() -> Self {
            let mailbox = tempfile::tempdir().unwrap();
            let folder = Folder::create(&mailbox.path().join("inbox")).unwrap();
            let text = "ima: 1\nfrom: alice@a.test\nto: bob@b.test\n\
                date: 2026-11-22T09:30:00Z\nid: 1@a.test\nsize: 0\n\n";
            let header = HeaderBlock::parse(text.as_bytes()).unwrap();
            let stage = Stage::new(&folder.tmp, false, Syncing::Each);
            let incoming = Incoming::read(&folder, stage, &header, &mut &b""[..], None).unwrap();
            let mut arrival = Arrival::of_now(incoming).unwrap();
            arrival.early = folder.link_early(&arrival.incoming).unwrap();
            assert!(arrival.early.is_some());
            Self {
                mailbox,
                folder,
                header,
                arrival,
            }
        }

        fn file(&self) -> PathBuf {
            let messages = self.mailbox.path().join("inbox/messages");
            messages.join(name::message(self.header.digest()))
        }

        fn deliver(&self) -> Delivered {
            let data = &mut &b""[..];
            self.folder.deliver(&self.header, data, None).unwrap()
        }

        /// The end of the delivery.
        fn store(&self) -> Delivered {
            let lock = self.folder.lock_exclusively().unwrap();
            let arrivals = std::slice::from_ref(&self.arrival);
            let stored = self
                .folder
                .store(&lock, arrivals, &[], Giver::Sender, None)
                .unwrap();
            stored.delivered()
        }

        fn withdraw(&self) {
            let lock = self.folder.lock_exclusively().unwrap();
            self.folder.withdraw_early(&lock, &self.arrival);
        }

        fn is_stored(&self) {
            let live = self.folder.live(None).unwrap().unwrap();
            assert!(live.contains_key(&self.header.digest()));
            assert_eq!(fs::read(self.file()).unwrap(), self.header.as_bytes());
        }
    }

    #[test]
    fn nobody_sees_it_before_its_line() {
        let ground = Ground::new();
        assert!(ground.file().exists());
        assert!(ground.folder.live(None).unwrap().unwrap().is_empty());
        assert_eq!(ground.store(), Delivered::Stored);
        ground.is_stored();
        ground.withdraw();
        ground.is_stored();
    }

    #[test]
    fn what_nobody_has_completed_is_taken_back() {
        let ground = Ground::new();
        ground.withdraw();
        assert!(!ground.file().exists());
        // Others may have stored messages meanwhile.
        let ground = Ground::new();
        let line = format!("add {} 2026-11-22T09:30:00Z 9\n", "ab".repeat(32));
        let journal = ground.mailbox.path().join("inbox/journal");
        let before = fs::read_to_string(&journal).unwrap();
        fs::write(&journal, before + &line).unwrap();
        ground.withdraw();
        assert!(!ground.file().exists());
    }

    #[test]
    fn what_another_has_completed_is_not_taken_back() {
        for compacts in [false, true] {
            let ground = Ground::new();
            assert_eq!(ground.deliver(), Delivered::Duplicate);
            if compacts {
                // The token means nothing then.
                ground.folder.compact().unwrap();
            }
            ground.withdraw();
            ground.is_stored();
            assert_eq!(ground.store(), Delivered::Duplicate);
            ground.is_stored();
        }
    }

    #[test]
    fn what_somebody_has_removed_meanwhile_is_stored() {
        let ground = Ground::new();
        fs::remove_file(ground.file()).unwrap();
        assert_eq!(ground.store(), Delivered::Stored);
        ground.is_stored();
        assert_eq!(ground.deliver(), Delivered::Duplicate);
    }

    #[test]
    fn what_was_deleted_meanwhile_is_a_duplicate() {
        let ground = Ground::new();
        let gone = ground.mailbox.path().join("inbox/gone");
        fs::write(gone.join(name::message(ground.header.digest())), "").unwrap();
        assert_eq!(ground.store(), Delivered::Duplicate);
        assert!(!ground.file().exists());
    }
}
