//! Repairing a folder's journal.

use std::collections::BTreeMap;

use ima_message::{Entry, MessageDigest};

use super::Tokens;
use super::folder::Repair;
use super::mended::Deed;
use crate::error::{Kind, MailboxError};
use crate::journal::Salvage;
use crate::name::{self, JOURNAL};

/// What the journal says and is not so.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    /// Messages that it does not have.
    pub(super) added: Vec<Entry>,
    /// Messages that it still has, and that were deleted.
    pub(super) deleted: Vec<MessageDigest>,
    /// The octets of messages to which it gives others.
    pub(super) octets: BTreeMap<MessageDigest, u64>,
}

impl Repair<'_> {
    /// What can be read of the journal; `None` where there is none.
    pub(super) fn read_journal(&mut self) -> Result<Option<Salvage>, MailboxError> {
        let root = &self.folder.root;
        let salvage = Salvage::read(root)?;
        for (offset, error) in salvage.iter().flat_map(|salvage| &salvage.bad) {
            let (offset, error) = (*offset, error.clone());
            self.did(root, JOURNAL, Deed::LeftOut { offset, error });
        }
        Ok(salvage)
    }

    /// Makes the journal say what is so.
    pub(super) fn journal(
        &mut self,
        salvage: Option<Salvage>,
        corrections: Corrections,
        tokens: Tokens,
    ) -> Result<(), MailboxError> {
        let root = &self.folder.root;
        let Corrections {
            added,
            deleted,
            octets,
        } = corrections;
        let more: Vec<Entry> = added
            .iter()
            .cloned()
            .chain(deleted.iter().map(|&digest| Entry::Del { digest }))
            .collect();
        let is_missing = salvage.is_none();
        let Salvage {
            mut entries,
            bad,
            rest,
        } = salvage.unwrap_or_default();
        if rest > 0 {
            self.did(root, JOURNAL, Deed::Cut { octets: rest });
        }
        for entry in &mut entries {
            let Entry::Add {
                digest,
                octets: said,
                ..
            } = entry
            else {
                continue;
            };
            if let Some(&found) = octets.get(digest)
                && *said != found
            {
                let (digest, journal) = (*digest, *said);
                *said = found;
                let deed = Deed::Octets {
                    digest,
                    journal,
                    found,
                };
                self.did(root, JOURNAL, deed);
            }
        }
        if is_missing {
            entries.extend(more);
            self.folder.replace_journal(&self.lock, &entries)?;
            self.did(root, JOURNAL, Deed::Made(Kind::File));
        } else if !bad.is_empty() || !octets.is_empty() || tokens == Tokens::Void {
            if !bad.is_empty() {
                self.keep_journal()?;
            }
            entries.extend(more);
            self.folder.replace_journal(&self.lock, &entries)?;
            self.did(root, JOURNAL, Deed::NewGeneration);
        } else {
            // Opened for that, a journal loses its cut line.
            let mut journal = self.folder.journal_to_append(&self.lock)?;
            if !more.is_empty() {
                journal.append(&more).map_err(|failed| failed.error)?;
            }
        }
        let folder = self.folder;
        let added = added.iter().map(|entry| (entry.digest(), Deed::Added));
        let deleted = deleted.iter().map(|digest| (*digest, Deed::Deleted));
        for (digest, deed) in added.chain(deleted) {
            self.did(&folder.messages, &name::message(digest), deed);
        }
        Ok(())
    }
}
