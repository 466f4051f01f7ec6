//! A session that reaches one mailbox and nothing else, by Landlock
//! (landlock(7)), where the kernel has it.

use std::os::fd::AsFd;

use ima_program::log;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, make_bitflags,
};

/// What is taken away: all that is done to files by name, and connections.
const KNOWN: ABI = ABI::V5;

/// Says in the log that sessions will not be confined, where the kernel cannot.
pub fn announce() {
    let probe = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    if probe.is_err() {
        log::warn("no-landlock")
            .field("consequence", "sessions are confined by this program alone")
            .emit();
    }
}

/// From here on the calling thread opens files only beneath this directory, and
/// no connection. Other threads are as they were. Where the kernel has no
/// Landlock nothing happens.
///
/// # Errors
/// Where the kernel has it, and it does not work.
pub fn to(directory: impl AsFd) -> Result<(), RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .create()?
        .add_rule(PathBeneath::new(directory, needed()))?
        .restrict_self()
        .map(drop)
}

/// Reading; and for `summary`, a file made in `tmp/`, written, and renamed over
/// the old one.
fn needed() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | MakeReg | RemoveFile | Refer
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::thread;

    use super::*;

    fn kind<T>(outcome: std::io::Result<T>) -> Option<ErrorKind> {
        outcome.err().map(|error| error.kind())
    }

    #[test]
    fn one_thread_reaches_one_folder() {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("bob"), place.path().join("carol"));
        for folder in [&inside, &outside] {
            fs::create_dir_all(folder.join("tmp")).unwrap();
            fs::write(folder.join("journal"), "").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let denied = match Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(KNOWN))
        {
            Ok(_) => Some(ErrorKind::PermissionDenied),
            // A kernel that has less of it: what is inside must work there too.
            Err(_) => None,
        };
        let open = File::open(outside.join("journal")).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                to(File::open(&inside).unwrap()).unwrap();
                // As a summary is written.
                fs::write(inside.join("tmp/summary-1"), "1").unwrap();
                fs::rename(inside.join("tmp/summary-1"), inside.join("summary")).unwrap();
                fs::write(inside.join("tmp/summary-2"), "2").unwrap();
                fs::rename(inside.join("tmp/summary-2"), inside.join("summary")).unwrap();
                assert_eq!(fs::read_to_string(inside.join("summary")).unwrap(), "2");
                assert_eq!(fs::read_dir(&inside).unwrap().count(), 3);
                open.sync_all().unwrap();
                if denied.is_none() {
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
                    kind(fs::create_dir(inside.join("new"))),
                    kind(std::os::unix::fs::symlink("x", inside.join("link"))),
                    kind(TcpStream::connect(address)),
                    kind(TcpListener::bind("127.0.0.1:0")),
                ] {
                    assert_eq!(outcome, denied);
                }
            });
        });
        assert_eq!(kind(fs::read(Path::new("/etc/passwd"))), None);
        assert_eq!(kind(TcpStream::connect(address)), None);
    }
}
