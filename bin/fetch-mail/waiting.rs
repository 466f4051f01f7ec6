//! Messages that wait for their attachments.

use std::collections::{BTreeMap, HashMap, HashSet};

use ima_message::PartDigest;

use crate::wanted::Wanted;

/// Messages that are here but for attachments, and the attachments that were
/// asked for or are to be.
#[derive(Debug, Default)]
pub struct Waiting {
    /// By their places in the listing: the messages and what they lack.
    messages: BTreeMap<usize, (Wanted, HashSet<PartDigest>)>,
    /// Who waits for what.
    awaited: HashMap<PartDigest, Vec<usize>>,
}

impl Waiting {
    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether an attachment was asked for, or is to be.
    pub fn awaits(&self, digest: PartDigest) -> bool {
        self.awaited.contains_key(&digest)
    }

    /// A message lacks these attachments. They are awaited from now on.
    pub fn add(&mut self, wanted: Wanted, lacks: HashSet<PartDigest>) {
        for digest in &lacks {
            self.awaited.entry(*digest).or_default().push(wanted.index);
        }
        self.messages.insert(wanted.index, (wanted, lacks));
    }

    /// An attachment has come. Gives the messages that lack nothing now; they
    /// wait no more.
    pub fn came(&mut self, digest: PartDigest) -> Vec<Wanted> {
        let mut complete = Vec::new();
        for index in self.awaited.remove(&digest).unwrap_or_default() {
            let Some((_, lacks)) = self.messages.get_mut(&index) else {
                continue;
            };
            lacks.remove(&digest);
            if lacks.is_empty() {
                complete.extend(self.messages.remove(&index).map(|(wanted, _)| wanted));
            }
        }
        complete
    }

    /// An attachment does not come. Gives the messages that had waited for it;
    /// they wait no more.
    pub fn give_up(&mut self, digest: PartDigest) -> Vec<Wanted> {
        let waiters = self.awaited.remove(&digest).unwrap_or_default();
        // Who lacks two that do not come is given up once.
        let lost = waiters
            .into_iter()
            .filter_map(|index| self.messages.remove(&index));
        lost.map(|(wanted, _)| wanted).collect()
    }
}
