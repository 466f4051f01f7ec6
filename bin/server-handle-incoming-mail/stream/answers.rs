//! What a handler that stays answers: information lines, then a final one.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd as _;

use ima_program::exit::Exit;

use crate::ledger::Outlet;

/// What goes before an information line.
const INFORMATION: &[u8] = b"+ ";

/// Our stdout. Everything that is written is one information line or more, whole.
pub(super) struct Answers {
    stdout: BufWriter<File>,
    is_broken: bool,
}

impl Answers {
    /// # Errors
    /// There is no descriptor left.
    pub(super) fn to_stdout() -> io::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self {
            stdout: BufWriter::new(File::from(stdout)),
            is_broken: false,
        })
    }

    /// Information lines, which go out with the final one.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn write_lines(&mut self, lines: &str) -> io::Result<()> {
        self.write_all(lines.as_bytes())
    }

    /// The final line.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn finish(&mut self, line: &str) -> io::Result<()> {
        let written = writeln!(self.stdout, "{line}").and_then(|()| self.stdout.flush());
        self.is_broken |= written.is_err();
        written
    }

    /// Whether the final line could not be written.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }
}

impl Write for Answers {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            self.stdout.write_all(INFORMATION)?;
            self.stdout.write_all(line)?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

impl Outlet for &mut Answers {
    fn close(&mut self, exit: Exit) -> io::Result<()> {
        match exit {
            Exit::Done => self.finish("OK"),
            Exit::Refused => self.finish("FAIL"),
            Exit::Unfinished => self.finish("PARTIAL"),
            Exit::Drop => self.flush(),
        }
    }
}
