//! Removing what belongs to no message.
//!
//! What a killed process leaves was never acknowledged, and what is deleted may go
//! once its `del` is on the disk. A delivery that is being staged needs nothing of
//! it: what it links has no name yet, or one in `tmp/` that is younger than a day;
//! an attachment that it found in `attachments/` it holds open, and copies where
//! that has lost its last name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ima_message::{MessageDigest, PartDigest};
use rustix::fs::{FileType, Stat};

use crate::compaction::Contents;
use crate::completion::Completion;
use crate::directory::Directory;
use crate::error::MailboxError;
use crate::folder::Folder;
use crate::lock::{Home, Lock};
use crate::name::{self, StoredName};
use crate::removal::clear_away;

/// How long it is known that a message was deleted.
const REMOVAL_IS_KNOWN: Duration = Duration::from_hours(10 * 24);
/// How long nobody touches what a process may still be writing, or has left that
/// died.
pub(crate) const STALE: Duration = Duration::from_hours(24);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files in `messages/` of messages that were deleted, or never acknowledged.
    pub messages: usize,
    /// Attachments that no message of the folder holds.
    pub attachments: usize,
    /// Names in `gone/` that are older than 10 days.
    pub removals: usize,
    /// Files in `tmp/` that are older than a day.
    pub leftovers: usize,
    /// Messages that were whole, and were never added: now they are.
    pub completed: usize,
}

/// A file, whatever its names.
type Inode = (u64, u64);

impl Folder {
    /// The messages that were deleted in the last days.
    pub(crate) fn removals(
        &self,
        contents: &Contents,
        now: SystemTime,
    ) -> Result<BTreeSet<MessageDigest>, MailboxError> {
        let mut removals = BTreeSet::new();
        for (digest, is_old) in self.gone_entries(now)? {
            if !is_old && !contents.live.contains_key(&digest) {
                removals.insert(digest);
            }
        }
        Ok(removals)
    }

    /// Removes what `messages/` holds of no live message: at once where the
    /// journal has it as deleted, and where it was never added a day later, unless
    /// it is completed.
    pub(crate) fn sweep_messages(
        &self,
        _lock: &Lock,
        contents: &Contents,
        completion: &Completion,
        now: SystemTime,
    ) -> Result<Swept, MailboxError> {
        let mut swept = Swept::default();
        for entry in self.messages.names()? {
            let Some((name, stored)) = parsed(&entry, StoredName::parse) else {
                continue;
            };
            let (StoredName::Message(digest) | StoredName::Attachment(digest, _)) = stored;
            if contents.live.contains_key(&digest) || completion.kept.contains(&digest) {
                continue;
            }
            let Some(status) = file(&self.messages, name)? else {
                continue;
            };
            if contents.deleted.contains(&digest) || changed(&status, now) >= STALE {
                swept.messages += usize::from(self.messages.remove_if_there(name)?);
            }
        }
        if swept.messages > 0 {
            self.messages.sync()?;
        }
        Ok(swept)
    }

    /// Removes what `attachments/`, `gone/` and `tmp/` need no longer hold.
    pub(crate) fn sweep_the_rest(
        &self,
        lock: &Lock,
        contents: &Contents,
        now: SystemTime,
        swept: &mut Swept,
    ) -> Result<(), MailboxError> {
        swept.attachments = self.sweep_attachments(lock)?;
        for (digest, is_old) in self.gone_entries(now)? {
            if is_old || contents.live.contains_key(&digest) {
                let name = name::message(digest);
                swept.removals += usize::from(self.gone.remove_if_there(&name)?);
            }
        }
        if swept.removals > 0 {
            self.gone.sync()?;
        }
        for entry in self.tmp.names()? {
            let Some((name, ())) = parsed(&entry, |_| Some(())) else {
                continue;
            };
            let is_stale =
                file(&self.tmp, name)?.is_some_and(|status| changed(&status, now) >= STALE);
            if is_stale {
                swept.leftovers += usize::from(self.tmp.remove_if_there(name)?);
            }
        }
        Ok(())
    }

    /// Removes from `attachments/` what no message holds: whatever is the same
    /// file as one in `messages/`, or bears the digest of one that is a file of
    /// its own, stays.
    pub(crate) fn sweep_attachments(&self, _lock: &Lock) -> Result<usize, MailboxError> {
        let mut kept = Vec::new();
        for entry in self.attachments.names()? {
            let digest = parsed(&entry, |name| name.parse::<PartDigest>().ok());
            if let Some((name, digest)) = digest
                && let Some(status) = file(&self.attachments, name)?
            {
                kept.push((digest, inode(&status)));
            }
        }
        if kept.is_empty() {
            return Ok(0);
        }
        let shared: HashSet<Inode> = kept.iter().map(|(_, inode)| *inode).collect();
        let mut held = HashSet::new();
        let mut apart: BTreeMap<MessageDigest, BTreeSet<usize>> = BTreeMap::new();
        for entry in self.messages.names()? {
            let Some((name, StoredName::Attachment(digest, number))) =
                parsed(&entry, StoredName::parse)
            else {
                continue;
            };
            let Some(status) = file(&self.messages, name)? else {
                continue;
            };
            if shared.contains(&inode(&status)) {
                held.insert(inode(&status));
            } else {
                apart.entry(digest).or_default().insert(number);
            }
        }
        let mut named = HashSet::new();
        for (digest, numbers) in apart {
            let Some(header) = self.header(digest)? else {
                // Nobody can say what it holds.
                continue;
            };
            for (number, part) in header.attachments() {
                if numbers.contains(&number) {
                    named.insert(part.digest());
                }
            }
        }
        let mut swept = 0;
        for (digest, inode) in kept {
            if !held.contains(&inode) && !named.contains(&digest) {
                swept += usize::from(self.attachments.remove_if_there(&name::kept(digest))?);
            }
        }
        if swept > 0 {
            self.attachments.sync()?;
        }
        Ok(swept)
    }

    /// Removes from the mailbox what is left of folders that were not made to the
    /// end a day ago, or are removed. It is of no use to anybody, so what cannot
    /// be removed stays.
    pub(crate) fn sweep_mailbox(&self, now: SystemTime) {
        let Some(Home { mailbox, .. }) = &self.home else {
            return;
        };
        let names = mailbox.reopen().and_then(|mailbox| mailbox.names());
        for entry in names.unwrap_or_default() {
            let Some(name) = entry.to_str() else { continue };
            let Ok(Some(status)) = mailbox.status(name) else {
                continue;
            };
            let is_unfinished =
                name.starts_with(name::UNFINISHED) && changed(&status, now) >= STALE;
            if (is_unfinished || name.starts_with(name::REMOVED))
                && FileType::from_raw_mode(status.st_mode).is_dir()
            {
                clear_away(mailbox, name);
            }
        }
    }

    /// What `gone/` names, and whether it may be forgotten.
    fn gone_entries(&self, now: SystemTime) -> Result<Vec<(MessageDigest, bool)>, MailboxError> {
        let mut entries = Vec::new();
        for entry in self.gone.names()? {
            let digest = parsed(&entry, |name| name.parse::<MessageDigest>().ok());
            if let Some((name, digest)) = digest
                && let Some(status) = file(&self.gone, name)?
            {
                let is_old = age(status.st_mtime, now) >= REMOVAL_IS_KNOWN;
                entries.push((digest, is_old));
            }
        }
        Ok(entries)
    }
}

/// A name, and what it says; `None` where that is nothing.
fn parsed<T>(entry: &OsStr, parse: impl Fn(&str) -> Option<T>) -> Option<(&str, T)> {
    let name = entry.to_str()?;
    Some((name, parse(name)?))
}

/// What is known of a regular file; `None` where it is gone, or is none.
pub(crate) fn file(directory: &Directory, name: &str) -> Result<Option<Stat>, MailboxError> {
    let status = directory.status(name)?;
    Ok(status.filter(|status| FileType::from_raw_mode(status.st_mode).is_file()))
}

fn inode(status: &Stat) -> Inode {
    (status.st_dev, status.st_ino)
}

/// How long ago anything was done to a file, be it that it got a name.
pub(crate) fn changed(status: &Stat, now: SystemTime) -> Duration {
    age(status.st_ctime, now)
}

/// How long ago a moment was, in seconds since 1970; nothing for one to come.
fn age(then: i64, now: SystemTime) -> Duration {
    let then = UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(then).unwrap_or(0)));
    then.and_then(|then| now.duration_since(then).ok())
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// A folder with one message that has an attachment, and things beside it.
    fn folder(mailbox: &Path) -> Folder {
        let inbox = mailbox.join("inbox");
        let folder = Folder::create(&inbox).unwrap();
        let (live, part) = ("aa".repeat(32), "ab".repeat(32));
        let add = format!("add {live} 2026-11-22T09:30:02Z 5\n");
        let journal = fs::read_to_string(inbox.join("journal")).unwrap();
        fs::write(inbox.join("journal"), journal + &add).unwrap();
        fs::write(inbox.join("messages").join(&live), "x").unwrap();
        fs::write(inbox.join("attachments").join(&part), "x").unwrap();
        let held = inbox.join("messages").join(format!("{live}.2"));
        fs::hard_link(inbox.join("attachments").join(&part), held).unwrap();
        folder
    }

    fn count(path: &Path) -> usize {
        fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn what_a_process_left_that_died_goes_a_day_later() {
        let mailbox = tempfile::tempdir().unwrap();
        let folder = folder(mailbox.path());
        let inbox = mailbox.path().join("inbox");
        let never_added = "cd".repeat(32);
        for name in [
            format!("messages/{never_added}"),
            format!("messages/{never_added}.2"),
            format!("messages/{}.7", "ef".repeat(32)),
            "tmp/0123456789abcdef".to_owned(),
        ] {
            fs::write(inbox.join(name), "y").unwrap();
        }
        // The attachment of a message that was never added.
        let part = inbox.join("attachments").join("ba".repeat(32));
        let held = inbox.join(format!("messages/{never_added}.2"));
        fs::hard_link(held, &part).unwrap();
        let unfinished = mailbox.path().join(".new-0123456789abcdef");
        fs::create_dir_all(unfinished.join("tmp")).unwrap();
        let now = SystemTime::now();
        let young = folder
            .compact_at(now + DAY - Duration::from_secs(60))
            .unwrap();
        assert_eq!(young.swept, Swept::default());
        assert!(unfinished.exists() && part.exists());
        let old = folder
            .compact_at(now + DAY + Duration::from_secs(60))
            .unwrap();
        let expected = Swept {
            messages: 3,
            attachments: 1,
            removals: 0,
            leftovers: 1,
            completed: 0,
        };
        assert_eq!(old.swept, expected);
        assert!(!unfinished.exists() && !part.exists());
        let left = ["messages", "attachments", "tmp"].map(|name| count(&inbox.join(name)));
        assert_eq!(left, [2, 1, 0]);
    }

    #[test]
    fn a_name_in_tmp_that_was_given_today_is_of_today() {
        let mailbox = tempfile::tempdir().unwrap();
        let folder = folder(mailbox.path());
        let inbox = mailbox.path().join("inbox");
        // As a delivery holds an attachment that is there for long.
        let part = inbox.join("attachments").join("ab".repeat(32));
        let file = fs::File::options().write(true).open(&part).unwrap();
        file.set_modified(SystemTime::now() - 30 * DAY).unwrap();
        fs::hard_link(&part, inbox.join("tmp/held")).unwrap();
        folder.compact().unwrap();
        assert!(inbox.join("tmp/held").exists());
    }

    #[test]
    fn a_clock_that_went_back_removes_nothing() {
        let mailbox = tempfile::tempdir().unwrap();
        let folder = folder(mailbox.path());
        let inbox = mailbox.path().join("inbox");
        fs::write(inbox.join("tmp/x"), "").unwrap();
        fs::write(inbox.join("gone").join("cd".repeat(32)), "").unwrap();
        let swept = folder.compact_at(UNIX_EPOCH).unwrap().swept;
        assert_eq!(swept, Swept::default());
    }
}
