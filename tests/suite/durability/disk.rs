//! Disks whose power can be cut: ext4 and xfs in a file, and a tmpfs that is as
//! large as a test wants it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::ground::NotAllowed;
use super::tool;
use crate::site::{feed, wait_until};

/// What is needed for disks whose power can be cut.
pub const TOOLS: &[&str] = &["debugfs", "mkfs.ext4", "mkfs.xfs", "xfs_io"];
/// The least that mkfs.xfs takes; the file is sparse.
const OCTETS: u64 = 320 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
}

/// How the file system's shutdown treats its journal; files are never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Flag 1: what happened before is written to it.
    LogFlushed,
    /// Flag 2: it stays as it is.
    LogAsItIs,
}

pub const KINDS: [Kind; 2] = [Kind::Ext4, Kind::Xfs];
pub const CUTS: [Cut; 2] = [Cut::LogFlushed, Cut::LogAsItIs];

/// A file system in a file, mounted.
pub struct Disk {
    dir: TempDir,
}

impl Disk {
    pub fn new(kind: Kind) -> Result<Disk, NotAllowed> {
        let disk = Disk {
            dir: TempDir::new().unwrap(),
        };
        std::fs::create_dir(disk.path()).unwrap();
        let image = File::create(disk.image()).unwrap();
        image.set_len(OCTETS).unwrap();
        let mkfs = match kind {
            Kind::Ext4 => "mkfs.ext4",
            Kind::Xfs => "mkfs.xfs",
        };
        let made = finish(tool(mkfs).arg("-q").arg(disk.image()));
        assert!(made.is_ok(), "{made:?}");
        disk.mount().map_err(NotAllowed)?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn mount(&self) -> Result<(), String> {
        let mut mount = tool("mount");
        finish(mount.args(["-o", "loop"]).args([self.image(), self.path()]))
    }

    /// Cuts the power: nothing that is not on the disk by now gets there.
    pub fn cut(&self, how: Cut) {
        cut(&self.path(), how);
    }

    /// Starts it again. Whoever had files of it open has ended.
    pub fn start(&self) {
        self.stop();
        self.mount().unwrap();
    }

    fn stop(&self) {
        wait_until("nobody has files open there", || {
            finish(tool("umount").arg(self.path())).is_ok()
        });
    }

    /// Starts it again, one of ext4, on which these files have not been changed
    /// since long ago: no program may say so of a file that it has.
    pub fn start_with_old(&self, files: &[PathBuf]) {
        self.stop();
        let mut requests = String::new();
        for file in files {
            let file = file.strip_prefix(self.path()).unwrap().display();
            requests += &format!("set_inode_field /{file} ctime 20260101000000\n");
        }
        let mut debugfs = tool("debugfs");
        debugfs.args(["-w", "-f", "-"]).arg(self.image());
        let output = feed(debugfs, requests.as_bytes());
        assert!(output.status.success(), "{output:?}");
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = tool("umount").arg("-l").arg(self.path()).output();
    }
}

/// Cuts the power of the disk that is mounted there.
pub fn cut(path: &Path, how: Cut) {
    let command = match how {
        Cut::LogFlushed => "shutdown -f",
        Cut::LogAsItIs => "shutdown",
    };
    let mut shutdown = tool("xfs_io");
    finish(shutdown.args(["-x", "-c", command]).arg(path)).unwrap();
}

/// A tmpfs, mounted.
pub struct Memory {
    dir: TempDir,
}

impl Memory {
    pub fn new() -> Result<Memory, NotAllowed> {
        let memory = Memory {
            dir: TempDir::new().unwrap(),
        };
        let mut mount = tool("mount");
        mount.args(["-t", "tmpfs", "-o", "huge=never", "tmpfs"]);
        finish(mount.arg(memory.path())).map_err(NotAllowed)?;
        Ok(memory)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Changes what it is mounted with.
    pub fn set(&self, option: &str) {
        let mut mount = tool("mount");
        mount.args(["-o", &format!("remount,{option}")]);
        finish(mount.arg(self.path())).unwrap();
    }

    /// Blocks and inodes that are taken.
    pub fn taken(&self) -> (u64, u64) {
        let space = rustix::fs::statvfs(self.path()).unwrap();
        (
            space.f_blocks - space.f_bfree,
            space.f_files - space.f_ffree,
        )
    }

    /// Octets of a block.
    pub fn block(&self) -> u64 {
        rustix::fs::statvfs(self.path()).unwrap().f_frsize
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = tool("umount").arg("-l").arg(self.path()).output();
    }
}

fn finish(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
