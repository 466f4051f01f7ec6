//! The folders that sessions watch, by one inotify(7) for the whole process: a
//! thread reads its events and wakes the sessions that they concern.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use ima_mailbox::{Mailbox, MailboxError};
use ima_message::{FolderName, Token};
use ima_program::log;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendFlags, send};

/// The file of a folder that says what changes.
const JOURNAL: &[u8] = b"journal";
/// What of a folder's directory is looked at: its journal is written, replaced or
/// removed; it goes itself.
const EVENTS: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// What concerns the directory itself, after which nothing there is as it was.
const SELF: ReadFlags = ReadFlags::DELETE_SELF
    .union(ReadFlags::MOVE_SELF)
    .union(ReadFlags::UNMOUNT);
/// Octets of events read at a time: some hundred of them.
const BUFFER: usize = 4096;
/// The stack of the thread that reads them.
const STACK: usize = 128 << 10;

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    /// No inotify.
    #[error(
        "inotify cannot be had: {0}; where the reason is \"Too many open files\", raise the sysctl fs.inotify.max_user_instances"
    )]
    Instance(#[source] io::Error),
    /// No thread to read its events.
    #[error("there is no thread to watch folders: {0}")]
    Thread(#[source] io::Error),
    /// No descriptor to be woken by.
    #[error(
        "there is no descriptor to be woken by: {0}; where the reason is \"Too many open files\", raise the limit of open files, LimitNOFILE of systemd or ulimit -n"
    )]
    Descriptor(#[source] io::Error),
    /// No more folders.
    #[error("no more folders can be watched: raise the sysctl fs.inotify.max_user_watches")]
    Watches,
    /// The folder's directory.
    #[error("folder {folder} cannot be watched: {source}")]
    Folder {
        /// Its name.
        folder: FolderName,
        /// What the system says.
        source: io::Error,
    },
}

/// All folders that are watched. Its inotify and its thread come with the first
/// of them: a process that serves a single connection seldom needs them.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    inotify: Option<Arc<OwnedFd>>,
    /// Who watches, by the numbers that the system gave to the directories.
    folders: HashMap<i32, Vec<Place>>,
    /// Whether it is logged that nothing more can be watched.
    is_told: bool,
}

/// One folder of a session.
#[derive(Clone)]
struct Place {
    bell: Arc<Bell>,
    index: usize,
}

/// How a session is woken. Whoever holds the other end can fill it, close it and leave
/// it unread, and changes nothing of this one: not its flags, and not what waits in it.
struct Bell {
    wake: UnixStream,
    changed: Mutex<Vec<usize>>,
}

/// What came of [`Watchers::watch`].
pub enum Watching {
    /// One of the folders is not there.
    NoFolder,
    /// The system has no means left to watch them; that is logged.
    Unable,
    /// They are watched until the first is dropped; the second is to be passed on, and
    /// has an octet to read whenever [`Watched::changed`] has something new to say.
    On(Watched, OwnedFd),
}

/// The folders of a session, until it is dropped.
pub struct Watched {
    watchers: Watchers,
    bell: Arc<Bell>,
    /// Each with its number; `None` when it was told.
    folders: Vec<Option<(FolderName, i32)>>,
}

impl Watchers {
    /// Watches folders of a mailbox, each from a token on.
    ///
    /// # Errors
    /// A folder whose journal cannot be read.
    pub fn watch(
        &self,
        mailbox: &Mailbox,
        folders: &[(FolderName, Token)],
    ) -> Result<Watching, MailboxError> {
        let (mut watched, bell) = match self.begin() {
            Ok(begun) => begun,
            Err(error) => return Ok(self.unable(&error)),
        };
        for (name, token) in folders {
            // In this order: what changes in between is told all the same. The
            // folder is looked for by its name anew, since it may have been
            // replaced.
            let index = match watched.add(mailbox, name) {
                Ok(Some(index)) => index,
                Ok(None) => return Ok(Watching::NoFolder),
                Err(error) => return Ok(self.unable(&error)),
            };
            let Some(folder) = mailbox.folder(name)? else {
                return Ok(Watching::NoFolder);
            };
            if folder.token()? != *token {
                watched.bell.ring(index);
            }
        }
        Ok(Watching::On(watched, bell))
    }

    fn begin(&self) -> Result<(Watched, OwnedFd), WatchError> {
        let (bell, wake) = Bell::new().map_err(WatchError::Descriptor)?;
        let watched = Watched {
            watchers: self.clone(),
            bell: Arc::new(bell),
            folders: Vec::new(),
        };
        Ok((watched, wake))
    }

    /// Says in the log that folders cannot be watched: once, until they can.
    fn unable(&self, error: &WatchError) -> Watching {
        if !std::mem::replace(&mut lock(&self.0).is_told, true) {
            log::error("cannot-watch").field("error", error).emit();
        }
        Watching::Unable
    }
}

impl State {
    /// The inotify, with a thread that reads its events.
    ///
    /// The thread is that of a session's making, and confined as it is; it opens
    /// nothing.
    fn inotify(&mut self, all: &Watchers) -> Result<Arc<OwnedFd>, WatchError> {
        if let Some(inotify) = &self.inotify {
            return Ok(Arc::clone(inotify));
        }
        let made = inotify::init(CreateFlags::CLOEXEC);
        let inotify = Arc::new(made.map_err(|e| WatchError::Instance(e.into()))?);
        let (theirs, all) = (Arc::clone(&inotify), all.clone());
        thread::Builder::new()
            .name("inotify".to_owned())
            .stack_size(STACK)
            .spawn(move || all.read_events(&theirs))
            .map_err(WatchError::Thread)?;
        self.inotify = Some(Arc::clone(&inotify));
        Ok(inotify)
    }

    /// A session has no more to do with a directory, which is no longer watched
    /// when nobody has.
    fn leave(&mut self, number: i32, bell: &Arc<Bell>) {
        let Some(places) = self.folders.get_mut(&number) else {
            return;
        };
        places.retain(|place| !Arc::ptr_eq(&place.bell, bell));
        if places.is_empty() {
            self.folders.remove(&number);
            if let Some(inotify) = &self.inotify {
                // It may be gone already, with its directory.
                let _ = inotify::remove_watch(inotify, number);
            }
        }
    }

    fn all(&self) -> Vec<Place> {
        self.folders.values().flatten().cloned().collect()
    }
}

impl Watchers {
    fn read_events(&self, inotify: &OwnedFd) {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    let left = std::mem::take(&mut *lock(&self.0));
                    ring(&left.all());
                    log::error("cannot-watch")
                        .field("error", io::Error::from(errno))
                        .emit();
                    return;
                }
            };
            // Whoever is woken takes the lock.
            let name = event.file_name().map(CStr::to_bytes);
            ring(&self.concerned(event.wd(), event.events(), name));
        }
    }

    /// The places that an event concerns: of this kind, in the directory of this
    /// number, with the file of this name.
    fn concerned(&self, number: i32, kind: ReadFlags, name: Option<&[u8]>) -> Vec<Place> {
        let mut state = lock(&self.0);
        if kind.contains(ReadFlags::QUEUE_OVERFLOW) {
            return state.all();
        }
        if kind.contains(ReadFlags::IGNORED) {
            // The system watches it no more.
            return state.folders.remove(&number).unwrap_or_default();
        }
        match name == Some(JOURNAL) || kind.intersects(SELF) {
            true => state.folders.get(&number).cloned().unwrap_or_default(),
            false => Vec::new(),
        }
    }
}

fn ring(places: &[Place]) {
    for place in places {
        place.bell.ring(place.index);
    }
}

impl Bell {
    /// A bell, and the end that hears it.
    fn new() -> io::Result<(Self, OwnedFd)> {
        let (wake, theirs) = UnixStream::pair()?;
        // Nothing is to be said there.
        wake.shutdown(Shutdown::Read)?;
        let changed = Mutex::default();
        Ok((Self { wake, changed }, theirs.into()))
    }

    /// Waits for nobody: the thread that rings is that of all users.
    fn ring(&self, index: usize) {
        let mut changed = lock(&self.changed);
        if changed.contains(&index) {
            return;
        }
        changed.push(index);
        if changed.len() == 1 {
            // Where there is no room, octets wait to be read, as they are to; where nobody
            // hears it, nobody asks.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let _ = retry_on_intr(|| send(&self.wake, &[1], flags));
        }
    }

    /// What rang since the last question.
    fn answer(&self) -> Vec<usize> {
        std::mem::take(&mut *lock(&self.changed))
    }
}

impl Watched {
    /// Watches one folder more, of the mailbox with this directory; what changes in
    /// it from here on is told. Gives its place, and none where nothing is there.
    fn add(
        &mut self,
        mailbox: impl AsFd,
        folder: &FolderName,
    ) -> Result<Option<usize>, WatchError> {
        let mut known = self.folders.iter().flatten();
        if let Some(index) = known.position(|(name, _)| name == folder) {
            return Ok(Some(index));
        }
        let failed = |errno: Errno| match errno {
            Errno::NOSPC => WatchError::Watches,
            errno => WatchError::Folder {
                folder: folder.clone(),
                source: errno.into(),
            },
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = folder.as_str();
        let directory = match retry_on_intr(|| openat(&mailbox, name, flags, Mode::empty())) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let mut state = lock(&self.watchers.0);
        let inotify = state.inotify(&self.watchers)?;
        let number = inotify::add_watch(&inotify, path, EVENTS).map_err(failed)?;
        state.is_told = false;
        let index = self.folders.len();
        state.folders.entry(number).or_default().push(Place {
            bell: Arc::clone(&self.bell),
            index,
        });
        self.folders.push(Some((folder.clone(), number)));
        Ok(Some(index))
    }
}

impl Watched {
    /// The folders that are no longer as they were at their tokens; each is named once.
    pub fn changed(&mut self) -> Vec<FolderName> {
        let changed = self.bell.answer();
        if changed.is_empty() {
            return Vec::new();
        }
        let mut state = lock(&self.watchers.0);
        let mut names = Vec::new();
        for index in changed {
            let Some((name, number)) = self.folders.get_mut(index).and_then(Option::take) else {
                continue;
            };
            // The same directory may be there twice, by a line that names it so.
            let again = self.folders.iter().flatten();
            if again.clone().all(|(_, other)| *other != number) {
                state.leave(number, &self.bell);
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = lock(&self.watchers.0);
        for (_, number) in self.folders.iter().flatten() {
            state.leave(*number, &self.bell);
        }
    }
}

/// Locks; a thread that panicked left nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn watch(watchers: &Watchers, mailbox: &Mailbox, names: &[&FolderName]) -> Watched {
        let (mut watched, _) = watchers.begin().unwrap();
        for name in names {
            watched.add(mailbox, name).unwrap().unwrap();
        }
        assert_eq!(watched.changed(), []);
        watched
    }

    /// As the network process may be that was taken over.
    #[test]
    fn a_bell_that_is_not_heard_holds_nobody_up() {
        let (bell, theirs) = Bell::new().unwrap();
        rustix::io::ioctl_fionbio(&theirs, false).unwrap();
        let octets = [0xff; 8];
        let said = send(&theirs, &octets, SendFlags::NOSIGNAL);
        assert_eq!(said, Err(Errno::PIPE));
        for _ in 0..10_000 {
            bell.ring(0);
            assert_eq!(bell.answer(), [0]);
        }
        drop(theirs);
        bell.ring(1);
        assert_eq!(bell.answer(), [1]);
    }

    /// Events were lost: of what, nobody knows.
    #[test]
    fn where_events_were_lost_everybody_is_woken() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bob");
        Mailbox::make_personal(&path).unwrap();
        let mailbox = Mailbox::open(&path).unwrap();
        let (inbox, trash) = ("inbox".parse().unwrap(), "trash".parse().unwrap());
        let watchers = Watchers::default();
        let mut one = watch(&watchers, &mailbox, &[&inbox, &trash]);
        let mut other = watch(&watchers, &mailbox, &[&trash]);
        ring(&watchers.concerned(-1, ReadFlags::QUEUE_OVERFLOW, None));
        let mut told = one.changed();
        told.sort();
        assert_eq!(told, [inbox, trash.clone()]);
        assert_eq!(other.changed(), [trash]);
        // Each is told once, and the directories are let go.
        ring(&watchers.concerned(-1, ReadFlags::QUEUE_OVERFLOW, None));
        assert_eq!(one.changed(), []);
        assert!(lock(&watchers.0).folders.is_empty());
    }
}
