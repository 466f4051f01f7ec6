//! A value that was read from files and is read again when they change.

use std::fmt::{self, Display};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ima_program::log;

/// How often the files are looked at, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// A value that was read, and how a newer one is found. Whoever asks for it after
/// it has changed gets the new one; where that does not load, the old one stays.
pub(super) struct Fresh<T> {
    current: RwLock<Arc<T>>,
    next: Mutex<Next<T>>,
    interval: Duration,
}

struct Next<T> {
    /// When it was looked for last.
    at: Instant,
    newer: Box<dyn FnMut() -> Option<T> + Send>,
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

impl<T> Fresh<T> {
    /// A value that comes from files: it is loaded, and again when they change, or
    /// where `passes` says of the last error that it goes by itself. A new state that
    /// does not load is logged once.
    pub(super) fn of_files<E: Display + 'static>(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, E> + Send + 'static,
        passes: fn(&E) -> bool,
    ) -> Result<Fresh<T>, E> {
        // Before the files are read: a change in between is seen the next time.
        let mut seen = stamps(&files);
        let mut is_waiting = false;
        let first = load()?;
        let newer = move || {
            let stamps = stamps(&files);
            let is_known = stamps == seen;
            if is_known && !is_waiting {
                return None;
            }
            seen = stamps;
            let loaded = load();
            let was_waiting = is_known && is_waiting;
            is_waiting = loaded.as_ref().is_err_and(passes);
            match loaded {
                Err(_) if was_waiting && is_waiting => None,
                Ok(value) => {
                    log::info("certificates-read-again")
                        .field("files", List(&files))
                        .emit();
                    Some(value)
                }
                Err(error) => {
                    log::error("certificates-not-read-again")
                        .field("error", error)
                        .field("consequence", "those read before stay in use")
                        .emit();
                    None
                }
            }
        };
        Ok(Fresh::asked(first, newer))
    }

    /// A value of which `newer` gives the next, if there is one.
    pub(super) fn asked(first: T, newer: impl FnMut() -> Option<T> + Send + 'static) -> Fresh<T> {
        Fresh {
            current: RwLock::new(Arc::new(first)),
            next: Mutex::new(Next {
                at: Instant::now(),
                newer: Box::new(newer),
            }),
            interval: INTERVAL,
        }
    }

    /// The value as it is now, or was at most a second ago.
    pub(super) fn current(&self) -> Arc<T> {
        // Whoever finds another thread looking takes what is there.
        if let Ok(mut next) = self.next.try_lock()
            && next.at.elapsed() >= self.interval
        {
            next.at = Instant::now();
            if let Some(value) = (next.newer)() {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
            }
        }
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    #[cfg(test)]
    pub(super) fn looking_always(mut self) -> Self {
        self.interval = Duration::ZERO;
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").finish_non_exhaustive()
    }
}

/// Names with commas between them.
struct List<'a>(&'a [PathBuf]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
