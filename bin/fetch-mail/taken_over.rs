//! A fetch-mail that a server has taken over, for tests: it tries what it must not be able
//! to do. Builds that are installed do not have it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use ima_program::monitor::taken_over::{VARIABLE, report};

/// Plays it, where a test names a folder: its file `victim` may be lost, and nothing else
/// is tried to be changed. `mailbox` is what must stay allowed.
pub fn play(mailbox: &Path) {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        return;
    };
    let folder = Path::new(&folder);
    let (victim, beside) = (folder.join("victim"), folder.join("beside"));
    let own = mailbox.join("played");
    report("allowed file", fs::write(&own, "x"));
    report("allowed removal", fs::remove_file(&own));
    report("read", fs::read(&victim));
    report("allowed names", fs::read("/etc/hosts"));
    report("read beside it", fs::read("/etc/passwd"));
    report("read an environment", fs::read("/proc/self/environ"));
    report("read by another way", {
        let relative = victim.strip_prefix("/").unwrap_or(&victim);
        fs::read(Path::new("/proc/self/root").join(relative))
    });
    report("list", fs::read_dir(folder));
    let append = OpenOptions::new().append(true).open(&victim);
    report("write", append.and_then(|mut file| file.write_all(b"x")));
    report("make a file", File::create(&beside));
    report("make a directory", fs::create_dir(&beside));
    report("make a symbolic link", symlink("/", &beside));
    report("take out", fs::rename(&victim, mailbox.join("taken")));
    report("remove", fs::remove_file(&victim));
    report("execute", Command::new("/bin/true").status());
    let ourselves = Command::new("/proc/self/exe").arg("--version").status();
    report("execute ourselves", ourselves);
}
