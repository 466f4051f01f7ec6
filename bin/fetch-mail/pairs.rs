//! Folders that are on one side alone.

use std::collections::BTreeMap;

use ima_mailbox::Folder;
use ima_message::FolderName;
use ima_proto::imrp::{Answer, FolderStatus};

use crate::failure::Failure;
use crate::round::Run;

/// Folders that are taken from one server.
pub const MAX_FOLDERS: usize = 1000;
/// The folder that is never removed.
const INBOX: &str = "inbox";

/// A folder that is on both sides.
#[derive(Debug)]
pub struct Pair {
    /// The one here.
    pub folder: Folder,
    /// The server's.
    pub there: FolderStatus,
    /// An earlier round has dealt with it.
    pub is_known: bool,
}

impl Run<'_> {
    /// The folders that are to be the same on both sides, made where they are
    /// missing; those that were removed on one side are removed on the other, where
    /// nothing is in them.
    ///
    /// # Errors
    /// Where the server breaks the rules; a fault.
    pub fn pairs(&mut self, mut there: Vec<FolderStatus>) -> Result<Vec<Pair>, Failure> {
        if there.len() > MAX_FOLDERS {
            return Err(Failure::TooManyFolders(there.len()));
        }
        let here = self.mirror.mailbox.names()?;
        self.say_unknown(&here, &there);
        let is_made = self.only_here(&here, &there)?;
        let removed = self.removed_here(&here, &there)?;
        if is_made || !removed.is_empty() {
            there = self.session.client.folders()?;
        }
        let is_there = |name: &FolderName| there.iter().any(|status| status.name == *name);
        let gone = self.mirror.state.names();
        let gone: Vec<FolderName> = gone
            .filter(|name| !is_there(name) && !here.contains(name) && self.scope.holds(name))
            .cloned()
            .collect();
        gone.iter().for_each(|name| self.mirror.state.forget(name));
        let mut pairs = Vec::new();
        for status in there {
            if !self.scope.holds(&status.name) {
                continue;
            }
            // One into which mail came meanwhile comes here again.
            if status.messages == 0
                && let Some(text) = removed.get(&status.name)
            {
                let name = &status.name;
                self.tally.miss(format!(
                    "{name}: the server does not remove this folder: {text}"
                ));
                continue;
            }
            let found = match self.mirror.mailbox.folder(&status.name) {
                Ok(found) => found,
                Err(fault) => {
                    self.is_partly_read = true;
                    self.tally.spoiled(&status.name, &fault);
                    continue;
                }
            };
            let is_known = self.mirror.state.place(&status.name).is_some() && found.is_some();
            let folder = self.mirror.folder(&status.name)?;
            pairs.push(Pair {
                folder,
                there: status,
                is_known,
            });
        }
        Ok(pairs)
    }

    /// Folders that were named and are nowhere.
    fn say_unknown(&mut self, here: &[FolderName], there: &[FolderStatus]) {
        for name in &self.scope.folders {
            if !here.contains(name) && !there.iter().any(|status| status.name == *name) {
                self.tally.miss(format!(
                    "{name}: there is no such folder, here or on the server"
                ));
            }
        }
    }

    /// Folders that the server does not have: new here, or removed there. Says
    /// whether any was made there.
    fn only_here(&mut self, here: &[FolderName], there: &[FolderStatus]) -> Result<bool, Failure> {
        let mut make = Vec::new();
        for name in here {
            if there.iter().any(|status| status.name == *name) || !self.scope.holds(name) {
                continue;
            }
            let place = self.mirror.state.place(name);
            let was_there = place.is_some_and(|place| place.server.is_some());
            let is_drained = place.is_some_and(|place| place.drained.is_some());
            if is_drained {
                continue;
            }
            let status = match self.mirror.mailbox.folder(name) {
                Ok(Some(folder)) => folder.status(),
                Ok(None) => continue,
                Err(fault) => Err(fault),
            };
            match status {
                Ok(status) if status.messages == 0 && was_there && name.as_str() != INBOX => {
                    self.mirror.remove_folder(name)?;
                    continue;
                }
                Ok(_) => {}
                Err(fault) => {
                    self.is_partly_read = true;
                    self.tally.spoiled(name, &fault);
                    continue;
                }
            }
            if self.scope.sends() {
                make.push(name);
            }
        }
        for name in &make {
            // What was known of the one that was removed holds of no other.
            self.mirror.state.place_mut(name).server = None;
            self.session.client.ask_create(name)?;
        }
        for name in &make {
            if let Answer::Refused(text) = self.session.client.acknowledged()? {
                self.tally.miss(format!(
                    "{name}: the server does not make this folder: {text}"
                ));
            }
        }
        Ok(!make.is_empty())
    }

    /// Folders that were removed here and hold nothing on the server are removed
    /// there. Gives what the server says of each.
    fn removed_here(
        &mut self,
        here: &[FolderName],
        there: &[FolderStatus],
    ) -> Result<BTreeMap<FolderName, Box<str>>, Failure> {
        let mut removed = BTreeMap::new();
        // Who took all of them away means the mailbox, and not its folders.
        if here.is_empty() || !self.scope.sends() {
            return Ok(removed);
        }
        let mut remove = Vec::new();
        for status in there {
            let name = &status.name;
            let place = self.mirror.state.place(name);
            if status.messages == 0
                && name.as_str() != INBOX
                && self.scope.holds(name)
                && place.is_some_and(|place| place.server.is_some())
                && matches!(self.mirror.mailbox.folder(name), Ok(None))
            {
                remove.push(name);
                self.session.client.ask_remove(name)?;
            }
        }
        for name in remove {
            let said = match self.session.client.acknowledged()? {
                Answer::Whole => "it says that it has".into(),
                Answer::Refused(text) => text,
            };
            removed.insert(name.clone(), said);
        }
        Ok(removed)
    }
}
