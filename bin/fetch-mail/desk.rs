//! `.fetch-mail` in the mailbox: what is kept from one run to the next and is
//! no mail.
//!
//! ```text
//! .fetch-mail/
//!   lock               held while mail is being fetched
//!   state              whose mailbox this is, and the tokens of its folders
//!   partial/SHA256     an attachment, as far as it has come
//!   partial/DIGEST.message   a message that waits for its attachments
//!   headers/FOLDER/DIGEST    the header block of a message that is not fetched
//! ```
//!
//! It may be removed at any time when no run goes on: then the next one lists
//! all that there is, and fetches what is missing.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ima_message::{FolderName, HeaderBlock};
use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, flock, fsync, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use crate::failure::Failure;

/// The directory's name.
pub const NAME: &str = ".fetch-mail";
const LOCK: &str = "lock";
const STATE: &str = "state";
const NEW_STATE: &str = "state.new";
const PARTIAL: &str = "partial";
const HEADERS: &str = "headers";
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o700);
/// The longest state that is read or written, in octets.
pub const MAX_STATE: u64 = 256 << 20;

/// The directory, open and locked. Nothing in it is reached through a symbolic
/// link.
#[derive(Debug)]
pub struct Desk {
    dir: OwnedFd,
    partial: OwnedFd,
    path: PathBuf,
    /// Octets in `partial/` when this run began.
    kept: u64,
    /// The names in `partial/`: nobody else makes or removes any.
    names: RefCell<BTreeSet<String>>,
    /// The state that is on the disk, as far as it is known.
    state: Option<Vec<u8>>,
    _lock: OwnedFd,
}

impl Desk {
    /// Opens it in a mailbox, or makes it.
    ///
    /// # Errors
    /// [`Failure::Busy`] where another run holds it; a fault.
    pub fn open(mailbox: &Path) -> Result<Self, Failure> {
        let path = mailbox.join(NAME);
        let dir = directory(CWD, &path).map_err(Failure::io("make", &path))?;
        let lock = path.join(LOCK);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = retry_on_intr(|| openat(&dir, LOCK, flags, FILE_MODE))
            .map_err(|error| Failure::io("open", &lock)(error.into()))?;
        match retry_on_intr(|| flock(&held, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Failure::Busy(mailbox.to_owned())),
            Err(error) => return Err(Failure::io("lock", lock)(error.into())),
        }
        let partial =
            directory(&dir, Path::new(PARTIAL)).map_err(Failure::io("make", path.join(PARTIAL)))?;
        let mut desk = Self {
            dir,
            partial,
            path,
            kept: 0,
            names: RefCell::default(),
            state: None,
            _lock: held,
        };
        for name in desk.partials()? {
            let size = statat(&desk.partial, &*name, AtFlags::SYMLINK_NOFOLLOW);
            let size = size.map_or(0, |data| u64::try_from(data.st_size).unwrap_or(0));
            desk.kept = desk.kept.saturating_add(size);
            desk.names.borrow_mut().insert(name);
        }
        Ok(desk)
    }

    /// How much room there must be for so many octets to come and so many to be
    /// copied. What an earlier run has left may be some of the former.
    pub fn needs(&self, coming: u64, copied: u64) -> u64 {
        coming.saturating_sub(self.kept).saturating_add(copied)
    }

    /// Where the state is.
    pub fn state_path(&self) -> PathBuf {
        self.path.join(STATE)
    }

    /// The state as it was written; `None` where there is none.
    ///
    /// # Errors
    /// A fault.
    pub fn state(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let read = || -> io::Result<Vec<u8>> {
            let file = retry_on_intr(|| openat(&self.dir, STATE, flags, Mode::empty()))?;
            let mut octets = Vec::new();
            File::from(file).take(MAX_STATE).read_to_end(&mut octets)?;
            Ok(octets)
        };
        match read() {
            Ok(octets) => {
                self.state = Some(octets.clone());
                Ok(Some(octets))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("read", self.state_path())(error)),
        }
    }

    /// Puts a state in the place of the old, where it is another one. On return it
    /// would survive a power cut.
    ///
    /// # Errors
    /// [`Failure::LongState`]: the old state is there still; a fault: that one, or
    /// the new one.
    pub fn write_state(&mut self, octets: &[u8]) -> Result<(), Failure> {
        if self.state.as_deref() == Some(octets) {
            return Ok(());
        }
        if u64::try_from(octets.len()).is_ok_and(|length| length <= MAX_STATE) {
            self.state = None;
        } else {
            return Err(Failure::LongState(self.state_path()));
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || -> io::Result<()> {
            let file = retry_on_intr(|| openat(&self.dir, NEW_STATE, flags, FILE_MODE))?;
            let mut file = File::from(file);
            file.write_all(octets)?;
            file.sync_all()?;
            renameat(&self.dir, NEW_STATE, &self.dir, STATE)?;
            Ok(retry_on_intr(|| fsync(&self.dir))?)
        };
        write().map_err(Failure::io("write", self.state_path()))?;
        self.state = Some(octets.to_vec());
        Ok(())
    }

    /// Whether anything is in `partial/`.
    pub fn has_partials(&self) -> bool {
        !self.names.borrow().is_empty()
    }

    /// Opens a file of `partial/`; `None` where there is none.
    ///
    /// # Errors
    /// A fault; also where it is no regular file.
    pub fn partial(&self, name: &str) -> Result<Option<File>, Failure> {
        if !self.names.borrow().contains(name) {
            return Ok(None);
        }
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NONBLOCK;
        self.open_partial(name, flags, "open")
    }

    /// Opens a file of `partial/` to write behind what it holds; makes it where
    /// there is none.
    ///
    /// # Errors
    /// A fault.
    pub fn begin_partial(&self, name: &str) -> Result<File, Failure> {
        self.names.borrow_mut().insert(name.to_owned());
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
        let file = self.open_partial(name, flags, "make")?;
        file.ok_or_else(|| Failure::io("make", self.partial_path(name))(Errno::NOENT.into()))
    }

    fn open_partial(
        &self,
        name: &str,
        flags: OFlags,
        step: &'static str,
    ) -> Result<Option<File>, Failure> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match retry_on_intr(|| openat(&self.partial, name, flags, FILE_MODE)) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Failure::io(step, self.partial_path(name))(error.into())),
        }
    }

    /// Removes a file of `partial/`, where it is there.
    ///
    /// # Errors
    /// A fault.
    pub fn remove_partial(&self, name: &str) -> Result<(), Failure> {
        if !self.names.borrow_mut().remove(name) {
            return Ok(());
        }
        match unlinkat(&self.partial, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(Failure::io("remove", self.partial_path(name))(error.into())),
        }
    }

    /// The names in `partial/`.
    fn partials(&self) -> Result<Vec<String>, Failure> {
        let names = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.partial)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') {
                    names.push(name);
                }
            }
            Ok(names)
        };
        names().map_err(Failure::io("read", self.path.join(PARTIAL)))
    }

    /// Removes all of `partial/`.
    ///
    /// # Errors
    /// A fault.
    pub fn clear_partials(&self) -> Result<(), Failure> {
        let names = self.partials()?;
        names.iter().try_for_each(|name| self.remove_partial(name))
    }

    /// Keeps the header block of a message that is not here.
    ///
    /// # Errors
    /// A fault.
    pub fn keep_header(&self, folder: &FolderName, header: &HeaderBlock) -> Result<(), Failure> {
        let path = self.path.join(HEADERS).join(folder.as_str());
        let name = header.digest().to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let write = || -> io::Result<()> {
            let headers = directory(&self.dir, Path::new(HEADERS))?;
            let folder = directory(&headers, Path::new(folder.as_str()))?;
            let flags = flags | OFlags::CLOEXEC;
            let file = retry_on_intr(|| openat(&folder, &*name, flags, FILE_MODE))?;
            File::from(file).write_all(header.as_bytes())
        };
        write().map_err(Failure::io("write", path.join(&name)))
    }

    /// Removes all header blocks that were kept.
    ///
    /// # Errors
    /// A fault.
    pub fn clear_headers(&self) -> Result<(), Failure> {
        let path = self.path.join(HEADERS);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Where a file of `partial/` is, for messages.
    pub fn partial_path(&self, name: &str) -> PathBuf {
        self.path.join(PARTIAL).join(name)
    }
}

/// Opens a directory, or makes it.
fn directory(above: impl std::os::fd::AsFd, name: &Path) -> io::Result<OwnedFd> {
    match mkdirat(&above, name, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| {
        openat(&above, name, flags, Mode::empty())
    })?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::{Desk, MAX_STATE};
    use crate::failure::Failure;

    #[test]
    fn a_state_that_could_not_be_read_again_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut desk = Desk::open(dir.path()).unwrap();
        desk.write_state(b"the old one").unwrap();
        let long = vec![0; usize::try_from(MAX_STATE).unwrap() + 1];
        let written = desk.write_state(&long);
        assert!(matches!(written, Err(Failure::LongState(_))), "{written:?}");
        assert_eq!(desk.state().unwrap().unwrap(), b"the old one");
    }
}
