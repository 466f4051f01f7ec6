//! Inboxes of the routing table: whether they are there, and delivery to them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use ima_mailbox::{Delivered, Folder, MailboxError, Shared};
use ima_message::{Address, HandlerLine, HeaderBlock};
use ima_program::{log, report};

use crate::message::Message;
use crate::outcome::deferred;

/// Whether an inbox is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Something is; whether it is a folder is seen when it is opened.
    There,
    /// An address named it, and the folder in which it would be is there.
    Nobody,
    /// It should be there, or the disk is not.
    Missing,
}

/// Whether the inbox at `path` is there; `base` is the part of its path that
/// no address chose. A path that is too long counts as not there.
pub(crate) fn presence(path: &Path, base: &Path, from_pattern: bool) -> Presence {
    match fs::symlink_metadata(path) {
        Ok(_) => Presence::There,
        Err(error) if from_pattern && is_absence(&error) && base.is_dir() => Presence::Nobody,
        Err(_) => Presence::Missing,
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

/// Says where an inbox is missing that should be there.
pub(crate) fn log_missing(path: &Path, recipient: &Address) {
    log::error("inbox-missing")
        .field("recipient", recipient)
        .field("inbox", path.display())
        .emit();
}

/// Asks an inbox whether it could take the message.
pub(crate) fn can_take(path: &Path, recipient: &Address, header: &HeaderBlock) -> bool {
    match Folder::open(path).and_then(|folder| folder.can_deliver(header)) {
        Ok(()) => true,
        Err(error) => {
            log_failure(path, recipient, &error);
            false
        }
    }
}

/// Stores the message in the inbox of `recipient`.
pub(crate) fn deliver(
    path: &Path,
    recipient: &Address,
    header: &HeaderBlock,
    message: &Message,
    shared: &Shared,
) -> HandlerLine {
    let delivered = Folder::open(path)
        .and_then(|folder| folder.deliver(header, &mut message.data(), Some(shared)));
    match delivered {
        Ok(delivered) => {
            let how = match delivered {
                Delivered::Stored => "stored",
                Delivered::Duplicate => "duplicate",
            };
            log::info("delivered")
                .field("digest", message.digest)
                .field("recipient", recipient)
                .field("inbox", path.display())
                .field("how", how)
                .emit();
            HandlerLine::Ok(recipient.clone())
        }
        // The message was found valid before, so whatever this is, it is our fault.
        Err(error) => {
            log_failure(path, recipient, &error);
            cannot_take(recipient)
        }
    }
}

/// The line for an inbox that cannot take the message now. The sender need not
/// know our folders.
pub(crate) fn cannot_take(recipient: &Address) -> HandlerLine {
    deferred(recipient, "the mailbox cannot take it now")
}

fn log_failure(path: &Path, recipient: &Address, error: &MailboxError) {
    log::error("not-delivered")
        .field("recipient", recipient)
        .field("inbox", path.display())
        .field("error", report::chain(error))
        .emit();
}
