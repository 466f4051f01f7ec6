//! Children that could not be killed: they are reaped when they are gone, so
//! that none stays a zombie for longer than until the next is started.

use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

static LEFT: Mutex<Vec<Child>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<Child>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps `child` in mind.
pub(super) fn leave(child: Child) {
    lock().push(child);
}

/// Reaps those that are gone by now; gives how many are not.
pub(super) fn reap() -> usize {
    let mut left = lock();
    left.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    left.len()
}
