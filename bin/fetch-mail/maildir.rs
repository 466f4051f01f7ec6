//! `--maildir`: the folders of the mailbox here as Maildirs, for programs that
//! read nothing else.
//!
//! What a mail program did to the files since the last run is done to the
//! folders ([`take`]) before the mailbox is brought to hold what the server
//! holds, and what the folders hold then is done to the files ([`Taken::give`]).
//! Each Maildir bears a mark that says whose it is and which files a run left in it.
//!
//! A file that is gone is written anew, since directories that are changed while
//! they are read, restored or half removed do not say why: a message is deleted by
//! the letter `T` in the name of its file, and by nothing else. Such a letter is
//! never written here.

mod fault;
mod files;
mod give;
mod mail;
mod mark;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ima_mailbox::{Mailbox, Message};
use ima_message::{Address, Flag, FolderName, MessageDigest};
use ima_mime::maildir::{Mail, Maildir, flags_of, letter_of, letters};

pub use fault::Fault;
use files::Files;
use mark::Mark;

/// What was seen of the Maildirs.
#[derive(Debug)]
pub struct Taken {
    root: PathBuf,
    account: Address,
    /// The mailbox had no folder: if there are marks, it was lost.
    is_new: bool,
    seen: BTreeMap<FolderName, Seen>,
    /// What could not be read.
    faults: Vec<Fault>,
}

/// What was seen of one Maildir.
#[derive(Debug, Default)]
struct Seen {
    /// Its mark; a Maildir without one is new.
    mark: Option<Mark>,
    /// Its files, where they were looked at.
    files: Option<Files>,
    /// Messages that were deleted by their files.
    trashed: BTreeSet<MessageDigest>,
    /// It could not be read: nothing is done to it this time.
    is_unread: bool,
}

type Live = BTreeMap<MessageDigest, Message>;

/// Takes over what was done to the files in the Maildirs beneath a directory,
/// which is made where it is not there.
///
/// # Errors
/// A fault, also where a Maildir there holds another account's mail; nothing is done
/// then.
pub fn take(root: &Path, mailbox: &Mailbox, account: &Address) -> Result<Taken, Fault> {
    if let Err(error) = fs::create_dir(root)
        && !root.is_dir()
    {
        return Err(Fault::io("make", root)(error));
    }
    let whole = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if whole(root).starts_with(whole(mailbox.path())) {
        return Err(Fault::InMailbox(root.to_owned()));
    }
    take::take(root, mailbox, account)
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
            let folder = match mailbox.folder(&name) {
                Ok(Some(folder)) => folder,
                // Removed a moment ago.
                Ok(None) => continue,
                Err(fault) => {
                    // It was said before that a folder cannot be read.
                    if !self.seen.get(&name).is_some_and(|seen| seen.is_unread) {
                        given.faults.push(fault.into());
                    }
                    continue;
                }
            };
            let path = self.root.join(name.as_str());
            let mut seen = self.seen.remove(&name).unwrap_or_default();
            if self.is_new && Maildir::open(&path).is_some() {
                match Mark::read(&path) {
                    Ok(mark) => seen.mark = mark,
                    Err(fault) => {
                        given.faults.push(fault);
                        continue;
                    }
                }
            }
            if seen.is_unread {
                continue;
            }
            let to = give::To {
                path: &path,
                account: &self.account,
                mailbox,
                name: &name,
                folder: &folder,
                seen: &seen,
            };
            // The others are no worse for it.
            if let Err(fault) = give::give(&to, &mut given) {
                given.faults.push(fault);
            }
        }
        Ok(given)
    }
}

/// The letter by which a mail program deletes.
const TRASHED: char = 'T';

fn is_trashed(file: &Mail) -> bool {
    flags_of(&file.name)
        .iter()
        .any(|flag| letter_of(flag) == Some(TRASHED))
}

/// Flags without that of the letter that deletes.
fn kept(flags: &BTreeSet<Flag>) -> BTreeSet<Flag> {
    let kept = flags.iter().filter(|flag| letter_of(flag) != Some(TRASHED));
    kept.cloned().collect()
}

/// The letters of these flags, without that which deletes.
fn kept_letters(flags: &BTreeSet<Flag>) -> String {
    letters(&kept(flags))
}

/// What was done to the files.
#[derive(Debug, Default)]
pub struct Given {
    /// Mails that are new.
    pub stored: usize,
    /// What of it could not be done, and why.
    pub faults: Vec<Fault>,
}
