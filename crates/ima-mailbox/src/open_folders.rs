//! Folders that stay open from one message to the next, for a process that delivers
//! many: to open one costs a dozen system calls, and to see that it is still the one
//! at its path costs one.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use ima_message::HeaderBlock;

use crate::error::MailboxError;
use crate::folder::Folder;

/// Folders that are open at the same time, each with six descriptors.
const MOST: usize = 32;
/// After this long a folder is opened anew: permissions, and what is mounted beneath
/// it, change unseen.
const FRESH: Duration = Duration::from_secs(5);
/// A directory may change again, unseen, within the grain of its file system's clock:
/// only one that has been as it is for longer than this is known by its times.
const SETTLED: Duration = Duration::from_secs(2);

/// Folders that were opened, by their paths.
#[derive(Debug)]
pub struct OpenFolders {
    folders: HashMap<OsString, OpenFolder>,
    settled: Duration,
}

impl Default for OpenFolders {
    fn default() -> Self {
        Self {
            folders: HashMap::new(),
            settled: SETTLED,
        }
    }
}

#[derive(Debug)]
struct OpenFolder {
    folder: Arc<Folder>,
    opened: Instant,
    stamp: Stamp,
}

/// What shows that a path leads to the same directory, in which no name was made,
/// removed or given to another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    owner: u32,
    changed: (i64, i64),
}

impl OpenFolders {
    /// How long a folder stays open that nobody asks for: after it, [`OpenFolders::let_go`]
    /// is due.
    pub const IDLE: Duration = FRESH;

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// Closes them, so that nobody is kept from unmounting what they lie on.
    pub fn let_go(&mut self) {
        self.folders.clear();
    }

    /// The folder at a path, which could take a message that its sender brings, as
    /// [`Folder::can_deliver`]. Where it was opened in the last five seconds and has
    /// not changed since, only disk, inodes and quota are looked at once more.
    ///
    /// # Errors
    /// As [`Folder::open`] and [`Folder::can_deliver`].
    pub fn that_can_take(
        &mut self,
        path: &Path,
        header: &HeaderBlock,
    ) -> Result<Arc<Folder>, MailboxError> {
        let now = Instant::now();
        self.folders
            .retain(|_, open| now.saturating_duration_since(open.opened) < FRESH);
        if let Some(folder) = self.known(path) {
            folder.has_room_for(header)?;
            return Ok(folder);
        }
        // What changes while it is opened counts as changed.
        let before = Stamp::of(path);
        let folder = match Folder::open(path) {
            // Those that are open may be what is missing.
            Err(error) if error.is_shortage() && !self.folders.is_empty() => {
                self.folders.clear();
                Folder::open(path)
            }
            opened => opened,
        };
        let folder = Arc::new(folder?);
        folder.can_deliver(header)?;
        if let Some(stamp) = before
            .filter(|stamp| stamp.is_older_than(self.settled) && folder.inode() == stamp.inode)
        {
            if self.folders.len() >= MOST {
                self.folders.clear();
            }
            let open = OpenFolder {
                folder: Arc::clone(&folder),
                opened: now,
                stamp,
            };
            self.folders.insert(path.into(), open);
        }
        Ok(folder)
    }

    /// The folder that is open, where it is still the one at its path.
    fn known(&mut self, path: &Path) -> Option<Arc<Folder>> {
        let open = self.folders.get(path.as_os_str())?;
        if Stamp::of(path) == Some(open.stamp) {
            return Some(Arc::clone(&open.folder));
        }
        self.folders.remove(path.as_os_str());
        None
    }
}

impl Stamp {
    /// `None` where there is nothing, or it cannot be looked at. A symbolic link there
    /// is not followed.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some(Self {
            inode: (metadata.dev(), metadata.ino()),
            owner: metadata.uid(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether its last change lies so far behind.
    fn is_older_than(&self, age: Duration) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return false;
        };
        let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds));
        changed.is_some_and(|changed| changed.elapsed().is_ok_and(|passed| passed > age))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Place {
        _dir: tempfile::TempDir,
        inbox: PathBuf,
        open: OpenFolders,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let inbox = dir.path().join("inbox");
            Folder::create(&inbox).unwrap();
            let mut place = Self {
                _dir: dir,
                inbox,
                open: OpenFolders {
                    settled: Duration::ZERO,
                    ..OpenFolders::default()
                },
            };
            // A clock may stand still for some milliseconds.
            while place.open.folders.is_empty() {
                place.ask().unwrap();
            }
            place
        }

        fn ask(&mut self) -> Result<Arc<Folder>, MailboxError> {
            let header = HeaderBlock::parse(
                b"ima: 1\nfrom: a@a.test\nto: b@b.test\nsubject: x\ndate: 2026-11-22T09:30:00Z\n\
                  id: 1@a.test\npart: text/plain 0 sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4\
                  649b934ca495991b7852b855\nsize: 0\n\n",
            );
            self.open.that_can_take(&self.inbox, &header.unwrap())
        }

        /// Does something to the folder's names, and to another until the clock shows
        /// that.
        fn change(&self, what: impl FnOnce(&Path)) {
            let before = Stamp::of(&self.inbox);
            what(&self.inbox);
            while Stamp::of(&self.inbox) == before {
                fs::write(self.inbox.join("other"), "").unwrap();
                fs::remove_file(self.inbox.join("other")).unwrap();
            }
        }
    }

    #[test]
    fn a_folder_that_stays_as_it_is_is_opened_once() {
        let mut place = Place::new();
        let first = place.ask().unwrap();
        assert!(Arc::ptr_eq(&first, &place.ask().unwrap()));
    }

    #[test]
    fn a_folder_that_changed_a_moment_ago_is_not_kept() {
        let mut place = Place::new();
        place.open = OpenFolders::default();
        let first = place.ask().unwrap();
        assert!(!Arc::ptr_eq(&first, &place.ask().unwrap()));
    }

    #[test]
    fn a_directory_that_was_put_in_the_place_of_another_is_seen() {
        let mut place = Place::new();
        let before = place.ask().unwrap();
        place.change(|inbox| {
            fs::rename(inbox.join("messages"), inbox.join("tmp/messages")).unwrap();
            fs::create_dir(inbox.join("messages")).unwrap();
        });
        let after = place.ask().unwrap();
        assert!(!Arc::ptr_eq(&before, &after));
        let inode = fs::metadata(place.inbox.join("messages")).unwrap().ino();
        assert_eq!(after.messages.as_file().metadata().unwrap().ino(), inode);
    }

    #[test]
    fn a_folder_that_was_put_elsewhere_or_removed_is_seen() {
        let mut place = Place::new();
        let before = place.ask().unwrap();
        let elsewhere = place.inbox.with_file_name("elsewhere");
        fs::rename(&place.inbox, &elsewhere).unwrap();
        assert!(matches!(place.ask(), Err(MailboxError::NoFolder(_))));
        Folder::create(&place.inbox).unwrap();
        let after = place.ask().unwrap();
        assert_ne!(before.inode(), after.inode());
    }

    #[test]
    fn no_more_than_so_many_are_open() {
        let mut place = Place::new();
        let above = place.inbox.clone();
        for n in 0..MOST + 2 {
            place.inbox = above.with_file_name(format!("inbox{n}"));
            Folder::create(&place.inbox).unwrap();
            place.ask().unwrap();
            assert!(place.open.folders.len() <= MOST);
        }
    }
}
