//! The header block that each recipient is given.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;

use ima_message::{Address, Field, HeaderBlock, MessageDigest};

/// Octets of header blocks of recipients' own that are held at the same time.
const OWN: usize = 16 << 20;

/// The header blocks made from that of a message. Whoever has no `bcc` line of
/// his own gets the same one, which is made once.
pub(crate) struct Headers<'m> {
    whole: &'m HeaderBlock,
    /// Recipients whose header block names them where it names nobody else.
    with_own_line: HashSet<&'m Address>,
    common: OnceLock<HeaderBlock>,
    digest: MessageDigest,
}

impl<'m> Headers<'m> {
    pub(crate) fn new(whole: &'m HeaderBlock) -> Self {
        let named = whole
            .fields()
            .any(|(_, _, field)| matches!(field, Field::To(_) | Field::Cc(_)));
        let with_own_line = whole
            .fields()
            .filter_map(|(_, _, field)| match field {
                Field::Bcc(mailbox) => Some(mailbox.address()),
                Field::Deliver(address) if !named => Some(address),
                _ => None,
            })
            .collect();
        Self {
            whole,
            with_own_line,
            common: OnceLock::new(),
            digest: whole.digest(),
        }
    }

    /// The message digest, which all of them have.
    pub(crate) fn digest(&self) -> MessageDigest {
        self.digest
    }

    /// How many recipients' there may be at the same time, so that they do not take
    /// more memory than the message is worth.
    pub(crate) fn most_at_once(&self) -> usize {
        match self.with_own_line.is_empty() {
            true => usize::MAX,
            false => OWN.div_euclid(self.whole.as_bytes().len().max(1)).max(1),
        }
    }

    /// A recipient's.
    pub(crate) fn of(&self, recipient: &Address) -> Cow<'_, HeaderBlock> {
        if self.with_own_line.contains(recipient) {
            return Cow::Owned(self.whole.for_recipient(recipient));
        }
        Cow::Borrowed(
            self.common
                .get_or_init(|| self.whole.for_recipient(recipient)),
        )
    }
}
