//! A mailbox: the directory of its folders.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use ima_message::FolderName;
use rustix::fs::FileType;

use crate::directory::Directory;
use crate::error::MailboxError;
use crate::folder::Folder;
use crate::name;

/// A mailbox, open. Its folders are reached beneath its handle alone, whatever
/// becomes of the path that led to it.
#[derive(Debug)]
pub struct Mailbox {
    root: Directory,
}

impl Mailbox {
    /// Opens a mailbox. Its path may lead through symbolic links, but the last
    /// component and everything in the mailbox may be none.
    ///
    /// # Errors
    /// [`MailboxError::NoMailbox`] where there is nothing at this path; a fault.
    pub fn open(path: &Path) -> Result<Self, MailboxError> {
        match Directory::open(path) {
            Ok(root) => Ok(Self { root }),
            Err(MailboxError::NoFolder(path)) => Err(MailboxError::NoMailbox(path)),
            Err(error) => Err(error),
        }
    }

    /// Makes an empty mailbox in a directory that is there.
    ///
    /// # Errors
    /// A fault; also where something has this name already.
    pub fn create(path: &Path) -> Result<Self, MailboxError> {
        Directory::make(path).map(|root| Self { root })
    }

    /// The path that led here, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The names of its folders, sorted. The cost is that of the folders, not of
    /// what is in them.
    ///
    /// # Errors
    /// A fault.
    pub fn names(&self) -> Result<Vec<FolderName>, MailboxError> {
        let mut names = Vec::new();
        for name in self.root.names()? {
            let Some(name) = name
                .to_str()
                .and_then(|name| name.parse::<FolderName>().ok())
            else {
                continue;
            };
            let is_directory = self
                .root
                .status(name.as_str())?
                .is_some_and(|status| FileType::from_raw_mode(status.st_mode).is_dir());
            if is_directory && self.root.directory(name.as_str())?.holds(name::JOURNAL)? {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens a folder; `None` where there is none of this name.
    ///
    /// # Errors
    /// A fault.
    pub fn folder(&self, name: &FolderName) -> Result<Option<Folder>, MailboxError> {
        match self.root.status(name.as_str())? {
            None => Ok(None),
            Some(_) => Folder::beneath(self.root.directory(name.as_str())?).map(Some),
        }
    }

    /// Makes an empty folder, whole or not at all, and durable.
    ///
    /// # Errors
    /// [`MailboxError::Exists`] where something has this name already; a fault.
    pub fn create_folder(&self, name: &FolderName) -> Result<Folder, MailboxError> {
        Folder::create_beneath(&self.root, name)?;
        Folder::beneath(self.root.directory(name.as_str())?)
    }
}

/// The handle of its directory, for whoever confines a process to it or asks
/// whose it is.
impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}
