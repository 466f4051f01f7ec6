//! Where users are said: one file, or a folder whose `*.toml` files count. Names
//! that begin with a dot, other names (backups, notes), and folders below do not.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ima_program::log;

use super::Table;
use super::entry::{self, Entry};
use super::error::UsersError;

/// How often the files are looked at, at most, as long as logins succeed.
const INTERVAL: Duration = Duration::from_secs(1);
/// Where one fails they are looked at again, but for no more than one part in so
/// many of all time.
const SHARE: u32 = 20;

/// A file or folder, and what it says.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    current: RwLock<Arc<Table>>,
    seen: Mutex<Seen>,
    interval: Duration,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    /// How long that look took.
    took: Duration,
    files: BTreeMap<PathBuf, Known>,
    /// Why the files could not be found the last time, which is logged once.
    wrong: Option<String>,
}

/// One file as it was read last.
#[derive(Debug, Default)]
struct Known {
    /// `None`: it could not be read so far.
    stamp: Option<Stamp>,
    entries: Vec<Entry>,
    /// Why it could not be read the last time, which is logged once.
    unread: Option<String>,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The users of a file or folder with the places where they are said, by
/// address.
///
/// # Errors
/// Where it is not there or wrong, or a user stands in it twice.
pub fn entries(path: &Path) -> Result<Vec<Entry>, UsersError> {
    let mut all = Vec::new();
    for (file, metadata) in files(path)? {
        all.extend(read(&file, &metadata)?);
    }
    Table::new(&all)?;
    all.sort_by_cached_key(|entry| entry.user.address().canonical());
    Ok(all)
}

impl Source {
    /// Reads everything for the first time.
    pub(super) fn open(path: &Path) -> Result<Self, UsersError> {
        let at = Instant::now();
        let mut known = BTreeMap::new();
        for (file, metadata) in files(path)? {
            let entries = read(&file, &metadata)?;
            warn_of_readers(&file, &metadata);
            let of_file = Known {
                stamp: Some(Stamp::of(&metadata)),
                entries,
                unread: None,
            };
            known.insert(file, of_file);
        }
        let table = Table::new(known.values().flat_map(|known| &known.entries))?;
        Ok(Self {
            path: path.to_owned(),
            current: RwLock::new(Arc::new(table)),
            seen: Mutex::new(Seen {
                at,
                took: at.elapsed(),
                files: known,
                wrong: None,
            }),
            interval: INTERVAL,
        })
    }

    /// What it says now, or said at most a second ago.
    pub(super) fn current(&self) -> Arc<Table> {
        self.look(|_| self.interval);
        self.kept()
    }

    /// What it says now, where that is not this. For who was refused: a user who
    /// was added a moment ago is none yet.
    pub(super) fn other_than(&self, table: &Arc<Table>) -> Option<Arc<Table>> {
        self.look(|seen| seen.took.saturating_mul(SHARE));
        Some(self.kept()).filter(|kept| !Arc::ptr_eq(kept, table))
    }

    fn kept(&self) -> Arc<Table> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Looks at the files, where the last look was that long ago. Whoever finds
    /// another thread looking takes what is there.
    fn look(&self, pause: impl Fn(&Seen) -> Duration) {
        let Ok(mut seen) = self.seen.try_lock() else {
            return;
        };
        if seen.at.elapsed() < pause(&seen) {
            return;
        }
        let begin = Instant::now();
        let table = seen.look(&self.path);
        (seen.at, seen.took) = (Instant::now(), begin.elapsed());
        if let Some(table) = table {
            log::info("users-read-again").emit();
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        }
    }

    #[cfg(test)]
    pub(super) fn looking_always(mut self) -> Self {
        self.interval = Duration::ZERO;
        self
    }
}

impl Seen {
    /// A new table, where something has changed and the whole is right. A file
    /// that is wrong says what it said before.
    fn look(&mut self, path: &Path) -> Option<Table> {
        let found = match files(path) {
            Ok(found) => found,
            Err(error) => {
                self.complain(&error);
                return None;
            }
        };
        self.wrong = None;
        let mut has_changed = false;
        let mut files = BTreeMap::new();
        for (file, metadata) in found {
            let mut known = self.files.remove(&file).unwrap_or_default();
            has_changed |= known.look(&file, &metadata, read);
            files.insert(file, known);
        }
        // What is left is there no more.
        has_changed |= !self.files.is_empty();
        self.files = files;
        if !has_changed {
            return None;
        }
        match Table::new(self.files.values().flat_map(|known| &known.entries)) {
            Ok(table) => Some(table),
            Err(error) => {
                log_kept(&error);
                None
            }
        }
    }

    fn complain(&mut self, error: &UsersError) {
        let said = error.to_string();
        if self.wrong.as_ref() != Some(&said) {
            log_kept(error);
            self.wrong = Some(said);
        }
    }
}

impl Known {
    /// Reads the file where it has changed; true: it says something else. What is
    /// wrong in it is looked at again when it changes. Where it could not be read
    /// that is nothing that it says: it is tried again the next time.
    fn look(
        &mut self,
        file: &Path,
        metadata: &Metadata,
        read: impl Fn(&Path, &Metadata) -> Result<Vec<Entry>, UsersError>,
    ) -> bool {
        let stamp = Some(Stamp::of(metadata));
        if self.stamp == stamp {
            self.unread = None;
            return false;
        }
        let outcome = read(file, metadata);
        if let Err(error @ UsersError::Unreadable { .. }) = &outcome {
            let said = ima_program::report::chain(error).to_string();
            if self.unread.as_ref() != Some(&said) {
                log_kept(error);
                self.unread = Some(said);
            }
            return false;
        }
        self.stamp = stamp;
        self.unread = None;
        warn_of_readers(file, metadata);
        match outcome {
            Ok(entries) => {
                self.entries = entries;
                true
            }
            Err(error) => {
                log_kept(&error);
                false
            }
        }
    }
}

fn log_kept(error: &UsersError) {
    log::error("users-not-read-again")
        .field("error", ima_program::report::chain(error))
        .field("consequence", "what was read before holds")
        .emit();
}

/// Hashes can be guessed at by whoever reads them.
fn warn_of_readers(file: &Path, metadata: &Metadata) {
    if metadata.mode() & 0o004 != 0 {
        log::warn("users-readable-by-all")
            .field("file", file.display())
            .field("advice", "take the right away with chmod o-r")
            .emit();
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mode: metadata.mode(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The files that count, in the order of their names. Their metadata are of a
/// moment before they are read: a change in between is seen the next time.
fn files(path: &Path) -> Result<Vec<(PathBuf, Metadata)>, UsersError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| UsersError::Unreadable { path, source }
    };
    let metadata = match fs::metadata(path) {
        Err(error) if is_absent(&error) => {
            let path = path.to_owned();
            return Err(UsersError::NotThere { path });
        }
        found => found.map_err(unreadable(path))?,
    };
    if !metadata.is_dir() {
        return Ok(vec![(path.to_owned(), metadata)]);
    }
    refuse_writers(path, &metadata)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable(path))? {
        let file = entry.map_err(unreadable(path))?.path();
        if !counts(&file) {
            continue;
        }
        match fs::metadata(&file) {
            Ok(metadata) => found.push((file, metadata)),
            // Removed since, unless it is a link to nowhere.
            Err(error) if is_absent(&error) && file.symlink_metadata().is_err() => {}
            Err(source) => return Err(UsersError::Unreadable { path: file, source }),
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

fn counts(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b".toml") && !name.starts_with(b".")
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn read(file: &Path, metadata: &Metadata) -> Result<Vec<Entry>, UsersError> {
    if !metadata.is_file() {
        let path = file.to_owned();
        return Err(UsersError::Kind { path });
    }
    refuse_writers(file, metadata)?;
    let octets = fs::read(file).map_err(|source| UsersError::Unreadable {
        path: file.to_owned(),
        source,
    })?;
    Ok(entry::parse(&octets, file)?)
}

fn refuse_writers(path: &Path, metadata: &Metadata) -> Result<(), UsersError> {
    if metadata.mode() & 0o002 != 0 {
        let path = path.to_owned();
        return Err(UsersError::Writable { path });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A fault of the moment: the disk, or no descriptor left.
    fn unreadable(path: &Path, _: &Metadata) -> Result<Vec<Entry>, UsersError> {
        let path = path.to_owned();
        let source = io::Error::from(rustix::io::Errno::MFILE);
        Err(UsersError::Unreadable { path, source })
    }

    #[test]
    fn what_cannot_be_read_at_the_moment_is_read_later() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("users.toml");
        let write = |name: &str| {
            let text = format!("[\"{name}@b.test\"]\nmailbox = \"m\"\n");
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            fs::metadata(&file).unwrap()
        };
        let who = |known: &Known| -> Vec<String> {
            let users = known.entries.iter();
            users
                .map(|entry| entry.user.address().canonical())
                .collect()
        };
        let mut known = Known::default();
        let metadata = write("withdrawn");
        assert!(!known.look(&file, &metadata, unreadable));
        assert!(known.look(&file, &metadata, read));
        assert_eq!(who(&known), ["withdrawn@b.test"]);

        let metadata = write("new");
        for _ in 0..2 {
            assert!(!known.look(&file, &metadata, unreadable));
            assert_eq!(who(&known), ["withdrawn@b.test"]);
            assert!(known.unread.as_ref().unwrap().contains("users.toml"));
        }
        // The same file, of which nothing has changed since.
        assert!(known.look(&file, &metadata, read));
        assert_eq!(
            (who(&known), known.unread.is_none()),
            (vec!["new@b.test".to_owned()], true)
        );
        assert!(!known.look(&file, &metadata, unreadable));

        // One that is wrong is read once, and takes nothing away.
        fs::write(&file, "[bob\n").unwrap();
        let metadata = fs::metadata(&file).unwrap();
        assert!(!known.look(&file, &metadata, read));
        assert!(!known.look(&file, &metadata, unreadable));
        assert_eq!(
            (who(&known), known.unread),
            (vec!["new@b.test".to_owned()], None)
        );
    }
}
