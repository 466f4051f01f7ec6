//! The directories of a Maildir: `new`, `cur` and `tmp`.
//!
//! A mail is written into `tmp`, synced, and renamed to where it is seen. Names
//! are made of digests, so that what a killed process leaves in `tmp` is written
//! over by the next one that stores the same message.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use ima_message::DateTime;

const DIRECTORIES: [&str; 3] = ["tmp", "new", "cur"];
/// Mails that are synced as they are written; for more of them the file system is.
const SYNCED_EACH: usize = 16;

/// A Maildir by its path.
#[derive(Debug)]
pub struct Maildir {
    path: PathBuf,
    /// Mails in `tmp`, and where each is to be.
    staged: Vec<(String, Place, String)>,
}

/// Where a mail lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In `new`: no mail program has seen it.
    New,
    /// In `cur`.
    Cur,
}

/// A file of a Maildir.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mail {
    /// In which directory.
    pub place: Place,
    /// Its name there.
    pub name: String,
}

/// A system call failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}", .path.display())]
pub struct MaildirError {
    /// What was tried.
    pub step: &'static str,
    /// With what.
    pub path: PathBuf,
    /// How it failed.
    pub source: io::Error,
}

impl Place {
    /// The name of the directory.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Cur => "cur",
        }
    }
}

impl Maildir {
    /// The Maildir at a path; `None` where `new` or `cur` is no directory.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        let is_directory =
            |name: &str| fs::symlink_metadata(path.join(name)).is_ok_and(|m| m.is_dir());
        (is_directory("new") && is_directory("cur")).then(|| Self {
            path: path.to_owned(),
            staged: Vec::new(),
        })
    }

    /// Makes what is missing of a Maildir, for its user alone; the directory above
    /// it must be there.
    ///
    /// # Errors
    /// A fault.
    pub fn create(path: &Path) -> Result<Self, MaildirError> {
        make(path)?;
        for name in DIRECTORIES {
            make(&path.join(name))?;
        }
        sync(path)?;
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            sync(above)?;
        }
        Ok(Self {
            path: path.to_owned(),
            staged: Vec::new(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    #[must_use]
    pub fn path_of(&self, mail: &Mail) -> PathBuf {
        self.path.join(mail.place.as_str()).join(&mail.name)
    }

    /// Its mails, sorted by name. What begins with a dot, is no regular file or
    /// has a name that is no UTF-8 is none. A file that is renamed meanwhile may be
    /// missed, or be there twice.
    ///
    /// # Errors
    /// A fault.
    pub fn mails(&self) -> Result<Vec<Mail>, MaildirError> {
        let mut mails = Vec::new();
        for place in [Place::New, Place::Cur] {
            let path = self.path.join(place.as_str());
            let entries = fs::read_dir(&path).map_err(fault("read", &path))?;
            for entry in entries {
                let entry = entry.map_err(fault("read", &path))?;
                let is_file = match entry.file_type() {
                    Ok(kind) => kind.is_file(),
                    // Renamed or removed meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                    Err(error) => return Err(fault("read", &path)(error)),
                };
                let name = entry.file_name().into_string().ok();
                let name = name.filter(|name| is_file && !name.starts_with('.'));
                mails.extend(name.map(|name| Mail { place, name }));
            }
        }
        mails.sort_by(|a, b| (&a.name, a.place).cmp(&(&b.name, b.place)));
        Ok(mails)
    }

    /// Writes a mail into `tmp`, to be seen under a name after
    /// [`commit`](Self::commit). Its file's time is when it arrived.
    ///
    /// # Errors
    /// A fault of this side or of `write`; nothing of the mail stays.
    pub fn stage(
        &mut self,
        stem: &str,
        place: Place,
        name: String,
        arrived: &DateTime,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), MaildirError> {
        let path = self.path.join("tmp").join(stem);
        let written = write_file(&path, arrived, self.staged.len() < SYNCED_EACH, write);
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(fault("write", &path)(error));
        }
        self.staged.push((stem.to_owned(), place, name));
        Ok(())
    }

    /// How many mails are staged.
    #[must_use]
    pub fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Gives the staged mails their names. On return they would survive a power
    /// cut. Many of them are brought onto the disk with all of the file system that
    /// holds this directory, where `can_sync_whole` says that syncfs(2) does that and
    /// tells of faults.
    ///
    /// # Errors
    /// A fault; some of them may have their names then.
    pub fn commit(
        &mut self,
        can_sync_whole: impl FnOnce(&File) -> bool,
    ) -> Result<(), MaildirError> {
        let tmp = self.path.join("tmp");
        let staged = std::mem::take(&mut self.staged);
        if let Some(unsynced) = staged.get(SYNCED_EACH..).filter(|rest| !rest.is_empty()) {
            let directory = File::open(&tmp).map_err(fault("open", &tmp))?;
            if can_sync_whole(&directory) {
                rustix::fs::syncfs(&directory).map_err(|e| fault("sync", &tmp)(e.into()))?;
            } else {
                for (stem, ..) in unsynced {
                    sync(&tmp.join(stem))?;
                }
            }
        }
        let mut touched = Vec::new();
        for (stem, place, name) in staged {
            let path = self.path.join(place.as_str()).join(name);
            fs::rename(tmp.join(stem), &path).map_err(fault("rename", &path))?;
            if !touched.contains(&place) {
                touched.push(place);
            }
        }
        for place in touched {
            sync(&self.path.join(place.as_str()))?;
        }
        Ok(())
    }

    /// Gives a mail another name, as mail programs do when its flags change. Not
    /// where it is gone: [`io::ErrorKind::NotFound`].
    ///
    /// # Errors
    /// A fault.
    pub fn rename(&self, mail: &Mail, place: Place, name: String) -> Result<(), MaildirError> {
        let (from, to) = (self.path_of(mail), self.path_of(&Mail { place, name }));
        if from != to {
            fs::rename(&from, &to).map_err(fault("rename", &from))?;
        }
        Ok(())
    }

    /// Removes a mail; one that is gone is no fault.
    ///
    /// # Errors
    /// A fault.
    pub fn remove(&self, mail: &Mail) -> Result<(), MaildirError> {
        let path = self.path_of(mail);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(fault("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn write_file(
    path: &Path,
    arrived: &DateTime,
    is_synced: bool,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let mut out = BufWriter::with_capacity(64 << 10, file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let seconds = u64::try_from(arrived.unix_seconds()).unwrap_or_default();
    if let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        file.set_times(FileTimes::new().set_modified(time))?;
    }
    if is_synced { file.sync_all() } else { Ok(()) }
}

/// Makes a directory where there is none.
fn make(path: &Path) -> Result<(), MaildirError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(fault("make", path)),
    }
}

fn sync(path: &Path) -> Result<(), MaildirError> {
    File::open(path)
        .and_then(|opened| opened.sync_all())
        .map_err(fault("sync", path))
}

fn fault(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MaildirError {
    let path = path.to_owned();
    move |source| MaildirError { step, path, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Whether it was asked how many files are synced.
    fn commits(count: usize, can_sync_whole: bool) -> bool {
        let place = tempfile::tempdir().unwrap();
        let mut maildir = Maildir::create(&place.path().join("m")).unwrap();
        let arrived = DateTime::parse("2026-11-22T09:30:00Z").unwrap();
        for number in 0..count {
            let name = number.to_string();
            let write = &mut |out: &mut dyn Write| out.write_all(b"text");
            maildir
                .stage(&name, Place::New, name.clone(), &arrived, write)
                .unwrap();
        }
        assert_eq!(maildir.mails().unwrap(), []);
        let is_asked = Cell::new(false);
        let answer = |_: &File| {
            is_asked.set(true);
            can_sync_whole
        };
        maildir.commit(answer).unwrap();
        assert_eq!(
            (maildir.staged(), maildir.mails().unwrap().len()),
            (0, count)
        );
        is_asked.get()
    }

    #[test]
    fn many_are_synced_together_where_that_can_be_done() {
        assert!(!commits(SYNCED_EACH, true));
        assert!(commits(SYNCED_EACH + 1, true));
        assert!(commits(SYNCED_EACH + 1, false));
    }
}
