//! Limits of the format, ima-message(5). A server sets further ones.

/// Octets of a header line, with its LF.
pub const MAX_LINE: usize = 8192;
/// Octets of a header block, with the empty line that ends it.
pub const MAX_BLOCK: usize = 1 << 20;
/// `to`, `cc` and `bcc` fields together; and `deliver` fields, counted apart,
/// since a queue adds them for recipients that stand in the others already.
pub const MAX_ADDRESSES: usize = 10_000;
/// `part` fields.
pub const MAX_PARTS: usize = 1000;
/// `signature` fields.
pub const MAX_SIGNATURES: usize = 16;
/// `mailer` fields.
pub const MAX_MAILERS: usize = 8;
/// Octets of an address.
pub const MAX_ADDRESS: usize = 320;
/// Octets of an `id`.
pub const MAX_ID: usize = 255;
/// Octets of an attachment's file name.
pub const MAX_FILE_NAME: usize = 255;
