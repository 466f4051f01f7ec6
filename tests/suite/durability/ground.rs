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
            not_run(&name, &why);
        }
        return;
    }
    let unshare = ["unshare", "mount", "umount"];
    if !has(&[&unshare[..], programs].concat()) {
        return;
    }
    let probe = own_ground().arg("true").output().expect("unshare runs");
    if !probe.status.success() {
        not_run(&name, &String::from_utf8_lossy(&probe.stderr));
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

/// These tests begin only where all that they need must be there.
fn not_run(name: &str, why: &str) -> ! {
    panic!(
        "{name} cannot run: {}: it needs unshare --mount, mount and loop devices, as root has them outside of a container or in a privileged one",
        why.trim()
    )
}

/// A command that runs the one that follows in a namespace of its own.
fn own_ground() -> Command {
    let mut command = tool("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command
}

/// Once they said `NOT RUN:`, which nobody read, and were counted as passed.
#[test]
fn where_nothing_can_be_mounted_the_tests_that_mount_fail_and_say_why() {
    if !has(&["setpriv", "unshare", "mount", "umount"]) {
        return;
    }
    let output = tool("setpriv")
        .args([
            "--bounding-set",
            "-sys_admin",
            "--inh-caps",
            "-sys_admin",
            "--",
        ])
        .arg(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "durability::full::where_the_disk_is_full_nothing_is_visible",
            "--nocapture",
        ])
        .stdin(Stdio::null())
        .output()
        .expect("setpriv runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains(" cannot run: unshare: ") && said.contains("it needs unshare --mount"),
        "{said}"
    );
}
