//! Why a mail cannot become a message.

use ima_message::HeaderError;
use ima_message::limits::{MAX_ADDRESSES, MAX_PARTS};

use super::{MAX_DEPTH, MAX_GROWTH, MAX_GROWTH_BEYOND, MAX_SECTION};

/// A bound that a mail passes, or why it is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The first line is no field.
    #[error("it does not begin with a header field like `From: …`, so it is no mail (RFC 5322)")]
    NoHeader,
    /// The header section is too long.
    #[error("its header section has more than {MAX_SECTION} octets")]
    LongHeader,
    /// Entities lie too deep in one another.
    #[error("its parts lie more than {MAX_DEPTH} deep in one another")]
    Depth,
    /// Too many parts.
    #[error("it has more than {} parts", MAX_PARTS - 1)]
    Parts,
    /// Its parts would be much more than the mail.
    #[error(
        "its parts have more octets than {MAX_GROWTH} times its own and {MAX_GROWTH_BEYOND} more"
    )]
    Growth,
    /// Too many addresses.
    #[error("it has more than {MAX_ADDRESSES} addresses")]
    Addresses,
    /// What was made of it breaks a rule of the format.
    #[error("no message can be made of it: {0}")]
    Header(#[from] HeaderError),
}
