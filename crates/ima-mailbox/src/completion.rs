//! Completing messages that were stored and never added.
//!
//! Whoever linked such a message has died before its `add`, or the mailbox was put
//! back from a backup whose journal is older than the message. One that is whole and
//! that nobody has deleted is added a day later, so that no mail is lost; what is not
//! whole goes.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::SystemTime;

use ima_message::{DateTime, Entry, MessageDigest};
use rustix::fs::OFlags;

use crate::check::{Digested, Rule, header_and_inline};
use crate::compaction::Contents;
use crate::deliver::now;
use crate::directory::Directory;
use crate::durable::Barrier;
use crate::error::{MailboxError, Step};
use crate::folder::Folder;
use crate::lock::Lock;
use crate::name::{self, StoredName};
use crate::sweep::{STALE, changed, file};

/// Messages that were never added, and stay.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    /// The lines that add those that are whole, the oldest first.
    entries: Vec<Entry>,
    /// Those, and the ones of which nobody can say it now.
    pub(crate) kept: BTreeSet<MessageDigest>,
}

/// What there is of a message.
enum Found {
    /// All of it, in so many octets; its files are on the disk.
    Whole(u64),
    Damaged,
    Unreadable,
}

impl Folder {
    /// The messages in `messages/` that the journal does not know, that were not
    /// deleted, and that nobody has touched for a day.
    pub(crate) fn completion(
        &self,
        contents: &Contents,
        today: SystemTime,
    ) -> Result<Completion, MailboxError> {
        let mut completion = Completion::default();
        let mut whole: Vec<(DateTime, MessageDigest, u64)> = Vec::new();
        for entry in self.messages.names()? {
            let Some(StoredName::Message(digest)) = entry.to_str().and_then(StoredName::parse)
            else {
                continue;
            };
            let name = name::message(digest);
            if contents.live.contains_key(&digest)
                || contents.deleted.contains(&digest)
                || self.gone.status(&name)?.is_some()
            {
                continue;
            }
            let Some(status) = file(&self.messages, &name)? else {
                continue;
            };
            if changed(&status, today) < STALE {
                continue;
            }
            match self.found(digest)? {
                Found::Damaged => continue,
                Found::Unreadable => {}
                Found::Whole(octets) => {
                    let time = DateTime::utc(status.st_mtime).map_or_else(now, Ok)?;
                    whole.push((time, digest, octets));
                }
            }
            completion.kept.insert(digest);
        }
        whole.sort_by_key(|(time, digest, _)| (time.unix_seconds(), *digest));
        completion.entries = whole
            .into_iter()
            .map(|(time, digest, octets)| Entry::Add {
                digest,
                time,
                octets,
            })
            .collect();
        Ok(completion)
    }

    /// Adds them. Says how many there are.
    pub(crate) fn complete(
        &self,
        lock: &Lock,
        completion: &Completion,
    ) -> Result<usize, MailboxError> {
        if completion.entries.is_empty() {
            return Ok(0);
        }
        self.attachments.sync()?;
        self.messages.sync()?;
        let mut journal = self.journal_to_append(lock)?;
        journal
            .append(&completion.entries)
            .map_err(|failed| failed.error)?;
        Ok(completion.entries.len())
    }

    /// Whether a message is here and whole, its attachments included; then its files are
    /// on the disk too: whoever linked it may have died before.
    pub(crate) fn is_here(&self, digest: MessageDigest) -> Result<bool, MailboxError> {
        if !self.messages.holds(&name::message(digest))? {
            return Ok(false);
        }
        Ok(matches!(self.found(digest)?, Found::Whole(_)))
    }

    fn found(&self, digest: MessageDigest) -> Result<Found, MailboxError> {
        let name = name::message(digest);
        let Some(message) = open(&self.messages, &name) else {
            return Ok(Found::Unreadable);
        };
        let path = self.messages.path().join(&name);
        let mut octets = self.messages.metadata(&name, &message)?.len();
        let mut findings = Vec::new();
        let reading = message
            .try_clone()
            .map_err(|e| self.messages.fault(Step::Open, &name, e))?;
        let header = match header_and_inline(&path, reading, digest, &mut findings) {
            Ok(header) if findings.is_empty() => header,
            Ok(_) => return Ok(Found::Damaged),
            Err(finding) => {
                return Ok(match finding.into_rule() {
                    Rule::Unreadable(_) => Found::Unreadable,
                    _ => Found::Damaged,
                });
            }
        };
        let mut digested = Digested::default();
        self.bring(&name, &message)?;
        for (number, part) in header.attachments() {
            let name = name::attachment(digest, number);
            if self.messages.status(&name)?.is_none() {
                return Ok(Found::Damaged);
            }
            let found = open(&self.messages, &name).and_then(|attachment| {
                let reading = attachment.try_clone().ok()?;
                Some((attachment, digested.digest(reading).ok()?))
            });
            match found {
                None => return Ok(Found::Unreadable),
                Some((_, found)) if found != part.digest() => return Ok(Found::Damaged),
                Some((attachment, _)) => self.bring(&name, &attachment)?,
            }
            octets = octets.saturating_add(part.length());
        }
        Ok(Found::Whole(octets))
    }

    /// Brings a file in `messages/` onto the disk: whoever put a mailbox back from a
    /// backup need not have done so.
    fn bring(&self, name: &str, file: &File) -> Result<(), MailboxError> {
        Barrier::File
            .sync(file)
            .map_err(|e| self.messages.fault(Step::Sync, name, e))
    }
}

fn open(directory: &Directory, name: &str) -> Option<File> {
    directory.find_file(name, OFlags::RDONLY).ok().flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use ima_message::{Digester, HeaderBlock};

    use super::*;

    /// A folder with a message that has an attachment and whose `add` is missing.
    fn unfinished(mailbox: &Path) -> (Folder, MessageDigest) {
        let inbox = mailbox.join("inbox");
        let folder = Folder::create(&inbox).unwrap();
        let before = fs::read(inbox.join("journal")).unwrap();
        let mut digester = Digester::new();
        digester.update(b"small");
        let text = format!(
            "ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\nid: 1@a.test\npart: application/octet-stream 5 sha256:{} name=a file\nsize: 5\n\n",
            digester.finish()
        );
        let header = HeaderBlock::parse(text.as_bytes()).unwrap();
        folder.deliver(&header, &mut &b"small"[..], None).unwrap();
        fs::write(inbox.join("journal"), before).unwrap();
        (folder, header.digest())
    }

    fn soon(hours: u64) -> SystemTime {
        SystemTime::now() + Duration::from_hours(hours)
    }

    #[test]
    fn a_whole_message_that_was_never_added_is_added_a_day_later() {
        let mailbox = tempfile::tempdir().unwrap();
        let (folder, digest) = unfinished(mailbox.path());
        let done = folder.compact_at(soon(23)).unwrap().swept;
        assert_eq!((done.completed, done.messages), (0, 0));
        assert!(folder.live(None).unwrap().unwrap().is_empty());
        let done = folder.compact_at(soon(25)).unwrap();
        assert_eq!((done.swept.completed, done.swept.messages), (1, 0));
        let live = folder.live(None).unwrap().unwrap();
        assert_eq!(live.keys().collect::<Vec<_>>(), [&digest]);
        // Whoever goes on from the old journal learns of it.
        assert!(folder.live(Some(&done.to)).unwrap().unwrap().is_empty());
        let mut findings = Vec::new();
        let inbox = mailbox.path().join("inbox");
        crate::check::directory(&inbox, &mut |found| findings.push(found.to_string())).unwrap();
        assert_eq!(findings, Vec::<String>::new());
    }

    #[test]
    fn what_is_damaged_or_was_deleted_is_not_added() {
        for kind in ["gone", "attachment", "damaged", "deleted"] {
            let mailbox = tempfile::tempdir().unwrap();
            let (folder, digest) = unfinished(mailbox.path());
            let inbox = mailbox.path().join("inbox");
            let part = inbox.join(format!("messages/{digest}.1"));
            match kind {
                "gone" => fs::write(inbox.join(format!("gone/{digest}")), "").unwrap(),
                "attachment" => fs::remove_file(part).unwrap(),
                "damaged" => fs::write(part, "slmal").unwrap(),
                _ => {
                    let journal = fs::read_to_string(inbox.join("journal")).unwrap();
                    let lines = format!("{journal}del {digest}\n");
                    fs::write(inbox.join("journal"), lines).unwrap();
                }
            }
            let done = folder.compact_at(soon(25)).unwrap().swept;
            assert_eq!(done.completed, 0, "{kind}");
            assert!(done.messages > 0, "{kind}");
            assert_eq!(fs::read_dir(inbox.join("messages")).unwrap().count(), 0);
        }
    }
}
