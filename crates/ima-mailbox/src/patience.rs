//! How long locks are waited for.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock, fstat};
use rustix::io::{Errno, retry_on_intr};

use crate::error::MailboxError;

/// How long a delivery waits for a folder that somebody else has locked.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A lock is tried again after a millisecond, and then more seldom, up to this.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// What those who use one mailbox share: a lock that one of them has waited for in vain
/// is not waited for again, until it could be had once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience {
    /// `None`: without end.
    limit: Option<Duration>,
    /// Device and inode of each file that was waited for in vain.
    in_vain: Arc<Mutex<BTreeSet<(u64, u64)>>>,
}

impl Patience {
    pub(crate) fn of(limit: Duration) -> Self {
        Self {
            limit: Some(limit),
            in_vain: Arc::default(),
        }
    }

    /// Locks a file of this mailbox or folder, exclusively or not.
    pub(crate) fn lock(
        &self,
        file: &File,
        is_exclusive: bool,
        of: &Path,
        fault: impl Fn(Errno) -> MailboxError,
    ) -> Result<(), MailboxError> {
        let (waiting, trying) = match is_exclusive {
            true => (
                FlockOperation::LockExclusive,
                FlockOperation::NonBlockingLockExclusive,
            ),
            false => (
                FlockOperation::LockShared,
                FlockOperation::NonBlockingLockShared,
            ),
        };
        let Some(limit) = self.limit else {
            return retry_on_intr(|| flock(file, waiting)).map_err(fault);
        };
        let there = fstat(file).map_err(&fault)?;
        let inode = (there.st_dev, there.st_ino);
        let in_vain = || self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        let end = match in_vain().contains(&inode) {
            true => Instant::now(),
            false => Instant::now() + limit,
        };
        let mut pause = Duration::from_millis(1);
        loop {
            let is_last = Instant::now() >= end;
            match retry_on_intr(|| flock(file, trying)) {
                Ok(()) => {
                    in_vain().remove(&inode);
                    return Ok(());
                }
                Err(Errno::WOULDBLOCK) if is_last => {
                    in_vain().insert(inode);
                    return Err(MailboxError::Locked {
                        path: of.to_owned(),
                        limit,
                    });
                }
                Err(Errno::WOULDBLOCK) => {}
                Err(e) => return Err(fault(e)),
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
