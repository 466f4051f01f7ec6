//! The configuration as it stands now, for a process that serves many messages.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Setup;
use crate::failure::Failure;

/// A file may change again, unseen, within the grain of its file system's clock.
/// So a configuration counts as read for good only once it is older than this.
const SETTLED: Duration = Duration::from_secs(2);

/// Addresses looked up after which the table is read again: it remembers some of
/// what it was asked, and a stranger chooses what that is.
const LOOKED_UP: usize = 10_000;

/// Reads the configuration when it is first needed, and again where it changed.
pub(crate) struct Current {
    option: Option<PathBuf>,
    known: Option<Known>,
}

struct Known {
    setup: Setup,
    /// What the files were like when they were read; None where one may have
    /// changed since without looking different.
    stamps: Option<Vec<Stamp>>,
    looked_up: usize,
}

/// What shows that a file is another, or has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    octets: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Current {
    /// The configuration that `option` (of `--config`), the environment or the
    /// default names. Nothing is read yet.
    pub(crate) fn new(option: Option<PathBuf>) -> Self {
        Self {
            option,
            known: None,
        }
    }

    /// The configuration for a message to so many recipients.
    ///
    /// # Errors
    /// As [`Setup::load`]; the next message tries again.
    pub(crate) fn setup(&mut self, recipients: usize) -> Result<&Setup, Failure> {
        let known = match self.known.take().filter(Known::is_current) {
            Some(known) => known,
            None => Known::read(self.option.as_deref())?,
        };
        let known = self.known.insert(known);
        known.looked_up = known.looked_up.saturating_add(recipients);
        Ok(&known.setup)
    }
}

impl Known {
    fn read(option: Option<&Path>) -> Result<Self, Failure> {
        // What changes while it is read counts as changed.
        let now = SystemTime::now();
        let setup = Setup::load(option)?;
        let stamps: Option<Vec<_>> = setup.files.iter().map(|file| Stamp::of(file)).collect();
        let stamps = stamps.filter(|stamps| stamps.iter().all(|stamp| stamp.is_settled(now)));
        Ok(Self {
            setup,
            stamps,
            looked_up: 0,
        })
    }

    fn is_current(&self) -> bool {
        let Some(stamps) = &self.stamps else {
            return false;
        };
        let mut files = self.setup.files.iter().zip(stamps);
        self.looked_up < LOOKED_UP && files.all(|(file, stamp)| Stamp::of(file) == Some(*stamp))
    }
}

impl Stamp {
    /// None where there is no such file, or it cannot be looked at.
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            octets: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the last change lies behind us for so long that a further one
    /// would show.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, _) = self.changed;
        let Ok(seconds) = u64::try_from(seconds) else {
            return true;
        };
        let changed = UNIX_EPOCH + Duration::from_secs(seconds);
        now.duration_since(changed).is_ok_and(|age| age > SETTLED)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_a_moment_ago_may_change_again_unseen() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("file");
        assert_eq!(Stamp::of(&file), None);
        fs::write(&file, "one").unwrap();
        let one = Stamp::of(&file).unwrap();
        let now = SystemTime::now();
        assert!(!one.is_settled(now));
        assert!(one.is_settled(now + SETTLED + Duration::from_secs(2)));
        fs::write(&file, "three").unwrap();
        assert_ne!(Stamp::of(&file), Some(one));
    }
}
