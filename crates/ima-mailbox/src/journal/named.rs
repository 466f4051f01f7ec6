//! What a journal says of a few messages, found in one pass that looks at no
//! more of the other lines than at their digest.

use std::collections::{BTreeMap, BTreeSet};

use ima_message::{Entry, MessageDigest};

use super::{FIRST_LINE, Journal};
use crate::error::{MailboxError, Step};
use crate::live::{self, Message};

/// Digits of a digest by which most lines are passed over.
const KEY: usize = 16;

impl Journal {
    /// Those of the messages that are live behind the line that ends at `upto`.
    /// Lines that break the grammar count for nothing.
    pub(crate) fn named(
        &self,
        digests: &BTreeSet<MessageDigest>,
        upto: u64,
    ) -> Result<BTreeMap<MessageDigest, Message>, MailboxError> {
        let mut live = BTreeMap::new();
        self.renew(&mut live, digests, FIRST_LINE, upto)?;
        Ok(live)
    }

    /// Brings forward what was live behind the line that ends at `from`.
    pub(crate) fn renew(
        &self,
        live: &mut BTreeMap<MessageDigest, Message>,
        digests: &BTreeSet<MessageDigest>,
        from: u64,
        upto: u64,
    ) -> Result<(), MailboxError> {
        let mut keys: Vec<[u8; KEY]> = digests
            .iter()
            .filter_map(|digest| key(digest.to_string().as_bytes()))
            .collect();
        keys.sort_unstable();
        if keys.is_empty() {
            return Ok(());
        }
        let fault = |e| MailboxError::io(Step::Read, &self.path, e);
        let mut lines = self.lines(from, upto)?;
        while lines.advance().map_err(fault)? {
            let Some(line) = lines.line() else { continue };
            if digest(line)
                .and_then(key)
                .is_none_or(|key| keys.binary_search(&key).is_err())
            {
                continue;
            }
            match Entry::parse(line) {
                Ok(entry) if digests.contains(&entry.digest()) => live::fold(live, entry),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What follows the first word of a line.
fn digest(line: &[u8]) -> Option<&[u8]> {
    let words: [&[u8]; 3] = [b"add ", b"flag ", b"del "];
    words.iter().find_map(|word| line.strip_prefix(*word))
}

fn key(digest: &[u8]) -> Option<[u8; KEY]> {
    digest.first_chunk().copied()
}
