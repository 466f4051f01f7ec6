//! Files that are written and synced before anything is linked.
//!
//! They have no name (`O_TMPFILE`) and are linked through `/proc/self/fd`, so
//! that nothing is left of a process that dies. Where the file system has no
//! such files, where `/proc` is missing, or where there are so many that their
//! descriptors might run out, they have names in `tmp/` instead, and no
//! descriptor.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, OFlags, fsync, linkat, renameat, stat};
use rustix::io::{Errno, retry_on_intr};

use crate::directory::{Directory, descriptor_path};
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
        let (file, path) = match of {
            Staged::Open(file, path) => (file, path.clone()),
            Staged::Named(Name {
                directory, name, ..
            }) => (
                &directory.file(name, OFlags::RDONLY)?,
                directory.path().join(name),
            ),
        };
        let mut draft = self.begin()?;
        // Copies are made while links are, when all else is on the disk already.
        draft.syncing = Syncing::Each;
        let mut buffer = vec![0; BUFFER];
        let mut offset = 0;
        loop {
            // At an offset: threads that copy from one file do not share a place in it.
            let octets = match file.read_at(&mut buffer, offset) {
                Ok(0) => return draft.finish(),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(MailboxError::io(Step::Read, &path, e)),
            };
            draft.write(buffer.get(..octets).unwrap_or_default())?;
            offset += octets as u64;
        }
    }

    /// Puts a file in the place of the one that bears `name`.
    pub(crate) fn replace(
        &self,
        with: &Staged,
        directory: &Directory,
        name: &str,
    ) -> Result<(), MailboxError> {
        let between = new_name()?;
        with.link(&self.tmp, &between)
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
    /// Writes the next octets.
    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<(), MailboxError> {
        self.file
            .write_all(octets)
            .map_err(|e| MailboxError::io(Step::Write, &self.path, e))
    }

    /// The file is whole.
    pub(crate) fn finish(self) -> Result<Staged, MailboxError> {
        if self.syncing == Syncing::Each {
            retry_on_intr(|| fsync(&self.file))
                .map_err(|e| MailboxError::io(Step::Sync, &self.path, e))?;
        }
        Ok(match self.name {
            Some(name) => Staged::Named(name),
            None => Staged::Open(self.file, self.path),
        })
    }
}

impl Staged {
    /// A file of this folder by the name that it has, for links made at once.
    pub(crate) fn of(file: File, directory: &Arc<Directory>, name: &str) -> Self {
        if is_reachable(&file) {
            return Self::Open(file, directory.path().join(name));
        }
        Self::Named(Name {
            directory: Arc::clone(directory),
            name: name.to_owned(),
            temporary: false,
        })
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
    let (Ok(there), Ok(here)) = (stat(descriptor_path(file)), file.metadata()) else {
        return false;
    };
    there.st_ino == here.ino() && there.st_dev == here.dev()
}
