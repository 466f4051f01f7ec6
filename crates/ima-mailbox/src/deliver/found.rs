//! Message files that folders have already. Those that folders share are read and
//! synced once.

use std::fs::File;
use std::sync::{Arc, Mutex};

use ima_message::MessageDigest;

use super::message::MessageFile;
use crate::check::is_whole_message;
use crate::directory::Directory;
use crate::error::MailboxError;
use crate::shared;
use crate::stage::Staged;

/// Files of which each holds a descriptor. Where there are more, some are read again.
const MAX_FILES: usize = 16;

/// What was found in folders, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Found {
    files: Mutex<Vec<Seen>>,
}

/// A file, and whether it is the whole message. While it is open here its inode is no
/// other's.
#[derive(Debug)]
struct Seen {
    digest: MessageDigest,
    inode: (u64, u64),
    file: Arc<MessageFile>,
    is_whole: bool,
}

impl Found {
    /// The file that bears a name in `messages/`, where it is that message, whole. It
    /// may have to be synced: whoever linked it may have died before.
    pub(super) fn whole(
        &self,
        messages: &Arc<Directory>,
        name: &str,
        file: File,
        digest: MessageDigest,
    ) -> Result<Option<Arc<MessageFile>>, MailboxError> {
        let staged = Staged::of(file, messages, name);
        let inode = staged.inode()?;
        let mut files = shared::lock(&self.files);
        let mut seen = files.iter();
        if let Some(seen) = seen.find(|one| (one.digest, one.inode) == (digest, inode)) {
            return Ok(seen.is_whole.then(|| Arc::clone(&seen.file)));
        }
        let (file, is_whole) = read(staged, digest)?;
        if files.len() >= MAX_FILES {
            files.remove(0);
        }
        files.push(Seen {
            digest,
            inode,
            file: Arc::clone(&file),
            is_whole,
        });
        Ok(is_whole.then_some(file))
    }
}

/// The same for a message that no other folder is asked for.
pub(super) fn whole(
    messages: &Arc<Directory>,
    name: &str,
    file: File,
    digest: MessageDigest,
) -> Result<Option<Arc<MessageFile>>, MailboxError> {
    let (file, is_whole) = read(Staged::of(file, messages, name), digest)?;
    Ok(is_whole.then_some(file))
}

fn read(staged: Staged, digest: MessageDigest) -> Result<(Arc<MessageFile>, bool), MailboxError> {
    let is_whole = is_whole_message(&staged.path(), staged.open()?, digest);
    Ok((Arc::new(MessageFile::unsynced(staged)), is_whole))
}
