//! The IMA mailbox on disk, ima-mailbox(5).
//!
//! A [`Folder`] takes messages, one ([`Folder::deliver`]) or many
//! ([`Folder::batch_of_user`]); many folders take one message ([`deliver_to_all`]). A
//! folder changes its messages ([`Folder::apply`]), says what it
//! holds and what has changed since a token, and is kept small
//! ([`Folder::compact`]); a [`Mailbox`] holds folders, moves messages between them
//! and has a quota; [`check`] verifies all that a folder holds, and [`repair`]
//! mends it. What this crate reports as done would survive a power cut, and a
//! reader never sees half of a message. Inside a mailbox every name is opened
//! beneath the handle of its directory and no symbolic link is followed.

mod change;
pub mod check;
mod compaction;
mod completion;
mod create;
mod deliver;
mod directory;
mod durable;
mod error;
mod folder;
mod journal;
mod live;
mod lock;
mod mailbox;
mod moving;
mod name;
mod open_folders;
mod patience;
mod personal;
mod quota;
mod removal;
pub mod repair;
mod settings;
mod settling;
mod shared;
mod stage;
mod status;
mod stored;
mod sweep;

pub use change::{Act, Applied};
pub use compaction::Compacted;
pub use deliver::{
    Batch, Committed, Delivered, Early, Heading, Outcomes, PathTarget, Target, deliver_to_all,
    deliver_to_paths, deliver_to_paths_early,
};
pub use durable::can_sync_whole;
pub use error::{Kind, MailboxError, Step};
pub use folder::Folder;
pub use journal::{Change, Changes, Entries, JournalError, Written};
pub use live::Message;
pub use mailbox::Mailbox;
pub use moving::{Moved, Transfer};
pub use open_folders::OpenFolders;
pub use patience::PATIENCE;
pub use removal::Removal;
pub use settings::{Settings, SettingsError};
pub use shared::Shared;
pub use status::Status;
pub use stored::{StoredMessage, Unsound, VerifiedMessage};
pub use sweep::Swept;
