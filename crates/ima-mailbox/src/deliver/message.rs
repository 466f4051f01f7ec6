//! The file of a message, its header block and inline parts, which folders may share.

use std::sync::{Mutex, MutexGuard, OnceLock};

use rustix::io::Errno;

use super::targets::again;
use crate::error::MailboxError;
use crate::shared;
use crate::stage::{Draft, Stage, Staged};

/// What is staged for `messages/DIGEST`. Where folders link the same file, it is
/// brought onto the disk once for all of them.
#[derive(Debug)]
pub(crate) struct MessageFile {
    staged: Staged,
    /// Whether it is so small that whoever links it syncs it, after that.
    is_small: bool,
    state: Mutex<State>,
    /// Why a folder could not link it.
    refused: OnceLock<Errno>,
}

/// Whether it is on the disk.
#[derive(Debug)]
enum State {
    /// It is, or whoever has staged it sees to that.
    Synced,
    /// It will be when it has its names.
    Unsynced,
    /// It could not be brought there. A sync that came after the one that failed
    /// would say nothing of what is lost.
    Lost(MailboxError),
}

/// Whether a further folder may link a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Any,
    /// Another file of the same octets has to take its place: it has as many names as
    /// it can have, has lost the last of them, or is not on the disk.
    Replace,
    /// None: these folders cannot link each other's files.
    Apart,
}

impl MessageFile {
    /// A file that was synced, or that whoever has staged it syncs.
    pub(super) fn synced(staged: Staged) -> Self {
        Self::new(staged, false, State::Synced)
    }

    /// One that is synced once it has its names.
    pub(super) fn unsynced(staged: Staged) -> Self {
        Self::new(staged, true, State::Unsynced)
    }

    fn new(staged: Staged, is_small: bool, state: State) -> Self {
        Self {
            staged,
            is_small,
            state: Mutex::new(state),
            refused: OnceLock::new(),
        }
    }

    /// One of so many octets, which are all written.
    ///
    /// # Errors
    /// It is large, and cannot be brought onto the disk.
    pub(super) fn finish(stage: &Stage, draft: Draft, octets: u64) -> Result<Self, MailboxError> {
        match stage.is_synced_late(octets) {
            true => Ok(Self::unsynced(draft.finish_unsynced())),
            false => draft.finish().map(Self::synced),
        }
    }

    /// A copy of the same octets, for a folder that cannot link this one.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn copy(&self, stage: &Stage) -> Result<Self, MailboxError> {
        match self.is_small {
            true => stage.copy_unsynced(&self.staged).map(Self::unsynced),
            false => stage.copy(&self.staged).map(Self::synced),
        }
    }

    pub(super) fn staged(&self) -> &Staged {
        &self.staged
    }

    /// A folder could not link it.
    pub(super) fn refuse(&self, why: Errno) {
        // The first reason is as good as any.
        let _ = self.refused.set(why);
    }

    pub(super) fn usable(&self) -> Use {
        let is_lost = matches!(*self.state(), State::Lost(_));
        match self.refused.get() {
            Some(&(Errno::XDEV | Errno::PERM)) => Use::Apart,
            None if !is_lost => Use::Any,
            _ => Use::Replace,
        }
    }

    /// Whether nobody need sync it any more.
    pub(super) fn is_synced(&self) -> bool {
        matches!(*self.state(), State::Synced)
    }

    /// Brings it onto the disk, where nobody has done so.
    ///
    /// # Errors
    /// It cannot be brought there, or could not be before.
    pub(super) fn sync(&self) -> Result<(), MailboxError> {
        self.settle(|| self.staged.sync())
    }

    /// Its file system was synced as a whole, or could not be.
    ///
    /// # Errors
    /// It could not be, now or before.
    pub(super) fn was_synced(&self, whole: &Result<(), MailboxError>) -> Result<(), MailboxError> {
        self.settle(|| whole.as_ref().map_err(again).copied())
    }

    fn settle(&self, sync: impl FnOnce() -> Result<(), MailboxError>) -> Result<(), MailboxError> {
        let mut state = self.state();
        let synced = match &*state {
            State::Synced => return Ok(()),
            State::Lost(error) => return Err(again(error)),
            State::Unsynced => sync(),
        };
        *state = match &synced {
            Ok(()) => State::Synced,
            Err(error) => State::Lost(again(error)),
        };
        synced
    }

    fn state(&self) -> MutexGuard<'_, State> {
        shared::lock(&self.state)
    }
}
