//! Messages that are to be brought here.

use std::collections::BTreeSet;

use ima_mailbox::Message;
use ima_message::{DateTime, Flag, MessageDigest};

use crate::touch::Added;

/// A message that is to be brought into a folder.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its place among those of its folder.
    pub index: usize,
    /// Which.
    pub digest: MessageDigest,
    /// When it came to the server, and its size.
    pub added: Added,
    /// Its flags.
    pub flags: BTreeSet<Flag>,
}

impl Wanted {
    /// One that the server has told of.
    pub fn new(index: usize, digest: MessageDigest, added: Added, flags: BTreeSet<Flag>) -> Self {
        Self {
            index,
            digest,
            added,
            flags,
        }
    }

    /// One that was here before.
    pub fn again(
        index: usize,
        digest: MessageDigest,
        message: &Message,
        flags: BTreeSet<Flag>,
    ) -> Self {
        let added = Added {
            seconds: message.time.unix_seconds(),
            octets: message.octets,
        };
        Self::new(index, digest, added, flags)
    }

    /// When it came to the server.
    pub fn time(&self) -> Option<DateTime> {
        DateTime::utc(self.added.seconds)
    }
}
