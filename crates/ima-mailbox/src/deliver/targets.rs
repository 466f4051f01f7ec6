//! One message for many folders: it is read once, and the folders share the syncs.
//!
//! The folders are served in blocks. In each of these the message is staged in every
//! folder, all of them are locked, the names are made and brought onto the disk by a
//! sync that is for all, the journals are written, and brought onto the disk likewise.
//! Nobody waits for a lock here: a folder that somebody else has, and one that is there
//! twice, has its turn by itself at the end, again and again for half a minute. So
//! nobody who keeps a folder locked keeps anybody from another, and the order of the
//! locks does not matter.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ima_message::{DataError, HeaderBlock};
use rustix::io::Errno;

use super::Delivered;
use super::block::{Staged, is_shortage, store, try_lock};
use super::common::Common;
use super::store::{Arrival, Giver};
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::name;
use crate::quota::Source;

/// Folders of a block: with their descriptors, and those of the message in each of
/// them, a process stays below 1,024.
const BLOCK: usize = 48;
/// How long folders are tried that somebody else has locked, and how long one lets
/// them be in between.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// A folder that is to have a message, and the header block that the message has
/// there: its parts are those of the others, and its transport fields may be its own.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The folder.
    pub folder: &'a Folder,
    /// The header block of the message as it is stored there.
    pub header: &'a HeaderBlock,
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
    pub header: &'a HeaderBlock,
}

/// Stores a message in many folders. Its data are read to their end once; of more than
/// 128 KiB nothing is held but on disk. Folders on one file system and of one owner
/// keep one copy of its attachments. What is reported as delivered would survive a
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
    deliver(&aims.collect::<Vec<_>>(), data)
}

/// As [`deliver_to_all`], by the paths of folders. Of those that are not open already
/// it opens no more than 48 at once, each with a dozen descriptors.
///
/// # Errors
/// As there; a folder that cannot be opened is that target's.
pub fn deliver_to_paths(
    targets: &[PathTarget<'_>],
    data: &mut dyn Read,
) -> Vec<Result<Delivered, MailboxError>> {
    let aims = targets.iter().map(|target| Aim {
        place: match target.folder {
            Some(folder) => Place::Open(folder),
            None => Place::At(target.path),
        },
        header: target.header,
    });
    deliver(&aims.collect::<Vec<_>>(), data)
}

/// A target, whichever way its folder is reached.
pub(super) struct Aim<'a> {
    place: Place<'a>,
    pub(super) header: &'a HeaderBlock,
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

fn deliver(aims: &[Aim<'_>], data: &mut dyn Read) -> Vec<Outcome> {
    let Some(first) = aims.first() else {
        return Vec::new();
    };
    if let [one] = aims {
        let folder = one.open();
        return vec![folder.and_then(|folder| folder.deliver(one.header, data, None))];
    }
    let mut common = match Common::read(first.header, aims, data) {
        Ok(common) => common,
        Err(error) => return aims.iter().map(|_| Err(again(&error))).collect(),
    };
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    let mut later = Vec::new();
    let indices: Vec<usize> = (0..aims.len()).collect();
    for block in indices.chunks(BLOCK) {
        let staged = block.iter().filter_map(|&index| {
            let aim = aims.get(index)?;
            let staged = aim.open().and_then(|folder| {
                let arrival = staged(&folder, aim.header, &mut common)?;
                Ok(Staged {
                    index,
                    folder,
                    arrival,
                })
            });
            match staged {
                Ok(staged) => Some(staged),
                Err(error) if is_shortage(&error) => {
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
    let end = Instant::now() + PATIENCE;
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
            thread::sleep(PAUSE);
        }
    }
    outcomes.into_values().collect()
}

/// Delivers to one folder; `None` where somebody else has it, who is waited for.
fn by_itself(
    aim: &Aim<'_>,
    common: &mut Common<'_>,
    is_last: bool,
) -> Result<Option<Delivered>, MailboxError> {
    let folder = aim.open()?;
    let Some((room, lock)) = try_lock(&folder, Source::Journals)? else {
        return match is_last {
            true => Err(folder.root.fault(Step::Lock, name::LOCK, Errno::WOULDBLOCK)),
            false => Ok(None),
        };
    };
    let arrival = staged(&folder, aim.header, common)?;
    let arrivals = std::slice::from_ref(&arrival);
    let stored = folder.store(&lock, arrivals, &[], Giver::Sender, room.as_ref());
    stored.map(|stored| Some(stored.delivered()))
}

/// The message, staged in a folder.
fn staged(
    folder: &Folder,
    header: &HeaderBlock,
    common: &mut Common<'_>,
) -> Result<Arrival, MailboxError> {
    folder.refuse_foreign_root()?;
    if let Some(part) = common.first_other(header) {
        return Err(DataError::Digest { part }.into());
    }
    let incoming = common.stage(folder, header);
    Arrival::of_now(incoming.map_err(|error| folder.or_removed(error))?)
}

/// The same error once more.
fn again(error: &MailboxError) -> MailboxError {
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
