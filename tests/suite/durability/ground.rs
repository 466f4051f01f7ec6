//! Ground of a test's own: a mount namespace, in which it mounts what it likes.
//! When its last process has ended, however that was, nothing is mounted and no
//! loop device is taken.

use std::process::{Command, Stdio};

use super::{has, say, tool};

/// Set where a test stands on ground of its own.
const VARIABLE: &str = "EMEMO_GROUND";

/// Why this machine does not allow a test to mount anything.
#[derive(Debug)]
pub struct NotAllowed(pub String);

/// Runs a test, the one of this name in this module, on ground of its own, where
/// these programs are there.
pub fn run(
    module: &str,
    test: &str,
    programs: &[&str],
    body: impl FnOnce() -> Result<(), NotAllowed>,
) {
    let (_, module) = module.split_once("::").expect("the suite's");
    let name = format!("{module}::{test}");
    if std::env::var_os(VARIABLE).is_some() {
        if let Err(NotAllowed(why)) = body() {
            say(&format!("NOT RUN: {name}: {why}"));
        }
        return;
    }
    let unshare = ["unshare", "mount", "umount"];
    if !has(&[&unshare[..], programs].concat()) {
        return;
    }
    let probe = own_ground().arg("true").output().expect("unshare runs");
    if !probe.status.success() {
        let why = String::from_utf8_lossy(&probe.stderr);
        return say(&format!("NOT RUN: {name}: {}", why.trim()));
    }
    let output = own_ground()
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &name, "--nocapture"])
        .env(VARIABLE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}{stderr}"
    );
    if !stderr.is_empty() {
        say(stderr.trim_end());
    }
}

/// A command that runs the one that follows in a namespace of its own.
fn own_ground() -> Command {
    let mut command = tool("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command
}
