//! A folder of a mailbox, open.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ima_message::{HeaderBlock, MessageDigest, Part, PartDigest, Token};
use rustix::fs::{self, Access, AtFlags, OFlags, StatVfsMountFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;

use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::journal::{Changes, Journal};
use crate::lock::Home;
use crate::name;
use crate::patience::Patience;

/// Octets that a message may need beyond its own: directories, journal, and the
/// blocks that are only partly filled.
const RESERVE_OCTETS: u64 = 1 << 20;
/// Inodes that must be free for a message: itself, its attachments, and some more.
const RESERVE_INODES: u64 = 64;

/// A folder of a mailbox. It holds handles of its directories; each operation
/// takes the folder's lock itself, so that any number of threads and processes
/// may use one folder at once.
#[derive(Debug)]
pub struct Folder {
    pub(crate) root: Directory,
    pub(crate) messages: Arc<Directory>,
    pub(crate) attachments: Arc<Directory>,
    pub(crate) gone: Directory,
    pub(crate) tmp: Arc<Directory>,
    /// `None` only where it is the root of a file system.
    pub(crate) home: Option<Home>,
    /// How long it waits for locks.
    pub(crate) patience: Patience,
    inode: (u64, u64),
    /// Device and inode of each directory in it, by its name.
    pub(crate) inodes: [(&'static str, (u64, u64)); 4],
}

/// What stands in `attachments/` under an attachment's digest.
pub(crate) enum Kept {
    /// The attachment, open for reading.
    Whole(File),
    /// A file of another length: damage.
    Damaged,
    /// Nothing.
    Absent,
}

/// What a `part` field says of the octets of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) digest: PartDigest,
    /// In octets.
    pub(crate) length: u64,
}

impl From<&Part> for Announced {
    fn from(part: &Part) -> Self {
        Self {
            digest: part.digest(),
            length: part.length(),
        }
    }
}

impl Folder {
    /// Opens a folder. Its path may lead through symbolic links, but the last
    /// component and everything in the folder may be none.
    ///
    /// # Errors
    /// [`MailboxError::NoFolder`] where there is nothing at this path; a fault
    /// where it is no folder or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, MailboxError> {
        let (root, above) = Directory::open_in(path)?;
        let home = above.map(|(mailbox, name)| Home {
            mailbox: Arc::new(mailbox),
            name,
        });
        Self::beneath(root, home, Patience::default())
    }

    /// Device and inode of its directory, wherever that lies by now.
    #[must_use]
    pub fn inode(&self) -> (u64, u64) {
        self.inode
    }

    /// The folder whose directory this is.
    pub(crate) fn beneath(
        root: Directory,
        home: Option<Home>,
        patience: Patience,
    ) -> Result<Self, MailboxError> {
        let messages = root.directory(name::MESSAGES)?;
        let attachments = root.directory(name::ATTACHMENTS)?;
        let gone = root.directory(name::GONE)?;
        let tmp = root.directory(name::TMP)?;
        Ok(Self {
            inode: root.inode()?,
            inodes: [
                (name::MESSAGES, messages.inode()?),
                (name::ATTACHMENTS, attachments.inode()?),
                (name::GONE, gone.inode()?),
                (name::TMP, tmp.inode()?),
            ],
            messages: Arc::new(messages),
            attachments: Arc::new(attachments),
            gone,
            tmp: Arc::new(tmp),
            root,
            home,
            patience,
        })
    }

    /// Whether a message of so many octets, header block included, could be
    /// stored now: permission, disk and inodes, the mailbox's quota, and a journal that
    /// is in order.
    /// It is a forecast and holds nothing back.
    ///
    /// # Errors
    /// The fault for which it could not.
    pub fn can_take(&self, octets: u64) -> Result<(), MailboxError> {
        self.forecast(octets)
            .map_err(|error| self.or_removed(error))
    }

    fn forecast(&self, octets: u64) -> Result<(), MailboxError> {
        self.refuse_foreign_root()?;
        self.refuse_lack_of_room(octets)?;
        for directory in [&self.messages, &self.attachments, &self.tmp] {
            let wanted = Access::WRITE_OK | Access::EXEC_OK;
            match fs::accessat(&**directory, ".", wanted, AtFlags::EACCESS) {
                Ok(()) => {}
                Err(Errno::ROFS) => return Err(self.read_only()),
                Err(e) => return Err(directory.fault(Step::Write, "", e)),
            }
        }
        self.root.file(name::LOCK, OFlags::RDWR)?;
        Journal::open_for(&self.root, OFlags::RDWR).map(|_| ())
    }

    /// Disk, inodes and the mailbox's quota.
    fn refuse_lack_of_room(&self, octets: u64) -> Result<(), MailboxError> {
        let path = || self.root.path().to_owned();
        let space = retry_on_intr(|| fs::fstatvfs(&*self.tmp))
            .map_err(|e| self.tmp.fault(Step::Open, "", e))?;
        if space.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(self.read_only());
        }
        let needed = octets.saturating_add(RESERVE_OCTETS);
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < needed {
            return Err(MailboxError::Full {
                path: path(),
                needed,
                free,
            });
        }
        // Without a total there is no count: such a file system makes inodes as needed.
        if space.f_files > 0 && space.f_favail < RESERVE_INODES {
            return Err(MailboxError::NoInodes {
                path: path(),
                needed: RESERVE_INODES,
                free: space.f_favail,
            });
        }
        match self.room()? {
            Some(room) => room.refuse_beyond(octets),
            None => Ok(()),
        }
    }

    fn read_only(&self) -> MailboxError {
        MailboxError::ReadOnly(self.root.path().to_owned())
    }

    /// As [`Folder::can_take`], for a message that its sender brings: one that is
    /// here already, or was deleted in the last days, needs no room.
    ///
    /// # Errors
    /// The fault for which it could not be delivered.
    pub fn can_deliver(&self, header: &HeaderBlock) -> Result<(), MailboxError> {
        let is_known = || self.knows(header);
        with_room(header, is_known, |octets| self.can_take(octets))
    }

    /// As [`Folder::can_deliver`], for a folder of which all but the room is known.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn has_room_for(&self, header: &HeaderBlock) -> Result<(), MailboxError> {
        let is_known = || self.knows(header);
        with_room(header, is_known, |octets| self.refuse_lack_of_room(octets))
    }

    /// As [`Folder::can_take`], for a message that the folder's user puts there: one
    /// that is here already needs no room.
    ///
    /// # Errors
    /// The fault for which it could not be stored.
    pub fn can_store(&self, header: &HeaderBlock) -> Result<(), MailboxError> {
        let is_known = || self.holds(header);
        with_room(header, is_known, |octets| self.can_take(octets))
    }

    /// Whether a message is here.
    fn holds(&self, header: &HeaderBlock) -> Result<bool, MailboxError> {
        let status = self.messages.status(name::message(header.digest()))?;
        Ok(status.is_some())
    }

    /// Whether it is here, or was deleted in the last days.
    fn knows(&self, header: &HeaderBlock) -> Result<bool, MailboxError> {
        let removed = self.gone.status(name::message(header.digest()))?;
        Ok(removed.is_some() || self.holds(header)?)
    }

    /// A message's header block and inline parts, open for reading; `None` where
    /// the message is not here. Its `add` may be missing yet: who asks has read
    /// the journal.
    ///
    /// # Errors
    /// A fault.
    pub fn message(&self, digest: MessageDigest) -> Result<Option<File>, MailboxError> {
        self.messages
            .find_file(&name::message(digest), OFlags::RDONLY)
    }

    /// The octets of an attachment that some message of this folder holds, open
    /// for reading.
    ///
    /// # Errors
    /// A fault.
    pub fn attachment(&self, digest: PartDigest) -> Result<Option<File>, MailboxError> {
        self.attachments
            .find_file(&name::kept(digest), OFlags::RDONLY)
    }

    /// Whether a message was deleted or moved away in the last days.
    ///
    /// # Errors
    /// A fault.
    pub fn was_removed(&self, digest: MessageDigest) -> Result<bool, MailboxError> {
        self.gone.holds(&name::message(digest))
    }

    /// How many messages it knows that were deleted or moved away in the last days.
    /// The cost is that of their names.
    ///
    /// # Errors
    /// A fault.
    pub fn known_removals(&self) -> Result<u64, MailboxError> {
        Ok(self.gone.names()?.len() as u64)
    }

    /// The token of now: everything before it is on the disk.
    ///
    /// # Errors
    /// A fault.
    pub fn token(&self) -> Result<Token, MailboxError> {
        self.read_journal().map(|journal| journal.token())
    }

    /// What changed since a token; without one, everything. The cost is that of
    /// the changes, however many messages the folder holds.
    ///
    /// # Errors
    /// A fault.
    pub fn changes(&self, since: Option<&Token>) -> Result<Changes, MailboxError> {
        self.read_journal()?.changes(since.copied())
    }

    /// The journal, synced under the shared lock; what it holds by then stays.
    pub(crate) fn read_journal(&self) -> Result<Journal, MailboxError> {
        let _lock = self.lock_shared()?;
        let journal = Journal::open(&self.root)?;
        journal.sync()?;
        Ok(journal)
    }

    /// As [`Folder::read_journal`], without waiting; `None` where somebody changes the
    /// folder.
    pub(crate) fn try_read_journal(&self) -> Result<Option<Journal>, MailboxError> {
        let Some(_lock) = self.try_lock_shared()? else {
            return Ok(None);
        };
        let journal = Journal::open(&self.root)?;
        journal.sync()?;
        Ok(Some(journal))
    }

    /// What is in `attachments/` for a part.
    pub(crate) fn kept(&self, part: Announced) -> Result<Kept, MailboxError> {
        let name = name::kept(part.digest);
        let Some(file) = self.attachments.find_file(&name, OFlags::RDONLY)? else {
            return Ok(Kept::Absent);
        };
        if self.attachments.metadata(&name, &file)?.len() == part.length {
            Ok(Kept::Whole(file))
        } else {
            Ok(Kept::Damaged)
        }
    }

    /// Files that root makes in another's folder would be of no use to its
    /// owner. For any other user the permissions decide.
    pub(crate) fn refuse_foreign_root(&self) -> Result<(), MailboxError> {
        refuse_foreign_root(&self.root)
    }
}

/// Whether there is room for a message; where there is not, whether it needs none, since
/// it is known already.
fn with_room(
    header: &HeaderBlock,
    is_known: impl Fn() -> Result<bool, MailboxError>,
    can_take: impl Fn(u64) -> Result<(), MailboxError>,
) -> Result<(), MailboxError> {
    let octets = (header.as_bytes().len() as u64).saturating_add(header.size());
    match can_take(octets) {
        Err(error) if error.is_lack_of_room() && is_known()? => can_take(0),
        result => result,
    }
}

/// As [`Folder::refuse_foreign_root`], by a folder's directory alone.
pub(crate) fn refuse_foreign_root(root: &Directory) -> Result<(), MailboxError> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (_, owner) = root.device_and_owner()?;
    if owner != 0 {
        return Err(MailboxError::Owner {
            path: root.path().to_owned(),
            owner,
        });
    }
    Ok(())
}
