//! Names that are made under the lock.

use std::sync::Arc;

use rustix::io::Errno;

use super::incoming::Incoming;
use super::message::MessageFile;
use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::stage::{Stage, Staged};

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
        if self.add(directory, name, file)?.is_none() {
            return Ok(None);
        }
        let copy = incoming.stage.copy(file)?;
        self.add_copy(directory, name, &copy)?;
        Ok(Some(copy))
    }

    /// The same for the file of a message itself. Gives the one that was linked.
    pub(super) fn add_message(
        &mut self,
        directory: &'a Directory,
        name: &str,
        message: &Arc<MessageFile>,
        stage: &Stage,
    ) -> Result<Arc<MessageFile>, MailboxError> {
        let Some(refused) = self.add(directory, name, message.staged())? else {
            return Ok(Arc::clone(message));
        };
        message.refuse(refused);
        let copy = message.copy(stage)?;
        self.add_copy(directory, name, copy.staged())?;
        Ok(Arc::new(copy))
    }

    /// Links the file; why it cannot have this name, where a copy might.
    fn add(
        &mut self,
        directory: &'a Directory,
        name: &str,
        file: &Staged,
    ) -> Result<Option<Errno>, MailboxError> {
        match self.try_add(directory, name, file) {
            Ok(()) => Ok(None),
            Err(e @ (Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::NOENT)) => Ok(Some(e)),
            Err(e) => Err(directory.fault(Step::Link, name, e)),
        }
    }

    fn add_copy(
        &mut self,
        directory: &'a Directory,
        name: &str,
        copy: &Staged,
    ) -> Result<(), MailboxError> {
        self.try_add(directory, name, copy)
            .map_err(|e| directory.fault(Step::Link, name, e))
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
