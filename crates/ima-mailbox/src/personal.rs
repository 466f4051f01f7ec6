//! The folders that a person expects in a mailbox.

use std::path::{Path, PathBuf};

use crate::error::MailboxError;
use crate::folder::Folder;
use crate::mailbox::Mailbox;

/// In the order in which they are made: where the inbox is, all of them are.
const FOLDERS: [&str; 6] = ["archive", "drafts", "junk", "sent", "trash", "inbox"];

impl Mailbox {
    /// Makes those of the folders `archive`, `drafts`, `inbox`, `junk`, `sent` and
    /// `trash` that are missing, durably, and the mailbox where that is missing,
    /// but no directory above. Gives the paths of the folders that it made.
    ///
    /// # Errors
    /// As for [`Folder::create`]; what was made before stays.
    pub fn make_personal(path: &Path) -> Result<Vec<PathBuf>, MailboxError> {
        let mut made = Vec::new();
        for name in FOLDERS {
            let folder = path.join(name);
            match Folder::open(&folder) {
                Ok(_) => {}
                Err(MailboxError::NoFolder(_)) => {
                    Folder::create(&folder)?;
                    made.push(folder);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }
}
