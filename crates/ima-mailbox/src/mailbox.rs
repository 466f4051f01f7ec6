//! A mailbox: the directory of its folders.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ima_message::FolderName;

use crate::directory::Directory;
use crate::error::MailboxError;
use crate::folder::{Folder, refuse_foreign_root};
use crate::lock::Home;
use crate::name;
use crate::patience::Patience;

/// A mailbox, open. Its folders are reached beneath its handle alone, whatever
/// becomes of the path that led to it.
#[derive(Debug)]
pub struct Mailbox {
    pub(crate) root: Arc<Directory>,
    pub(crate) patience: Patience,
}

impl Mailbox {
    /// Opens a mailbox. Its path may lead through symbolic links, but the last
    /// component and everything in the mailbox may be none.
    ///
    /// # Errors
    /// [`MailboxError::NoMailbox`] where there is nothing at this path; a fault.
    pub fn open(path: &Path) -> Result<Self, MailboxError> {
        match Directory::open(path) {
            Ok(root) => Ok(Self {
                root: Arc::new(root),
                patience: Patience::default(),
            }),
            Err(MailboxError::NoFolder(path)) => Err(MailboxError::NoMailbox(path)),
            Err(error) => Err(error),
        }
    }

    /// Makes an empty mailbox in a directory that is there.
    ///
    /// # Errors
    /// A fault; also where something has this name already.
    pub fn create(path: &Path) -> Result<Self, MailboxError> {
        Directory::make(path).map(|root| Self {
            root: Arc::new(root),
            patience: Patience::default(),
        })
    }

    /// Waits no longer than this for each lock that somebody else has, and after that
    /// no longer at all until it could be had; without it, without end. It holds for
    /// the folders that are opened from here on.
    #[must_use]
    pub fn waiting_at_most(self, limit: Duration) -> Self {
        Self {
            patience: Patience::of(limit),
            ..self
        }
    }

    /// The path that led here, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The names of its folders, sorted, also of those that are damaged, have lost
    /// their journal or are no directories, which is found by whoever opens or reads
    /// them. The cost is that of the folders, not of what is
    /// in them.
    ///
    /// # Errors
    /// A fault.
    pub fn names(&self) -> Result<Vec<FolderName>, MailboxError> {
        let mut names = folders(&self.root)?;
        names.sort();
        Ok(names)
    }

    /// Opens a folder; `None` where there is none of this name.
    ///
    /// # Errors
    /// A fault.
    pub fn folder(&self, name: &FolderName) -> Result<Option<Folder>, MailboxError> {
        if self.root.status(name.as_str())?.is_none() {
            return Ok(None);
        }
        match self.open_folder(name) {
            // Removed a moment ago.
            Err(MailboxError::Io { .. }) if self.root.status(name.as_str())?.is_none() => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Makes an empty folder, whole or not at all, and durable.
    ///
    /// # Errors
    /// [`MailboxError::Exists`] where something has this name already;
    /// [`MailboxError::Owner`] for root, where the mailbox is another user's; a fault.
    pub fn create_folder(&self, name: &FolderName) -> Result<Folder, MailboxError> {
        refuse_foreign_root(&self.root)?;
        Folder::create_beneath(&self.root, name)?;
        self.open_folder(name)
    }

    fn open_folder(&self, name: &FolderName) -> Result<Folder, MailboxError> {
        let home = Home {
            mailbox: Arc::clone(&self.root),
            name: name.as_str().to_owned(),
        };
        let root = self.root.directory(name.as_str())?;
        Folder::beneath(root, Some(home), self.patience.clone())
    }
}

/// The handle of its directory, for whoever confines a process to it or asks
/// whose it is.
impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// The names of a mailbox's folders, in no order.
pub(crate) fn folders(mailbox: &Directory) -> Result<Vec<FolderName>, MailboxError> {
    let mut names = Vec::new();
    for name in mailbox.names()? {
        let Some(name) = name
            .to_str()
            .and_then(|name| name.parse::<FolderName>().ok())
        else {
            continue;
        };
        if is_folder(mailbox, &name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether something with a folder's name holds a journal or messages. What cannot be
/// looked into, such as a symbolic link, is taken for a folder, so that whoever opens it
/// learns why.
fn is_folder(mailbox: &Directory, name: &FolderName) -> bool {
    let looked = mailbox.directory(name.as_str()).and_then(|folder| {
        let journal = folder.status(name::JOURNAL)?;
        Ok(journal.is_some() || folder.status(name::MESSAGES)?.is_some())
    });
    // Unless it was removed a moment ago.
    looked.unwrap_or_else(|_| !matches!(mailbox.status(name.as_str()), Ok(None)))
}
