//! FLAG, DELETE, MOVE, CREATE and REMOVE: what a user changes.

use std::collections::HashSet;

use ima_message::{FolderName, MessageDigest};

use super::{Session, Stop};
use crate::framing::Channel;
use crate::imrp::answer::Final;
use crate::imrp::command::Command;
use crate::imrp::office::{Act, Mailbox as _, Office, Outcome};

/// Acts that are done together at most.
const MAX_ACTS: usize = 256;

impl<C: Channel, O: Office> Session<C, O> {
    /// Does an act, and with it those behind it that have come already and are
    /// about the same folder: bringing them onto the disk costs as much for
    /// hundreds as for one. Each has an answer of its own, none before all are
    /// durable.
    pub(super) fn apply(&mut self, folder: Option<&FolderName>, first: Act) -> Result<(), Stop> {
        let Some(folder) = folder else {
            return self.no_folder();
        };
        let mut deleted = HashSet::new();
        let mut note = move |act: &Act| {
            // What comes after its deletion finds it gone.
            let digest = act.digest();
            match act {
                _ if deleted.contains(&digest) => false,
                Act::Flag { .. } => true,
                Act::Delete { .. } => deleted.insert(digest),
            }
        };
        note(&first);
        let acts = self.gather(first, |line| act_on(folder, line).filter(&mut note));
        let outcomes = self.mailbox()?.apply(folder, &acts)?;
        self.answer_each(acts.len(), outcomes)
    }

    /// The same of messages that go from one folder to one other.
    pub(super) fn relocate(
        &mut self,
        from: Option<&FolderName>,
        digest: MessageDigest,
        to: Option<&FolderName>,
    ) -> Result<(), Stop> {
        let (Some(from), Some(to)) = (from, to) else {
            return self.no_folder();
        };
        let mut moved = HashSet::from([digest]);
        let digests = self.gather(digest, |line| {
            moved_between(from, to, line).filter(|digest| moved.insert(*digest))
        });
        let outcomes = self.mailbox()?.relocate(from, &digests, to)?;
        self.answer_each(digests.len(), outcomes)
    }

    /// What lines that have come ask for, as long as it goes together.
    fn gather<T>(&mut self, first: T, mut next: impl FnMut(&str) -> Option<T>) -> Vec<T> {
        let mut gathered = vec![first];
        while gathered.len() < MAX_ACTS && self.wire.has_line() {
            let line = self.wire.read_line(self.limits.stall);
            match line.as_deref().ok().and_then(&mut next) {
                Some(one) => gathered.push(one),
                None => {
                    self.ahead = Some(line);
                    break;
                }
            }
        }
        gathered
    }

    /// As many answers as there were commands.
    fn answer_each(&mut self, asked: usize, outcomes: Vec<Outcome<()>>) -> Result<(), Stop> {
        if outcomes.len() != asked {
            return Err(Stop::Fault);
        }
        let mut outcomes = outcomes.into_iter();
        outcomes.try_for_each(|outcome| self.acknowledge(outcome))
    }

    pub(super) fn create(&mut self, folder: Option<&FolderName>) -> Result<(), Stop> {
        let Some(folder) = folder else {
            return self.fail("no folder can have this name");
        };
        let outcome = self.mailbox()?.create(folder)?;
        self.acknowledge(outcome)
    }

    pub(super) fn remove(&mut self, folder: Option<&FolderName>) -> Result<(), Stop> {
        let Some(folder) = folder else {
            return self.no_folder();
        };
        let outcome = self.mailbox()?.remove(folder)?;
        self.acknowledge(outcome)
    }

    fn acknowledge(&mut self, outcome: Outcome<()>) -> Result<(), Stop> {
        match outcome {
            Outcome::Done(()) => Ok(self.say(&Final::Ok)?),
            Outcome::Refused(reason) => self.fail(&reason),
        }
    }
}

/// The act on this folder that a line asks for; `None` where it asks for
/// something else.
fn act_on(folder: &FolderName, line: &str) -> Option<Act> {
    let (named, act) = match Command::parse(line).ok()? {
        Command::Flag {
            folder,
            digest,
            changes,
        } => (folder, Act::Flag { digest, changes }),
        Command::Delete { folder, digest } => (folder, Act::Delete { digest }),
        _ => return None,
    };
    (named.as_ref() == Some(folder)).then_some(act)
}

/// The message that a line asks to be moved from one of these to the other.
fn moved_between(from: &FolderName, to: &FolderName, line: &str) -> Option<MessageDigest> {
    match Command::parse(line).ok()? {
        Command::Move {
            from: Some(this),
            digest,
            to: Some(that),
        } => (this == *from && that == *to).then_some(digest),
        _ => None,
    }
}
