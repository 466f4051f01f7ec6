//! Mending a mailbox, as far as that goes without a backup.
//!
//! Nothing is thrown away: what is damaged is set aside in the folder's
//! `damaged/`, and a message whose octets are lost stays in the journal, so that no
//! client takes it for deleted and deletes its own copy. The folder is locked all
//! the while: mail that arrives waits. What cannot be mended [`crate::check`] still
//! finds after it.

mod attachments;
mod folder;
mod journal;
mod mended;
mod messages;

use std::path::{Path, PathBuf};

use ima_message::FolderName;

use crate::directory::Directory;
use crate::error::MailboxError;
use crate::name;

pub use folder::folder;
pub use mended::{Deed, Mended};

/// Whether the tokens that were handed out still mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// They do, unless the journal had to be written anew.
    Kept,
    /// They do not: the mailbox was put back from a backup, so that what they
    /// meant may never have been, and every client reads it all again.
    Void,
}

/// Repairs a folder, or a mailbox with all folders in it: what holds a journal or
/// messages is a folder. Each deed is reported when it is done. Gives what could not be
/// repaired in a mailbox, by its path and why: a folder with a fault, and what has a
/// folder's name and is no directory.
///
/// # Errors
/// [`MailboxError::NoFolder`] where nothing is there, or neither a folder nor a
/// mailbox; a fault, after which what was reported is done.
pub fn directory(
    path: &Path,
    tokens: Tokens,
    report: &mut dyn FnMut(Mended),
) -> Result<Vec<(PathBuf, MailboxError)>, MailboxError> {
    let root = Directory::open(path)?;
    if is_folder(&root)? {
        return folder(path, tokens, report).map(|()| Vec::new());
    }
    let mut names = root.names()?;
    names.sort();
    let (mut folders, mut left) = (0, Vec::new());
    for entry in names {
        let Some(name) = entry.to_str() else { continue };
        if name.parse::<FolderName>().is_err() {
            continue;
        }
        let path = path.join(name);
        let repaired = match root.directory(name).and_then(|found| is_folder(&found)) {
            Ok(false) => continue,
            Ok(true) => folder(&path, tokens, report),
            Err(error) => Err(error),
        };
        match repaired {
            Ok(()) => folders += 1,
            // Removed a moment ago.
            Err(_) if root.status(name)?.is_none() => {}
            Err(error) => left.push((path, error)),
        }
    }
    match folders == 0 && left.is_empty() {
        true => Err(MailboxError::NoFolder(path.to_owned())),
        false => Ok(left),
    }
}

fn is_folder(directory: &Directory) -> Result<bool, MailboxError> {
    Ok(directory.status(name::JOURNAL)?.is_some() || directory.status(name::MESSAGES)?.is_some())
}
