//! Files that are written, and synced, before any line of a journal tells of them.
//!
//! They have no name (`O_TMPFILE`) and are linked through `/proc/self/fd`, so
//! that nothing is left of a process that dies. Where the file system has no
//! such files, where `/proc` is missing, or where there are so many that their
//! descriptors might run out, they have names in `tmp/` instead, and no
//! descriptor.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, OFlags, linkat, renameat, stat};
use rustix::io::Errno;

use crate::directory::{Directory, descriptor_path};
use crate::durable::Barrier;
use crate::error::{MailboxError, Step};

/// Octets that are read or written at a time.
pub(crate) const BUFFER: usize = 128 * 1024;

/// Where the files of one delivery are written.
#[derive(Debug)]
pub(crate) struct Stage {
    tmp: Arc<Directory>,
    named: bool,
    syncing: Syncing,
}

/// Who brings the octets of staged files onto the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncing {
    /// Each file by itself, as soon as it is whole.
    Each,
    /// The whole file system, later: by whoever has staged them.
    Later,
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    syncing: Syncing,
    file: File,
    /// For messages.
    path: PathBuf,
    name: Option<Name>,
}

/// A file that is whole; it can be given names.
#[derive(Debug)]
pub(crate) enum Staged {
    /// It is held open. The path is for messages.
    Open(File, PathBuf),
    /// It has a name.
    Named(Name),
}

/// A name by which a file can be linked.
#[derive(Debug)]
pub(crate) struct Name {
    directory: Arc<Directory>,
    name: String,
    /// Whether the name is removed when it is no longer needed.
    temporary: bool,
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.temporary {
            // What stays in tmp/ is swept later.
            let _ = self.directory.remove(&self.name);
        }
    }
}

impl Stage {
    /// A stage in a folder's `tmp/`. `named`: its files are so many that they
    /// may not keep a descriptor each.
    pub(crate) fn new(tmp: &Arc<Directory>, named: bool, syncing: Syncing) -> Self {
        Self {
            tmp: Arc::clone(tmp),
            named,
            syncing,
        }
    }

    /// Whether a file of so many octets is synced by whoever gives it its name, after
    /// that: one sync brings both onto the disk then. A large one would keep others
    /// waiting for the folder.
    pub(crate) fn is_synced_late(&self, octets: u64) -> bool {
        self.syncing == Syncing::Each && !self.named && octets <= BUFFER as u64
    }

    /// Begins a file.
    pub(crate) fn begin(&self) -> Result<Draft, MailboxError> {
        if !self.named
            && let Some(file) = self.tmp.create_unnamed()?
            && is_reachable(&file)
        {
            return Ok(Draft {
                syncing: self.syncing,
                file,
                path: self.tmp.path().to_owned(),
                name: None,
            });
        }
        let name = new_name()?;
        let file = self.tmp.create(&name)?;
        let path = self.tmp.path().join(&name);
        Ok(Draft {
            syncing: self.syncing,
            file,
            path,
            name: Some(self.temporary(name)),
        })
    }

    /// Holds on to a file that bears `name` in `directory` already, so that it
    /// stays although the name be removed. `None` where that cannot be.
    pub(crate) fn hold(
        &self,
        file: File,
        directory: &Directory,
        name: &str,
    ) -> Result<Option<Staged>, MailboxError> {
        if !self.named && is_reachable(&file) {
            return Ok(Some(Staged::Open(file, directory.path().join(name))));
        }
        let held = new_name()?;
        match linkat(directory, name, &*self.tmp, &*held, AtFlags::empty()) {
            Ok(()) => Ok(Some(Staged::Named(self.temporary(held)))),
            Err(Errno::NOENT | Errno::MLINK | Errno::PERM) => Ok(None),
            Err(e) => Err(self.tmp.fault(Step::Link, &held, e)),
        }
    }

    /// A copy, synced.
    pub(crate) fn copy(&self, of: &Staged) -> Result<Staged, MailboxError> {
        // Copies are made while links are, when all else is on the disk already.
        self.copied(of, Syncing::Each)
    }

    /// A copy, which whoever links it syncs.
    pub(crate) fn copy_unsynced(&self, of: &Staged) -> Result<Staged, MailboxError> {
        self.copied(of, Syncing::Later)
    }

    fn copied(&self, of: &Staged, syncing: Syncing) -> Result<Staged, MailboxError> {
        let mut draft = self.begin()?;
        draft.syncing = syncing;
        draft.copy(&of.open()?, &of.path(), u64::MAX)?;
        draft.finish()
    }

    /// Puts a file, or a copy where it cannot be linked, in the place of the one
    /// that bears `name`.
    pub(crate) fn replace(
        &self,
        with: &Staged,
        directory: &Directory,
        name: &str,
    ) -> Result<(), MailboxError> {
        let between = new_name()?;
        match with.link(&self.tmp, &between) {
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::NOENT) => {
                self.copy(with)?.link(&self.tmp, &between)
            }
            linked => linked,
        }
        .map_err(|e| self.tmp.fault(Step::Link, &between, e))?;
        let mut between = self.temporary(between);
        renameat(&*self.tmp, &*between.name, directory, name)
            .map_err(|e| directory.fault(Step::Rename, name, e))?;
        between.temporary = false;
        Ok(())
    }

    /// A name that was just made in `tmp/`.
    fn temporary(&self, name: String) -> Name {
        Name {
            directory: Arc::clone(&self.tmp),
            name,
            temporary: true,
        }
    }
}

impl Draft {
    /// What was written until now, for reading at offsets.
    pub(crate) fn reading(&self) -> Result<File, MailboxError> {
        let reading = self.file.try_clone();
        reading.map_err(|e| MailboxError::io(Step::Read, &self.path, e))
    }

    /// For messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the next octets.
    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<(), MailboxError> {
        self.file
            .write_all(octets)
            .map_err(|e| MailboxError::io(Step::Write, &self.path, e))
    }

    /// Writes the first octets of another file, up to its end.
    pub(crate) fn copy(
        &mut self,
        from: &File,
        path: &Path,
        mut octets: u64,
    ) -> Result<(), MailboxError> {
        let mut buffer = vec![0; BUFFER];
        let mut offset = 0;
        while octets > 0 {
            let most = usize::try_from(octets).unwrap_or(BUFFER).min(BUFFER);
            // At an offset: threads that copy from one file do not share a place in it.
            let read = match from.read_at(buffer.get_mut(..most).unwrap_or_default(), offset) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(MailboxError::io(Step::Read, path, e)),
            };
            self.write(buffer.get(..read).unwrap_or_default())?;
            offset += read as u64;
            octets = octets.saturating_sub(read as u64);
        }
        Ok(())
    }

    /// The file is whole.
    pub(crate) fn finish(self) -> Result<Staged, MailboxError> {
        if self.syncing == Syncing::Each {
            Barrier::File
                .sync(&self.file)
                .map_err(|e| MailboxError::io(Step::Sync, &self.path, e))?;
        }
        Ok(self.finish_unsynced())
    }

    /// The file is whole, and whoever links it syncs it.
    pub(crate) fn finish_unsynced(self) -> Staged {
        match self.name {
            Some(name) => Staged::Named(name),
            None => Staged::Open(self.file, self.path),
        }
    }
}

impl Staged {
    /// Brings its octets onto the disk.
    pub(crate) fn sync(&self) -> Result<(), MailboxError> {
        let sync = |file: &File, path: &Path| {
            Barrier::File
                .sync(file)
                .map_err(|e| MailboxError::io(Step::Sync, path, e))
        };
        match self {
            Self::Open(file, path) => sync(file, path),
            Self::Named(Name {
                directory, name, ..
            }) => sync(
                &directory.file(name, OFlags::RDONLY)?,
                &directory.path().join(name),
            ),
        }
    }

    /// A file of this folder by the name that it has, for links made at once.
    pub(crate) fn of(file: File, directory: &Arc<Directory>, name: &str) -> Self {
        if is_reachable(&file) {
            return Self::Open(file, directory.path().join(name));
        }
        Self::named(directory, name.to_owned())
    }

    /// A file by a name that it keeps while links are made.
    pub(crate) fn named(directory: &Arc<Directory>, name: String) -> Self {
        Self::Named(Name {
            directory: Arc::clone(directory),
            name,
            temporary: false,
        })
    }

    /// The file, open for reading at offsets.
    pub(crate) fn open(&self) -> Result<File, MailboxError> {
        match self {
            Self::Open(file, path) => file
                .try_clone()
                .map_err(|e| MailboxError::io(Step::Open, path, e)),
            Self::Named(Name {
                directory, name, ..
            }) => directory.file(name, OFlags::RDONLY),
        }
    }

    /// Whether this is the same file.
    pub(crate) fn is(&self, other: &File) -> Result<bool, MailboxError> {
        let other = other.metadata();
        let other = other.map_err(|e| MailboxError::io(Step::Open, &self.path(), e))?;
        Ok(self.inode()? == (other.dev(), other.ino()))
    }

    /// Its device and inode.
    pub(crate) fn inode(&self) -> Result<(u64, u64), MailboxError> {
        let metadata = match self {
            Self::Open(file, _) => file.metadata(),
            Self::Named(_) => self.open()?.metadata(),
        };
        let metadata = metadata.map_err(|e| MailboxError::io(Step::Open, &self.path(), e))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// A path that leads to it, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Open(_, path) => path.clone(),
            Self::Named(Name {
                directory, name, ..
            }) => directory.path().join(name),
        }
    }

    /// Gives the file another name.
    pub(crate) fn link(&self, directory: &Directory, name: &str) -> rustix::io::Result<()> {
        match self {
            Self::Open(file, _) => linkat(
                CWD,
                descriptor_path(file),
                directory,
                name,
                AtFlags::SYMLINK_FOLLOW,
            ),
            Self::Named(old) => linkat(
                &*old.directory,
                &*old.name,
                directory,
                name,
                AtFlags::empty(),
            ),
        }
    }
}

/// A name in `tmp/` that nothing bears yet.
fn new_name() -> Result<String, MailboxError> {
    let random = getrandom::u64().map_err(MailboxError::Random)?;
    Ok(format!("{random:016x}"))
}

/// Whether a file that is open can be linked by its descriptor.
fn is_reachable(file: &File) -> bool {
    static PROVED: AtomicBool = AtomicBool::new(false);
    // Where that was so for one, it is so for all.
    if PROVED.load(Ordering::Relaxed) {
        return true;
    }
    let (Ok(there), Ok(here)) = (stat(descriptor_path(file)), file.metadata()) else {
        return false;
    };
    let is_reachable = there.st_ino == here.ino() && there.st_dev == here.dev();
    PROVED.fetch_or(is_reachable, Ordering::Relaxed);
    is_reachable
}
