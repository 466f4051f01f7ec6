//! How many processes of handlers there are at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a message waits for a place. With the time that its check has, it is
/// less than the 30 seconds that a sender waits.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// Where none becomes free, what DEFER says: seconds, and the reason.
pub(super) const BUSY: (u64, &str) = (
    60,
    "too many messages are being delivered here; try again later",
);

/// So many processes may be there. A clone counts with the one that it was cloned
/// from.
#[derive(Debug, Clone)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// The right to one process, from before its start until it is reaped; given back
/// when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Shared>);

impl Places {
    /// Up to `max` at once; 0 counts as 1.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Shared {
            max: max.max(1),
            taken: Mutex::new(0),
            freed: Condvar::new(),
        }))
    }

    /// For a program that serves one message: nothing is counted.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// One, where one is free now.
    #[must_use]
    pub fn try_take(&self) -> Option<Place> {
        self.take_within(Duration::ZERO)
    }

    /// One, as soon as one is free; none where that takes longer than [`PATIENCE`].
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        self.take_within(PATIENCE)
    }

    fn take_within(&self, time: Duration) -> Option<Place> {
        let shared = &self.0;
        let waited = shared
            .freed
            .wait_timeout_while(shared.taken(), time, |taken| *taken >= shared.max);
        let (mut taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *taken >= shared.max {
            return None;
        }
        *taken += 1;
        Some(Place(Arc::clone(shared)))
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        *self.0.taken()
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.taken();
        *taken = taken.saturating_sub(1);
        drop(taken);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn who_waits_gets_the_one_that_becomes_free() {
        let places = Places::new(2);
        let one = places.try_take().unwrap();
        let two = places.take().unwrap();
        assert!(places.try_take().is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| places.take().is_some());
            drop(one);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(places.taken(), 1);
        drop(two);
        assert_eq!(places.taken(), 0);
        assert!(Places::new(0).try_take().is_some());
    }
}
