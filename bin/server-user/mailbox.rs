//! The mailbox of somebody who is added.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ima_mailbox::{Folder, MailboxError};

use crate::failure::Failure;

/// Makes the mailbox with an inbox in it where that is missing, but no folder
/// above. True where it was made.
///
/// # Errors
/// A fault; [`Failure::Owner`] where root would make it in another's folder.
pub(crate) fn make(mailbox: &Path) -> Result<bool, Failure> {
    let inbox = mailbox.join("inbox");
    let failed = |source| Failure::Mailbox { source };
    match Folder::open(&inbox) {
        Ok(_) => return Ok(false),
        Err(MailboxError::NoFolder(_)) => {}
        Err(source) => return Err(failed(source)),
    }
    if rustix::process::geteuid().is_root() {
        let above = mailbox.parent().unwrap_or(Path::new("/"));
        let mut there = [mailbox, above].into_iter();
        let there = there.find_map(|folder| Some((folder, fs::metadata(folder).ok()?)));
        if let Some((folder, owner)) = there
            .map(|(folder, metadata)| (folder, Metadata::uid(&metadata)))
            .filter(|(_, owner)| *owner != 0)
        {
            return Err(Failure::Owner {
                folder: folder.to_owned(),
                owner,
                inbox,
            });
        }
    }
    Folder::create(&inbox).map_err(failed)?;
    Ok(true)
}
