//! What a thread can still reach once it deals with strangers, by Landlock
//! (landlock(7)), where the kernel has it.
//!
//! A confined thread opens files only beneath the directories that it was left, runs no
//! program, listens on no TCP port, makes no symbolic link, pipe, socket or device, and
//! sends no signal to a process that is not confined like it. What is open already stays
//! open. Threads that it begins later are confined as it is; others are as they were.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags, open};

/// Everything that is taken away, as far as the kernel knows it.
const KNOWN: ABI = ABI::V6;
/// Before this version a confined thread cannot link a file from one directory into
/// another, whatever it is allowed.
const LEAST: ABI = ABI::V2;

/// Why a thread cannot be confined although the kernel knows how.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfinementError {
    /// There is no descriptor left for what it is to reach.
    #[error("{0}")]
    Descriptor(#[source] io::Error),
    /// Landlock failed.
    #[error("Landlock: {0}")]
    Landlock(#[from] RulesetError),
}

/// What a thread is left. Nothing, to begin with.
#[derive(Debug, Default)]
pub struct Confinement {
    left: Vec<PathBeneath<OwnedFd>>,
    connects: bool,
}

impl Confinement {
    /// Whether the kernel has what it takes: Landlock of Linux 5.19.
    #[must_use]
    pub fn is_possible() -> bool {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LEAST))
            .and_then(Ruleset::create)
            .is_ok()
    }

    /// Leaves it files beneath a directory, to make, change, link and remove, and
    /// directories there.
    #[must_use]
    pub fn changes(self, directory: impl Into<OwnedFd>) -> Self {
        let allowed = make_bitflags!(AccessFs::{
            ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir
                | Refer
        });
        self.with(directory.into(), allowed)
    }

    /// Leaves it files beneath a directory, or that file, to read by names that it knows.
    #[must_use]
    pub fn reads(self, there: impl Into<OwnedFd>) -> Self {
        self.with(there.into(), AccessFs::ReadFile.into())
    }

    /// Leaves it one file to read, whichever symbolic links lead to it. Nothing where it is
    /// not there; another file that takes its place later is not left.
    #[must_use]
    pub fn reads_file(self, file: &Path) -> Self {
        match open(file, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => self.reads(file),
            Err(_) => self,
        }
    }

    /// As [`Confinement::reads`], for the directory that a file lies in, whichever
    /// symbolic links lead to it, since such files are replaced by others. Nothing
    /// where it is not there.
    #[must_use]
    pub fn reads_beside(self, file: &Path) -> Self {
        let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match file.parent().map(|above| open(above, flags, Mode::empty())) {
            Some(Ok(directory)) => self.reads(directory),
            _ => self,
        }
    }

    /// Leaves it TCP connections to others.
    #[must_use]
    pub fn connects(self) -> Self {
        Self {
            connects: true,
            ..self
        }
    }

    /// Confines the calling thread, for good. Where [`Confinement::is_possible`] says
    /// no, nothing happens.
    ///
    /// # Errors
    /// Where the kernel has Landlock, and it does not work.
    pub fn enter(self) -> Result<(), ConfinementError> {
        if !Self::is_possible() {
            return Ok(());
        }
        let tcp = match self.connects {
            true => AccessNet::BindTcp.into(),
            false => AccessNet::from_all(KNOWN),
        };
        Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(tcp)?
            .scope(Scope::from_all(KNOWN))?
            .create()?
            .add_rules(self.left.into_iter().map(Ok::<_, RulesetError>))?
            .restrict_self()?;
        Ok(())
    }

    fn with(mut self, directory: OwnedFd, allowed: BitFlags<AccessFs>) -> Self {
        self.left.push(PathBeneath::new(directory, allowed));
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::process::Command;
    use std::thread;

    use super::*;

    fn kind<T>(outcome: io::Result<T>) -> Option<ErrorKind> {
        outcome.err().map(|error| error.kind())
    }

    /// Two directories, and a file in each.
    fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("bob"), place.path().join("carol"));
        for folder in [&inside, &outside] {
            fs::create_dir_all(folder.join("tmp")).unwrap();
            fs::write(folder.join("journal"), "").unwrap();
        }
        (place, inside, outside)
    }

    /// `None` on a kernel that has less of it: what is allowed must work there too.
    fn denied() -> Option<ErrorKind> {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(KNOWN))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(KNOWN)))
            .is_ok()
            .then_some(ErrorKind::PermissionDenied)
    }

    #[test]
    fn one_thread_reaches_one_directory() {
        let (_place, inside, outside) = place();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = File::open(outside.join("journal")).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let left = Confinement::default().changes(File::open(&inside).unwrap());
                left.enter().unwrap();
                // As a summary is written.
                fs::write(inside.join("tmp/summary-1"), "1").unwrap();
                fs::rename(inside.join("tmp/summary-1"), inside.join("summary")).unwrap();
                fs::write(inside.join("tmp/summary-2"), "2").unwrap();
                fs::rename(inside.join("tmp/summary-2"), inside.join("summary")).unwrap();
                assert_eq!(fs::read_to_string(inside.join("summary")).unwrap(), "2");
                assert_eq!(fs::read_dir(&inside).unwrap().count(), 3);
                open.sync_all().unwrap();
                if denied().is_none() {
                    return;
                }
                let journal = outside.join("journal");
                for outcome in [
                    kind(fs::read(&journal)),
                    kind(fs::read_dir(&outside)),
                    kind(fs::read("/etc/passwd")),
                    kind(fs::write(outside.join("new"), "")),
                    kind(fs::remove_file(&journal)),
                    kind(fs::rename(inside.join("summary"), outside.join("summary"))),
                    kind(fs::create_dir(outside.join("new"))),
                    kind(fs::hard_link(
                        inside.join("summary"),
                        outside.join("linked"),
                    )),
                    kind(fs::remove_dir(outside.join("tmp"))),
                    kind(std::os::unix::fs::symlink("x", inside.join("link"))),
                    kind(UnixListener::bind(inside.join("socket"))),
                    kind(TcpStream::connect(address)),
                    kind(TcpListener::bind("127.0.0.1:0")),
                    kind(Command::new("/bin/true").status()),
                ] {
                    assert_eq!(outcome, denied());
                }
            });
        });
        assert_eq!(kind(fs::read(Path::new("/etc/passwd"))), None);
        assert_eq!(kind(TcpStream::connect(address)), None);
    }

    #[test]
    fn what_is_to_be_read_is_read_and_connections_are_made() {
        let (_place, inside, outside) = place();
        let link = inside.join("link");
        std::os::unix::fs::symlink(outside.join("journal"), &link).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let left = Confinement::default().reads_beside(&link);
                let left = left.reads_beside(Path::new("/nowhere/at/all"));
                left.connects().enter().unwrap();
                assert_eq!(fs::read(&link).unwrap(), b"");
                // Put in its place by rename, as resolv.conf is.
                assert_eq!(fs::read(outside.join("journal")).unwrap(), b"");
                TcpStream::connect(address).unwrap();
                // A thread that it begins is as it is.
                let within = thread::spawn(move || kind(fs::read_dir(&inside)));
                assert_eq!(within.join().unwrap(), denied());
                for outcome in [
                    kind(fs::write(outside.join("journal"), "")),
                    kind(fs::read_dir(&outside)),
                    kind(TcpListener::bind("127.0.0.1:0")),
                ] {
                    assert_eq!(outcome, denied());
                }
            });
        });
    }
}
