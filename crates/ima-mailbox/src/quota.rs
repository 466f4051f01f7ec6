//! What a mailbox may hold, and holds.
//!
//! Whoever adds messages to a mailbox that has a quota locks its `mailbox.toml`
//! first and its folder after that, so that two cannot both take the last room.
//! What the folders hold is read from their summaries, which whoever adds messages
//! keeps up to date.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, OFlags, flock, fstat};
use rustix::io::{Errno, retry_on_intr};

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::journal::Journal;
use crate::lock::Home;
use crate::mailbox::{Mailbox, folders};
use crate::name::MAILBOX_TOML;
use crate::patience::Patience;
use crate::settings::Settings;
use crate::status::{Malformed, Status, summary};

/// The room that a quota leaves; nobody else takes of it until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    mailbox: PathBuf,
    quota: u64,
    used: u64,
    _lock: Option<File>,
}

/// Where it may be read what folders hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In their summaries, as far as these hold.
    Summaries,
    /// In their journals too.
    Journals,
}

impl Mailbox {
    /// The octets of all messages of all folders, attachments in full. Where the
    /// folders' summaries hold, no journal is read. A folder whose journal cannot be
    /// read counts by its last summary, and without one as empty.
    ///
    /// # Errors
    /// A fault.
    pub fn used(&self) -> Result<u64, MailboxError> {
        used(&self.root, &self.patience)
    }
}

impl Room {
    /// # Errors
    /// [`MailboxError::Quota`] where so many octets are more than there is room for.
    pub(crate) fn refuse_beyond(&self, needed: u64) -> Result<(), MailboxError> {
        if needed == 0 || self.used.saturating_add(needed) <= self.quota {
            return Ok(());
        }
        Err(MailboxError::Quota {
            mailbox: self.mailbox.clone(),
            quota: self.quota,
            used: self.used,
            needed,
        })
    }
}

impl Folder {
    /// The room that is left, held for whoever adds messages; `None` where there
    /// is no quota. The folder's lock is taken after this.
    pub(crate) fn hold_room(&self) -> Result<Option<Room>, MailboxError> {
        let Some(Home { mailbox, .. }) = &self.home else {
            return Ok(None);
        };
        let Some(file) = lock(mailbox, &self.patience)? else {
            return Ok(None);
        };
        let settings = Settings::read(mailbox, &file)?;
        room(mailbox, &settings, Some(file), &self.patience)
    }

    /// As [`Folder::hold_room`], for whoever waits for no lock; the outer `None` where
    /// somebody else has one that is needed, or something else is to be read than may
    /// be.
    pub(crate) fn try_hold_room(&self, from: Source) -> Result<Option<Option<Room>>, MailboxError> {
        let Some(Home { mailbox, .. }) = &self.home else {
            return Ok(Some(None));
        };
        let Some(file) = open(mailbox)? else {
            return Ok(Some(None));
        };
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(mailbox.fault(Step::Lock, MAILBOX_TOML, e)),
        }
        if !is_in_place(mailbox, &file)? {
            return Ok(None);
        }
        let Some(quota) = Settings::read(mailbox, &file)?.quota else {
            return Ok(Some(None));
        };
        Ok(summed(mailbox, from)?.map(|used| {
            Some(Room {
                mailbox: mailbox.path().to_owned(),
                quota,
                used,
                _lock: Some(file),
            })
        }))
    }

    /// The room that is left now, for a forecast.
    pub(crate) fn room(&self) -> Result<Option<Room>, MailboxError> {
        let Some(Home { mailbox, .. }) = &self.home else {
            return Ok(None);
        };
        room(mailbox, &Settings::of(mailbox)?, None, &self.patience)
    }
}

fn room(
    mailbox: &Directory,
    settings: &Settings,
    lock: Option<File>,
    patience: &Patience,
) -> Result<Option<Room>, MailboxError> {
    let Some(quota) = settings.quota else {
        return Ok(None);
    };
    Ok(Some(Room {
        mailbox: mailbox.path().to_owned(),
        quota,
        used: used(mailbox, patience)?,
        _lock: lock,
    }))
}

/// Waits for the lock of `mailbox.toml` and gives the file; `None` where there is
/// none. An editor may put another file in its place meanwhile.
fn lock(mailbox: &Directory, patience: &Patience) -> Result<Option<File>, MailboxError> {
    loop {
        let Some(file) = open(mailbox)? else {
            return Ok(None);
        };
        let fault = |e| mailbox.fault(Step::Lock, MAILBOX_TOML, e);
        patience.lock(&file, true, &mailbox.path().join(MAILBOX_TOML), fault)?;
        if is_in_place(mailbox, &file)? {
            return Ok(Some(file));
        }
    }
}

/// Whether the file that was locked still bears its name.
fn is_in_place(mailbox: &Directory, file: &File) -> Result<bool, MailboxError> {
    let locked = fstat(file).map_err(|e| mailbox.fault(Step::Open, MAILBOX_TOML, e))?;
    let there = mailbox.status(MAILBOX_TOML)?;
    Ok(there.is_some_and(|there| (there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino)))
}

/// For writing where that is allowed: not every file system locks a file that is
/// open for reading alone.
fn open(mailbox: &Directory) -> Result<Option<File>, MailboxError> {
    match mailbox.find_file(MAILBOX_TOML, OFlags::RDWR) {
        Err(MailboxError::Io { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            mailbox.find_file(MAILBOX_TOML, OFlags::RDONLY)
        }
        opened => opened,
    }
}

fn used(mailbox: &Directory, patience: &Patience) -> Result<u64, MailboxError> {
    let mut used: u64 = 0;
    for name in folders(&mailbox.reopen()?)? {
        // A folder that is damaged, or was removed a moment ago, is no reason to take
        // no mail in any other.
        let Ok(root) = mailbox.directory(name.as_str()) else {
            continue;
        };
        let last = summary(&root).ok().flatten();
        let octets = match octets(root, last, patience) {
            Err(error @ MailboxError::Locked { .. }) => return Err(error),
            octets => octets.unwrap_or_else(|_| last.map_or(0, |last| last.octets)),
        };
        used = used.saturating_add(octets);
    }
    Ok(used)
}

/// What all folders hold, found without waiting for a lock; `None` where it cannot be
/// found.
fn summed(mailbox: &Directory, from: Source) -> Result<Option<u64>, MailboxError> {
    let mut used: u64 = 0;
    for name in folders(&mailbox.reopen()?)? {
        // One that is damaged counts as it does for who waits.
        let Ok(root) = mailbox.directory(name.as_str()) else {
            continue;
        };
        let last = summary(&root).ok().flatten();
        let octets = match try_octets(root, last, from) {
            Ok(None) => return Ok(None),
            Ok(Some(octets)) => octets,
            Err(_) => last.map_or(0, |last| last.octets),
        };
        used = used.saturating_add(octets);
    }
    Ok(Some(used))
}

fn try_octets(
    root: Directory,
    summary: Option<Status>,
    from: Source,
) -> Result<Option<u64>, MailboxError> {
    let token = Journal::open(&root)?.token();
    if let Some(status) = summary.filter(|status| status.token == token) {
        return Ok(Some(status.octets));
    }
    if from == Source::Summaries {
        return Ok(None);
    }
    let folder = Folder::beneath(root, None, Patience::default())?;
    let Some(journal) = folder.try_read_journal()? else {
        return Ok(None);
    };
    let status = folder.status_of(&journal, Malformed::PassOver)?;
    Ok(Some(status.octets))
}

/// The lock of the folder is taken only where its summary no longer holds.
fn octets(
    root: Directory,
    summary: Option<Status>,
    patience: &Patience,
) -> Result<u64, MailboxError> {
    let token = Journal::open(&root)?.token();
    if let Some(status) = summary.filter(|status| status.token == token) {
        return Ok(status.octets);
    }
    let folder = Folder::beneath(root, None, patience.clone())?;
    let status = folder.status_of(&folder.read_journal()?, Malformed::PassOver)?;
    Ok(status.octets)
}
