//! The check of `attachments/`, `gone/` and `tmp/`.

use ima_message::{MessageDigest, PartDigest};

use super::finding::Rule;
use super::folder::{Entry, Inspection, open};
use super::snapshot::Snapshot;
use crate::directory::Directory;
use crate::error::{Kind, MailboxError};

impl Inspection<'_> {
    /// Every file there has the digest that its name says.
    pub(super) fn attachments(
        &mut self,
        directory: &Directory,
        snapshot: &Snapshot,
    ) -> Result<(), MailboxError> {
        for entry in &snapshot.attachments {
            let path = directory.path().join(entry);
            let named = entry
                .to_str()
                .and_then(|name| Some((name, name.parse::<PartDigest>().ok()?)));
            let Some((name, digest)) = named else {
                self.found(path, Rule::Unexpected);
                continue;
            };
            if !matches!(self.entry(directory, entry, Kind::File)?, Entry::Right(_)) {
                continue;
            }
            let found = match open(directory, name) {
                Ok(Some(file)) => self.digest(&path, file),
                Ok(None) => continue,
                // Removed a moment ago.
                Err(finding) if matches!(finding.rule(), Rule::Missing) => continue,
                Err(finding) => Err(finding),
            };
            match found {
                Ok(found) if found != digest => self.found(path, Rule::Content { found }),
                Ok(_) if !self.held.contains(&digest) => self.found(path, Rule::NotHeld),
                Ok(_) => {}
                Err(finding) => self.tell(finding),
            }
        }
        Ok(())
    }

    /// Names of messages, and nothing but names.
    pub(super) fn gone(&mut self, directory: &Directory) -> Result<(), MailboxError> {
        let mut names = directory.names()?;
        names.sort();
        for entry in names {
            let path = directory.path().join(&entry);
            if entry
                .to_str()
                .and_then(|name| name.parse::<MessageDigest>().ok())
                .is_none()
            {
                self.found(path, Rule::Unexpected);
            } else if let Entry::Right(status) = self.entry(directory, &entry, Kind::File)?
                && status.st_size > 0
            {
                self.found(path, Rule::NotEmpty);
            }
        }
        Ok(())
    }

    /// What is being written, or was when its process died.
    pub(super) fn leftovers(&mut self, directory: &Directory) -> Result<(), MailboxError> {
        let mut names = directory.names()?;
        names.sort();
        for entry in names {
            if let Entry::Right(_) = self.entry(directory, &entry, Kind::File)? {
                self.found(directory.path().join(&entry), Rule::Leftover);
            }
        }
        Ok(())
    }
}
