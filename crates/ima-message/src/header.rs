//! The header block.
//!
//! ```text
//! header-block = %s"ima: 1" LF *(field LF) LF
//! field        = name ": " value
//! name         = LOWER 0*31(LOWER / DIGIT / "-")
//! value        = 1*text                  ; neither begins nor ends with SP
//! ```

mod error;
mod parse;
mod read;
mod rewrite;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use crate::address::{Address, Mailbox};
use crate::date::DateTime;
use crate::digest::{Digester, MessageDigest};
use crate::id::MessageId;
use crate::part::Part;
use crate::received::Received;
use crate::signature::Signature;

pub use error::{HeaderError, ReadError, Rule};

/// A header block that keeps every rule of ima-message(5), its signatures
/// included: no value of this type is wrong. It is kept as the octets that were
/// read; at most 1 MiB.
#[derive(Clone, Debug)]
pub struct HeaderBlock {
    /// The whole block, with the empty line that ends it.
    octets: Box<str>,
    lines: Vec<Line>,
    essentials: Essentials,
    /// Computed where it is asked for first.
    digest: OnceLock<MessageDigest>,
}

/// One field and where its line lies in the octets, without LF.
#[derive(Clone, Debug)]
struct Line {
    range: Range<usize>,
    field: Field,
}

/// What every message has once, found while reading.
#[derive(Clone, Debug)]
struct Essentials {
    from: Mailbox,
    date: DateTime,
    id: MessageId,
    size: u64,
    parts: Vec<Part>,
}

/// A field and its value. *Letter* fields are the author's and covered by
/// signatures; transport fields are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `ima: 1`.
    Ima,
    /// The author.
    From(Mailbox),
    /// A recipient.
    To(Mailbox),
    /// A recipient.
    Cc(Mailbox),
    /// Where answers go.
    ReplyTo(Mailbox),
    /// What it is about.
    Subject,
    /// When it was written.
    Date(DateTime),
    /// The author's name for it.
    Id(MessageId),
    /// What it answers.
    InReplyTo(MessageId),
    /// What came before, oldest first.
    References(MessageId),
    /// A part of the data, by its number from 1.
    Part(usize),
    /// Octets of data.
    Size(u64),
    /// Any other letter field.
    Other,
    /// Transport: a recipient that the others are not shown.
    Bcc(Mailbox),
    /// Transport: deliver to these alone.
    Deliver(Address),
    /// Transport: a redistributor.
    Mailer(Address),
    /// Transport: a signature over the letter octets.
    Signature(Signature),
    /// Transport: how the receiving server got it.
    Received(Received),
}

impl Field {
    /// Whether the field is the author's, and so part of the digest.
    #[must_use]
    pub fn is_letter(&self) -> bool {
        !matches!(
            self,
            Self::Bcc(_)
                | Self::Deliver(_)
                | Self::Mailer(_)
                | Self::Signature(_)
                | Self::Received(_)
        )
    }
}

impl HeaderBlock {
    /// The block octet for octet, with the empty line that ends it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.as_bytes()
    }

    /// Name, value and meaning of each field, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str, &Field)> {
        self.lines.iter().filter_map(|line| {
            let (name, value) = self.octets.get(line.range.clone())?.split_once(": ")?;
            Some((name, value, &line.field))
        })
    }

    fn kinds(&self) -> impl Iterator<Item = &Field> {
        self.lines.iter().map(|line| &line.field)
    }

    /// The lines of the letter fields, each with its LF: what is digested and signed.
    #[must_use]
    pub fn letter_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.octets.len());
        self.each_letter_line(|line| octets.extend_from_slice(line));
        octets
    }

    fn each_letter_line(&self, mut take: impl FnMut(&[u8])) {
        for line in self.lines.iter().filter(|line| line.field.is_letter()) {
            // The range and the LF behind it lie within the octets.
            take(
                self.as_bytes()
                    .get(line.range.start..=line.range.end)
                    .unwrap_or_default(),
            );
        }
    }

    /// The message digest: SHA-256 of the letter octets, the message's identity.
    #[must_use]
    pub fn digest(&self) -> MessageDigest {
        *self.digest.get_or_init(|| {
            let mut digester = Digester::new();
            self.each_letter_line(|line| digester.update(line));
            MessageDigest::of_letter(digester)
        })
    }

    /// The author.
    #[must_use]
    pub fn from(&self) -> &Mailbox {
        &self.essentials.from
    }

    /// When it was written.
    #[must_use]
    pub fn date(&self) -> &DateTime {
        &self.essentials.date
    }

    /// The author's name for it.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.essentials.id
    }

    /// Octets of data, below 2^63: the sum of the parts.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.essentials.size
    }

    /// The parts, in the order of their octets in the data. Inline parts come
    /// before attachments.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.essentials.parts
    }

    /// Attachments with their part numbers from 1.
    pub fn attachments(&self) -> impl Iterator<Item = (usize, &Part)> {
        self.parts()
            .iter()
            .enumerate()
            .map(|(i, part)| (i + 1, part))
            .filter(|(_, part)| part.is_attachment())
    }

    /// The inline parts, which stand first.
    pub fn inline_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts().iter().take_while(|part| !part.is_attachment())
    }

    /// The subject, as written.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.fields()
            .find(|(_, _, field)| matches!(field, Field::Subject))
            .map(|(_, value, _)| value)
    }

    /// Everyone the message is for: `deliver`, or where there is none `to`,
    /// `cc` and `bcc`. Each address once, in order of first mention.
    #[must_use]
    pub fn recipients(&self) -> Vec<&Address> {
        let delivers = self.kinds().any(|field| matches!(field, Field::Deliver(_)));
        let mut seen = HashSet::new();
        self.kinds()
            .filter_map(|field| match field {
                Field::Deliver(address) if delivers => Some(address),
                Field::To(mailbox) | Field::Cc(mailbox) | Field::Bcc(mailbox) if !delivers => {
                    Some(mailbox.address())
                }
                _ => None,
            })
            .filter(|address| seen.insert(*address))
            .collect()
    }

    /// Who answers for the message's delivery: the last `mailer`, else `from`.
    #[must_use]
    pub fn return_path(&self) -> &Address {
        self.mailers()
            .last()
            .unwrap_or_else(|| self.from().address())
    }

    /// Redistributors, oldest first.
    pub fn mailers(&self) -> impl Iterator<Item = &Address> {
        self.kinds().filter_map(|field| match field {
            Field::Mailer(address) => Some(address),
            _ => None,
        })
    }

    /// Signatures. Those by a known algorithm are mathematically right.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature> {
        self.kinds().filter_map(|field| match field {
            Field::Signature(signature) => Some(signature),
            _ => None,
        })
    }

    /// How the receiving server got it.
    #[must_use]
    pub fn received(&self) -> Option<&Received> {
        self.kinds().find_map(|field| match field {
            Field::Received(received) => Some(received),
            _ => None,
        })
    }
}
