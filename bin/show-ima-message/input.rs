//! The octets of the message, and where what is printed goes.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Read, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::failure::Failure;

/// Octets read and written at once.
pub(crate) const BUFFER: usize = 64 << 10;

/// Standard output, written to in large pieces.
pub(crate) type Output = BufWriter<File>;

/// Standard output, unbuffered.
///
/// # Errors
/// It has no descriptor to spare.
pub(crate) fn stdout() -> Result<File, Failure> {
    let output = io::stdout().as_fd().try_clone_to_owned();
    Ok(File::from(output.map_err(Failure::Write)?))
}

/// Where a message comes from, as errors name it.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Stdin,
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A message to be read, once and from its beginning.
#[derive(Debug)]
pub(crate) struct Input {
    origin: Origin,
    reader: BufReader<File>,
}

impl Input {
    /// Opens a file, or standard input. Says what is awaited where that is a
    /// terminal.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let (origin, file) = match path {
            Some(path) => {
                let file =
                    File::open(path).map_err(|error| Failure::Open(path.to_owned(), error))?;
                (Origin::File(path.to_owned()), file)
            }
            None => {
                let stdin = io::stdin();
                if stdin.is_terminal() {
                    // A terminal that cannot be written to is no reason to stop.
                    let _ = writeln!(
                        io::stderr(),
                        "{}: a message is awaited on standard input; to read one from a file, name it",
                        crate::PROGRAM
                    );
                }
                let file = stdin.as_fd().try_clone_to_owned();
                let file = file.map_err(|error| Failure::Read(Origin::Stdin, error))?;
                (Origin::Stdin, File::from(file))
            }
        };
        let reader = BufReader::with_capacity(BUFFER, file);
        Ok(Self { origin, reader })
    }

    /// Where it comes from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The next octets; none at the end.
    ///
    /// # Errors
    /// Reading fails.
    pub(crate) fn next(&mut self) -> Result<&[u8], Failure> {
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(Failure::Read(self.origin.clone(), error));
            }
        }
        Ok(self.reader.buffer())
    }

    /// Where the octets have come to an end and the message lies in a mailbox,
    /// goes on with the attachment of this number, which lies beside it as
    /// `DIGEST.N`.
    ///
    /// # Errors
    /// The attachment is there and cannot be opened.
    pub(crate) fn go_on_beside(&mut self, number: usize) -> Result<(), Failure> {
        if !self.next()?.is_empty() {
            return Ok(());
        }
        let Origin::File(path) = &self.origin else {
            return Ok(());
        };
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{number}"));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&beside, flags, Mode::empty()) {
            Ok(file) => {
                self.reader = BufReader::with_capacity(BUFFER, File::from(file));
                Ok(())
            }
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(Failure::Open(beside.into(), error.into())),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}
