//! A message of a folder, to be read as a whole.

mod verified;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use ima_message::{
    DataError, HeaderBlock, HeaderError, MessageDigest, Part, PartDigest, ReadError,
};
use rustix::fs::FileType;

use crate::error::{MailboxError, Step};
use crate::folder::{Folder, Kept};
use crate::name;

pub use verified::VerifiedMessage;

/// A message, open. When it was opened all of its files were there, and had the
/// lengths that its header block says.
#[derive(Debug)]
pub struct StoredMessage<'a> {
    folder: &'a Folder,
    header: HeaderBlock,
    body: File,
}

/// Why a message that is there cannot be read as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsound {
    /// Its header block breaks a rule.
    #[error("not a valid message: {0}")]
    Header(HeaderError),
    /// It is an empty file.
    #[error("its file is empty")]
    Empty,
    /// It bears the name of another.
    #[error("it has another digest than its name says")]
    Digest,
    /// Its header block and inline parts have another length.
    #[error("its file has another length than its header block says")]
    Length,
    /// An attachment is not in the folder.
    #[error("an attachment is missing")]
    NoAttachment,
    /// An attachment has another length.
    #[error("an attachment has another length than its header block says")]
    AttachmentLength,
    /// Its parts are not what their digests say.
    #[error("{0}")]
    Data(DataError),
    /// Its file is not in the folder.
    #[error("its file is missing")]
    NoFile,
    /// It was whole, and has lost octets while it was read.
    #[error("one of its files was shortened meanwhile")]
    Shortened,
}

impl Unsound {
    /// Whether a file is missing: unless the message was deleted meanwhile, which the
    /// journal says, that is damage.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoFile | Self::NoAttachment)
    }
}

impl Folder {
    /// Opens a message to be read as a whole; `None` where it is not here (any
    /// more). Its digests are for the reader to verify, or for [`Folder::verified`].
    ///
    /// # Errors
    /// [`MailboxError::Unsound`] where it is damaged; a fault.
    pub fn stored(&self, digest: MessageDigest) -> Result<Option<StoredMessage<'_>>, MailboxError> {
        let name = name::message(digest);
        let Some(body) = self.message(digest)? else {
            return Ok(None);
        };
        let unsound = |source| self.unsound(digest, source);
        let header = match HeaderBlock::read(&mut BufReader::new(&body)) {
            Ok(header) if header.digest() == digest => header,
            Ok(_) => return Err(unsound(Unsound::Digest)),
            Err(ReadError::Io(e)) => return Err(self.messages.fault(Step::Read, &name, e)),
            Err(ReadError::Empty) => return Err(unsound(Unsound::Empty)),
            Err(ReadError::Header(error)) => return Err(unsound(Unsound::Header(error))),
        };
        if self.messages.metadata(&name, &body)?.len() != body_length(&header) {
            return Err(unsound(Unsound::Length));
        }
        for (_, part) in header.attachments() {
            self.whole_attachment(digest, part)?;
        }
        Ok(Some(StoredMessage {
            folder: self,
            header,
            body,
        }))
    }

    /// An attachment of a message, as long as its header block says.
    fn whole_attachment(&self, of: MessageDigest, part: &Part) -> Result<File, MailboxError> {
        match self.kept(part.into())? {
            Kept::Whole(file) => Ok(file),
            Kept::Damaged => Err(self.unsound(of, Unsound::AttachmentLength)),
            Kept::Absent => Err(self.unsound(of, Unsound::NoAttachment)),
        }
    }

    fn unsound(&self, digest: MessageDigest, source: Unsound) -> MailboxError {
        MailboxError::Unsound {
            path: self.messages.path().join(name::message(digest)),
            source,
        }
    }
}

impl Folder {
    /// Whether a message is here with all of its attachments: each file is there and has
    /// the length that the header block says. Of what is in them nothing is said, but
    /// that the header block is that of the message: no more than it is read.
    ///
    /// # Errors
    /// A fault.
    pub fn has_whole(&self, digest: MessageDigest) -> Result<bool, MailboxError> {
        let name = name::message(digest);
        let Some(body) = self.message(digest)? else {
            return Ok(false);
        };
        let header = match HeaderBlock::read(&mut BufReader::new(&body)) {
            Ok(header) if header.digest() == digest => header,
            Err(ReadError::Io(e)) => return Err(self.messages.fault(Step::Read, &name, e)),
            Ok(_) | Err(ReadError::Empty | ReadError::Header(_)) => return Ok(false),
        };
        if self.messages.metadata(&name, &body)?.len() != body_length(&header) {
            return Ok(false);
        }
        for (number, part) in header.attachments() {
            let status = self.messages.status(name::attachment(digest, number))?;
            let is_whole = status.is_some_and(|status| {
                FileType::from_raw_mode(status.st_mode).is_file()
                    && u64::try_from(status.st_size) == Ok(part.length())
            });
            if !is_whole {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl StoredMessage<'_> {
    /// Its header block.
    #[must_use]
    pub fn header(&self) -> &HeaderBlock {
        &self.header
    }

    /// The octets of all of it.
    #[must_use]
    pub fn octets(&self) -> u64 {
        let attachments = self.header.attachments().map(|(_, part)| part.length());
        attachments.fold(body_length(&self.header), u64::saturating_add)
    }

    /// The file of its header block and inline parts; it stands anywhere in it.
    #[must_use]
    pub fn body(&self) -> &File {
        &self.body
    }

    /// An attachment of it, from its beginning.
    ///
    /// # Errors
    /// Where it is no longer there; a fault.
    pub fn attachment(&self, part: &Part) -> io::Result<File> {
        self.attached(part.digest())
    }

    fn attached(&self, digest: PartDigest) -> io::Result<File> {
        let file = self.folder.attachment(digest);
        let missing = || io::Error::new(io::ErrorKind::NotFound, Unsound::NoAttachment);
        file.map_err(io::Error::other)?.ok_or_else(missing)
    }

    /// All of it, octet for octet.
    pub fn whole(&self) -> impl Read {
        let attachments = self.header.attachments().map(|(_, part)| part.digest());
        Whole {
            message: self,
            attachments: attachments.collect(),
            offset: 0,
            current: None,
        }
    }
}

/// The octets of a header block and the inline parts.
pub(crate) fn body_length(header: &HeaderBlock) -> u64 {
    let inline = header.inline_parts().map(Part::length);
    inline.fold(header.as_bytes().len() as u64, u64::saturating_add)
}

struct Whole<'m, 'a> {
    message: &'m StoredMessage<'a>,
    attachments: VecDeque<PartDigest>,
    /// How much of the body was read.
    offset: u64,
    /// The attachment that is being read; none while the body is.
    current: Option<File>,
}

impl Read for Whole<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = match &mut self.current {
                Some(file) => file.read(buffer)?,
                None => self.message.body.read_at(buffer, self.offset)?,
            };
            self.offset = self.offset.saturating_add(count as u64);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(digest) = self.attachments.pop_front() else {
                return Ok(0);
            };
            self.current = Some(self.message.attached(digest)?);
        }
    }
}
