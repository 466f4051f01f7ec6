//! What others change in the mailbox here and in its Maildirs, by inotify(7).

use std::collections::HashSet;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ima_message::FolderName;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::failure::Failure;

/// The file of a folder that says what changes.
const JOURNAL: &str = "journal";
/// A folder comes or goes.
const IN_MAILBOX: WatchFlags = WatchFlags::MOVED_TO
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR);
/// A folder's journal is written or replaced.
const IN_FOLDER: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);
/// Somebody puts mails into a Maildir, renames or removes them.
const IN_MAILDIR: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);
/// Octets of events read at a time.
const BUFFER: usize = 4096;

/// The folders here. Its descriptor is readable when something happened in them
/// that [`Journals::seen`] was not asked about.
#[derive(Debug)]
pub struct Journals {
    inotify: OwnedFd,
    mailbox: PathBuf,
    /// Where the Maildirs are, where there are any.
    maildir: Option<PathBuf>,
    /// The numbers of their directories.
    letters: HashSet<i32>,
}

/// What has happened, whoever did it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// In the mailbox.
    pub mailbox: bool,
    /// In its Maildirs.
    pub maildirs: bool,
}

impl Journals {
    /// Watches the folders of a mailbox, and its Maildirs.
    ///
    /// # Errors
    /// [`Failure::Unseen`].
    pub fn open(mailbox: &Path, maildir: Option<&Path>) -> Result<Self, Failure> {
        let made = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let mut journals = Self {
            inotify: made.map_err(unseen)?,
            mailbox: mailbox.to_owned(),
            maildir: maildir.map(Path::to_owned),
            letters: HashSet::new(),
        };
        journals.add(mailbox, IN_MAILBOX)?;
        journals.look()?;
        Ok(journals)
    }

    /// Watches folders and Maildirs that are new too. Says whether there are new
    /// Maildirs, in which something may have happened before.
    ///
    /// # Errors
    /// [`Failure::Unseen`].
    pub fn look(&mut self) -> Result<bool, Failure> {
        let known = self.letters.len();
        let entries = fs::read_dir(&self.mailbox).map_err(Failure::Unseen)?;
        for entry in entries {
            let path = entry.map_err(Failure::Unseen)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.filter(|name| name.parse::<FolderName>().is_ok());
            let Some(name) = name.filter(|_| path.join(JOURNAL).is_file()) else {
                continue;
            };
            self.add(&path, IN_FOLDER)?;
            let maildir = self.maildir.as_ref().map(|root| root.join(name));
            for part in maildir
                .iter()
                .flat_map(|dir| ["new", "cur"].map(|part| dir.join(part)))
            {
                let number = self.add(&part, IN_MAILDIR)?;
                self.letters.extend(number);
            }
        }
        Ok(self.letters.len() > known)
    }

    /// What has happened since this was asked last. Asked where things happen
    /// without end, it comes to an end.
    pub fn seen(&mut self) -> Seen {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut seen = Seen::default();
        // As many as the system holds for one process by default.
        for _ in 0..16_384 {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            let is_all = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let is_letter = self.letters.contains(&event.wd());
            let is_folder = event.events().contains(ReadFlags::ISDIR);
            let name = event.file_name();
            let is_journal = name.is_some_and(|name| name.to_bytes() == JOURNAL.as_bytes());
            seen.maildirs |= is_all || (is_letter && name.is_some());
            seen.mailbox |= is_all || (!is_letter && (is_journal || is_folder));
        }
        seen
    }

    /// Gives the number of a directory; none where it is gone, or not there yet.
    fn add(&self, path: &Path, flags: WatchFlags) -> Result<Option<i32>, Failure> {
        match inotify::add_watch(&self.inotify, path, flags) {
            Ok(number) => Ok(Some(number)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(unseen(errno)),
        }
    }
}

impl AsFd for Journals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn unseen(errno: Errno) -> Failure {
    Failure::Unseen(io::Error::from(errno))
}
