//! The folders that a command is for.

use std::fs;
use std::path::{Path, PathBuf};

use ima_mailbox::{Mailbox, MailboxError};

use crate::failure::Failure;

/// A folder, which may be damaged.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name, where the command is for a whole mailbox.
    pub(crate) name: Option<String>,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// The folder at a path, or all folders of the mailbox there. What holds a journal or
/// messages is a folder.
///
/// # Errors
/// Where there is neither; a fault.
pub(crate) fn find(dir: &Path) -> Result<Vec<Found>, Failure> {
    let holds = |name: &str| fs::symlink_metadata(dir.join(name)).is_ok();
    if holds("journal") || holds("messages") {
        return Ok(vec![Found {
            name: None,
            path: dir.to_owned(),
        }]);
    }
    let names = Mailbox::open(dir)?.names()?;
    if names.is_empty() {
        return Err(MailboxError::NoFolder(dir.to_owned()).into());
    }
    let found = names.into_iter().map(|name| Found {
        path: dir.join(name.as_str()),
        name: Some(name.to_string()),
    });
    Ok(found.collect())
}

impl Found {
    /// What a command says of a folder with which it could not do what was asked;
    /// `None` where the folder was removed a moment ago.
    ///
    /// # Errors
    /// Where the command was for this folder alone.
    pub(crate) fn undone(&self, source: MailboxError) -> Result<Option<Failure>, Failure> {
        let is_removed = matches!(source, MailboxError::NoFolder(_));
        let folder = self.path.clone();
        let failure = Failure::Folder { folder, source };
        match self.name {
            None => Err(failure),
            Some(_) => Ok(Some(failure).filter(|_| !is_removed)),
        }
    }
}
