//! Names that are made under the lock.

use rustix::io::Errno;

use super::incoming::Incoming;
use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::stage::Staged;

/// The names that were made, to be taken back if something fails.
#[derive(Debug, Default)]
pub(super) struct Links<'a> {
    made: Vec<(&'a Directory, String)>,
}

impl<'a> Links<'a> {
    /// Links the file, or a copy where it cannot be linked: it has too many names,
    /// lies on another file system, is another's, or has lost its last name.
    pub(super) fn add_or_copy(
        &mut self,
        directory: &'a Directory,
        name: &str,
        file: &Staged,
        incoming: &Incoming,
    ) -> Result<Option<Staged>, MailboxError> {
        match self.try_add(directory, name, file) {
            Ok(()) => Ok(None),
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::NOENT) => {
                let copy = incoming.stage.copy(file)?;
                self.try_add(directory, name, &copy)
                    .map_err(|e| directory.fault(Step::Link, name, e))?;
                Ok(Some(copy))
            }
            Err(e) => Err(directory.fault(Step::Link, name, e)),
        }
    }

    fn try_add(
        &mut self,
        directory: &'a Directory,
        name: &str,
        file: &Staged,
    ) -> rustix::io::Result<()> {
        file.link(directory, name)?;
        self.made.push((directory, name.to_owned()));
        Ok(())
    }

    /// Removes the names again. One that stays was never acknowledged, and the
    /// next delivery of the message deals with it.
    pub(super) fn remove(self) {
        for (directory, name) in self.made.into_iter().rev() {
            let _ = directory.remove(&name);
        }
    }
}
