//! Bringing onto the disk: every sync of this crate goes through here.
//!
//! A build with `--cfg ememo_mutants` breaks one promise on purpose, the one that
//! the environment's `EMEMO_MUTANT` names; the rig in tests/suite/durability must
//! catch each of them. A build for release cannot have it.

use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::fs::{fstatfs, fsync, syncfs};
use rustix::io::retry_on_intr;
use rustix::system::uname;

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

/// Whether syncfs(2) does for what lies on this file system what fsync(2) does for
/// each file and directory. Of some it returns at once and nothing is done; and
/// before Linux 5.8 it does not say that something could not be written. Where that
/// cannot be told, it is not so.
pub fn can_sync_whole(of: &impl AsFd) -> bool {
    static TELLS_FAULTS: OnceLock<bool> = OnceLock::new();
    let tells_faults = *TELLS_FAULTS.get_or_init(|| {
        let release = uname();
        release.release().to_str().is_ok_and(tells_faults)
    });
    let kind = retry_on_intr(|| fstatfs(of)).map(|found| u64::try_from(found.f_type));
    tells_faults && matches!(kind, Ok(Ok(kind)) if syncs_whole(kind))
}

/// Whether a Linux of this release gives the error of a write from syncfs(2).
fn tells_faults(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse::<u32>().ok();
    matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) >= (5, 8))
}

/// Whether a file system of this kind, as statfs(2) numbers them, is known to bring
/// all that it holds onto the disk.
fn syncs_whole(kind: u64) -> bool {
    const EXT: u64 = 0xEF53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683E;
    const F2FS: u64 = 0xF2F5_2010;
    // There is no disk, and so nothing that could be missing on it.
    const TMPFS: u64 = 0x0102_1994;
    matches!(kind, EXT | XFS | BTRFS | F2FS | TMPFS)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_whole_file_system_is_synced_only_where_that_says_what_was_lost() {
        for (release, tells) in [
            ("5.8.0", true),
            ("5.10.0-28-amd64", true),
            ("6.1.0-rc1+", true),
            ("10.0", true),
            ("5.7.19", false),
            ("4.19.0-26-amd64", false),
            ("5", false),
            ("five.nine", false),
            ("", false),
        ] {
            assert_eq!(tells_faults(release), tells, "{release}");
        }
        for (kind, syncs) in [
            (0xEF53, true),
            (0x5846_5342, true),
            // FUSE, eCryptfs, NFS, overlayfs.
            (0x6573_5546, false),
            (0xF15F, false),
            (0x6969, false),
            (0x794C_7630, false),
        ] {
            assert_eq!(syncs_whole(kind), syncs, "{kind:x}");
        }
        // proc(5) has no disk either, and nobody has said that it can be synced.
        assert!(!can_sync_whole(&File::open("/proc/self").unwrap()));
    }
}
