//! Attachments of one message that goes to several folders.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ima_message::PartDigest;

use crate::stage::Staged;

/// What was staged for one message already. Folders that lie on one file system
/// and belong to one user link one copy of each attachment; deliveries of the
/// message to several folders may go on at once, each in its own thread.
///
/// It is for a single message and is dropped when that is delivered.
#[derive(Debug, Default)]
pub struct Shared {
    slots: Mutex<BTreeMap<Key, Slot>>,
}

/// One attachment on one file system: who holds its lock stages it.
pub(crate) type Slot = Arc<Mutex<Option<Arc<Staged>>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) device: u64,
    pub(crate) owner: u32,
    pub(crate) digest: PartDigest,
}

impl Shared {
    /// Nothing is staged yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn slot(&self, key: Key) -> Slot {
        Arc::clone(lock(&self.slots).entry(key).or_default())
    }
}

/// Locks; a thread that panicked left nothing half done behind these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
