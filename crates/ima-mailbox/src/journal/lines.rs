//! The lines of a journal, one after the other, however long they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::os::unix::fs::FileExt as _;

use super::MAX_LINE;

/// Octets that are read at a time.
const BUFFER: usize = 64 * 1024;

/// The lines between two offsets. Others may read the same file at once.
#[derive(Debug)]
pub(super) struct Lines {
    reader: Take<BufReader<From>>,
    line: Vec<u8>,
    is_ended: bool,
    offset: u64,
}

/// A file, read from an offset of its own on.
#[derive(Debug)]
struct From {
    file: File,
    offset: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.file.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(octets as u64);
        Ok(octets)
    }
}

impl Lines {
    /// The lines from an offset on, up to another.
    pub(super) fn new(file: File, from: u64, upto: u64) -> Self {
        let reader = BufReader::with_capacity(BUFFER, From { file, offset: from });
        Self {
            reader: reader.take(upto.saturating_sub(from)),
            line: Vec::new(),
            is_ended: false,
            offset: from,
        }
    }

    /// Goes to the next line; `false` at the end, and after a fault.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        match self.read() {
            Ok(octets) => {
                self.offset = self.offset.saturating_add(octets);
                Ok(octets > 0)
            }
            Err(e) => {
                self.reader.set_limit(0);
                Err(e)
            }
        }
    }

    /// The line without its LF; `None` where it is longer than a line may be.
    pub(super) fn line(&self) -> Option<&[u8]> {
        self.line.strip_suffix(b"\n")
    }

    /// Whether it ends with LF.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Where it ends, in octets from the beginning of the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads a line, of which no more than its limit is kept, and says how many
    /// octets it had.
    fn read(&mut self) -> io::Result<u64> {
        self.line.clear();
        let mut octets = (&mut self.reader)
            .take(MAX_LINE)
            .read_until(b'\n', &mut self.line)? as u64;
        self.is_ended = self.line.last() == Some(&b'\n');
        if !self.is_ended {
            let (skipped, is_ended) = skip(&mut self.reader)?;
            octets = octets.saturating_add(skipped);
            self.is_ended = is_ended;
        }
        Ok(octets)
    }
}

/// Reads and forgets octets up to and including the next LF; says how many, and
/// whether there was one.
fn skip(reader: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped: u64 = 0;
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if buffer.is_empty() {
            return Ok((skipped, false));
        }
        let end = buffer.iter().position(|&b| b == b'\n');
        let octets = end.map_or(buffer.len(), |place| place + 1);
        reader.consume(octets);
        skipped = skipped.saturating_add(octets as u64);
        if end.is_some() {
            return Ok((skipped, true));
        }
    }
}
