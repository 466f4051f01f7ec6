//! Why the system does not start a script, which it says in the words for a program.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::io::Errno;

/// As much of a first line as the kernel reads.
const FIRST_LINE: u64 = 256;

/// What is wrong with the first line of a file that cannot be executed, where it is that.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Neither a program nor a script.
    #[error(
        "its first line does not name an interpreter, as #!/bin/sh does, and it is no program for this machine"
    )]
    NoInterpreter,
    /// The interpreter is not there.
    #[error("its first line names the interpreter {0:?}, which is not there")]
    Missing(String),
    /// The same, because of the end of the line.
    #[error(
        "its first line ends in a carriage return, so that no interpreter is found: its lines are to end in LF alone"
    )]
    CarriageReturn,
}

impl ScriptError {
    /// What is wrong with `program`, of which the system says `error`.
    pub(super) fn of(program: &Path, error: &io::Error) -> Option<Self> {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if !is_missing && error.raw_os_error() != Some(Errno::NOEXEC.raw_os_error()) {
            return None;
        }
        let mut octets = Vec::new();
        let file = File::open(program).ok()?;
        file.take(FIRST_LINE).read_to_end(&mut octets).ok()?;
        let Some(rest) = octets.strip_prefix(b"#!") else {
            return (!is_missing).then_some(Self::NoInterpreter);
        };
        let line = rest.split(|octet| *octet == b'\n').next()?;
        match line.strip_suffix(b"\r") {
            Some(_) => Some(Self::CarriageReturn),
            None => {
                let line = String::from_utf8_lossy(line);
                let interpreter = line.split_whitespace().next().unwrap_or_default();
                Some(Self::Missing(interpreter.to_owned()))
            }
        }
    }
}
