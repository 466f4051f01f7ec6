//! The mailbox of somebody who is added.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ima_mailbox::{Folder, Mailbox, MailboxError};

use crate::failure::Failure;

/// Makes the mailbox where it is missing, with the folders that a person expects,
/// but no directory above. True where its inbox was made.
///
/// # Errors
/// A fault; [`Failure::Owner`] where root would make it in another's folder.
pub(crate) fn make(mailbox: &Path) -> Result<bool, Failure> {
    let inbox = mailbox.join("inbox");
    let failed = |fault| Failure::Mailbox { fault };
    let has_inbox = match Folder::open(&inbox) {
        Ok(_) => true,
        Err(MailboxError::NoFolder(_)) => false,
        Err(source) => return Err(failed(source)),
    };
    if rustix::process::geteuid().is_root() {
        let above = mailbox.parent().unwrap_or(Path::new("/"));
        let mut there = [mailbox, above].into_iter();
        let there = there.find_map(|folder| Some((folder, fs::metadata(folder).ok()?)));
        if let Some((folder, owner)) = there
            .map(|(folder, metadata)| (folder, Metadata::uid(&metadata)))
            .filter(|(_, owner)| *owner != 0)
        {
            if has_inbox {
                return Ok(false);
            }
            return Err(Failure::Owner {
                folder: folder.to_owned(),
                owner,
                inbox,
            });
        }
    }
    Mailbox::make_personal(mailbox).map_err(failed)?;
    Ok(!has_inbox)
}
