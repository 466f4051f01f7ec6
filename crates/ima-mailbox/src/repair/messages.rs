//! Repairing `messages/`.

use std::fs::File;
use std::time::{SystemTime, UNIX_EPOCH};

use ima_message::{DateTime, Entry, HeaderBlock, MessageDigest};
use rustix::fs::OFlags;

use super::attachments::Held;
use super::folder::Repair;
use super::journal::Corrections;
use crate::check::{Rule, header_and_inline};
use crate::compaction::Contents;
use crate::deliver::now;
use crate::error::MailboxError;
use crate::journal::Salvage;
use crate::name::{self, StoredName};

/// A message whose header block and inline parts are right.
struct Right {
    digest: MessageDigest,
    header: HeaderBlock,
    octets: u64,
    /// When its file was written.
    time: DateTime,
}

impl Repair<'_> {
    /// Sets aside messages that are not what their names say, and brings back
    /// attachments; finds out what is to be corrected in the journal.
    pub(super) fn messages(
        &mut self,
        salvage: &Option<Salvage>,
        corrections: &mut Corrections,
    ) -> Result<(), MailboxError> {
        let mut contents = Contents::default();
        let entries = salvage.iter().flat_map(|salvage| &salvage.entries);
        for (entry, place) in entries.zip(0..) {
            contents.take(entry.clone(), place);
        }
        let folder = self.folder;
        for digest in contents.live.keys() {
            let name = name::message(*digest);
            // Its files went after its `del`, and that line is lost.
            if folder.messages.status(&name)?.is_none() && folder.gone.status(&name)?.is_some() {
                corrections.deleted.push(*digest);
            }
        }
        let mut right = Vec::new();
        for entry in folder.messages.names()? {
            let stored = entry.to_str().and_then(StoredName::parse);
            if let Some(StoredName::Message(digest)) = stored
                && !contents.deleted.contains(&digest)
                && let Some(message) = self.message(digest)?
            {
                right.push(message);
            }
        }
        right.sort_by_key(|message| message.time.unix_seconds());
        let held = right.iter().flat_map(|message| {
            let digest = message.digest;
            let attachments = message.header.attachments();
            attachments.map(move |(number, part)| Held {
                digest,
                number,
                part,
            })
        });
        let incomplete = self.attachments(&held.collect::<Vec<_>>())?;
        for message in &right {
            let Right {
                digest,
                octets,
                ref time,
                ..
            } = *message;
            match contents.live.get(&digest) {
                Some(live) if live.octets != octets => {
                    corrections.octets.insert(digest, octets);
                }
                Some(_) => {}
                None if incomplete.contains(&digest) => {}
                // Whoever linked it may have died before it was on the disk.
                None if !folder.is_here(digest)? => {}
                None => corrections.added.push(Entry::Add {
                    digest,
                    time: time.clone(),
                    octets,
                }),
            }
        }
        if !corrections.added.is_empty() {
            folder.attachments.sync()?;
            folder.messages.sync()?;
        }
        Ok(())
    }

    /// The message of a name, if it is right; one that is not is set aside, and
    /// one that cannot be read is left.
    fn message(&mut self, digest: MessageDigest) -> Result<Option<Right>, MailboxError> {
        let folder = self.folder;
        let name = name::message(digest);
        let path = folder.messages.path().join(&name);
        let file = match folder.messages.find_file(&name, OFlags::RDONLY) {
            Ok(Some(file)) => file,
            Ok(None) | Err(MailboxError::Kind { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = folder.messages.metadata(&name, &file)?;
        let time = time_of(&metadata)?;
        let header = match right_header(&path, file, digest) {
            Ok(header) => header,
            Err(Rule::Unreadable(_)) => return Ok(None),
            Err(rule) => {
                self.set_aside(&folder.messages, &name, rule)?;
                return Ok(None);
            }
        };
        let attachments = header.attachments().map(|(_, part)| part.length());
        let octets = attachments.fold(metadata.len(), u64::saturating_add);
        Ok(Some(Right {
            digest,
            header,
            octets,
            time,
        }))
    }
}

fn right_header(
    path: &std::path::Path,
    file: File,
    digest: MessageDigest,
) -> Result<HeaderBlock, Rule> {
    let mut findings = Vec::new();
    let header = header_and_inline(path, file, digest, &mut findings)
        .map_err(crate::check::Finding::into_rule)?;
    match findings.pop() {
        None => Ok(header),
        Some(finding) => Err(finding.into_rule()),
    }
}

/// When a file was written, in whole seconds; now where that cannot be.
fn time_of(metadata: &std::fs::Metadata) -> Result<DateTime, MailboxError> {
    let modified = metadata.modified().unwrap_or_else(|_| SystemTime::now());
    let since = modified.duration_since(UNIX_EPOCH).ok();
    match since.and_then(|since| DateTime::utc(i64::try_from(since.as_secs()).ok()?)) {
        Some(time) => Ok(time),
        None => now(),
    }
}
