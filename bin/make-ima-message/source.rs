//! A file whose octets become a part: opened once, read twice.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Seek as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ima_message::{Digester, PartDigest};
use ima_program::spool::Spooled;

use crate::failure::Failure;
use crate::utf8::Utf8Check;

/// Octets read at once.
const BUFFER: usize = 64 << 10;

/// Where octets come from, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Stdin,
    File(PathBuf),
}

impl Origin {
    /// A file, or standard input where the path is `-`.
    pub(crate) fn new(path: &Path) -> Self {
        if path == Path::new("-") {
            Self::Stdin
        } else {
            Self::File(path.to_owned())
        }
    }

    /// Whether it is a terminal, where somebody should be told what is awaited.
    pub(crate) fn is_terminal(&self) -> bool {
        *self == Self::Stdin && io::stdin().is_terminal()
    }

    /// The file, at the place where the octets begin. What is no regular file
    /// is spooled, so that it can be read twice.
    fn open(&self) -> Result<File, Failure> {
        match self {
            Self::Stdin => Spooled::from_stdin(),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| Failure::Open(self.clone(), error))?;
                Spooled::from_file(file)
            }
        }
        .map_err(|error| Failure::Read(self.clone(), error))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// An open file, its length and digest when it was read first.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) origin: Origin,
    pub(crate) file: File,
    start: u64,
    pub(crate) length: u64,
    pub(crate) digest: PartDigest,
}

impl Source {
    /// Opens a file and reads it to its end; `text` must be UTF-8.
    ///
    /// # Errors
    /// It cannot be opened, read or spooled, or is text and not UTF-8.
    pub(crate) fn digest(origin: Origin, text: bool) -> Result<Self, Failure> {
        let mut file = origin.open()?;
        let fault = |error| Failure::Read(origin.clone(), error);
        let start = file.stream_position().map_err(fault)?;
        let mut digester = Digester::new();
        let mut check = text.then(Utf8Check::default);
        let mut buffer = vec![0; BUFFER];
        let mut length: u64 = 0;
        loop {
            let octets =
                read_at(&file, &mut buffer, start.saturating_add(length)).map_err(fault)?;
            let result = match &mut check {
                Some(check) if octets.is_empty() => check.finish(),
                Some(check) => check.update(octets),
                None => Ok(()),
            };
            result.map_err(|place| Failure::Utf8 {
                origin: origin.clone(),
                line: place.line,
                octet: place.octet,
            })?;
            if octets.is_empty() {
                break;
            }
            digester.update(octets);
            length = length.saturating_add(octets.len() as u64);
        }
        Ok(Self {
            digest: digester.finish(),
            origin,
            file,
            start,
            length,
        })
    }

    /// Writes the octets, digesting them again. The last of them are written
    /// only when all are known to be the same as before, so what was written of
    /// a file that changed is cut short.
    ///
    /// # Errors
    /// The file changed, or cannot be read; the output does not take them.
    pub(crate) fn copy(&self, output: &mut impl Write) -> Result<(), Failure> {
        let changed = || Failure::Changed(self.origin.clone());
        let mut digester = Digester::new();
        let mut buffer = vec![0; BUFFER];
        let mut done: u64 = 0;
        while done < self.length {
            let octets = self.read(&mut buffer, done)?;
            done = done.saturating_add(octets.len() as u64);
            if octets.is_empty() || done > self.length {
                return Err(changed());
            }
            digester.update(octets);
            if done == self.length {
                self.must_end_at(done)?;
                if digester.clone().finish() != self.digest {
                    return Err(changed());
                }
            }
            output.write_all(octets).map_err(Failure::Write)?;
        }
        Ok(())
    }

    /// # Errors
    /// The file goes on behind `length` octets, so it grew.
    pub(crate) fn must_end_at(&self, length: u64) -> Result<(), Failure> {
        if self.read(&mut [0], length)?.is_empty() {
            Ok(())
        } else {
            Err(Failure::Changed(self.origin.clone()))
        }
    }

    fn read<'b>(&self, buffer: &'b mut [u8], offset: u64) -> Result<&'b [u8], Failure> {
        read_at(&self.file, buffer, self.start.saturating_add(offset))
            .map_err(|error| Failure::Read(self.origin.clone(), error))
    }
}

fn read_at<'b>(file: &File, buffer: &'b mut [u8], offset: u64) -> io::Result<&'b [u8]> {
    loop {
        match file.read_at(buffer, offset) {
            Ok(n) => return Ok(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
