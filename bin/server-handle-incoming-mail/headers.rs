//! The header block that each recipient is given.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;

use ima_mailbox::Heading;
use ima_message::{Address, Field, HeaderBlock, MessageDigest};

/// The header blocks made from that of a message. Whoever has no `bcc` line of
/// his own gets the same one, which is made once.
#[derive(Debug)]
pub(crate) struct Headers<'m> {
    whole: &'m HeaderBlock,
    /// Recipients whose header block names them where it names nobody else.
    with_own_line: HashSet<&'m Address>,
    /// `None`: the whole one.
    common: OnceLock<Option<HeaderBlock>>,
    digest: MessageDigest,
}

impl<'m> Headers<'m> {
    pub(crate) fn new(whole: &'m HeaderBlock) -> Self {
        let mut fields = whole.kinds();
        let named = fields.any(|field| matches!(field, Field::To(_) | Field::Cc(_)));
        let with_own_line = whole.kinds().filter_map(|field| match field {
            Field::Bcc(mailbox) => Some(mailbox.address()),
            Field::Deliver(address) if !named => Some(address),
            _ => None,
        });
        Self {
            whole,
            with_own_line: with_own_line.collect(),
            common: OnceLock::new(),
            digest: whole.digest(),
        }
    }

    /// The message digest, which all of them have.
    pub(crate) fn digest(&self) -> MessageDigest {
        self.digest
    }

    /// A recipient's.
    pub(crate) fn of(&self, recipient: &Address) -> Cow<'_, HeaderBlock> {
        let own = || self.whole.for_recipient(recipient);
        if self.with_own_line.contains(recipient) {
            // Lent is only what is no one's alone.
            return Cow::Owned(own().into_owned());
        }
        let common = self.common.get_or_init(|| match own() {
            Cow::Owned(common) => Some(common),
            Cow::Borrowed(_) => None,
        });
        Cow::Borrowed(common.as_ref().unwrap_or(self.whole))
    }
}

/// A recipient's header block, which is made when it is needed: where all recipients
/// have a `bcc` line, so many of them take more memory than the message is worth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfRecipient<'p> {
    pub(crate) headers: &'p Headers<'p>,
    pub(crate) recipient: &'p Address,
}

impl Heading for OfRecipient<'_> {
    fn header(&self) -> Cow<'_, HeaderBlock> {
        self.headers.of(self.recipient)
    }
}
