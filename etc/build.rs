//! Has the programs that run once for each message linked with the C library in
//! them, where this machine has it for that: to find shared libraries and to relocate
//! them takes longer than what these programs then do. They ask it for nothing that
//! needs shared parts, like users' names. They stay executables that lie anywhere in
//! memory.
//!
//! It does so on x86-64 with the GNU C library and compiler, where it was tried, and
//! not where `EMEMO_SHARED_LIBC` is set. `-C target-feature=+crt-static` says the same
//! to the compiler, but Cargo passes it on for every program, and for procedural
//! macros, which cannot be so.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The programs that are built with every set of features.
const PROGRAMS: [&str; 6] = [
    "ima-mailbox",
    "make-ima-key",
    "make-ima-message",
    "server-give-recipient",
    "server-handle-incoming-mail",
    "show-ima-message",
];

/// What the linker is asked for, and what it is to find.
const LIBRARIES: [(&str, &str); 7] = [
    ("libc.a", "libc.a"),
    ("libdl.a", "libdl.a"),
    ("libgcc_s.a", "libgcc_eh.a"),
    ("libm.a", "libm.a"),
    ("libpthread.a", "libpthread.a"),
    ("librt.a", "librt.a"),
    ("libutil.a", "libutil.a"),
];

/// What a program that is linked so begins with.
const START: &str = "rcrt1.o";

/// Set by those who want all programs to share the system's C library.
const OPT_OUT: &str = "EMEMO_SHARED_LIBC";

fn main() -> io::Result<()> {
    let mut say = io::stdout();
    writeln!(say, "cargo::rerun-if-changed=etc/build.rs")?;
    writeln!(say, "cargo::rerun-if-env-changed={OPT_OUT}")?;
    if !is_wanted() {
        return Ok(());
    }
    let Some(folder) = static_libraries()? else {
        return Ok(());
    };
    for program in PROGRAMS {
        let search = format!("-L{}", folder.display());
        // A linker that looks through an archive once needs these again behind libc.
        for argument in ["-static-pie", &search, "-lgcc_eh", "-lc", "-lgcc"] {
            writeln!(say, "cargo::rustc-link-arg-bin={program}={argument}")?;
        }
    }
    Ok(())
}

fn is_wanted() -> bool {
    let target = "x86_64-unknown-linux-gnu";
    let is = |name| env::var_os(name).is_some_and(|value| value == target);
    is("TARGET") && is("HOST") && env::var_os(OPT_OUT).is_none()
}

/// A folder that has these libraries only as archives; None where one is missing.
/// It is searched before the system's.
fn static_libraries() -> io::Result<Option<PathBuf>> {
    let Some(out) = env::var_os("OUT_DIR") else {
        return Ok(None);
    };
    let folder = Path::new(&out).join("static");
    fs::create_dir_all(&folder)?;
    for (asked, found) in LIBRARIES {
        let Some(file) = file_of_compiler(found) else {
            return Ok(None);
        };
        let link = folder.join(asked);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => symlink(file, &link)?,
        }
    }
    Ok(file_of_compiler(START).map(|_| folder))
}

/// Where the C compiler, which links, has a file of this name.
fn file_of_compiler(name: &str) -> Option<PathBuf> {
    let compiler = env::var_os("RUSTC_LINKER").unwrap_or_else(|| OsString::from("cc"));
    let output = Command::new(compiler)
        .arg(format!("-print-file-name={name}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
    // It gives a name back that it does not know.
    path.is_absolute().then_some(path)
}
