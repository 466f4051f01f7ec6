//! What a folder holds, by its journal.

use std::collections::{BTreeMap, BTreeSet};

use ima_message::{DateTime, Entry, Flag, MessageDigest, Token};

use crate::error::MailboxError;
use crate::folder::Folder;

/// Flags that a message may have beside those that mail programs know: whoever sets
/// flags must not make a folder that is dear to read, to move and to compact.
const MAX_FLAGS: usize = 100;
/// Those that they know, ima-mailbox(5).
const KNOWN: [&str; 5] = ["seen", "answered", "flagged", "draft", "junk"];

/// A message of a folder, as its journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it arrived; whole seconds, in UTC.
    pub time: DateTime,
    /// Its octets, attachments included.
    pub octets: u64,
    /// The flags that are set: at most 100 beside `seen`, `answered`, `flagged`,
    /// `draft` and `junk`. A line that sets one more changes nothing.
    pub flags: BTreeSet<Flag>,
}

impl Folder {
    /// The messages that the folder held at a token, without one those that it
    /// holds now. `None` where the token means nothing here: the journal was
    /// written anew since.
    ///
    /// The cost is that of the journal up to there.
    ///
    /// # Errors
    /// A fault, also a journal that breaks its grammar.
    pub fn live(
        &self,
        upto: Option<&Token>,
    ) -> Result<Option<BTreeMap<MessageDigest, Message>>, MailboxError> {
        let Some(entries) = self.read_journal()?.until(upto.copied())? else {
            return Ok(None);
        };
        let mut live = BTreeMap::new();
        for change in entries {
            fold(&mut live, change?.entry);
        }
        Ok(Some(live))
    }
}

/// The messages after one more change.
pub(crate) fn fold(live: &mut BTreeMap<MessageDigest, Message>, entry: Entry) {
    match entry {
        Entry::Add {
            digest,
            time,
            octets,
        } => {
            live.entry(digest).or_insert_with(|| Message {
                time,
                octets,
                flags: BTreeSet::new(),
            });
        }
        Entry::Flag { digest, changes } => {
            let Some(message) = live.get_mut(&digest) else {
                return;
            };
            for change in changes {
                if change.set {
                    if has_room(&message.flags, &change.flag) {
                        message.flags.insert(change.flag);
                    }
                } else {
                    message.flags.remove(&change.flag);
                }
            }
        }
        Entry::Del { digest } => {
            live.remove(&digest);
        }
    }
}

fn has_room(flags: &BTreeSet<Flag>, more: &Flag) -> bool {
    let is_known = |flag: &&Flag| KNOWN.contains(&flag.as_str());
    // It is counted only where there are many.
    flags.len() < MAX_FLAGS
        || is_known(&more)
        || flags
            .len()
            .saturating_sub(flags.iter().filter(is_known).count())
            < MAX_FLAGS
}
