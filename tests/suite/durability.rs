//! What survives a power cut, a kill, and a disk that is full or fails.
//!
//! The tests that mount file systems or trace programs run where
//! EMEMO_EXTERNAL=1, and then a missing program is a failure that names its
//! package, and where this machine does not allow them to mount anything they fail
//! and say what is missing. `mutants` runs where EMEMO_MUTANTS names a folder with
//! programs that were built with `--cfg ememo_mutants`.
//!
//! For long runs: EMEMO_KILLS programs are killed, the power is cut EMEMO_CUTS
//! times in the middle on each kind of disk, and of the calls that fail in their
//! turn EMEMO_EVERY=1 takes all.

mod act;
mod disk;
mod fetch_injected;
mod fetched;
mod full;
mod ground;
mod injected;
mod killed;
mod letter;
mod midway;
mod mutants;
mod order;
mod place;
mod power;
mod promise;
mod quota;
mod served;
mod synced;
mod trace;
mod traced;
mod unsynced;

pub use traced::{under_strace, whole_trace};

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::external::{has, tool};
use crate::site::program;

/// A line that is seen although the test succeeds.
fn say(line: &str) {
    let line = format!("{line}\n");
    let written = std::io::stderr().write_all(line.as_bytes());
    written.expect("stderr");
}

/// How often something is done: a number from the environment for long runs.
fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}

/// The programs of one build.
#[derive(Clone, Debug, Default)]
struct Build {
    /// Where they are; those of this build of the suite where it is `None`.
    folder: Option<PathBuf>,
    /// The promise that they break.
    mutant: Option<&'static str>,
}

impl Build {
    fn path(&self, name: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.join(name),
            None => program(name),
        }
    }

    fn command(&self, name: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(self.path(name));
        command.args(arguments).env_remove("EMEMO_MUTANT");
        if let Some(mutant) = self.mutant {
            command.env("EMEMO_MUTANT", mutant);
        }
        command
    }
}

/// A folder in memory where there is one, for tests to which it does not matter
/// what a sync brings where.
fn quick() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().expect("a folder"))
}

/// Makes a copy of a folder in which what is linked is linked.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.expect("cp runs").success());
}

/// Nothing went wrong, or all that did is said.
#[track_caller]
fn none(problems: &[String]) {
    let text = problems.join("\n");
    assert!(problems.is_empty(), "{} problems:\n{text}", problems.len());
}
