//! What is wrong with a header block, and where.

use std::io;

use crate::address::{AddressError, MailboxError};
use crate::date::DateError;
use crate::id::IdError;
use crate::limits::{MAX_ADDRESSES, MAX_BLOCK, MAX_LINE, MAX_MAILERS, MAX_PARTS, MAX_SIGNATURES};
use crate::part::PartError;
use crate::received::ReceivedError;
use crate::signature::SignatureError;

/// A rule that a header block breaks, and the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {rule}")]
pub struct HeaderError {
    /// Line, from 1. For a field that is missing, the line where the block ends.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The rule.
    pub rule: Rule,
}

impl HeaderError {
    /// Whether a signature is at fault and not the format.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        matches!(self.rule, Rule::Signature(SignatureError::Invalid))
    }
}

/// The rules of a header block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The first line is something else.
    #[error("the first line is \"ima: 1\" and nothing else")]
    Version,
    /// The octets are not UTF-8.
    #[error("the octets are not UTF-8 (RFC 3629)")]
    Utf8,
    /// A control, separator or noncharacter.
    #[error("{0:?} cannot stand in a line")]
    Character(char),
    /// A line over its limit.
    #[error("a line has at most {MAX_LINE} octets with its LF")]
    LongLine,
    /// A block over its limit.
    #[error("a header block has at most {MAX_BLOCK} octets")]
    LongBlock,
    /// The empty line is missing.
    #[error("an empty line ends the header block; the octets end before it")]
    NoEnd,
    /// Octets behind the empty line, where only a header block was wanted.
    #[error("something follows the empty line that ends the header block")]
    AfterEnd,
    /// No `": "`.
    #[error("a field is written as name, colon, one space, value")]
    NoColon,
    /// The name is badly written.
    #[error(
        "a field's name begins with a letter and has at most 32 letters in lower case, digits and hyphens"
    )]
    Name,
    /// Nothing behind the colon.
    #[error("a field's value is not empty")]
    Empty,
    /// A space at the beginning or end of a value.
    #[error("a value neither begins nor ends with a space; a line is never folded")]
    Space,
    /// A field that may stand once only.
    #[error("the field {0} stands twice")]
    Twice(Box<str>),
    /// A field that must be there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// No recipient.
    #[error("there is no recipient: no to, cc, bcc or deliver")]
    NoRecipient,
    /// More fields of a kind than allowed.
    #[error(
        "too many fields: at most {MAX_ADDRESSES} addresses, {MAX_PARTS} parts, {MAX_SIGNATURES} signatures, {MAX_MAILERS} mailers; one too many is {0}"
    )]
    TooMany(Box<str>),
    /// A mailbox.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// An address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A date.
    #[error(transparent)]
    Date(#[from] DateError),
    /// An `id`.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A part.
    #[error(transparent)]
    Part(#[from] PartError),
    /// An inline part behind an attachment.
    #[error("inline parts stand before attachments (parts with a name)")]
    InlineAfterAttachment,
    /// `size` is badly written.
    #[error("a size is decimal, without sign or leading zero, below 2^63")]
    SizeFormat,
    /// `size` is not the sum of the parts.
    #[error("the size is not the sum of the parts, which is {0}")]
    SizeSum(u128),
    /// A signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// `received`.
    #[error(transparent)]
    Received(#[from] ReceivedError),
}

/// Why no header block could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There was not one octet.
    #[error("the input is empty; a message was awaited")]
    Empty,
    /// The input could not be read.
    #[error("cannot read the message: {0}")]
    Io(#[from] io::Error),
    /// What was read is no header block.
    #[error("not a valid message: {0}")]
    Header(#[from] HeaderError),
}
