//! The lock of a folder.
//!
//! Whoever has waited for it looks whether the folder still bears its name: a
//! folder that was removed in the meantime takes no message any more, so that
//! none is acknowledged and lost; nor does one of whose directories another has
//! taken the place since it was opened.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{self, FlockOperation, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::name;
use crate::patience::Patience;

/// The lock of a folder, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Where a folder is: the mailbox that it lies in, and its name there.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) mailbox: Arc<Directory>,
    pub(crate) name: String,
}

impl Folder {
    /// Waits until nobody else reads or changes the folder, as long as its mailbox is
    /// patient.
    ///
    /// # Errors
    /// [`MailboxError::NoFolder`] where it was removed; a fault.
    pub(crate) fn lock_exclusively(&self) -> Result<Lock, MailboxError> {
        self.lock(OFlags::RDWR, true)
    }

    /// As [`Folder::lock_exclusively`], without waiting; `None` where somebody else
    /// reads or changes the folder.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn try_lock_exclusively(&self) -> Result<Option<Lock>, MailboxError> {
        self.try_lock(OFlags::RDWR, FlockOperation::NonBlockingLockExclusive)
    }

    /// As [`Folder::lock_shared`], without waiting; `None` where somebody else changes
    /// the folder.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn try_lock_shared(&self) -> Result<Option<Lock>, MailboxError> {
        self.try_lock(OFlags::RDONLY, FlockOperation::NonBlockingLockShared)
    }

    /// Waits until nobody else changes the folder, as long as its mailbox is patient.
    ///
    /// # Errors
    /// [`MailboxError::NoFolder`] where it was removed; a fault.
    pub(crate) fn lock_shared(&self) -> Result<Lock, MailboxError> {
        self.lock(OFlags::RDONLY, false)
    }

    fn lock(&self, access: OFlags, is_exclusive: bool) -> Result<Lock, MailboxError> {
        let lock = Lock::take(&self.root, access, is_exclusive, &self.patience);
        self.refuse_removed()?;
        self.refuse_replaced()?;
        lock
    }

    fn try_lock(
        &self,
        access: OFlags,
        operation: FlockOperation,
    ) -> Result<Option<Lock>, MailboxError> {
        let lock = Lock::try_take(&self.root, access, operation);
        self.refuse_removed()?;
        self.refuse_replaced()?;
        lock
    }

    /// Why something failed: where the folder was removed, that.
    pub(crate) fn or_removed(&self, error: MailboxError) -> MailboxError {
        match error {
            MailboxError::Io { .. } => self.refuse_removed().err().unwrap_or(error),
            other => other,
        }
    }

    /// A directory that others were put in the place of takes no message any more.
    fn refuse_replaced(&self) -> Result<(), MailboxError> {
        for (name, inode) in self.inodes {
            match self.root.status(name)? {
                Some(there) if (there.st_dev, there.st_ino) == inode => {}
                _ => return Err(MailboxError::Replaced(self.root.path().join(name))),
            }
        }
        Ok(())
    }

    fn refuse_removed(&self) -> Result<(), MailboxError> {
        let Some(Home { mailbox, name }) = &self.home else {
            return Ok(());
        };
        match mailbox.status(name)? {
            Some(there) if (there.st_dev, there.st_ino) == self.inode() => Ok(()),
            _ => Err(MailboxError::NoFolder(self.root.path().to_owned())),
        }
    }
}

impl Lock {
    /// Waits for the lock of the folder whose directory this is.
    pub(crate) fn take(
        folder: &Directory,
        access: OFlags,
        is_exclusive: bool,
        patience: &Patience,
    ) -> Result<Self, MailboxError> {
        let file = folder.file(name::LOCK, access)?;
        let fault = |e| folder.fault(Step::Lock, name::LOCK, e);
        patience.lock(&file, is_exclusive, folder.path(), fault)?;
        Ok(Self { _file: file })
    }

    /// The lock, where nobody else has it.
    fn try_take(
        folder: &Directory,
        access: OFlags,
        operation: FlockOperation,
    ) -> Result<Option<Self>, MailboxError> {
        let file = folder.file(name::LOCK, access)?;
        match retry_on_intr(|| fs::flock(&file, operation)) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(folder.fault(Step::Lock, name::LOCK, e)),
        }
    }
}
