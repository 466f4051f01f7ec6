//! A file of a mailbox, whose faults are logged where it is known whose it is.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use ima_program::log;

/// A message or an attachment, open for reading.
pub struct Stored {
    file: File,
    user: String,
    digest: String,
}

impl Stored {
    pub fn new(file: File, user: &str, digest: impl Display) -> Self {
        Self {
            file,
            user: user.to_owned(),
            digest: digest.to_string(),
        }
    }

    fn logged<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|error| {
            if error.kind() != ErrorKind::Interrupted {
                log::error("mailbox-fault")
                    .field("user", &self.user)
                    .field("digest", &self.digest)
                    .field("error", error)
                    .emit();
            }
        })
    }
}

impl Read for Stored {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let outcome = self.file.read(into);
        self.logged(outcome)
    }
}

impl Seek for Stored {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let outcome = self.file.seek(to);
        self.logged(outcome)
    }
}
