//! A mailbox: the directory of its folders.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use ima_message::FolderName;
use rustix::fs::FileType;

use crate::directory::Directory;
use crate::error::MailboxError;
use crate::folder::Folder;
use crate::lock::Home;
use crate::name;

/// A mailbox, open. Its folders are reached beneath its handle alone, whatever
/// becomes of the path that led to it.
#[derive(Debug)]
pub struct Mailbox {
    pub(crate) root: Arc<Directory>,
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
        })
    }

    /// The path that led here, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The names of its folders, sorted, also of those that are damaged, which is
    /// found by whoever opens them. The cost is that of the folders, not of what is
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
    /// [`MailboxError::Exists`] where something has this name already; a fault.
    pub fn create_folder(&self, name: &FolderName) -> Result<Folder, MailboxError> {
        Folder::create_beneath(&self.root, name)?;
        self.open_folder(name)
    }

    fn open_folder(&self, name: &FolderName) -> Result<Folder, MailboxError> {
        let home = Home {
            mailbox: Arc::clone(&self.root),
            name: name.as_str().to_owned(),
        };
        Folder::beneath(self.root.directory(name.as_str())?, Some(home))
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
        let is_directory = mailbox
            .status(name.as_str())?
            .is_some_and(|status| FileType::from_raw_mode(status.st_mode).is_dir());
        if is_directory && is_folder(mailbox, &name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether a directory holds something that is called a journal. One that cannot be
/// looked into is taken for a folder, so that whoever opens it learns why.
fn is_folder(mailbox: &Directory, name: &FolderName) -> bool {
    let looked = mailbox
        .directory(name.as_str())
        .and_then(|folder| folder.status(name::JOURNAL));
    match looked {
        Ok(journal) => journal.is_some(),
        // Unless it was removed a moment ago.
        Err(_) => !matches!(mailbox.status(name.as_str()), Ok(None)),
    }
}
