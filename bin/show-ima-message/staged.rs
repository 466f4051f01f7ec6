//! A file that gets its name only when it is whole.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::failure::Failure;

/// What a new file may be for others; the umask takes away from it.
const MODE: Mode = Mode::from_raw_mode(0o644);

/// The directory that files go to, held open: nobody can put another in its place.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// Opens a directory.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self {
                path: path.to_owned(),
                fd,
            }),
            Err(error) => Err(Failure::Directory(path.to_owned(), error.into())),
        }
    }

    /// The path of a name in it.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Has the names in it on disk.
    ///
    /// # Errors
    /// The disk cannot hold them.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }
}

/// A file in a directory that is not seen under its name yet. Where it never
/// gets one, nothing is left of it.
#[derive(Debug)]
pub(crate) struct Staged<'d> {
    directory: &'d Directory,
    pub(crate) file: File,
    /// The name that it has meanwhile, where the file system knows no files without one.
    temporary: Option<String>,
}

impl<'d> Staged<'d> {
    /// An empty one.
    ///
    /// # Errors
    /// The directory takes no file.
    pub(crate) fn new(directory: &'d Directory) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::openat(&directory.fd, c".", flags, MODE) {
            Ok(fd) => Ok(Self {
                directory,
                file: File::from(fd),
                temporary: None,
            }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                Self::with_temporary_name(directory)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn with_temporary_name(directory: &'d Directory) -> io::Result<Self> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let name = format!(".show-ima-message-{random:016x}");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&directory.fd, name.as_str(), flags, MODE)?;
        Ok(Self {
            directory,
            file: File::from(fd),
            temporary: Some(name),
        })
    }

    /// Has the octets on disk and gives the file its name, which may not be
    /// taken: not by a symbolic link either. The name itself is on disk after
    /// [`Directory::sync`].
    ///
    /// # Errors
    /// The name is taken (`AlreadyExists`), or the disk cannot hold it.
    pub(crate) fn place(mut self, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        let directory = &self.directory.fd;
        let Some(temporary) = &self.temporary else {
            let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, open, directory, name, AtFlags::SYMLINK_FOLLOW)?;
            return Ok(());
        };
        match rustix::fs::renameat_with(
            directory,
            temporary,
            directory,
            name,
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => self.temporary = None,
            // A file system that cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(directory, temporary, directory, name, AtFlags::empty())?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing more can be done about a name that stays.
            let _ = rustix::fs::unlinkat(&self.directory.fd, temporary, AtFlags::empty());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    type Make = for<'d> fn(&'d Directory) -> io::Result<Staged<'d>>;

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn with_and_without_a_temporary_name() {
        let makes: [Make; 2] = [|d| Staged::new(d), |d| Staged::with_temporary_name(d)];
        for make in makes {
            let folder = tempfile::tempdir().unwrap();
            let directory = Directory::open(folder.path()).unwrap();
            let mut staged = make(&directory).unwrap();
            staged.file.write_all(b"whole").unwrap();
            assert!(!names(folder.path()).contains(&"a".to_owned()));
            staged.place("a").unwrap();
            assert_eq!(names(folder.path()), ["a"]);
            assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"whole");

            drop(make(&directory).unwrap());
            assert_eq!(names(folder.path()), ["a"], "what is given up is gone");

            symlink("target", folder.path().join("link")).unwrap();
            for taken in ["a", "link"] {
                let error = make(&directory).unwrap().place(taken).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            }
            assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"whole");
            assert!(!folder.path().join("target").exists());
            assert_eq!(names(folder.path()).len(), 2);
        }
    }
}
