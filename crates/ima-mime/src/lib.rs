//! IMA messages from and to RFC 5322 and MIME, and how such mail lies on disk:
//! Maildir and mbox. But for the files of a Maildir nothing is opened here.

mod base64;
mod export;
mod import;
pub mod maildir;
pub mod mbox;
mod quoted_printable;

pub use export::{DIGEST_FIELD, exported_digest, write_rfc5322};
pub use import::{Defaults, ImportError, Imported, MAX_DEPTH, STAND_IN_HOST, read_rfc5322};

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
mod tests;
