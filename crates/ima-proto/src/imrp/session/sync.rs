//! FOLDERS and SYNC: what is there, and what changed.

use std::collections::{HashMap, HashSet};

use ima_message::{Entry, FlagChange, FolderName, MessageDigest, Token};

use super::octets::{Begun, begin, header_of};
use super::{Session, Stop};
use crate::framing::Channel;
use crate::imrp::answer::{Change, Final, Information};
use crate::imrp::command::{MAX_FLAG_CHANGES, SyncMode};
use crate::imrp::office::{Changes, Fault, Mailbox as _, Office};

/// Messages of which one answer keeps in mind that they were deleted later, or
/// told already; of twice as many at most. So many are held in some 6 MiB.
const MAX_KEPT: usize = 32_768;
/// Times that a folder may be compacted just between two readings of it.
const MAX_AGAIN: usize = 8;

/// What is told: a journal from one place on, to its end at one moment.
struct Journal {
    first: ChangeSource,
    second: ChangeSource,
    end: Token,
}

/// What follows an `add`.
enum Block {
    Nothing,
    Header(Vec<u8>),
    Message(Begun),
}

type ChangeSource = Box<dyn Iterator<Item = Result<Change, Fault>>>;

impl<C: Channel, O: Office> Session<C, O> {
    pub(super) fn folders(&mut self) -> Result<(), Stop> {
        for status in self.mailbox()?.folders()? {
            self.tell(&Information::Folder(status))?;
        }
        Ok(self.say(&Final::Ok)?)
    }

    pub(super) fn sync(
        &mut self,
        folder: Option<&FolderName>,
        since: Option<&Token>,
        mode: SyncMode,
    ) -> Result<(), Stop> {
        let Some(folder) = folder else {
            return self.no_folder();
        };
        let Some(Journal { first, second, end }) = self.open(folder, since)? else {
            return Ok(());
        };
        // What was added and deleted since is left out.
        let mut deleted = Deleted::default();
        let mut any = false;
        for change in first {
            let change = change?;
            any = true;
            if let Entry::Del { digest } = change.entry {
                deleted.note(digest, change.token.offset);
            }
        }
        if any {
            self.tell_changes(folder, since.copied(), mode, second, end, &deleted)?;
        }
        Ok(self.say(&Final::Upto(end))?)
    }

    /// The same journal twice, to be read one after the other, whatever becomes
    /// of the folder meanwhile. `None`: the client has its answer.
    fn open(
        &mut self,
        folder: &FolderName,
        since: Option<&Token>,
    ) -> Result<Option<Journal>, Stop> {
        for _ in 0..MAX_AGAIN {
            let mailbox = self.mailbox()?;
            let (first, end) = match mailbox.changes(folder, since)? {
                Changes::Since(_, end) if since == Some(&end) => {
                    self.say(&Final::Upto(end))?;
                    return Ok(None);
                }
                Changes::Since(first, end) => (first, end),
                other => return self.answer_at_once(other),
            };
            match mailbox.changes(folder, since)? {
                Changes::Since(second, now) if now.generation == end.generation => {
                    return Ok(Some(Journal { first, second, end }));
                }
                // From the start: each time is as good as the other.
                Changes::Since(..) => {}
                other => return self.answer_at_once(other),
            }
        }
        Err(Stop::Fault)
    }

    fn answer_at_once(&mut self, changes: Changes) -> Result<Option<Journal>, Stop> {
        match changes {
            Changes::NoFolder => self.no_folder()?,
            Changes::Reset(token) | Changes::Since(_, token) => self.say(&Final::Reset(token))?,
        }
        Ok(None)
    }

    fn tell_changes(
        &mut self,
        folder: &FolderName,
        since: Option<Token>,
        mode: SyncMode,
        changes: ChangeSource,
        end: Token,
        deleted: &Deleted,
    ) -> Result<(), Stop> {
        // An `add` may stand in a journal twice.
        let mut told = Told::default();
        let mut before = since;
        for change in changes {
            let change = change?;
            let at = change.token.offset;
            if at > end.offset {
                break;
            }
            let digest = change.entry.digest();
            let mut block = Block::Nothing;
            match change.entry {
                Entry::Add { .. } => {
                    let is_deleted = deleted.behind(digest, at);
                    if is_deleted == Some(true) || !told.insert(digest) {
                        continue;
                    }
                    if mode != SyncMode::List || is_deleted.is_none() {
                        match self.block(folder, digest, mode)? {
                            Some(found) => block = found,
                            None => continue,
                        }
                    }
                }
                Entry::Del { .. } => told.remove(digest),
                Entry::Flag { .. } => {}
            }
            let token = change.token;
            self.tell_change(change, before)?;
            before = Some(token);
            match block {
                Block::Nothing => {}
                Block::Header(block) => self.tell_header(&block)?,
                Block::Message(message) => self.tell_message(folder, digest, message)?,
            }
        }
        Ok(())
    }

    /// What follows the `add` of a message. `None`: it is left out, since it was
    /// deleted a moment ago, or later in this journal, or its file is damaged.
    fn block(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
        mode: SyncMode,
    ) -> Result<Option<Block>, Stop> {
        let mailbox = self.mailbox()?;
        let Some(message) = mailbox.message(folder, digest)? else {
            return Ok(None);
        };
        let block = match mode {
            SyncMode::List => return Ok(Some(Block::Nothing)),
            SyncMode::Headers => header_of(message).map(|block| block.map(Block::Header)),
            SyncMode::Messages => begin(message).map(|begun| begun.map(Block::Message)),
        };
        let block = block.map_err(|_| Fault)?;
        if block.is_none() {
            mailbox.damaged(folder, &digest);
        }
        Ok(block)
    }

    /// A change, as one line or, of more flags than a line takes, as several. A
    /// client that was cut off among these goes on `before` the change.
    fn tell_change(&mut self, mut change: Change, before: Option<Token>) -> Result<(), Stop> {
        let token = change.token;
        while let Entry::Flag { digest, changes } = &mut change.entry {
            if changes.len() <= MAX_FLAG_CHANGES {
                break;
            }
            let later = changes.split_off(MAX_FLAG_CHANGES);
            let digest = *digest;
            let entry = std::mem::replace(&mut change.entry, flags(digest, later));
            let token = before.unwrap_or(token);
            self.tell(&Information::Change(Change { entry, token }))?;
        }
        Ok(self.tell(&Information::Change(change))?)
    }
}

fn flags(digest: MessageDigest, changes: Vec<FlagChange>) -> Entry {
    Entry::Flag { digest, changes }
}

/// Which messages were deleted, and where for the last time.
#[derive(Default)]
struct Deleted {
    last: HashMap<MessageDigest, u64>,
    /// There were more: of some it is not known.
    more: bool,
}

impl Deleted {
    fn note(&mut self, digest: MessageDigest, at: u64) {
        match self.last.len() < 2 * MAX_KEPT || self.last.contains_key(&digest) {
            true => drop(self.last.insert(digest, at)),
            false => self.more = true,
        }
    }

    /// Whether a message is deleted behind a place; `None`: whoever asks must
    /// look whether it is there.
    fn behind(&self, digest: MessageDigest, at: u64) -> Option<bool> {
        match self.last.get(&digest) {
            Some(last) if *last > at => Some(true),
            _ if self.more => None,
            _ => Some(false),
        }
    }
}

/// The messages that were told last.
#[derive(Default)]
struct Told {
    newer: HashSet<MessageDigest>,
    older: HashSet<MessageDigest>,
}

impl Told {
    /// False where it was told before, among the last ones.
    fn insert(&mut self, digest: MessageDigest) -> bool {
        if self.older.contains(&digest) || !self.newer.insert(digest) {
            return false;
        }
        if self.newer.len() >= MAX_KEPT {
            self.older = std::mem::take(&mut self.newer);
        }
        true
    }

    fn remove(&mut self, digest: MessageDigest) {
        self.newer.remove(&digest);
        self.older.remove(&digest);
    }
}
