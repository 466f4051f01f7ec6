//! Repairing one folder.

use std::path::Path;

use rustix::fs::{AtFlags, FileType, linkat, renameat};

use super::Tokens;
use super::journal::Corrections;
use super::mended::{Deed, Mended};
use crate::check::{Digested, Rule};
use crate::directory::Directory;
use crate::error::{Kind, MailboxError, Step};
use crate::folder::{Folder, refuse_foreign_root};
use crate::lock::Lock;
use crate::name;
use crate::status::Malformed;

/// Repairs one folder.
///
/// # Errors
/// [`MailboxError::NoFolder`] where nothing is there; a fault, after which what
/// was reported is done.
pub fn folder(
    path: &Path,
    tokens: Tokens,
    report: &mut dyn FnMut(Mended),
) -> Result<(), MailboxError> {
    make_whole(&Directory::open(path)?, report)?;
    let folder = Folder::open(path)?;
    let lock = folder.lock_exclusively()?;
    let mut repair = Repair {
        folder: &folder,
        lock,
        report,
        digested: Digested::default(),
        damaged: None,
    };
    repair.modes()?;
    let salvage = repair.read_journal()?;
    let mut corrections = Corrections::default();
    repair.messages(&salvage, &mut corrections)?;
    repair.journal(salvage, corrections, tokens)?;
    // Whatever it said, it is made again.
    folder.root.remove_if_there(name::SUMMARY)?;
    let journal = crate::journal::Journal::open(&folder.root)?;
    journal.sync()?;
    folder.status_of(&journal, Malformed::Fault).map(drop)
}

/// A repair that goes on.
pub(super) struct Repair<'a> {
    pub(super) folder: &'a Folder,
    pub(super) lock: Lock,
    report: &'a mut dyn FnMut(Mended),
    pub(super) digested: Digested,
    damaged: Option<Directory>,
}

impl Repair<'_> {
    /// The owner alone reads and writes what is in a folder.
    fn modes(&mut self) -> Result<(), MailboxError> {
        let folder = self.folder;
        for name in [name::JOURNAL, name::SUMMARY] {
            self.mode(&folder.root, name)?;
        }
        for directory in [&*folder.messages, &*folder.attachments, &folder.gone] {
            for entry in directory.names()? {
                if let Some(name) = entry.to_str() {
                    self.mode(directory, name)?;
                }
            }
        }
        Ok(())
    }

    fn mode(&mut self, directory: &Directory, name: &str) -> Result<(), MailboxError> {
        if let Some(found) = directory.mend_mode(name, Kind::File)? {
            self.did(directory, name, Deed::Mode { found });
        }
        Ok(())
    }

    /// Moves what is damaged out of its directory.
    pub(super) fn set_aside(
        &mut self,
        directory: &Directory,
        name: &str,
        rule: Rule,
    ) -> Result<(), MailboxError> {
        let aside = new_name(name)?;
        let damaged = self.damaged()?;
        renameat(directory, name, damaged, &*aside)
            .map_err(|e| directory.fault(Step::Rename, name, e))?;
        damaged.sync()?;
        let place = damaged.path().join(&aside);
        directory.sync()?;
        self.did(directory, name, Deed::SetAside { place, rule });
        Ok(())
    }

    /// Gives the journal a second name under which it stays.
    pub(super) fn keep_journal(&mut self) -> Result<(), MailboxError> {
        let root = &self.folder.root;
        let aside = new_name(name::JOURNAL)?;
        let damaged = self.damaged()?;
        linkat(root, name::JOURNAL, damaged, &*aside, AtFlags::empty())
            .map_err(|e| root.fault(Step::Link, name::JOURNAL, e))?;
        damaged.sync()?;
        let place = damaged.path().join(&aside);
        self.did(root, name::JOURNAL, Deed::OldJournal { place });
        Ok(())
    }

    fn damaged(&mut self) -> Result<&Directory, MailboxError> {
        let root = &self.folder.root;
        let damaged = match self.damaged.take() {
            Some(damaged) => damaged,
            None if root.status(name::DAMAGED)?.is_some() => root.directory(name::DAMAGED)?,
            None => {
                let made = root.create_directory(name::DAMAGED)?;
                root.sync()?;
                made
            }
        };
        Ok(self.damaged.insert(damaged))
    }

    pub(super) fn did(&mut self, directory: &Directory, name: &str, deed: Deed) {
        (self.report)(Mended::new(directory.path().join(name), deed));
    }
}

/// Makes what a folder cannot be opened without.
fn make_whole(root: &Directory, report: &mut dyn FnMut(Mended)) -> Result<(), MailboxError> {
    refuse_foreign_root(root)?;
    let mut made = false;
    if let Some(found) = root.mend_mode(".", Kind::Directory)? {
        report(Mended::new(root.path().to_owned(), Deed::Mode { found }));
    }
    let names = name::DIRECTORIES.map(|name| (name, Kind::Directory));
    for (name, kind) in names.into_iter().chain([(name::LOCK, Kind::File)]) {
        let path = root.path().join(name);
        match root.status(name)? {
            None => {
                match kind {
                    Kind::Directory => root.create_directory(name)?.sync()?,
                    _ => drop(root.create(name)?),
                }
                made = true;
                report(Mended::new(path, Deed::Made(kind)));
            }
            Some(status) if Kind::from(FileType::from_raw_mode(status.st_mode)) == kind => {
                if let Some(found) = root.mend_mode(name, kind)? {
                    report(Mended::new(path, Deed::Mode { found }));
                }
            }
            Some(_) => return Err(root.wrong_kind(name, kind)),
        }
    }
    match made {
        true => root.sync(),
        false => Ok(()),
    }
}

/// A name in `damaged/` that nothing bears yet.
fn new_name(name: &str) -> Result<String, MailboxError> {
    let random = getrandom::u64().map_err(MailboxError::Random)?;
    Ok(format!("{name}-{random:016x}"))
}
