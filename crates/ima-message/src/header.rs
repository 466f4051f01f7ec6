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
    /// The lines whose value is kept, in their order. Of these there are only so many,
    /// while the others may be as many as there is room for.
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
    /// Where answers go: [`HeaderBlock::reply_to`].
    ReplyTo,
    /// What it is about.
    Subject,
    /// When it was written.
    Date(DateTime),
    /// The author's name for it.
    Id(MessageId),
    /// What it answers.
    InReplyTo(MessageId),
    /// What came before, oldest first: the value is an `id`.
    References,
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
    Signature(Box<Signature>),
    /// Transport: how the receiving server got it.
    Received(Box<Received>),
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

    /// That of a line whose value is not kept.
    fn by_name(name: &str) -> &'static Self {
        match name {
            "ima" => &Self::Ima,
            "subject" => &Self::Subject,
            "reply-to" => &Self::ReplyTo,
            "references" => &Self::References,
            _ => &Self::Other,
        }
    }

    /// Whether a line of it need not be kept: [`Field::by_name`] gives it again.
    fn is_by_name(&self) -> bool {
        matches!(
            self,
            Self::Ima | Self::Subject | Self::ReplyTo | Self::References | Self::Other
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
        let mut kept = self.lines.iter().peekable();
        let mut start = 0;
        self.octets.split_inclusive('\n').filter_map(move |line| {
            let kept = kept.next_if(|kept| kept.range.start == start);
            start += line.len();
            let (name, value) = line.strip_suffix('\n')?.split_once(": ")?;
            let field = kept.map_or_else(|| Field::by_name(name), |kept| &kept.field);
            Some((name, value, field))
        })
    }

    /// The meaning of each field, in order, but for those that mean no more than their
    /// name says: `ima`, `subject`, `reply-to`, `references` and unknown ones.
    pub fn kinds(&self) -> impl Iterator<Item = &Field> {
        self.lines.iter().map(|line| &line.field)
    }

    /// The lines, each with its LF and without the empty one, but those of kept fields
    /// that go: as few pieces as that makes.
    fn pieces_without(&self, goes: impl Fn(&Field) -> bool) -> impl Iterator<Item = &str> {
        let end = self.octets.len().saturating_sub(1);
        let gone = self.lines.iter().filter(move |line| goes(&line.field));
        let gone = gone.map(|line| (line.range.start, line.range.end + 1));
        let mut start = 0;
        gone.chain([(end, end)]).map(move |(next, after)| {
            // Lines and their LF lie within the octets.
            let piece = self.octets.get(start..next).unwrap_or_default();
            start = after;
            piece
        })
    }

    /// The lines of the letter fields, each with its LF: what is digested and signed.
    #[must_use]
    pub fn letter_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.octets.len());
        self.letter_pieces()
            .for_each(|piece| octets.extend_from_slice(piece.as_bytes()));
        octets
    }

    fn letter_pieces(&self) -> impl Iterator<Item = &str> {
        self.pieces_without(|field| !field.is_letter())
    }

    /// The message digest: SHA-256 of the letter octets, the message's identity.
    #[must_use]
    pub fn digest(&self) -> MessageDigest {
        *self.digest.get_or_init(|| {
            let mut digester = Digester::new();
            self.letter_pieces()
                .for_each(|piece| digester.update(piece.as_bytes()));
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
        let recipients = self.kinds().filter_map(|field| match field {
            Field::Deliver(address) if delivers => Some(address),
            Field::To(mailbox) | Field::Cc(mailbox) | Field::Bcc(mailbox) if !delivers => {
                Some(mailbox.address())
            }
            _ => None,
        });
        let mut recipients: Vec<&Address> = recipients.collect();
        if recipients.len() > 1 {
            let mut seen = HashSet::new();
            recipients.retain(|address| seen.insert(*address));
        }
        recipients
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

    /// Where answers go.
    pub fn reply_to(&self) -> impl Iterator<Item = Mailbox> {
        self.fields().filter_map(|(_, value, field)| match field {
            Field::ReplyTo => Mailbox::parse(value).ok(),
            _ => None,
        })
    }

    /// Signatures. Those by a known algorithm are mathematically right.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature> {
        self.kinds().filter_map(|field| match field {
            Field::Signature(signature) => Some(&**signature),
            _ => None,
        })
    }

    /// How the receiving server got it.
    #[must_use]
    pub fn received(&self) -> Option<&Received> {
        self.kinds().find_map(|field| match field {
            Field::Received(received) => Some(&**received),
            _ => None,
        })
    }
}
