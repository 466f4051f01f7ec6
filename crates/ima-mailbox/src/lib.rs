//! The IMA mailbox on disk, ima-mailbox(5).
//!
//! A [`Folder`] takes messages, one ([`Folder::deliver`]) or many
//! ([`Folder::batch`]), and says what has changed since a token; a [`Mailbox`]
//! holds folders; [`check`] verifies all that a folder holds. What this
//! crate reports as done would survive a power cut, and a reader never sees
//! half of a message. Inside a mailbox every name is opened beneath the handle
//! of its directory and no symbolic link is followed.

pub mod check;
mod create;
mod deliver;
mod directory;
mod error;
mod folder;
mod journal;
mod mailbox;
mod name;
mod shared;
mod stage;
mod status;

pub use deliver::{Batch, Delivered};
pub use error::{Kind, MailboxError, Step};
pub use folder::Folder;
pub use journal::{Change, Changes, Entries, JournalError};
pub use mailbox::Mailbox;
pub use shared::Shared;
pub use status::Status;
