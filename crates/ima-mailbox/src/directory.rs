//! A directory held open. What is in it is reached by a single name beneath
//! its handle, never by a path, and never through a symbolic link.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps,
};
use rustix::io::{Errno, retry_on_intr};

use crate::durable::Barrier;
use crate::error::{Kind, MailboxError, Step};

/// The mode of every file in a mailbox.
pub(crate) const FILE_MODE: u32 = 0o600;
/// The mode of every directory in a mailbox.
pub(crate) const DIRECTORY_MODE: u32 = 0o700;

/// An open directory, with the path that led to it: that is for messages only.
#[derive(Debug)]
pub(crate) struct Directory {
    file: File,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory by a path, whose last component may not be a symbolic
    /// link, though those before it may.
    ///
    /// # Errors
    /// [`MailboxError::NoFolder`] where there is nothing; [`MailboxError::Kind`]
    /// where there is something else.
    pub(crate) fn open(path: &Path) -> Result<Self, MailboxError> {
        Self::open_in(path).map(|(opened, _)| opened)
    }

    /// As [`Directory::open`]; with the directory that it lies in, for looking at
    /// and opening what is beneath it, and its name there. The root of all files
    /// lies in none.
    pub(crate) fn open_in(path: &Path) -> Result<(Self, Option<(Self, String)>), MailboxError> {
        let Some((above, name)) = split(path) else {
            return open_unnamed(path);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = match retry_on_intr(|| fs::open(above, flags, Mode::empty())) {
            Ok(fd) => Self {
                file: fd.into(),
                path: above.to_owned(),
            },
            Err(Errno::NOENT) => return Err(MailboxError::NoFolder(path.to_owned())),
            Err(e) => return Err(MailboxError::io(Step::Open, above, e)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match open_beneath(&above, name, flags, Mode::empty()) {
            Ok(fd) => {
                let opened = Self {
                    file: fd.into(),
                    path: path.to_owned(),
                };
                // A name that is no text is none of a folder.
                let name = name.to_str().map(str::to_owned);
                Ok((opened, name.map(|name| (above, name))))
            }
            Err(Errno::NOENT) => Err(MailboxError::NoFolder(path.to_owned())),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(MailboxError::Kind {
                path: path.to_owned(),
                expected: Kind::Directory,
            }),
            Err(e) => Err(MailboxError::io(Step::Open, path, e)),
        }
    }

    /// Opens a directory by a path whose components may all be symbolic links:
    /// the way to a mailbox, not what is in one.
    pub(crate) fn open_followed(path: &Path) -> Result<Self, MailboxError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match retry_on_intr(|| fs::open(path, flags, Mode::empty())) {
            Ok(fd) => Ok(Self {
                file: fd.into(),
                path: path.to_owned(),
            }),
            Err(Errno::NOENT) => Err(MailboxError::NoFolder(path.to_owned())),
            Err(e) => Err(MailboxError::io(Step::Open, path, e)),
        }
    }

    /// Makes a directory, durably, in one that is there and may be reached by
    /// symbolic links.
    pub(crate) fn make(path: &Path) -> Result<Self, MailboxError> {
        let missing = || MailboxError::io(Step::Open, path, Errno::NOENT);
        let (above, name) = split(path).ok_or_else(missing)?;
        let above = Self::open_followed(above).map_err(|error| match error {
            MailboxError::NoFolder(above) => MailboxError::io(Step::Open, &above, Errno::NOENT),
            other => other,
        })?;
        let name = name.to_str().ok_or_else(missing)?;
        let made = above.create_directory(name)?;
        above.sync()?;
        Ok(made)
    }

    /// The same directory, opened so that its names can be read.
    pub(crate) fn reopen(&self) -> Result<Self, MailboxError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        open_beneath(&self.file, ".", flags, Mode::empty())
            .map(|fd| Self {
                file: fd.into(),
                path: self.path.clone(),
            })
            .map_err(|e| self.fault(Step::Open, "", e))
    }

    /// Opens the directory `name` in this one.
    pub(crate) fn directory(&self, name: &str) -> Result<Self, MailboxError> {
        match open_beneath(
            &self.file,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY,
            Mode::empty(),
        ) {
            Ok(fd) => Ok(Self {
                file: fd.into(),
                path: self.path.join(name),
            }),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(self.wrong_kind(name, Kind::Directory)),
            Err(e) => Err(self.fault(Step::Open, name, e)),
        }
    }

    /// Opens the regular file `name`; a pipe there is an error and does not block.
    pub(crate) fn file(&self, name: &str, access: OFlags) -> Result<File, MailboxError> {
        self.find_file(name, access)?
            .ok_or_else(|| self.fault(Step::Open, name, Errno::NOENT))
    }

    /// Opens the regular file `name` where there is one.
    pub(crate) fn find_file(
        &self,
        name: &str,
        access: OFlags,
    ) -> Result<Option<File>, MailboxError> {
        let found = self.find_file_and_metadata(name, access)?;
        Ok(found.map(|(file, _)| file))
    }

    /// As [`Directory::find_file`], with what is known of the file.
    pub(crate) fn find_file_and_metadata(
        &self,
        name: &str,
        access: OFlags,
    ) -> Result<Option<(File, Metadata)>, MailboxError> {
        match open_beneath(&self.file, name, access | OFlags::NONBLOCK, Mode::empty()) {
            Ok(fd) => {
                let file = File::from(fd);
                let metadata = self.metadata(name, &file)?;
                match metadata.is_file() {
                    true => Ok(Some((file, metadata))),
                    false => Err(self.wrong_kind(name, Kind::File)),
                }
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => Err(self.wrong_kind(name, Kind::File)),
            Err(e) => Err(self.fault(Step::Open, name, e)),
        }
    }

    /// Whether the regular file `name` is there; what is there and is none is an error.
    pub(crate) fn holds(&self, name: &str) -> Result<bool, MailboxError> {
        match self.status(name)? {
            None => Ok(false),
            Some(status) if FileType::from_raw_mode(status.st_mode).is_file() => Ok(true),
            Some(_) => Err(self.wrong_kind(name, Kind::File)),
        }
    }

    /// What is known of `name` itself, without following it.
    pub(crate) fn status(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, MailboxError> {
        match fs::statat(&self.file, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.fault(Step::Open, name, e)),
        }
    }

    /// Makes the file `name`, which must not be there, empty and with its mode.
    pub(crate) fn create(&self, name: &str) -> Result<File, MailboxError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open_beneath(&self.file, name, flags, Mode::from_raw_mode(FILE_MODE))
            .map_err(|e| self.fault(Step::Create, name, e))?;
        if let Err(error) = self.set_mode(name, &file, FILE_MODE) {
            let _ = self.remove(name);
            return Err(error);
        }
        Ok(file.into())
    }

    /// Makes a file without a name. `None` where the file system has no such files.
    pub(crate) fn create_unnamed(&self) -> Result<Option<File>, MailboxError> {
        let flags = OFlags::RDWR | OFlags::TMPFILE;
        match open_beneath(&self.file, ".", flags, Mode::from_raw_mode(FILE_MODE)) {
            Ok(fd) => {
                self.set_mode("", &fd, FILE_MODE)?;
                Ok(Some(fd.into()))
            }
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
            Err(e) => Err(self.fault(Step::Create, "", e)),
        }
    }

    /// Makes the directory `name`, which must not be there, with its mode.
    pub(crate) fn create_directory(&self, name: &str) -> Result<Self, MailboxError> {
        fs::mkdirat(&self.file, name, Mode::from_raw_mode(DIRECTORY_MODE))
            .map_err(|e| self.fault(Step::Create, name, e))?;
        self.open_to_owner(name)?;
        let made = self.directory(name)?;
        self.set_mode(name, &made.file, DIRECTORY_MODE)?;
        Ok(made)
    }

    /// A umask that takes the owner's own permissions leaves a new directory
    /// that cannot be opened. Its mode is changed through a handle, since a name
    /// could have become a symbolic link.
    fn open_to_owner(&self, name: &str) -> Result<(), MailboxError> {
        let handle = open_beneath(
            &self.file,
            name,
            OFlags::PATH | OFlags::DIRECTORY,
            Mode::empty(),
        )
        .map_err(|e| self.fault(Step::Open, name, e))?;
        let handle = File::from(handle);
        if self.metadata(name, &handle)?.mode() & DIRECTORY_MODE == DIRECTORY_MODE {
            return Ok(());
        }
        fs::chmod(
            descriptor_path(&handle),
            Mode::from_raw_mode(DIRECTORY_MODE),
        )
        .map_err(|e| self.fault(Step::Create, name, e))
    }

    /// Gives what bears a name, and is of the right kind, its mode. Gives the mode
    /// that it had where that was another; `None` also where it is not there, or
    /// of another kind.
    pub(crate) fn mend_mode(&self, name: &str, kind: Kind) -> Result<Option<u32>, MailboxError> {
        let fault = |e| self.fault(Step::Open, name, e);
        let mode = match kind {
            Kind::Directory => DIRECTORY_MODE,
            _ => FILE_MODE,
        };
        let file = match open_beneath(&self.file, name, OFlags::PATH, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(e) => return Err(fault(e)),
        };
        let status = fs::fstat(&file).map_err(fault)?;
        let found = status.st_mode & 0o777;
        if Kind::from(FileType::from_raw_mode(status.st_mode)) != kind || found == mode {
            return Ok(None);
        }
        fs::chmod(descriptor_path(&file), Mode::from_raw_mode(mode)).map_err(fault)?;
        Ok(Some(found))
    }

    /// Removes the name of a file where it is there. Says whether it was.
    pub(crate) fn remove_if_there(&self, name: &str) -> Result<bool, MailboxError> {
        match fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(self.fault(Step::Remove, name, e)),
        }
    }

    /// Makes the file `name` where it is missing; it is of now in either case.
    /// Says whether it was missing.
    pub(crate) fn create_or_touch(&self, name: &str) -> Result<bool, MailboxError> {
        let Some(file) = self.find_file(name, OFlags::WRONLY)? else {
            return self.create(name).map(|_| true);
        };
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: fs::UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        fs::futimens(file, &times).map_err(|e| self.fault(Step::Write, name, e))?;
        Ok(false)
    }

    /// Removes the name of a file.
    pub(crate) fn remove(&self, name: &str) -> Result<(), MailboxError> {
        fs::unlinkat(&self.file, name, AtFlags::empty())
            .map_err(|e| self.fault(Step::Remove, name, e))
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, name: &str) -> Result<(), MailboxError> {
        fs::unlinkat(&self.file, name, AtFlags::REMOVEDIR)
            .map_err(|e| self.fault(Step::Remove, name, e))
    }

    /// Brings the names in this directory onto the disk.
    pub(crate) fn sync(&self) -> Result<(), MailboxError> {
        Barrier::Directory
            .sync(&self.file)
            .map_err(|e| self.fault(Step::Sync, "", e))
    }

    /// All names in this directory, `.` and `..` left out, in no order.
    pub(crate) fn names(&self) -> Result<Vec<OsString>, MailboxError> {
        let fault = |e| self.fault(Step::Read, "", e);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.file).map_err(fault)? {
            let name = entry.map_err(fault)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// The device and the owner of this directory.
    pub(crate) fn device_and_owner(&self) -> Result<(u64, u32), MailboxError> {
        let metadata = self.metadata("", &self.file)?;
        Ok((metadata.dev(), metadata.uid()))
    }

    /// Its device and inode.
    pub(crate) fn inode(&self) -> Result<(u64, u64), MailboxError> {
        let metadata = self.metadata("", &self.file)?;
        Ok((metadata.dev(), metadata.ino()))
    }

    pub(crate) fn as_file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn metadata(&self, name: &str, file: &File) -> Result<Metadata, MailboxError> {
        file.metadata().map_err(|e| self.fault(Step::Open, name, e))
    }

    /// The error of a call that failed on `name`; the empty name is this directory.
    pub(crate) fn fault(
        &self,
        step: Step,
        name: impl AsRef<Path>,
        source: impl Into<io::Error>,
    ) -> MailboxError {
        if name.as_ref().as_os_str().is_empty() {
            MailboxError::io(step, &self.path, source)
        } else {
            MailboxError::io(step, &self.path.join(name), source)
        }
    }

    pub(crate) fn wrong_kind(&self, name: &str, expected: Kind) -> MailboxError {
        MailboxError::Kind {
            path: self.path.join(name),
            expected,
        }
    }

    /// The mode that a umask or a default access list left is replaced. Mostly it is
    /// right, and to look costs less than to set it.
    fn set_mode(&self, name: &str, file: impl AsFd, mode: u32) -> Result<(), MailboxError> {
        let fault = |e| self.fault(Step::Create, name, e);
        let status = fs::fstat(&file).map_err(fault)?;
        if status.st_mode & 0o7777 == mode {
            return Ok(());
        }
        fs::fchmod(file, Mode::from_raw_mode(mode)).map_err(fault)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A path to what a descriptor is open on, whatever its name; where `/proc` is
/// mounted.
pub(crate) fn descriptor_path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The directory that a path lies in, and its last component; `None` for a path
/// that has none.
pub(crate) fn split(path: &Path) -> Option<(&Path, &Path)> {
    let name = path.file_name()?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    Some((parent.unwrap_or(Path::new(".")), Path::new(name)))
}

fn open_beneath(
    directory: impl AsFd,
    name: impl AsRef<Path>,
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    let (directory, name) = (directory.as_fd(), name.as_ref());
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match retry_on_intr(|| fs::openat2(directory, name, flags, mode, resolve)) {
        // A kernel before 5.6, or a filter of system calls: every name opened
        // here is a single one, for which O_NOFOLLOW comes to the same.
        Err(Errno::NOSYS | Errno::PERM) => {
            retry_on_intr(|| fs::openat(directory, name, flags, mode))
        }
        result => result,
    }
}

/// "/", "." or a path that ends in "..": its last component is no symbolic link,
/// and its name is that of what it leads to.
fn open_unnamed(path: &Path) -> Result<(Directory, Option<(Directory, String)>), MailboxError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match retry_on_intr(|| fs::openat(CWD, path, flags, Mode::empty())) {
        Ok(fd) => Directory {
            file: fd.into(),
            path: path.to_owned(),
        },
        Err(Errno::NOENT) => return Err(MailboxError::NoFolder(path.to_owned())),
        Err(e) => return Err(MailboxError::io(Step::Open, path, e)),
    };
    let whole = path
        .canonicalize()
        .map_err(|e| MailboxError::io(Step::Open, path, e))?;
    match split(&whole) {
        None => Ok((opened, None)),
        Some(_) => {
            let (_, above) = Directory::open_in(&whole)?;
            Ok((opened, above))
        }
    }
}
