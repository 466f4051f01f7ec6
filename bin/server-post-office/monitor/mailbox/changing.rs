//! What a user changes in the mailbox.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use ima_mailbox::{Committed, Folder, MailboxError, Removal, Transfer};
use ima_message::{DateTime, FolderName, HeaderBlock, MessageDigest, Token};
use ima_program::report::chain;
use ima_proto::imrp::{Act, Fault, Outcome};

use super::{Mailbox, log_fault};
use crate::limits::{FOLDERS, REMOVALS};

/// Octets of a journal from which on it is looked at, and by which it grows, whoever
/// writes it, until a session looks at it again: no quota counts them. What its
/// messages need, with 100 flags each, stays in it.
const LOOK_EVERY: u64 = 16 << 20;
/// Messages that a session takes out of folders until those are counted again.
const COUNT_EVERY: u64 = 1000;

const NO_FOLDER: &str = "no such folder";
const NO_MESSAGE: &str = "no such message";

/// What a session knows of a folder that it changes: where its journal ended when it
/// was looked at because of its length.
#[derive(Default)]
pub(super) struct Growth(Option<Token>);

/// What the mailbox still knows of messages that are gone.
pub(super) struct Removals {
    /// How many of them are not too many.
    most: u64,
    /// Messages that this session took out of folders since they were counted.
    since: u64,
    /// Whether they were too many then.
    are_many: bool,
}

impl Default for Removals {
    /// They are to be counted first of all.
    fn default() -> Self {
        Self {
            most: REMOVALS,
            since: COUNT_EVERY,
            are_many: false,
        }
    }
}

impl Mailbox {
    /// Does all acts, durably, in their order.
    pub fn change(&mut self, name: &FolderName, acts: &[Act]) -> Result<Vec<Outcome<()>>, Fault> {
        let Some(folder) = self.open_to_change(name)? else {
            return Ok(vec![refused(NO_FOLDER); acts.len()]);
        };
        if acts.iter().any(|act| matches!(act, Act::Flag { .. })) {
            self.keep_short(name, &folder)?;
        }
        let wanted: Vec<ima_mailbox::Act> = acts.iter().map(theirs).collect();
        let applied = match folder.apply(&wanted) {
            Ok(applied) => applied,
            Err(error) => return Ok(vec![self.refusal(&error)?; acts.len()]),
        };
        let undone: BTreeSet<usize> = applied.undone.into_iter().collect();
        let mut outcomes = Vec::new();
        for (place, act) in acts.iter().enumerate() {
            if undone.contains(&place) {
                outcomes.push(refused(NO_MESSAGE));
                continue;
            }
            outcomes.push(Outcome::Done(()));
            if let Act::Delete { .. } = act {
                self.removed(1);
            }
        }
        Ok(outcomes)
    }

    /// Tidies up a folder that is about to grow, where its journal is long. That is
    /// the folder's, however many sessions write it.
    fn keep_short(&mut self, name: &FolderName, folder: &Folder) -> Result<(), Fault> {
        let Growth(looked) = self.changed.entry(name.clone()).or_default();
        let mut look = || {
            let now = folder.token()?;
            let before = match looked {
                Some(looked) if looked.generation == now.generation => looked.offset,
                _ => 0,
            };
            if now.offset.saturating_sub(before) >= LOOK_EVERY {
                folder.tidy()?;
                *looked = Some(folder.token()?);
            }
            Ok(())
        };
        match look() {
            // Removed a moment ago, as whoever changes it finds.
            Err(MailboxError::NoFolder(_)) => Ok(()),
            looked => looked.map_err(|error| log_fault(&self.user, &error)),
        }
    }

    fn removed(&mut self, messages: u64) {
        self.removals.since = self.removals.since.saturating_add(messages);
    }

    /// Whether so many messages are known to be gone that no more may be stored:
    /// whoever stores and deletes without end would fill the disk with their names.
    fn has_many_removals(&mut self) -> Result<bool, Fault> {
        if self.removals.since >= COUNT_EVERY {
            let most = self.removals.most;
            let mut are_many = self.count_removals(|_| Ok(()))? > most;
            if are_many {
                // What is older than 10 days goes.
                let tidied = self.count_removals(|folder| folder.tidy().map(drop))?;
                are_many = tidied > most;
            }
            self.removals.since = 0;
            self.removals.are_many = are_many;
        }
        Ok(self.removals.are_many)
    }

    /// In all folders; one that is damaged has none.
    fn count_removals(
        &self,
        before: impl Fn(&Folder) -> Result<(), MailboxError>,
    ) -> Result<u64, Fault> {
        let names = self.mailbox.names().map_err(|error| self.fault(&error))?;
        let folders = names
            .iter()
            .filter_map(|name| self.mailbox.folder(name).ok()?);
        let counts = folders.filter_map(|folder| {
            let _ = before(&folder);
            folder.known_removals().ok()
        });
        Ok(counts.fold(0, u64::saturating_add))
    }

    /// Moves messages, durably.
    pub fn move_to(
        &mut self,
        from: &FolderName,
        digests: &[MessageDigest],
        to: &FolderName,
    ) -> Result<Vec<Outcome<()>>, Fault> {
        let all = |outcome: Outcome<()>| vec![outcome; digests.len()];
        let Some(there) = self.open_to_change(to)? else {
            return Ok(all(refused(NO_FOLDER)));
        };
        // Flags go with a message.
        if from != to {
            self.keep_short(to, &there)?;
        }
        drop(there);
        let missing = match self.mailbox.move_messages(from, digests, to) {
            Ok(None) => return Ok(all(refused(NO_FOLDER))),
            Ok(Some(Transfer { missing, .. })) => missing,
            Err(error) => return Ok(all(self.refusal(&error)?)),
        };
        let moved = digests.len().saturating_sub(missing.len()) as u64;
        if moved > 0 {
            self.changed.entry(from.clone()).or_default();
            self.removed(moved);
        }
        let missing: BTreeSet<MessageDigest> = missing.into_iter().collect();
        let mut outcomes = Vec::new();
        for digest in digests {
            outcomes.push(match missing.contains(digest) {
                true => self.cannot_move(from, *digest)?,
                false => Outcome::Done(()),
            });
        }
        Ok(outcomes)
    }

    /// A message that stayed where it is: it is not there, or not whole.
    fn cannot_move(
        &mut self,
        from: &FolderName,
        digest: MessageDigest,
    ) -> Result<Outcome<()>, Fault> {
        let Some(folder) = self.folder(from)? else {
            return Ok(refused(NO_MESSAGE));
        };
        match folder.message(digest) {
            Ok(None) => Ok(refused(NO_MESSAGE)),
            Ok(Some(_)) => {
                self.damaged(from, digest);
                Ok(refused("the message is damaged here"))
            }
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// Stores a message, durably.
    pub fn take(
        &mut self,
        name: &FolderName,
        header: &HeaderBlock,
        data: &mut dyn Read,
    ) -> Result<Outcome<MessageDigest>, Fault> {
        let whole = (header.as_bytes().len() as u64).saturating_add(header.size());
        if whole > self.max_message {
            let most = self.max_message;
            return Ok(refused(format!(
                "too large: a message has at most {most} octets here"
            )));
        }
        let Some(folder) = self.open_to_change(name)? else {
            return Ok(refused(NO_FOLDER));
        };
        let Some(_on_its_way) = self.stores.begin(&self.user) else {
            return Ok(refused(
                "too many messages are on their way; try again later",
            ));
        };
        self.keep_short(name, &folder)?;
        if self.has_many_removals()? {
            return Ok(refused(
                "too many messages were deleted or moved in the last 10 days; try again later",
            ));
        }
        match store(&folder, header, data) {
            Ok(_) => Ok(Outcome::Done(header.digest())),
            Err(error) => self.refusal(&error),
        }
    }

    /// Makes a folder.
    pub fn make(&mut self, name: &FolderName) -> Result<Outcome<()>, Fault> {
        let names = self.mailbox.names().map_err(|error| self.fault(&error))?;
        if names.contains(name) {
            return Ok(refused("there is a folder of this name"));
        }
        if names.len() >= FOLDERS {
            return Ok(refused(format!(
                "a mailbox has at most {FOLDERS} folders here"
            )));
        }
        match self.mailbox.create_folder(name) {
            Ok(_) => Ok(Outcome::Done(())),
            // By another session, a moment ago.
            Err(MailboxError::Exists(_)) => Ok(refused("there is a folder of this name")),
            Err(error) => self.refusal(&error),
        }
    }

    /// Removes one.
    pub fn unmake(&mut self, name: &FolderName) -> Result<Outcome<()>, Fault> {
        self.current = None;
        let removal = match self.mailbox.remove_folder(name) {
            Ok(removal) => removal,
            Err(error) => return self.refusal(&error),
        };
        Ok(match removal {
            Removal::Removed => {
                self.changed.remove(name);
                Outcome::Done(())
            }
            Removal::NoFolder => refused(NO_FOLDER),
            Removal::NotEmpty => refused("the folder holds messages"),
            Removal::Inbox => refused("the inbox stays"),
        })
    }

    /// What is at this name now, whatever was there before.
    fn open_to_change(&mut self, name: &FolderName) -> Result<Option<Folder>, Fault> {
        self.current = None;
        // As many as there can be, and more only where others remove them.
        if self.changed.len() > FOLDERS {
            self.tidy_up();
        }
        self.find(name)
    }

    /// Tidies up the folders that were changed.
    pub fn tidy_up(&mut self) {
        for name in std::mem::take(&mut self.changed).into_keys() {
            if let Ok(Some(folder)) = self.find(&name) {
                tidy(&self.user, &folder);
            }
        }
    }

    /// What the client is told of a change that did not come about.
    fn refusal<T>(&self, error: &MailboxError) -> Result<Outcome<T>, Fault> {
        match error {
            MailboxError::NoFolder(_) => Ok(refused(NO_FOLDER)),
            MailboxError::Quota { quota, used, .. } => Ok(refused(format!(
                "the mailbox has a quota of {quota} octets, and holds {used}"
            ))),
            // The connection has broken, which is no fault here.
            MailboxError::Read(_) => Err(Fault),
            error if error.is_refusal() => Ok(refused(chain(error).to_string())),
            error => Err(self.fault(error)),
        }
    }
}

fn refused<T>(reason: impl Into<Box<str>>) -> Outcome<T> {
    Outcome::Refused(reason.into())
}

fn theirs(act: &Act) -> ima_mailbox::Act {
    match act {
        Act::Flag { digest, changes } => ima_mailbox::Act::Flag {
            digest: *digest,
            changes: changes.clone(),
        },
        Act::Delete { digest } => ima_mailbox::Act::Delete { digest: *digest },
    }
}

fn store(
    folder: &Folder,
    header: &HeaderBlock,
    data: &mut dyn Read,
) -> Result<Committed, MailboxError> {
    folder.can_store(header)?;
    let mut batch = folder.batch_of_user()?;
    batch.stage(header, data, now()?)?;
    batch.commit()
}

/// In whole seconds.
fn now() -> Result<DateTime, MailboxError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since
        .and_then(|since| DateTime::utc(i64::try_from(since.as_secs()).ok()?))
        .ok_or(MailboxError::Clock)
}

/// Nobody waits for it, and what fails is as it was.
fn tidy(user: &str, folder: &Folder) {
    match folder.tidy() {
        // Removed a moment ago.
        Ok(_) | Err(MailboxError::NoFolder(_)) => {}
        Err(error) => drop(log_fault(user, &error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use ima_message::Digester;

    use super::*;
    use crate::monitor::stores::Stores;
    use crate::monitor::watch::Watchers;

    /// A message's header block; it has no data.
    fn letter(id: u32) -> HeaderBlock {
        let header = format!(
            "ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\n\
             id: {id}@a.test\npart: text/plain 0 sha256:{}\nsize: 0\n\n",
            Digester::new().finish()
        );
        HeaderBlock::parse(header.as_bytes()).unwrap()
    }

    #[test]
    fn who_stores_and_deletes_without_end_finds_an_end() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bob");
        ima_mailbox::Mailbox::make_personal(&path).unwrap();
        let mut mailbox = Mailbox {
            mailbox: ima_mailbox::Mailbox::open(&path).unwrap(),
            user: "bob@b.test".to_owned(),
            watchers: Watchers::default(),
            stores: Stores::default(),
            max_message: 1 << 20,
            current: None,
            changed: BTreeMap::new(),
            removals: Removals {
                most: 2,
                ..Removals::default()
            },
        };
        let (inbox, trash): (FolderName, FolderName) =
            ("inbox".parse().unwrap(), "trash".parse().unwrap());
        let letters = [1, 2, 3, 4, 5].map(letter);
        let store = |mailbox: &mut Mailbox, letter: &HeaderBlock| {
            mailbox.removals.since = COUNT_EVERY;
            mailbox.take(&inbox, letter, &mut &b""[..]).unwrap()
        };
        for letter in &letters {
            let stored = store(&mut mailbox, letter);
            assert_eq!(stored, Outcome::Done(letter.digest()));
        }
        let [first, second, third, fourth, fifth] = letters.each_ref().map(HeaderBlock::digest);
        let delete = |digest| [Act::Delete { digest }];
        let done = vec![Outcome::Done(())];
        for digest in [first, second] {
            assert_eq!(mailbox.change(&inbox, &delete(digest)).unwrap(), done);
        }
        // What comes back is gone no longer.
        store(&mut mailbox, &letters[0]);
        // What lies in other folders counts as well.
        assert_eq!(mailbox.move_to(&inbox, &[first], &trash).unwrap(), done);
        assert_eq!(mailbox.change(&trash, &delete(first)).unwrap(), done);
        let Outcome::Refused(reason) = store(&mut mailbox, &letters[1]) else {
            panic!("it was stored");
        };
        assert!(
            reason.starts_with("too many messages were deleted"),
            "{reason}"
        );
        // To delete and to move is never refused for that.
        assert_eq!(mailbox.change(&inbox, &delete(third)).unwrap(), done);
        assert_eq!(mailbox.move_to(&inbox, &[fourth], &trash).unwrap(), done);
        assert_eq!(mailbox.change(&inbox, &delete(fifth)).unwrap(), done);
    }
}
