//! Bringing onto the disk: every sync of this crate goes through here.
//!
//! A build with `--cfg ememo_mutants` breaks one promise on purpose, the one that
//! the environment's `EMEMO_MUTANT` names; the rig in tests/suite/durability must
//! catch each of them. A build for release cannot have it.

use std::os::fd::AsFd;

use rustix::fs::{fsync, syncfs};
use rustix::io::retry_on_intr;

#[cfg(all(ememo_mutants, not(debug_assertions)))]
compile_error!("a mailbox that breaks its promises is for tests alone");

/// What is brought onto the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// The octets of a file that is no journal.
    File,
    /// A journal.
    Journal,
    /// The names in a directory.
    Directory,
    /// All that its file system holds.
    FileSystem,
}

impl Barrier {
    /// Returns when it would survive a power cut.
    pub(crate) fn sync(self, of: impl AsFd) -> rustix::io::Result<()> {
        #[cfg(ememo_mutants)]
        if mutant::leaves_out(self) {
            return Ok(());
        }
        let synced = match self {
            Self::FileSystem => retry_on_intr(|| syncfs(&of)),
            _ => retry_on_intr(|| fsync(&of)),
        };
        #[cfg(ememo_mutants)]
        let synced = mutant::reports(synced);
        synced
    }
}

#[cfg(ememo_mutants)]
mod mutant {
    use super::Barrier;

    fn is(name: &str) -> bool {
        std::env::var_os("EMEMO_MUTANT").is_some_and(|mutant| mutant == name)
    }

    pub(super) fn leaves_out(barrier: Barrier) -> bool {
        is(match barrier {
            Barrier::File => "no-file-sync",
            Barrier::Journal => "no-journal-sync",
            Barrier::Directory => "no-directory-sync",
            Barrier::FileSystem => "no-file-system-sync",
        })
    }

    pub(super) fn reports(synced: rustix::io::Result<()>) -> rustix::io::Result<()> {
        if is("sync-result-ignored") {
            return Ok(());
        }
        synced
    }
}
