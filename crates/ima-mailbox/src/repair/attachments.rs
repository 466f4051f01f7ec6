//! Repairing attachments: each is there under two names, so that one can be
//! brought back from the other, or from another message's.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use ima_message::{MessageDigest, Part, PartDigest};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::folder::Repair;
use super::mended::Deed;
use crate::check::Rule;
use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::name;
use crate::stage::{Stage, Staged, Syncing};

/// An attachment of a message.
pub(super) struct Held<'a> {
    pub(super) digest: MessageDigest,
    pub(super) number: usize,
    pub(super) part: &'a Part,
}

/// What bears the name of an attachment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    Absent,
    /// It cannot be read, or is no file.
    Unknown,
}

impl Repair<'_> {
    /// Brings back what is missing or damaged, where it is somewhere in the
    /// folder. Gives the messages that are not whole even so.
    pub(super) fn attachments(
        &mut self,
        held: &[Held<'_>],
    ) -> Result<BTreeSet<MessageDigest>, MailboxError> {
        let folder = self.folder;
        let mut kept: BTreeMap<PartDigest, State> = BTreeMap::new();
        let mut whole = BTreeSet::new();
        let mut changed = false;
        for one in held {
            let digest = one.part.digest();
            if let btree_map::Entry::Vacant(unknown) = kept.entry(digest) {
                let name = name::kept(digest);
                unknown.insert(self.state(&folder.attachments, &name, one.part)?);
            }
            let name = name::attachment(one.digest, one.number);
            if self.state(&folder.messages, &name, one.part)? != State::Whole {
                continue;
            }
            whole.insert((one.digest, one.number));
            if kept.get(&digest) == Some(&State::Absent) {
                let file = Staged::named(&folder.messages, name);
                self.link(&file, &folder.attachments, &name::kept(digest))?;
                kept.insert(digest, State::Whole);
                changed = true;
            }
        }
        let mut incomplete = BTreeSet::new();
        for one in held {
            if whole.contains(&(one.digest, one.number)) {
                continue;
            }
            let digest = one.part.digest();
            let name = name::attachment(one.digest, one.number);
            if kept.get(&digest) == Some(&State::Whole) && folder.messages.status(&name)?.is_none()
            {
                let file = Staged::named(&folder.attachments, name::kept(digest));
                self.link(&file, &folder.messages, &name)?;
                changed = true;
            } else {
                incomplete.insert(one.digest);
            }
        }
        if changed {
            folder.attachments.sync()?;
            folder.messages.sync()?;
        }
        Ok(incomplete)
    }

    /// What bears a name; what has other octets than the part is set aside.
    fn state(
        &mut self,
        directory: &Directory,
        name: &str,
        part: &Part,
    ) -> Result<State, MailboxError> {
        let file = match directory.find_file(name, OFlags::RDONLY) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(State::Absent),
            Err(MailboxError::Kind { .. }) => return Ok(State::Unknown),
            Err(error) => return Err(error),
        };
        let expected = part.length();
        let found = directory.metadata(name, &file)?.len();
        let rule = if found != expected {
            Rule::Length { expected, found }
        } else {
            match self.digested.digest(file) {
                Ok(found) if found == part.digest() => return Ok(State::Whole),
                Ok(found) => Rule::Content { found },
                Err(_) => return Ok(State::Unknown),
            }
        };
        self.set_aside(directory, name, rule)?;
        Ok(State::Absent)
    }

    /// Gives a file another name, or a copy of it where it cannot have one more.
    fn link(
        &mut self,
        file: &Staged,
        directory: &Directory,
        name: &str,
    ) -> Result<(), MailboxError> {
        let linked = match file.link(directory, name) {
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM) => {
                let stage = Stage::new(&self.folder.tmp, false, Syncing::Each);
                stage.copy(file)?.link(directory, name)
            }
            linked => linked,
        };
        linked.map_err(|e| directory.fault(Step::Link, name, e))?;
        let from = file.path();
        self.did(directory, name, Deed::Linked { from });
        Ok(())
    }
}
