//! The IMA mailbox on disk, ima-mailbox(5).
//!
//! A [`Folder`] takes messages ([`Folder::deliver`]) and says what has changed
//! since a [`Token`]; [`check`] verifies all that a folder holds. What this
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
mod name;
mod shared;
mod stage;

pub use deliver::Delivered;
pub use error::{Kind, MailboxError, Step};
pub use folder::Folder;
pub use journal::{
    Change, Changes, Entries, Entry, EntryError, Flag, FlagChange, FlagError, Generation,
    JournalError, Token, TokenError,
};
pub use name::{FolderName, FolderNameError};
pub use shared::Shared;
