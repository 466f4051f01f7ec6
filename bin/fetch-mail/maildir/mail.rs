//! A message of a folder as a mail, and back.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ima_mailbox::{Folder, StoredMessage};
use ima_message::{DateTime, MessageDigest, Part};
use ima_mime::maildir::{Mail, Maildir, flags_of};
use ima_mime::{Defaults, Imported};

use super::fault::Fault;
use super::kept;

/// Writes a message as a mail.
pub(super) fn write(stored: &StoredMessage<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut open =
        |part: &Part| -> io::Result<Box<dyn Read>> { Ok(Box::new(stored.attachment(part)?)) };
    ima_mime::write_rfc5322(stored.header(), &mut stored.body(), &mut open, out)
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
