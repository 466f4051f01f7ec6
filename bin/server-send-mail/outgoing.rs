//! A message that is ready to be sent.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use ima_message::{HeaderBlock, Part};

/// A whole message whose data match their digests. The data stay in their file.
#[derive(Debug)]
pub struct Outgoing {
    header: HeaderBlock,
    file: Arc<File>,
    /// Where the data begin.
    start: u64,
}

impl Outgoing {
    /// A message that was verified, with its data from octet `start` of a file.
    pub fn verified(header: HeaderBlock, file: Arc<File>, start: u64) -> Self {
        Self {
            header,
            file,
            start,
        }
    }

    /// The header block, as it was given to us.
    pub fn header(&self) -> &HeaderBlock {
        &self.header
    }

    /// These parts (numbers from 1, ascending), or all where no list is given.
    pub fn wanted(&self, numbers: Option<&[usize]>) -> Vec<Part> {
        self.numbered(numbers)
            .map(|(part, _)| part.clone())
            .collect()
    }

    /// The data of these parts. Many can read at once.
    pub fn data(&self, numbers: Option<&[usize]>) -> Data<'_> {
        let ranges = self
            .numbered(numbers)
            .map(|(part, offset)| (offset, part.length()));
        let mut ranges: Vec<_> = ranges.collect();
        ranges.reverse();
        Data {
            file: &self.file,
            ranges,
        }
    }

    /// Parts that are wanted, and where their octets begin.
    fn numbered<'a>(
        &'a self,
        wanted: Option<&'a [usize]>,
    ) -> impl Iterator<Item = (&'a Part, u64)> {
        let mut offset = self.start;
        let parts = self.header.parts().iter().enumerate();
        let placed = parts.map(move |(index, part)| {
            let begin = offset;
            offset += part.length();
            (index + 1, part, begin)
        });
        placed
            .filter(move |(number, ..)| wanted.is_none_or(|wanted| wanted.contains(number)))
            .map(|(_, part, begin)| (part, begin))
    }
}

/// Reads ranges of a file, wherever others read it meanwhile.
pub struct Data<'a> {
    file: &'a File,
    /// Offset and length, the last range first.
    ranges: Vec<(u64, u64)>,
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((offset, length)) = self.ranges.last_mut() {
            if *length == 0 {
                self.ranges.pop();
                continue;
            }
            let most = usize::try_from(*length)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let count = self
                .file
                .read_at(buffer.get_mut(..most).unwrap_or_default(), *offset)?;
            *offset += count as u64;
            *length -= count as u64;
            return Ok(count);
        }
        Ok(0)
    }
}
