//! Steps 2 to 4 of a delivery, under the lock, for any number of messages.

use std::collections::BTreeSet;
use std::fs::File;

use ima_message::{DateTime, Entry, Flag, FlagChange, MessageDigest, Part};
use rustix::fs::OFlags;

use super::incoming::Incoming;
use super::links::Links;
use crate::change::flag_lines;
use crate::check::{Digested, is_whole_message};
use crate::directory::Directory;
use crate::error::MailboxError;
use crate::folder::{Folder, Kept};
use crate::journal::Written;
use crate::lock::Lock;
use crate::name;
use crate::quota::Room;
use crate::stage::Staged;

/// A message that is staged, and what its folder's journal is to say of it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) incoming: Incoming,
    /// When it arrived.
    pub(crate) time: DateTime,
    /// The flags that it brings.
    pub(crate) flags: BTreeSet<Flag>,
}

/// Who gives a message to a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giver {
    /// Its sender: what the user has deleted does not come back.
    Sender,
    /// The user, who has it there again whatever was deleted.
    User,
}

/// What was stored.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// How many messages are new.
    pub(crate) new: usize,
    /// What was appended to the journal.
    pub(crate) written: Option<Written>,
    /// Messages whose `add` was to be written once more, and that are not here.
    pub(crate) missing: Vec<MessageDigest>,
}

/// What is to be written of the messages that were given names.
#[derive(Default)]
struct Linked {
    entries: Vec<Entry>,
    new: usize,
    /// Octets of the new ones.
    octets: u64,
    /// Whether some message was there before: nobody knows what the journal says
    /// of it.
    has_known: bool,
}

impl Folder {
    /// Stores messages; `again` are lines to be written once more for messages
    /// that are here. Either all of it is done or, after an error, nothing is
    /// visible; but where the journal was written, and what followed failed, all
    /// of it is.
    pub(crate) fn store(
        &self,
        lock: &Lock,
        arrivals: &[Arrival],
        again: &[Entry],
        giver: Giver,
        room: Option<&Room>,
    ) -> Result<Stored, MailboxError> {
        let mut journal = self.journal_to_append(lock)?;
        if let Some(room) = room {
            room.refuse_beyond(self.new_octets(arrivals, giver)?)?;
        }
        let mut links = Links::default();
        let mut linked = Linked::default();
        let mut missing = Vec::new();
        for add in again {
            if self.messages.holds(&name::message(add.digest()))? {
                linked.entries.push(add.clone());
                linked.has_known = true;
            } else {
                missing.push(add.digest());
            }
        }
        let done = arrivals
            .iter()
            .try_for_each(|arrival| self.link(arrival, giver, &mut links, &mut linked))
            .and_then(|()| match linked.entries.is_empty() {
                true => Ok(()),
                false => self.sync_directories(arrivals, !again.is_empty()),
            });
        if let Err(error) = done {
            links.remove();
            return Err(error);
        }
        if linked.entries.is_empty() {
            return Ok(Stored {
                missing,
                ..Stored::default()
            });
        }
        let written = match journal.append(&linked.entries) {
            Ok(written) => written,
            Err(failed) => {
                if failed.withdrawn {
                    links.remove();
                }
                return Err(failed.error);
            }
        };
        if giver == Giver::User {
            self.forget_removal(&linked.entries)?;
        }
        if room.is_some() && !linked.has_known {
            self.advance_summary(written, linked.new, linked.octets);
        }
        Ok(Stored {
            new: linked.new,
            written: Some(written),
            missing,
        })
    }

    /// The octets of those messages that are not here yet.
    fn new_octets(&self, arrivals: &[Arrival], giver: Giver) -> Result<u64, MailboxError> {
        let mut new = BTreeSet::new();
        let mut octets: u64 = 0;
        for arrival in arrivals {
            let digest = arrival.incoming.digest();
            let name = name::message(digest);
            let is_gone = giver == Giver::Sender && self.gone.holds(&name)?;
            if !is_gone && !self.messages.holds(&name)? && new.insert(digest) {
                octets = octets.saturating_add(arrival.incoming.octets());
            }
        }
        Ok(octets)
    }

    /// Gives a message its names, unless its sender brings it and it was deleted
    /// in the last days.
    fn link<'a>(
        &'a self,
        arrival: &Arrival,
        giver: Giver,
        links: &mut Links<'a>,
        linked: &mut Linked,
    ) -> Result<(), MailboxError> {
        let incoming = &arrival.incoming;
        let digest = incoming.digest();
        let name = name::message(digest);
        if giver == Giver::Sender && self.gone.holds(&name)? {
            return Ok(());
        }
        let stored = self.messages.find_file(&name, OFlags::RDONLY)?;
        self.link_attachments(incoming, stored.is_some(), links)?;
        let octets = match stored {
            Some(file) => {
                linked.has_known = true;
                let header_and_inline = self.messages.metadata(&name, &file)?.len();
                if is_whole_message(&self.messages.path().join(&name), file, digest) {
                    // Its transport fields may be others.
                    header_and_inline.saturating_add(incoming.attached_octets())
                } else {
                    let stage = &incoming.stage;
                    stage.replace(&incoming.message, &self.messages, &name)?;
                    incoming.octets()
                }
            }
            None => {
                links.add_or_copy(&self.messages, &name, &incoming.message, incoming)?;
                linked.new = linked.new.saturating_add(1);
                linked.octets = linked.octets.saturating_add(incoming.octets());
                incoming.octets()
            }
        };
        linked.entries.push(Entry::Add {
            digest,
            time: arrival.time.clone(),
            octets,
        });
        if !arrival.flags.is_empty() {
            // The summary counts those that are not seen.
            linked.has_known = true;
            let set = |flag: &Flag| FlagChange {
                flag: flag.clone(),
                set: true,
            };
            let changes: Vec<FlagChange> = arrival.flags.iter().map(set).collect();
            linked.entries.extend(flag_lines(digest, &changes));
        }
        Ok(())
    }

    /// Links each attachment under its digest and under the message's. Where the
    /// message is there already, so are its attachments: one that is not, or is
    /// damaged, against all order, is put back.
    fn link_attachments<'a>(
        &'a self,
        incoming: &Incoming,
        is_stored: bool,
        links: &mut Links<'a>,
    ) -> Result<(), MailboxError> {
        for (number, part, staged) in incoming.attachments() {
            self.keep(incoming, part, staged)?;
            let name = name::attachment(incoming.digest(), number);
            match is_right(&self.messages, &name, part, staged)? {
                None => {}
                Some(true) if is_stored => continue,
                Some(false) if is_stored => {
                    incoming.stage.replace(staged, &self.messages, &name)?;
                    continue;
                }
                // Left by a delivery of this message that died before its end.
                Some(_) => self.messages.remove(&name)?,
            }
            self.link_attachment(incoming, &name, part, staged, links)?;
        }
        Ok(())
    }

    /// Puts an attachment in the place of a damaged one of its digest.
    fn keep(&self, incoming: &Incoming, part: &Part, staged: &Staged) -> Result<(), MailboxError> {
        let name = name::kept(part.digest());
        match is_right(&self.attachments, &name, part, staged)? {
            Some(false) => incoming.stage.replace(staged, &self.attachments, &name),
            _ => Ok(()),
        }
    }

    fn link_attachment<'a>(
        &'a self,
        incoming: &Incoming,
        name: &str,
        part: &Part,
        staged: &Staged,
        links: &mut Links<'a>,
    ) -> Result<(), MailboxError> {
        let kept_name = name::kept(part.digest());
        match self.kept(part)? {
            Kept::Absent => {
                let copy = links.add_or_copy(&self.attachments, &kept_name, staged, incoming)?;
                let source = copy.as_ref().unwrap_or(staged);
                links.add_or_copy(&self.messages, name, source, incoming)?;
            }
            Kept::Whole(file) => {
                let kept = Staged::of(file, &self.attachments, &kept_name);
                if let Some(copy) = links.add_or_copy(&self.messages, name, &kept, incoming)? {
                    // It has as many names as it can have: the next messages link the copy.
                    incoming
                        .stage
                        .replace(&copy, &self.attachments, &kept_name)?;
                }
            }
            Kept::Damaged => {
                links.add_or_copy(&self.messages, name, staged, incoming)?;
            }
        }
        Ok(())
    }

    /// Where others' messages are among them, their attachments may not be on the
    /// disk yet.
    fn sync_directories(&self, arrivals: &[Arrival], has_others: bool) -> Result<(), MailboxError> {
        let mut attachments = arrivals.iter().flat_map(|one| one.incoming.attachments());
        if has_others || attachments.next().is_some() {
            self.attachments.sync()?;
        }
        self.messages.sync()
    }

    /// What was added by its user was not deleted. A process that dies before this
    /// leaves a name that hides nothing, since the message is here.
    fn forget_removal(&self, added: &[Entry]) -> Result<(), MailboxError> {
        let mut forgotten = false;
        for entry in added {
            if matches!(entry, Entry::Add { .. }) {
                forgotten |= self.gone.remove_if_there(&name::message(entry.digest()))?;
            }
        }
        match forgotten {
            true => self.gone.sync(),
            false => Ok(()),
        }
    }
}

/// Whether a name leads to the octets of an attachment: to the staged file, which
/// was compared with what came, or to one of the same digest. `None` where there is
/// nothing.
fn is_right(
    directory: &Directory,
    name: &str,
    part: &Part,
    staged: &Staged,
) -> Result<Option<bool>, MailboxError> {
    let Some(file) = directory.find_file(name, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let is_right = directory.metadata(name, &file)?.len() == part.length()
        && (staged.is(&file)? || is_digest(file, part));
    Ok(Some(is_right))
}

/// What cannot be read has no digest.
fn is_digest(file: File, part: &Part) -> bool {
    Digested::default()
        .digest(file)
        .is_ok_and(|found| found == part.digest())
}
