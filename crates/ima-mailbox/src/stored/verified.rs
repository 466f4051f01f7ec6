//! A message whose octets are those that its digests name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use ima_message::{CopyError, HeaderBlock, MessageDigest, Part, PartDigest, copy_verified};

use super::{StoredMessage, Unsound, body_length};
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::name;

/// Descriptors that stay free for whoever writes a message somewhere.
const SPARE: usize = 8;

/// A message, open, of which every octet was read once and is what its digests say.
/// What is read of it are the files that were verified, also where it is deleted
/// meanwhile: they are held open.
#[derive(Debug)]
pub struct VerifiedMessage<'a> {
    folder: &'a Folder,
    header: HeaderBlock,
    body: Arc<File>,
    attachments: BTreeMap<PartDigest, Verified>,
}

/// An attachment of it.
#[derive(Debug)]
struct Verified {
    /// Device and inode.
    inode: (u64, u64),
    /// `None` where descriptors are short: it is opened when it is read.
    file: Option<Arc<File>>,
}

impl Folder {
    /// Opens a message to be read as a whole, and verifies all that belongs to it: the
    /// cost is that of reading it. It holds a descriptor for each of its attachments,
    /// unless there are too few of them.
    ///
    /// # Errors
    /// [`MailboxError::Unsound`] where it is damaged, or not here (any more):
    /// [`Unsound::is_absence`]; a fault.
    pub fn verified(&self, digest: MessageDigest) -> Result<VerifiedMessage<'_>, MailboxError> {
        let stored = self.stored(digest)?;
        let stored = stored.ok_or_else(|| self.unsound(digest, Unsound::NoFile))?;
        let attachments = stored.open_attachments()?;
        let message = VerifiedMessage {
            folder: self,
            header: stored.header,
            body: Arc::new(stored.body),
            attachments,
        };
        let begin = message.header.as_bytes().len() as u64;
        let parts = message.header.parts();
        let read = copy_verified(parts, &mut message.read_from(begin), &mut io::sink());
        match read {
            Ok(_) => Ok(message),
            Err(CopyError::Data(error)) => Err(self.unsound(digest, Unsound::Data(error))),
            Err(CopyError::Read(e) | CopyError::Write(e)) => {
                Err(self.messages.fault(Step::Read, name::message(digest), e))
            }
        }
    }
}

impl StoredMessage<'_> {
    fn open_attachments(&self) -> Result<BTreeMap<PartDigest, Verified>, MailboxError> {
        let mut attachments = BTreeMap::new();
        let spare = (0..SPARE).map(|_| self.body.try_clone());
        let mut spare: Option<Vec<File>> = spare.collect::<io::Result<_>>().ok();
        for (_, part) in self.header.attachments() {
            if attachments.contains_key(&part.digest()) {
                continue;
            }
            let open = || self.folder.whole_attachment(self.header.digest(), part);
            let file = match open() {
                Err(error) if error.is_shortage() && spare.is_some() => {
                    spare = None;
                    let all = attachments.values_mut();
                    all.for_each(|attachment: &mut Verified| attachment.file = None);
                    open()?
                }
                opened => opened?,
            };
            let inode = inode(&file).map_err(|e| {
                let name = name::kept(part.digest());
                self.folder.attachments.fault(Step::Open, name, e)
            })?;
            let file = spare.is_some().then(|| Arc::new(file));
            attachments.insert(part.digest(), Verified { inode, file });
        }
        Ok(attachments)
    }
}

impl VerifiedMessage<'_> {
    /// Its header block.
    #[must_use]
    pub fn header(&self) -> &HeaderBlock {
        &self.header
    }

    /// The file of its header block and inline parts; it stands anywhere in it.
    #[must_use]
    pub fn body(&self) -> &File {
        &self.body
    }

    /// The octets of an attachment of it: as many as there are to be, or an error.
    ///
    /// # Errors
    /// Where there is none of this digest; where it is not held open, and is no longer
    /// there or not what was verified; a fault.
    pub fn attachment(&self, part: &Part) -> io::Result<impl Read + use<>> {
        self.octets_of(part)
    }

    fn octets_of(&self, part: &Part) -> io::Result<Octets> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, Unsound::NoAttachment);
        let digest = part.digest();
        let attachment = self.attachments.get(&digest).ok_or_else(missing)?;
        let file = match &attachment.file {
            Some(file) => Arc::clone(file),
            None => {
                let found = self.folder.attachment(digest).map_err(io::Error::other)?;
                let file = found.ok_or_else(missing)?;
                if inode(&file)? != attachment.inode {
                    return Err(missing());
                }
                Arc::new(file)
            }
        };
        Ok(Octets {
            file,
            offset: 0,
            missing: part.length(),
        })
    }

    /// All of it, octet for octet.
    pub fn whole(&self) -> impl Read {
        self.read_from(0)
    }

    /// All of it from an octet of its body on.
    fn read_from(&self, offset: u64) -> Whole<impl Iterator<Item = io::Result<Octets>>> {
        let attachments = self.header.attachments();
        Whole {
            current: Octets {
                file: Arc::clone(&self.body),
                offset,
                missing: body_length(&self.header).saturating_sub(offset),
            },
            attachments: attachments.map(|(_, part)| self.octets_of(part)),
        }
    }
}

fn inode(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// So many octets of a file, which must be there. Its place is its own: a file may be
/// read several times at once.
struct Octets {
    file: Arc<File>,
    offset: u64,
    missing: u64,
}

impl Read for Octets {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.missing).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let read = self.file.read_at(buffer, self.offset)?;
        if read == 0 && most > 0 {
            let kind = io::ErrorKind::UnexpectedEof;
            return Err(io::Error::new(kind, Unsound::Shortened));
        }
        self.offset = self.offset.saturating_add(read as u64);
        self.missing = self.missing.saturating_sub(read as u64);
        Ok(read)
    }
}

/// The body, and each of the attachments behind it.
struct Whole<A> {
    current: Octets,
    attachments: A,
}

impl<A: Iterator<Item = io::Result<Octets>>> Read for Whole<A> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.missing == 0 {
            match self.attachments.next() {
                Some(next) => self.current = next?,
                None => return Ok(0),
            }
        }
        self.current.read(buffer)
    }
}
