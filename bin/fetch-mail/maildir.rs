//! `--maildir`: the folders of the mailbox here as Maildirs, for programs that
//! read nothing else.
//!
//! What a mail program did to the files since the last run is done to the
//! folders ([`take`]) before the mailbox is brought to hold what the server
//! holds, and what the folders hold then is done to the files ([`Taken::give`]).
//! Each Maildir bears a mark that says which files a run left in it: what is gone
//! since then was deleted by the user, and a Maildir without its mark says nothing
//! of deletions.

mod fault;
mod files;
mod give;
mod mail;
mod mark;
mod take;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ima_mailbox::{Mailbox, Message};
use ima_message::{FolderName, MessageDigest};

pub use fault::Fault;
use files::Files;
use mark::Mark;

/// What was seen of the Maildirs.
#[derive(Debug)]
pub struct Taken {
    root: PathBuf,
    seen: BTreeMap<FolderName, Seen>,
    /// Folders that could not be read.
    faults: Vec<Fault>,
}

/// What was seen of one Maildir.
#[derive(Debug, Default)]
struct Seen {
    /// Its mark; a Maildir without one is new.
    mark: Option<Mark>,
    /// Its files, where they were looked at.
    files: Option<Files>,
}

type Live = BTreeMap<MessageDigest, Message>;

/// Takes over what was done to the files in the Maildirs beneath a directory,
/// which is made where it is not there.
///
/// # Errors
/// A fault.
pub fn take(root: &Path, mailbox: &Mailbox) -> Result<Taken, Fault> {
    if let Err(error) = fs::create_dir(root)
        && !root.is_dir()
    {
        return Err(Fault::io("make", root)(error));
    }
    let whole = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if whole(root).starts_with(whole(mailbox.path())) {
        return Err(Fault::InMailbox(root.to_owned()));
    }
    take::take(root, mailbox)
}

impl Taken {
    /// Brings the files to what the folders hold. Gives the number of mails that
    /// are new, and what could not be written.
    ///
    /// # Errors
    /// A fault.
    pub fn give(mut self, mailbox: &Mailbox) -> Result<Given, Fault> {
        let mut given = Given {
            faults: std::mem::take(&mut self.faults),
            ..Given::default()
        };
        for name in mailbox.names()? {
            // Removed a moment ago.
            let Some(folder) = mailbox.folder(&name)? else {
                continue;
            };
            let seen = self.seen.remove(&name).unwrap_or_default();
            let path = self.root.join(name.as_str());
            match give::give(&path, &folder, &seen, &mut given) {
                // The others are no worse for it.
                Err(Fault::Mailbox(fault)) => given.faults.push(fault.into()),
                done => done?,
            }
        }
        Ok(given)
    }
}

/// What was done to the files.
#[derive(Debug, Default)]
pub struct Given {
    /// Mails that are new.
    pub stored: usize,
    /// What of it could not be done, and why.
    pub faults: Vec<Fault>,
}
