//! A message that is ready to be sent.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ima_message::{CopyError, HeaderBlock, Part, ReadError, copy_verified};
use ima_program::Exit;
use ima_program::spool::Spooled;

/// A whole message whose data match their digests. The data stay in their file.
#[derive(Debug)]
pub struct Outgoing {
    header: HeaderBlock,
    file: File,
    /// Where the data begin.
    start: u64,
}

/// Why a file is no message to send.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The file cannot be opened, read or spooled.
    #[error("{}: cannot be read", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// No header block.
    #[error("{}", .0.display())]
    Header(PathBuf, #[source] ReadError),
    /// The data are at fault.
    #[error("{}", .0.display())]
    Data(PathBuf, #[source] CopyError),
}

impl OutgoingError {
    /// A message that is wrong is refused; what could not be read may be
    /// readable later, and where there is nothing, nobody can say what was meant.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Header(_, ReadError::Header(_)) | Self::Data(_, CopyError::Data(_)) => {
                Exit::Refused
            }
            _ => Exit::Unfinished,
        }
    }
}

impl Outgoing {
    /// Reads and verifies a message: from a file, or from stdin for `-`, which
    /// is spooled, unlinked, where it is a pipe.
    pub fn read(path: &Path) -> Result<Self, OutgoingError> {
        let is_stdin = path == Path::new("-");
        let name = || {
            if is_stdin {
                PathBuf::from("standard input")
            } else {
                path.to_owned()
            }
        };
        let io = |error| OutgoingError::Io(name(), error);
        let mut file = if is_stdin {
            Spooled::from_stdin()
        } else {
            File::open(path).and_then(Spooled::from_file)
        }
        .map_err(io)?;
        let begin = file.stream_position().map_err(io)?;
        let mut reader = BufReader::with_capacity(64 << 10, &file);
        let header =
            HeaderBlock::read(&mut reader).map_err(|error| OutgoingError::Header(name(), error))?;
        copy_verified(header.parts(), &mut reader, &mut io::sink())
            .map_err(|error| OutgoingError::Data(name(), error))?;
        let start = begin + header.as_bytes().len() as u64;
        Ok(Self {
            header,
            file,
            start,
        })
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
