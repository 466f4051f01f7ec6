//! Inboxes of the routing table: whether they are there, and delivery to them.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use ima_mailbox::{
    Delivered, Folder, MailboxError, OpenFolders, Outcomes, PathTarget, deliver_to_paths_early,
};
use ima_message::{Address, HandlerLine, HeaderBlock, MessageDigest};
use ima_program::{log, report};

use crate::headers::OfRecipient;
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
pub(crate) fn log_missing(path: &Path, recipient: &Address, digest: MessageDigest) {
    log::error("inbox-missing")
        .field("digest", digest)
        .field("recipient", recipient)
        .field("inbox", path.display())
        .emit();
}

/// Asks an inbox whether it could take the message: the inbox, where it can.
pub(crate) fn can_take(
    path: &Path,
    recipient: &Address,
    header: &HeaderBlock,
    open: &mut OpenFolders,
) -> Option<Arc<Folder>> {
    open.that_can_take(path, header)
        .inspect_err(|error| log_failure(path, recipient, header.digest(), error))
        .ok()
}

/// An inbox that the message goes to.
pub(crate) struct Target<'p> {
    pub(crate) path: &'p Path,
    pub(crate) recipient: &'p Address,
    /// Where it is open already.
    pub(crate) folder: Option<&'p Folder>,
    pub(crate) header: OfRecipient<'p>,
    pub(crate) digest: MessageDigest,
}

/// Lines, by the places of their targets.
pub(crate) type Lines = Vec<(usize, HandlerLine)>;

/// Stores the message in inboxes, reading its data once, to their end. Where an inbox
/// has to be waited for, `early` gets the lines of others; the rest is given back.
///
/// # Errors
/// The data cannot be read; nothing is delivered then.
pub(crate) fn deliver_to_all(
    targets: &[Target<'_>],
    mut data: &mut dyn Read,
    early: &mut dyn FnMut(Lines),
) -> io::Result<Lines> {
    let before: Vec<_> = targets.iter().map(|target| inode(target.path)).collect();
    let places = targets
        .iter()
        .zip(&before)
        .map(|(target, inode)| PathTarget {
            path: target.path,
            folder: target
                .folder
                .filter(|folder| Some(folder.inode()) == *inode),
            header: &target.header,
        });
    let lines = |outcomes: Outcomes| {
        let told = outcomes.into_iter().filter_map(|(index, outcome)| {
            let (target, before) = (targets.get(index)?, before.get(index)?);
            let line = match outcome {
                // The sender gives it to the one that is there now, too.
                Ok(_) if inode(target.path) != *before => {
                    target.log_moved();
                    cannot_take(target.recipient)
                }
                outcome => target.answer(outcome),
            };
            Some((index, line))
        });
        told.collect()
    };
    let places: Vec<_> = places.collect();
    let rest = deliver_to_paths_early(&places, data, &mut |outcomes| early(lines(outcomes)));
    io::copy(&mut data, &mut io::sink())?;
    Ok(lines(rest))
}

/// Device and inode of what is at a path; None where nothing is.
fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl Target<'_> {
    /// Says that the inbox was put elsewhere while the message was on its way into it.
    fn log_moved(&self) {
        log::warn("inbox-moved")
            .field("digest", self.digest)
            .field("recipient", self.recipient)
            .field("inbox", self.path.display())
            .emit();
    }

    fn answer(&self, outcome: Result<Delivered, MailboxError>) -> HandlerLine {
        match outcome {
            Ok(delivered) => {
                if log::chosen().is_some() {
                    log::info("delivered")
                        .field("digest", self.digest)
                        .field("recipient", self.recipient)
                        .field("inbox", self.path.display())
                        .field("how", delivered)
                        .emit();
                }
                HandlerLine::Ok(self.recipient.clone())
            }
            // Whoever gave us the message has found it valid, so whatever this is,
            // it is our fault.
            Err(error) => {
                log_failure(self.path, self.recipient, self.digest, &error);
                cannot_take(self.recipient)
            }
        }
    }
}

/// The line for an inbox that cannot take the message now. The sender need not
/// know our folders.
pub(crate) fn cannot_take(recipient: &Address) -> HandlerLine {
    deferred(recipient, "the mailbox cannot take it now")
}

fn log_failure(path: &Path, recipient: &Address, digest: MessageDigest, error: &MailboxError) {
    log::error("not-delivered")
        .field("digest", digest)
        .field("recipient", recipient)
        .field("inbox", path.display())
        .field("error", report::chain(error))
        .emit();
}
