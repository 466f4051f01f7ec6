//! One message for many folders: it is read once, and the folders share the syncs.
//!
//! The folders are served in blocks. In each of these the message is staged for every
//! folder, once for those that can link the same file; all of them are locked, the names
//! are made and brought onto the disk by a sync that is for all, the journals are
//! written, and brought onto the disk likewise.
//! Nobody waits for a lock here: a folder that somebody else has, and one that is there
//! twice, has its turn by itself at the end, again and again for half a minute. So
//! nobody who keeps a folder locked keeps anybody from another, nor from being told,
//! and the order of the locks does not matter. One folder alone is tried as long.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ima_message::{DataError, HeaderBlock};
use rustix::process::{Resource, getrlimit};

use super::Delivered;
use super::block::{Staged, store, try_lock};
use super::common::Common;
use super::store::{Arrival, Giver};
use crate::error::MailboxError;
use crate::folder::Folder;
use crate::lock::Lock;
use crate::patience::{LONGEST_PAUSE, PATIENCE};
use crate::quota::{Room, Source};

/// Folders of a block, at least: with their descriptors, and those of the message in
/// each of them, a process stays below 1,024.
const LEAST: usize = 48;
/// Folders of a block at most, where a process may have more files open: the syncs of a
/// block take hardly longer with more.
const MOST: usize = 256;
/// Descriptors that a process must be allowed for each folder of a block: twice what a
/// folder takes.
const ALLOWED: u64 = 32;
/// How long one lets folders be that somebody else has locked, in between.
const PAUSE: Duration = Duration::from_millis(5);
/// How long those that have the message wait for the others before they are told.
const SOON: Duration = Duration::from_millis(100);

/// A folder that is to have a message, and the header block that the message has
/// there: its parts are those of the others, and its transport fields may be its own.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The folder.
    pub folder: &'a Folder,
    /// The header block of the message as it is stored there.
    pub header: &'a HeaderBlock,
}

/// What gives the header block that a message has in one folder. One that is lent may
/// be that of many folders, which share its file then. One that is made is made when
/// the folder has its turn, and not kept, so that they may be as many as there are
/// folders.
pub trait Heading: fmt::Debug {
    /// The header block. It is the same whenever it is asked for.
    fn header(&self) -> Cow<'_, HeaderBlock>;
}

impl Heading for HeaderBlock {
    fn header(&self) -> Cow<'_, HeaderBlock> {
        Cow::Borrowed(self)
    }
}

/// As [`Target`], for a folder that may be opened when its turn comes, so that folders
/// may be more than descriptors.
#[derive(Clone, Copy, Debug)]
pub struct PathTarget<'a> {
    /// Where the folder is, as for [`Folder::open`].
    pub path: &'a Path,
    /// The folder, where it is open already.
    pub folder: Option<&'a Folder>,
    /// The header block of the message as it is stored there.
    pub header: &'a dyn Heading,
}

/// Stores a message in many folders. Its data are read to their end once; of more than
/// 128 KiB nothing is held but on disk. Folders on one file system and of one owner
/// keep one copy of its attachments, and of the file with its header block and inline
/// parts where the header blocks are the same. What is reported as delivered would survive a
/// power cut. The answers are in the order of the targets. Where there is one alone,
/// and it has a fault, the rest of the data stays unread.
///
/// # Errors
/// A refusal where the data are not those that the header blocks announce, or more
/// follow, and a fault where they cannot be read: these are everybody's. Every other
/// fault is that of one folder, or of those on one file system, and the others get
/// theirs.
pub fn deliver_to_all(
    targets: &[Target<'_>],
    data: &mut dyn Read,
) -> Vec<Result<Delivered, MailboxError>> {
    let aims = targets.iter().map(|target| Aim {
        place: Place::Open(target.folder),
        header: target.header,
    });
    in_order(&aims.collect::<Vec<_>>(), data)
}

/// As [`deliver_to_all`], by the paths of folders. Of those that are not open already
/// it opens no more than 48 at once, each with a dozen descriptors, or up to 256 where
/// the process may have more files open than 1,536.
///
/// # Errors
/// As there; a folder that cannot be opened is that target's.
pub fn deliver_to_paths(
    targets: &[PathTarget<'_>],
    data: &mut dyn Read,
) -> Vec<Result<Delivered, MailboxError>> {
    in_order(&aims(targets), data)
}

/// As [`deliver_to_paths`], for whoever tells each as soon as may be: where some
/// folder has to be waited for, `early` gets what is known of others, by their places
/// among the targets, once the data were read to their end. The rest is given back.
///
/// # Errors
/// As there.
pub fn deliver_to_paths_early(
    targets: &[PathTarget<'_>],
    data: &mut dyn Read,
    early: Early<'_>,
) -> Outcomes {
    deliver(&aims(targets), data, early)
}

/// What became of targets, by their places.
pub type Outcomes = BTreeMap<usize, Result<Delivered, MailboxError>>;
/// Takes what is known early.
pub type Early<'e> = &'e mut dyn FnMut(Outcomes);

fn aims<'a>(targets: &[PathTarget<'a>]) -> Vec<Aim<'a>> {
    let aims = targets.iter().map(|target| Aim {
        place: match target.folder {
            Some(folder) => Place::Open(folder),
            None => Place::At(target.path),
        },
        header: target.header,
    });
    aims.collect()
}

/// A target, whichever way its folder is reached.
pub(super) struct Aim<'a> {
    place: Place<'a>,
    header: &'a dyn Heading,
}

enum Place<'a> {
    Open(&'a Folder),
    At(&'a Path),
}

/// A folder that is open.
pub(super) enum Opened<'a> {
    Before(&'a Folder),
    Now(Box<Folder>),
}

impl<'a> Aim<'a> {
    pub(super) fn open(&self) -> Result<Opened<'a>, MailboxError> {
        match self.place {
            Place::Open(folder) => Ok(Opened::Before(folder)),
            Place::At(path) => Folder::open(path).map(|folder| Opened::Now(Box::new(folder))),
        }
    }
}

impl Deref for Opened<'_> {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        match self {
            Self::Before(folder) => folder,
            Self::Now(folder) => folder,
        }
    }
}

pub(super) type Outcome = Result<Delivered, MailboxError>;

fn in_order(aims: &[Aim<'_>], data: &mut dyn Read) -> Vec<Outcome> {
    let mut outcomes = Outcomes::new();
    let rest = deliver(aims, data, &mut |mut early| outcomes.append(&mut early));
    outcomes.extend(rest);
    outcomes.into_values().collect()
}

fn deliver(aims: &[Aim<'_>], data: &mut dyn Read, early: Early<'_>) -> Outcomes {
    let Some(first) = aims.first() else {
        return Outcomes::new();
    };
    if let [one] = aims {
        let folder = one.open();
        let header = one.header.header();
        let outcome = folder.and_then(|folder| folder.deliver(&header, data, None));
        return Outcomes::from([(0, outcome)]);
    }
    let header = first.header.header();
    let mut common = match Common::read(&header, aims, data) {
        Ok(common) => common,
        Err(error) => {
            let all = (0..aims.len()).map(|index| (index, Err(again(&error))));
            return all.collect();
        }
    };
    let mut outcomes = Outcomes::new();
    let mut later = Vec::new();
    let indices: Vec<usize> = (0..aims.len()).collect();
    for block in indices.chunks(block(getrlimit(Resource::Nofile).current)) {
        let staged = block.iter().filter_map(|&index| {
            let aim = aims.get(index)?;
            let staged = aim.open().and_then(|folder| {
                let arrival = staged(&folder, aim, &mut common)?;
                Ok(Staged {
                    index,
                    folder,
                    arrival,
                })
            });
            match staged {
                Ok(staged) => Some(staged),
                Err(error) if error.is_shortage() => {
                    later.push(index);
                    None
                }
                Err(error) => {
                    outcomes.insert(index, Err(error));
                    None
                }
            }
        });
        let staged: Vec<Staged<'_>> = staged.collect();
        store(&staged, &mut outcomes, &mut later);
    }
    let begin = Instant::now();
    let end = begin + PATIENCE;
    while !later.is_empty() {
        let is_last = Instant::now() >= end;
        let before = later.len();
        later.retain(|&index| {
            let outcome = aims
                .get(index)
                .map(|aim| by_itself(aim, &mut common, is_last));
            match outcome.and_then(Result::transpose) {
                Some(outcome) => drop(outcomes.insert(index, outcome)),
                None => return true,
            }
            false
        });
        if later.len() == before {
            if !outcomes.is_empty() && begin.elapsed() >= SOON {
                early(std::mem::take(&mut outcomes));
            }
            thread::sleep(PAUSE);
        }
    }
    outcomes
}

/// The locks of a folder that has the message alone, for which somebody else is waited
/// as long as for many.
pub(super) fn lock_in_time(folder: &Folder) -> Result<(Option<Room>, Lock), MailboxError> {
    lock_within(folder, PATIENCE)
}

fn lock_within(folder: &Folder, patience: Duration) -> Result<(Option<Room>, Lock), MailboxError> {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        let is_last = Instant::now() >= end;
        if let Some(locks) = try_lock(folder, Source::Journals)? {
            return Ok(locks);
        }
        if is_last {
            return Err(is_locked(folder));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_locked(folder: &Folder) -> MailboxError {
    MailboxError::Locked {
        path: folder.root.path().to_owned(),
        limit: PATIENCE,
    }
}

/// Folders of a block where a process may have so many files open; `None`: any number.
fn block(limit: Option<u64>) -> usize {
    let folders = limit.unwrap_or(u64::MAX).div_euclid(ALLOWED);
    usize::try_from(folders).map_or(MOST, |folders| folders.clamp(LEAST, MOST))
}

/// Delivers to one folder; `None` where somebody else has it, who is waited for.
fn by_itself<'a>(
    aim: &Aim<'a>,
    common: &mut Common<'a>,
    is_last: bool,
) -> Result<Option<Delivered>, MailboxError> {
    let folder = aim.open()?;
    let Some((room, lock)) = try_lock(&folder, Source::Journals)? else {
        return match is_last {
            true => Err(is_locked(&folder)),
            false => Ok(None),
        };
    };
    let arrival = staged(&folder, aim, common)?;
    let arrivals = std::slice::from_ref(&arrival);
    let stored = folder.store(&lock, arrivals, &[], Giver::Sender, room.as_ref());
    stored.map(|stored| Some(stored.delivered()))
}

/// The message, staged in a folder.
fn staged<'a>(
    folder: &Folder,
    aim: &Aim<'a>,
    common: &mut Common<'a>,
) -> Result<Arrival, MailboxError> {
    folder.refuse_foreign_root()?;
    let header = aim.header.header();
    if let Some(part) = common.first_other(&header) {
        return Err(DataError::Digest { part }.into());
    }
    let incoming = common.stage(folder, header);
    Arrival::of_now(incoming.map_err(|error| folder.or_removed(error))?)
}

/// The same error once more.
pub(super) fn again(error: &MailboxError) -> MailboxError {
    let same = |source: &io::Error| match source.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(source.kind(), source.to_string()),
    };
    match error {
        MailboxError::Data(error) => MailboxError::Data(*error),
        MailboxError::Read(source) => MailboxError::Read(same(source)),
        MailboxError::Io { step, path, source } => MailboxError::io(*step, path, same(source)),
        MailboxError::NoFolder(path) => MailboxError::NoFolder(path.clone()),
        MailboxError::Owner { path, owner } => MailboxError::Owner {
            path: path.clone(),
            owner: *owner,
        },
        other => MailboxError::Read(io::Error::other(other.to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Once it was waited for without end.
    #[test]
    fn one_folder_alone_is_not_waited_for_for_ever() {
        let mailbox = tempfile::tempdir().unwrap();
        let folder = Folder::create(&mailbox.path().join("inbox")).unwrap();
        let held = folder.lock_exclusively().unwrap();
        let error = lock_within(&folder, Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, MailboxError::Locked { .. }), "{error}");
        drop(held);
        lock_within(&folder, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_block_is_as_large_as_descriptors_allow() {
        for (limit, folders) in [
            (Some(0), 48),
            (Some(1024), 48),
            (Some(1599), 49),
            (Some(4096), 128),
            (Some(1 << 20), 256),
            (Some(u64::MAX), 256),
            (None, 256),
        ] {
            assert_eq!(block(limit), folders, "{limit:?}");
        }
    }
}
