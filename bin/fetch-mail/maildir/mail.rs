//! A message of a folder as a mail, and back.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ima_mailbox::Folder;
use ima_message::{DateTime, HeaderBlock, MessageDigest, Part, ReadError};
use ima_mime::maildir::{Mail, Maildir, flags_of};
use ima_mime::{Defaults, Imported};

use super::fault::Fault;
use super::kept;

/// A message, open, all of whose files are there and have their lengths.
pub(super) struct Stored<'a> {
    folder: &'a Folder,
    header: HeaderBlock,
    file: File,
}

impl<'a> Stored<'a> {
    /// Opens it; `None` where it is not there any more.
    pub(super) fn open(folder: &'a Folder, digest: MessageDigest) -> io::Result<Option<Self>> {
        let Some(file) = folder.message(digest).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let header = match HeaderBlock::read(&mut BufReader::new(&file)) {
            Ok(header) if header.digest() == digest => header,
            Ok(_) => return Err(damage("it has another digest than its name says")),
            Err(ReadError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let inline: u64 = header.inline_parts().map(Part::length).sum();
        if file.metadata()?.len() != inline.saturating_add(header.as_bytes().len() as u64) {
            return Err(damage(
                "its file has another length than its header block says",
            ));
        }
        for (_, part) in header.attachments() {
            attachment(folder, part)?;
        }
        Ok(Some(Self {
            folder,
            header,
            file,
        }))
    }

    /// Writes it as a mail.
    pub(super) fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let folder = self.folder;
        let mut open =
            |part: &Part| -> io::Result<Box<dyn Read>> { Ok(Box::new(attachment(folder, part)?)) };
        ima_mime::write_rfc5322(&self.header, &mut self.file, &mut open, out)
    }
}

fn attachment(folder: &Folder, part: &Part) -> io::Result<File> {
    let file = folder.attachment(part.digest()).map_err(io::Error::other)?;
    let file = file.ok_or_else(|| damage("an attachment is missing"))?;
    match file.metadata()?.len() == part.length() {
        true => Ok(file),
        false => Err(damage(
            "an attachment has another length than its header block says",
        )),
    }
}

fn damage(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Puts a message into a folder again, from its file. Says whether that gave it.
pub(super) fn restore(
    folder: &Folder,
    digest: MessageDigest,
    maildir: &Maildir,
    file: &Mail,
) -> Result<bool, Fault> {
    let path = maildir.path_of(file);
    let arrived = fs::metadata(&path).map_or(0, |data| data.mtime().max(0));
    let (Some(imported), Some(arrived)) = (read(&path, digest), DateTime::utc(arrived)) else {
        return Ok(false);
    };
    let mut batch = folder.batch_of_user()?;
    let flags = kept(&flags_of(&file.name));
    batch.stage_flagged(imported.header(), &mut imported.data(), arrived, flags)?;
    batch.commit()?;
    Ok(true)
}

/// The message that a file was written from, if nobody changed it.
fn read(path: &Path, digest: MessageDigest) -> Option<Imported> {
    let octets = fs::read(path).ok()?;
    let imported = ima_mime::read_rfc5322(&octets, &Defaults::default()).ok()?;
    (imported.header().digest() == digest).then_some(imported)
}
