//! The header block and the inline parts of one message, as they come.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom, Write as _};

use ima_message::{CopyError, HeaderBlock, MessageDigest, ReadError, copy_verified};

use crate::desk::Desk;
use crate::failure::Failure;

/// Octets up to which a message is held in memory.
const IN_MEMORY: usize = 256 << 10;

/// The octets of one message without its attachments: in memory as long as they
/// are few, else in `partial/`.
#[derive(Debug)]
pub enum Body {
    /// Few.
    Memory(Vec<u8>),
    /// Many, or kept because attachments are missing.
    Disk(File),
}

/// Why octets are not the message that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The header block.
    #[error("its header block: {0}")]
    Header(#[from] ReadError),
    /// The header block of another message.
    #[error("the header block is that of message {0}")]
    Other(MessageDigest),
    /// The inline parts.
    #[error("its inline parts: {0}")]
    Data(#[from] CopyError),
}

/// The name in `partial/` of a message without its attachments.
pub fn name(digest: MessageDigest) -> String {
    format!("{digest}.message")
}

impl Body {
    /// Nothing so far.
    pub fn new() -> Self {
        Self::Memory(Vec::new())
    }

    /// What an earlier run has kept of a message.
    ///
    /// # Errors
    /// A fault.
    pub fn kept(desk: &Desk, digest: MessageDigest) -> Result<Option<Self>, Failure> {
        Ok(desk.partial(&name(digest))?.map(Self::Disk))
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// A fault.
    pub fn take(
        &mut self,
        desk: &Desk,
        digest: MessageDigest,
        octets: &[u8],
    ) -> Result<(), Failure> {
        if let Self::Memory(memory) = self {
            if memory.len().saturating_add(octets.len()) <= IN_MEMORY {
                memory.extend_from_slice(octets);
                return Ok(());
            }
            self.keep(desk, digest)?;
        }
        match self {
            Self::Disk(file) => file
                .write_all(octets)
                .map_err(Failure::io("write", desk.partial_path(&name(digest)))),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Brings what is in memory into `partial/`, where the next run finds it.
    ///
    /// # Errors
    /// A fault.
    pub fn keep(&mut self, desk: &Desk, digest: MessageDigest) -> Result<(), Failure> {
        if let Self::Memory(memory) = self {
            let name = name(digest);
            // What is there may be the beginning of an earlier answer.
            desk.remove_partial(&name)?;
            let mut file = desk.begin_partial(&name)?;
            file.write_all(memory)
                .map_err(Failure::io("write", desk.partial_path(&name)))?;
            *self = Self::Disk(file);
        }
        Ok(())
    }

    /// Reads the header block.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn header(&self, digest: MessageDigest) -> Result<HeaderBlock, Wrong> {
        read_header(&mut self.reader().map_err(ReadError::from)?, digest)
    }

    /// Reads the header block, and finds the inline parts whole behind it and
    /// nothing else; all is as its digests say.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, digest: MessageDigest) -> Result<HeaderBlock, Wrong> {
        let mut reader = self.reader().map_err(ReadError::from)?;
        let header = read_header(&mut reader, digest)?;
        let inline = header.inline_parts().count();
        let parts = header.parts().get(..inline).unwrap_or_default();
        copy_verified(parts, &mut reader, &mut io::sink())?;
        Ok(header)
    }

    /// The inline parts of a message whose header block this is.
    ///
    /// # Errors
    /// A fault.
    pub fn inline(&self, header: &HeaderBlock) -> io::Result<Box<dyn BufRead + '_>> {
        let mut reader = self.reader()?;
        let mut left = header.as_bytes().len();
        while left > 0 {
            let there = reader.fill_buf()?.len().min(left);
            if there == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            reader.consume(there);
            left = left.saturating_sub(there);
        }
        Ok(reader)
    }

    fn reader(&self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(match self {
            Self::Memory(octets) => Box::new(octets.as_slice()),
            Self::Disk(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0))?;
                Box::new(BufReader::with_capacity(64 << 10, file))
            }
        })
    }
}

fn read_header(reader: &mut impl BufRead, digest: MessageDigest) -> Result<HeaderBlock, Wrong> {
    let header = HeaderBlock::read(reader)?;
    match header.digest() == digest {
        true => Ok(header),
        false => Err(Wrong::Other(header.digest())),
    }
}
