//! Steps 3 and 4 of a delivery, under the lock, for any number of messages: what is
//! new gets its names.

use std::fs::File;

use std::collections::BTreeSet;

use ima_message::{DateTime, Entry, Flag, FlagChange};
use rustix::fs::OFlags;

use super::found;
use super::incoming::Incoming;
use super::links::Links;
use super::now;
use super::storing::Linked;
use crate::change::flag_lines;
use crate::check::Digested;
use crate::directory::Directory;
use crate::durable::can_sync_whole;
use crate::error::MailboxError;
use crate::folder::{Announced, Folder, Kept};
use crate::name;
use crate::stage::Staged;

/// Messages of one batch that are there already, up to which each is synced by itself
/// and has a descriptor until then.
pub(super) const SYNCED_EACH: usize = 16;

/// A message that is staged, and what its folder's journal is to say of it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) incoming: Incoming,
    /// When it arrived.
    pub(crate) time: DateTime,
    /// The flags that it brings.
    pub(crate) flags: BTreeSet<Flag>,
}

impl Arrival {
    /// One that has arrived before.
    pub(crate) fn of(incoming: Incoming, time: DateTime, flags: BTreeSet<Flag>) -> Self {
        Self {
            incoming,
            time,
            flags,
        }
    }

    /// One that arrives now and brings no flags.
    pub(super) fn of_now(incoming: Incoming) -> Result<Self, MailboxError> {
        Ok(Self {
            incoming,
            time: now()?,
            flags: BTreeSet::new(),
        })
    }
}

/// Who gives a message to a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giver {
    /// Its sender: what the user has deleted does not come back.
    Sender,
    /// The user, who has it there again whatever was deleted.
    User,
}

impl Folder {
    /// The octets of those messages that are not here yet.
    pub(super) fn new_octets(
        &self,
        arrivals: &[Arrival],
        giver: Giver,
    ) -> Result<u64, MailboxError> {
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
    pub(super) fn link<'a>(
        &'a self,
        arrival: &'a Arrival,
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
                (linked.has_known, linked.has_names) = (true, true);
                let header_and_inline = self.messages.metadata(&name, &file)?.len();
                linked.found = linked.found.saturating_add(1);
                let whole = match &incoming.found {
                    Some(found) => found.whole(&self.messages, &name, file, digest)?,
                    None => found::whole(&self.messages, &name, file, digest)?,
                };
                if let Some(whole) = whole {
                    // More of them are synced together, where they can be.
                    if linked.found > SYNCED_EACH {
                        if !can_sync_whole(&*self.messages) {
                            whole.sync()?;
                        }
                    } else if !whole.is_synced() {
                        linked.unsynced.push(whole);
                    }
                    // Its transport fields may be others.
                    header_and_inline.saturating_add(incoming.attached_octets())
                } else {
                    incoming.message.sync()?;
                    let (message, stage) = (incoming.message.staged(), &incoming.stage);
                    stage.replace(message, &self.messages, &name)?;
                    incoming.octets()
                }
            }
            None => {
                let (message, stage) = (&incoming.message, &incoming.stage);
                let message = links.add_message(&self.messages, &name, message, stage)?;
                if !message.is_synced() {
                    linked.unsynced.push(message);
                }
                linked.has_names = true;
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
        for attached in incoming.attachments() {
            let (part, staged) = (attached.announced, &*attached.staged);
            self.keep(incoming, part, staged)?;
            let name = name::attachment(incoming.digest(), attached.number);
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
    fn keep(
        &self,
        incoming: &Incoming,
        part: Announced,
        staged: &Staged,
    ) -> Result<(), MailboxError> {
        let name = name::kept(part.digest);
        match is_right(&self.attachments, &name, part, staged)? {
            Some(false) => incoming.stage.replace(staged, &self.attachments, &name),
            _ => Ok(()),
        }
    }

    fn link_attachment<'a>(
        &'a self,
        incoming: &Incoming,
        name: &str,
        part: Announced,
        staged: &Staged,
        links: &mut Links<'a>,
    ) -> Result<(), MailboxError> {
        let kept_name = name::kept(part.digest);
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
}

/// Whether a name leads to the octets of an attachment: to the staged file, which
/// was compared with what came, or to one of the same digest. `None` where there is
/// nothing.
fn is_right(
    directory: &Directory,
    name: &str,
    part: Announced,
    staged: &Staged,
) -> Result<Option<bool>, MailboxError> {
    let Some(file) = directory.find_file(name, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let is_right = directory.metadata(name, &file)?.len() == part.length
        && (staged.is(&file)? || is_digest(file, part));
    Ok(Some(is_right))
}

/// What cannot be read has no digest.
fn is_digest(file: File, part: Announced) -> bool {
    Digested::default()
        .digest(file)
        .is_ok_and(|found| found == part.digest)
}
