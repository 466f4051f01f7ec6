//! Making a folder.

use std::path::{Path, PathBuf};

use ima_message::{FolderName, FolderNameError};
use rustix::fs::{RenameFlags, renameat, renameat_with};
use rustix::io::Errno;

use crate::directory::{self, Directory};
use crate::durable::Barrier;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::Journal;
use crate::name;
use crate::removal::clear_away;
use crate::settling;

impl Folder {
    /// Makes an empty folder, and the mailbox that it lies in where that is
    /// missing, but no directory above: a disk that is not mounted is noticed.
    /// It belongs to the user of this process. It is made under another name
    /// first, so that nobody ever sees half of it, and is on the disk on return.
    ///
    /// # Errors
    /// [`MailboxError::Exists`] where something has this name already;
    /// [`MailboxError::FolderName`] where it is not a folder's name; a fault.
    pub fn create(path: &Path) -> Result<Self, MailboxError> {
        let (mailbox, folder) = folder_name(path)?;
        Self::create_beneath(&open_or_make(mailbox)?, &folder)?;
        Self::open(path)
    }

    /// Makes an empty folder in a mailbox.
    pub(crate) fn create_beneath(
        mailbox: &Directory,
        folder: &FolderName,
    ) -> Result<(), MailboxError> {
        if mailbox.status(folder.as_str())?.is_some() {
            return Err(MailboxError::Exists(mailbox.path().join(folder.as_str())));
        }
        let random = getrandom::u64().map_err(MailboxError::Random)?;
        let unfinished = format!("{}{random:016x}", name::UNFINISHED);
        let made = mailbox.create_directory(&unfinished).and_then(|directory| {
            fill(&directory)?;
            settling::mark(&directory)?;
            give_name(mailbox, &unfinished, folder)
        });
        if let Err(error) = made {
            clear_away(mailbox, &unfinished);
            return Err(error);
        }
        mailbox.sync()?;
        let tmp = mailbox.directory(folder.as_str());
        if let Ok(tmp) = tmp.and_then(|folder| folder.directory(name::TMP)) {
            settling::forget(&tmp);
        }
        Ok(())
    }
}

fn folder_name(path: &Path) -> Result<(&Path, FolderName), MailboxError> {
    let refused = |source| MailboxError::FolderName {
        path: path.to_owned(),
        source,
    };
    let (mailbox, name) =
        directory::split(path).ok_or_else(|| refused(FolderNameError::Character('.')))?;
    let name = name
        .to_str()
        .ok_or_else(|| refused(FolderNameError::Form))?;
    Ok((mailbox, name.parse().map_err(refused)?))
}

/// Opens the mailbox, which may be reached by a symbolic link here, or makes it
/// in a directory that is there.
fn open_or_make(path: &Path) -> Result<Directory, MailboxError> {
    let mailbox = match Directory::open_followed(path) {
        Err(MailboxError::NoFolder(_)) => return Directory::make(path),
        opened => opened?,
    };
    if mailbox.names()?.is_empty()
        && let Some((above, _)) = directory::split(path)
    {
        // Whoever made it may have died before its name was on the disk.
        Directory::open_followed(above)?.sync()?;
    }
    Ok(mailbox)
}

/// Puts into a new directory what belongs to a folder, and syncs it.
fn fill(directory: &Directory) -> Result<(), MailboxError> {
    for name in name::DIRECTORIES {
        directory.create_directory(name)?.sync()?;
    }
    let lock = directory.create(name::LOCK)?;
    Barrier::File
        .sync(&lock)
        .map_err(|e| directory.fault(Step::Sync, name::LOCK, e))?;
    Journal::create(directory, name::JOURNAL, &[])?;
    directory.sync()
}

/// The folder is whole: gives it its name, in place of nothing.
fn give_name(
    mailbox: &Directory,
    unfinished: &str,
    folder: &FolderName,
) -> Result<(), MailboxError> {
    let name = folder.as_str();
    let renamed = match renameat_with(mailbox, unfinished, mailbox, name, RenameFlags::NOREPLACE) {
        // Not every file system has it. The name was free a moment ago, and a
        // directory is put in the place of an empty directory at most.
        Err(Errno::INVAL | Errno::NOSYS) => renameat(mailbox, unfinished, mailbox, name),
        result => result,
    };
    let path: PathBuf = mailbox.path().join(name);
    renamed.map_err(|e| match e {
        Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR => MailboxError::Exists(path),
        e => MailboxError::io(Step::Rename, &path, e),
    })
}
