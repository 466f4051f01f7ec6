//! A message of a folder, open.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, Write};

use ima_mailbox::Folder;
use ima_message::{HeaderBlock, MessageDigest, Part, ReadError};

/// Its header block, and where the rest is. Its files have the lengths that the
/// header block says.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    folder: &'a Folder,
    header: HeaderBlock,
    file: File,
}

impl<'a> Stored<'a> {
    /// Opens a message; `None` where it is not there any more.
    ///
    /// # Errors
    /// Where it cannot be read or is damaged.
    pub(crate) fn open(folder: &'a Folder, digest: MessageDigest) -> io::Result<Option<Self>> {
        let file = folder.message(digest).map_err(io::Error::other)?;
        let Some(file) = file else { return Ok(None) };
        let header = match HeaderBlock::read(&mut BufReader::new(&file)) {
            Ok(header) if header.digest() == digest => header,
            Ok(_) => return Err(damage("it has another digest than its name says")),
            Err(ReadError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let inline: u64 = header.inline_parts().map(Part::length).sum();
        let whole = inline.saturating_add(header.as_bytes().len() as u64);
        if file.metadata()?.len() != whole {
            return Err(damage(
                "its file has another length than its header block says",
            ));
        }
        let stored = Self {
            folder,
            header,
            file,
        };
        for (_, part) in stored.header.attachments() {
            stored.attachment(part)?;
        }
        Ok(Some(stored))
    }

    pub(crate) fn header(&self) -> &HeaderBlock {
        &self.header
    }

    fn attachment(&self, part: &Part) -> io::Result<File> {
        let file = self
            .folder
            .attachment(part.digest())
            .map_err(io::Error::other)?;
        let file = file.ok_or_else(|| damage("an attachment is missing"))?;
        if file.metadata()?.len() != part.length() {
            return Err(damage(
                "an attachment has another length than its header block says",
            ));
        }
        Ok(file)
    }

    /// Writes it as it is.
    pub(crate) fn write_ima(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.file.rewind()?;
        io::copy(&mut self.file, out)?;
        for (_, part) in self.header.attachments() {
            io::copy(&mut self.attachment(part)?, out)?;
        }
        Ok(())
    }

    /// Writes it as RFC 5322.
    pub(crate) fn write_rfc5322(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let folder = self.folder;
        let mut attachment = |part: &Part| -> io::Result<Box<dyn Read>> {
            let file = folder.attachment(part.digest()).map_err(io::Error::other)?;
            let file = file.ok_or_else(|| damage("an attachment is missing"))?;
            Ok(Box::new(file))
        };
        ima_mime::write_rfc5322(&self.header, &mut self.file, &mut attachment, out)
    }
}

fn damage(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
