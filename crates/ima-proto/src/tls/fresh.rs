//! A value that was read from files and is read again when they change.

use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ima_program::log;

/// How often the files are looked at, at most.
const INTERVAL: Duration = Duration::from_secs(1);

type Load<T, E> = Box<dyn Fn() -> Result<T, E> + Send + Sync>;

/// A value and the files it came from. Whoever asks for it after they have
/// changed gets the new one; where that does not load, the old one stays.
pub(super) struct Fresh<T, E> {
    files: Vec<PathBuf>,
    load: Load<T, E>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Seen>,
    interval: Duration,
}

struct Seen {
    at: Instant,
    stamps: Vec<Option<Stamp>>,
}

/// What tells one state of a file from another without reading it.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T, E: Display> Fresh<T, E> {
    /// Loads the value for the first time.
    pub(super) fn new(files: Vec<PathBuf>, load: Load<T, E>) -> Result<Fresh<T, E>, E> {
        // Before the files are read: a change in between is seen the next time.
        let stamps = stamps(&files);
        let current = RwLock::new(Arc::new(load()?));
        let at = Instant::now();
        Ok(Fresh {
            files,
            load,
            current,
            seen: Mutex::new(Seen { at, stamps }),
            interval: INTERVAL,
        })
    }

    /// The value as the files have it now, or had it at most a second ago. A new
    /// state that does not load is logged once, and the value stays.
    pub(super) fn current(&self) -> Arc<T> {
        // Whoever finds another thread looking takes what is there.
        if let Ok(mut seen) = self.seen.try_lock()
            && seen.at.elapsed() >= self.interval
        {
            seen.at = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != seen.stamps {
                seen.stamps = stamps;
                self.reload();
            }
        }
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn reload(&self) {
        match (self.load)() {
            Ok(value) => {
                log::info("certificates-read-again")
                    .field("files", List(&self.files))
                    .emit();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
            }
            Err(error) => log::error("certificates-not-read-again")
                .field("error", error)
                .field("consequence", "those read before stay in use")
                .emit(),
        }
    }

    #[cfg(test)]
    pub(super) fn looking_always(mut self) -> Self {
        self.interval = Duration::ZERO;
        self
    }
}

impl<T: std::fmt::Debug, E> std::fmt::Debug for Fresh<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fresh")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Names with commas between them.
struct List<'a>(&'a [PathBuf]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, file)| match i {
            0 => write!(f, "{}", file.display()),
            _ => write!(f, ", {}", file.display()),
        })
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    };
    files.iter().map(stamp).collect()
}
