//! The message: read, verified as a whole, and then read again for each
//! destination.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ima_message::{CopyError, DataVerifier, HeaderBlock, copy_verified};
use ima_program::spool::Spooled;

use crate::failure::Failure;

/// Octets read at once.
const BUFFER: usize = 128 << 10;

/// A message whose data match its header block.
pub(crate) struct Message {
    pub(crate) header: HeaderBlock,
    pub(crate) file: File,
    /// Where in the file the message begins.
    pub(crate) start: u64,
}

/// Reads the data of a message by themselves, whatever else reads the file.
pub(crate) struct DataReader<'m> {
    file: &'m File,
    offset: u64,
    left: u64,
}

/// Reads a header block from a file, or from stdin, which may hold no more.
///
/// # Errors
/// There is none, or not a valid one.
pub(crate) fn read_header(file: Option<&Path>) -> Result<HeaderBlock, Failure> {
    let stream: &mut dyn BufRead = match file {
        Some(path) => &mut BufReader::new(open(path)?),
        None => &mut io::stdin().lock(),
    };
    let mut stream = stream;
    Ok(HeaderBlock::read(&mut stream)?)
}

impl Message {
    /// Reads a message from a file or from stdin, and holds its data against
    /// its header block. What is no regular file is spooled.
    ///
    /// # Errors
    /// It cannot be read, or it is not a valid message.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let mut file = match file {
            Some(path) => Spooled::from_file(open(path)?),
            None => Spooled::from_stdin(),
        }
        .map_err(Failure::Input)?;
        let start = file.stream_position().map_err(Failure::Input)?;
        let header = HeaderBlock::read(&mut BufReader::new(&file))?;
        let message = Self {
            header,
            file,
            start,
        };
        message.verify()?;
        Ok(message)
    }

    /// Keeps a message whose data come from a stream, which ends with them, and
    /// holds them against the header block.
    ///
    /// # Errors
    /// The data cannot be read or kept, or are not those that were announced.
    pub(crate) fn keep(header: HeaderBlock, data: &mut dyn Read) -> Result<Self, Failure> {
        let mut spool = Spooled::writer();
        spool.write_all(header.as_bytes()).map_err(Failure::Input)?;
        let mut data = data;
        copy_verified(header.parts(), &mut data, &mut spool).map_err(|error| match error {
            CopyError::Read(error) | CopyError::Write(error) => Failure::Input(error),
            CopyError::Data(error) => Failure::Data(error),
        })?;
        Ok(Self {
            header,
            file: spool.finish().map_err(Failure::Input)?,
            start: 0,
        })
    }

    fn verify(&self) -> Result<(), Failure> {
        let mut verifier = DataVerifier::new(self.header.parts());
        let mut buffer = vec![0; BUFFER];
        let mut data = DataReader {
            left: u64::MAX,
            ..self.data()
        };
        loop {
            let octets = match data.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => buffer.get(..n).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Input(error)),
            };
            verifier.update(octets)?;
        }
        Ok(verifier.finish()?)
    }

    /// The data, from their first octet to their last.
    pub(crate) fn data(&self) -> DataReader<'_> {
        let offset = self
            .start
            .saturating_add(self.header.as_bytes().len() as u64);
        DataReader {
            file: &self.file,
            offset,
            left: self.header.size(),
        }
    }
}

impl Read for DataReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let n = self
            .file
            .read_at(buffer.get_mut(..most).unwrap_or_default(), self.offset)?;
        self.offset = self.offset.saturating_add(n as u64);
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|source| Failure::Open {
        file: path.to_owned(),
        source,
    })
}
