//! Journals that get their name, or get another in their place, so that nothing is
//! appended to one whose name a power cut may take.
//!
//! A journal that gets its name has a second one in `tmp/` until the directory is on
//! the disk in which its name, or that of its folder, was made. Whoever appends to a
//! journal that has more names than one brings these directories onto the disk
//! first: whoever made the name may have died before doing so.

use std::io;

use ima_message::{Entry, Token};
use rustix::fs::{AtFlags, linkat, renameat};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::name::{JOURNAL, TMP};

/// What the names of journals in `tmp/` begin with.
const BEGINS: &str = "journal-";

impl Folder {
    /// The journal, for whoever holds the lock and appends to it: its name is on the
    /// disk.
    ///
    /// # Errors
    /// A fault.
    pub(crate) fn journal_to_append(&self, _lock: &Lock) -> Result<Journal, MailboxError> {
        let journal = Journal::open_to_append(&self.root)?;
        if journal.names() > 1 {
            self.root.sync()?;
            match self.home.as_ref().map(|home| home.mailbox.reopen()) {
                None => {}
                // Whoever may not read it has not made this folder.
                Some(Err(MailboxError::Io { source, .. }))
                    if source.kind() == io::ErrorKind::PermissionDenied => {}
                Some(mailbox) => mailbox?.sync()?,
            }
            forget(&self.tmp);
        }
        Ok(journal)
    }

    /// Puts a new journal with these lines, and a new generation, in the place of
    /// the old one, where there is one. Gives the token behind its last line.
    pub(crate) fn replace_journal(
        &self,
        _lock: &Lock,
        entries: &[Entry],
    ) -> Result<Token, MailboxError> {
        let random = getrandom::u64().map_err(MailboxError::Random)?;
        let new = format!("{BEGINS}{random:016x}");
        let (second, old) = (format!("{new}.new"), format!("{new}.old"));
        let tmp = &*self.tmp;
        let link = |from: &Directory, name: &str, to: &str| match linkat(
            from,
            name,
            tmp,
            to,
            AtFlags::empty(),
        ) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(tmp.fault(Step::Link, to, e)),
        };
        let made = Journal::create(tmp, &new, entries).and_then(|token| {
            link(tmp, &new, &second)?;
            let was_there = link(&self.root, JOURNAL, &old)?;
            renameat(tmp, &*new, &self.root, JOURNAL)
                .map_err(|e| self.root.fault(Step::Rename, JOURNAL, e))?;
            Ok((token, was_there))
        });
        let (token, was_there) = match made {
            Ok(made) => made,
            Err(error) => {
                for name in [&new, &second, &old] {
                    let _ = tmp.remove(name);
                }
                return Err(error);
            }
        };
        if let Err(error) = self.root.sync() {
            // Nobody may append to a journal whose name a power cut may take.
            let _ = match was_there {
                true => link(tmp, &old, &format!("{new}.back"))
                    .map(|_| renameat(tmp, &*old, &self.root, JOURNAL)),
                false => Ok(renameat(&self.root, JOURNAL, tmp, &*new)),
            };
            if self.root.sync().is_ok() {
                forget(tmp);
            }
            return Err(error);
        }
        // What stays in tmp/ is swept later.
        for name in [&second, &old] {
            let _ = tmp.remove_if_there(name);
        }
        Ok(token)
    }
}

/// Gives the journal of a folder that has no name yet its second name. Not every
/// file system has such.
pub(crate) fn mark(folder: &Directory) -> Result<(), MailboxError> {
    let tmp = folder.directory(TMP)?;
    let second = format!("{BEGINS}new");
    match linkat(folder, JOURNAL, &tmp, &*second, AtFlags::empty()) {
        Ok(()) | Err(Errno::PERM | Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(e) => Err(tmp.fault(Step::Link, second, e)),
    }
}

/// Removes the second names of a folder's journal, and what is left of others: it is
/// on the disk under its own name. One that stays costs no more than a sync.
pub(crate) fn forget(tmp: &Directory) {
    for name in tmp.reopen().and_then(|tmp| tmp.names()).unwrap_or_default() {
        if let Some(name) = name.to_str().filter(|name| name.starts_with(BEGINS)) {
            let _ = tmp.remove(name);
        }
    }
}
