//! Removing a folder.
//!
//! Under its lock, a folder without messages is renamed to a name that no folder
//! has, and the mailbox is synced: that is the removal. Whoever has waited for the
//! lock meanwhile finds that the folder bears its name no longer, and stores
//! nothing in it. What was in it goes after that; what a process leaves that dies
//! on the way goes with the next compaction in the mailbox.

use ima_message::FolderName;
use rustix::fs::{RenameFlags, renameat, renameat_with};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::mailbox::Mailbox;
use crate::name;
use crate::status::Malformed;

/// The folder into which mail is delivered.
const INBOX: &str = "inbox";

/// What became of a folder that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is no longer there.
    Removed,
    /// There was none.
    NoFolder,
    /// It stays, since it holds messages.
    NotEmpty,
    /// It stays, since mail is delivered into it.
    Inbox,
}

impl Mailbox {
    /// Removes a folder that holds no messages, durably. Whoever has it open
    /// still finds nothing in it and can store nothing. A folder that is made
    /// later under the same name has a new generation.
    ///
    /// # Errors
    /// A fault, also where the folder's journal breaks its grammar.
    pub fn remove_folder(&self, name: &FolderName) -> Result<Removal, MailboxError> {
        if name.as_str() == INBOX {
            return Ok(Removal::Inbox);
        }
        let Some(folder) = self.folder(name)? else {
            return Ok(Removal::NoFolder);
        };
        folder.refuse_foreign_root()?;
        let lock = match folder.lock_exclusively() {
            Err(MailboxError::NoFolder(_)) => return Ok(Removal::NoFolder),
            locked => locked?,
        };
        let journal = folder.journal_to_append(&lock)?;
        // A summary may not hold for lines whose writer died before they were on the
        // disk.
        journal.sync()?;
        if folder.status_of(&journal, Malformed::Fault)?.messages > 0 || folder.keeps_damage()? {
            return Ok(Removal::NotEmpty);
        }
        let random = getrandom::u64().map_err(MailboxError::Random)?;
        let removed = format!("{}{random:016x}", name::REMOVED);
        let root = &*self.root;
        match renameat_with(root, name.as_str(), root, &*removed, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => renameat(root, name.as_str(), root, &*removed),
            renamed => renamed,
        }
        .map_err(|e| root.fault(Step::Rename, name.as_str(), e))?;
        root.sync()?;
        drop(lock);
        clear_away(root, &removed);
        Ok(Removal::Removed)
    }
}

impl Folder {
    /// Whether there is something that a repair set aside.
    fn keeps_damage(&self) -> Result<bool, MailboxError> {
        Ok(match self.root.status(name::DAMAGED)? {
            None => false,
            Some(_) => !self.root.directory(name::DAMAGED)?.names()?.is_empty(),
        })
    }
}

/// Removes a directory of a mailbox that is no folder yet, or no longer: what
/// belongs to a folder. Where something else is in it, that stays.
pub(crate) fn clear_away(mailbox: &Directory, name: &str) {
    if let Ok(directory) = mailbox.directory(name) {
        let _ = directory.remove_directory(name::DAMAGED);
        for name in name::DIRECTORIES {
            if let Ok(below) = directory.directory(name) {
                clear(&below);
            }
            let _ = directory.remove_directory(name);
        }
        for name in [name::SUMMARY, name::LOCK, name::JOURNAL] {
            let _ = directory.remove(name);
        }
    }
    let _ = mailbox.remove_directory(name);
}

/// Removes the files in a directory.
fn clear(directory: &Directory) {
    for name in directory.names().unwrap_or_default() {
        if let Some(name) = name.to_str() {
            let _ = directory.remove(name);
        }
    }
}
