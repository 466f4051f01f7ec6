//! Folders that get a message together, and share the syncs.

use std::collections::BTreeMap;
use std::slice;

use rustix::io::Errno;

use super::store::{Arrival, Giver};
use super::storing::{Stored, Storing};
use super::targets::{Opened, Outcome};
use crate::durable::{Barrier, can_sync_whole};
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::lock::Lock;
use crate::quota::{Room, Source};

/// Folders of one file system up to which each is synced by itself: the file system as
/// a whole is dearer for a few, and cheaper for many.
const SYNCED_EACH: usize = 3;

/// The message, staged in one of the folders.
pub(super) struct Staged<'a> {
    pub(super) index: usize,
    pub(super) folder: Opened<'a>,
    pub(super) arrival: Arrival,
}

/// A folder that is locked, and in which the message has its names.
struct Held<'a> {
    index: usize,
    folder: &'a Folder,
    room: Option<&'a Room>,
    /// The file system, where all of the folder lies on one.
    device: Option<u64>,
    storing: Storing<'a>,
}

/// Stores the message in each of the folders that can be had at once.
pub(super) fn store(
    staged: &[Staged<'_>],
    outcomes: &mut BTreeMap<usize, Outcome>,
    later: &mut Vec<usize>,
) {
    let mut locked = Vec::with_capacity(staged.len());
    for one in staged {
        match try_lock(&one.folder, Source::Summaries) {
            Ok(Some((room, lock))) => locked.push((one, room, lock)),
            Ok(None) => later.push(one.index),
            Err(error) if error.is_shortage() => later.push(one.index),
            Err(error) => drop(outcomes.insert(one.index, Err(error))),
        }
    }
    let mut held = Vec::with_capacity(locked.len());
    for (one, room, lock) in &locked {
        match hold(one, room.as_ref(), lock) {
            Ok(Ok(one)) => held.push(one),
            Ok(Err(stored)) => drop(outcomes.insert(one.index, Ok(stored.delivered()))),
            Err(error) if error.is_shortage() => later.push(one.index),
            Err(error) => drop(outcomes.insert(one.index, Err(error))),
        }
    }
    let synced = sync(
        &held,
        |one| one.storing.sync_names(),
        |one, whole| one.storing.names_were_synced(whole),
    );
    let mut written = Vec::with_capacity(held.len());
    for (mut one, synced) in held.into_iter().zip(synced) {
        match synced.map(|()| one.storing.write()) {
            Ok(wrote) => written.push((one, wrote)),
            Err(error) => {
                one.storing.withdraw();
                outcomes.insert(one.index, Err(error));
            }
        }
    }
    let (held, wrote): (Vec<Held<'_>>, Vec<_>) = written.into_iter().unzip();
    let synced = sync(&held, |one| one.storing.sync_journal(), |_, whole| whole);
    for ((one, wrote), synced) in held.into_iter().zip(wrote).zip(synced) {
        let stored = one.storing.finish(wrote.and(synced), one.room);
        outcomes.insert(one.index, stored.map(|stored| stored.delivered()));
    }
}

/// Gives the message its names; what was stored already where there is nothing more to
/// be done.
fn hold<'a>(
    staged: &'a Staged<'_>,
    room: Option<&'a Room>,
    lock: &'a Lock,
) -> Result<Result<Held<'a>, Stored>, MailboxError> {
    let folder = &*staged.folder;
    let (device, _) = folder.root.device_and_owner()?;
    let (messages, _) = folder.messages.device_and_owner()?;
    let (attachments, _) = folder.attachments.device_and_owner()?;
    let is_one = [messages, attachments] == [device; 2];
    let arrivals = slice::from_ref(&staged.arrival);
    let storing = folder.begin_storing(lock, arrivals, &[], Giver::Sender, room)?;
    Ok(match storing.is_idle() {
        true => Err(storing.idle()),
        false => Ok(Held {
            index: staged.index,
            folder,
            room,
            device: is_one.then_some(device),
            storing,
        }),
    })
}

/// Brings the folders onto the disk: where many lie on one file system that can be
/// synced as a whole, by one sync of it, of which each is told, and otherwise each by
/// itself.
fn sync(
    held: &[Held<'_>],
    each: impl Fn(&Held<'_>) -> Result<(), MailboxError>,
    told: impl Fn(&Held<'_>, Result<(), MailboxError>) -> Result<(), MailboxError>,
) -> Vec<Result<(), MailboxError>> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for device in held.iter().filter_map(|one| one.device) {
        *counts.entry(device).or_default() += 1;
    }
    // None: it cannot be synced as a whole.
    let mut whole: BTreeMap<u64, Option<Result<(), Errno>>> = BTreeMap::new();
    let of = |one: &Held<'_>| {
        let many = |device: &u64| counts.get(device).is_some_and(|count| *count > SYNCED_EACH);
        let Some(device) = one.device.filter(many) else {
            return each(one);
        };
        let root = &one.folder.root;
        let synced = whole
            .entry(device)
            .or_insert_with(|| can_sync_whole(root).then(|| Barrier::FileSystem.sync(root)));
        match synced {
            Some(synced) => told(one, synced.map_err(|e| root.fault(Step::Sync, "", e))),
            None => each(one),
        }
    };
    held.iter().map(of).collect()
}

/// The locks of a folder; `None` where somebody else has one of them.
pub(super) fn try_lock(
    folder: &Folder,
    used: Source,
) -> Result<Option<(Option<Room>, Lock)>, MailboxError> {
    let Some(room) = folder.try_hold_room(used)? else {
        return Ok(None);
    };
    let lock = folder.try_lock_exclusively()?;
    Ok(lock.map(|lock| (room, lock)))
}
