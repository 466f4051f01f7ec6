//! Verifying what a mailbox holds: its journal, every digest, and that nothing
//! is where it does not belong. Nothing is changed.
//!
//! Names and journal are read under the shared lock, so they belong together;
//! the octets are digested after that, while mail goes on being delivered.

mod attachments;
mod finding;
mod folder;
mod messages;
mod octets;
mod snapshot;

use std::path::Path;

use ima_message::FolderName;
use rustix::fs::FileType;

use crate::directory::Directory;
use crate::error::{Kind, MailboxError};
use crate::name;
use crate::settings::Settings;

pub use finding::{Finding, Rule, Severity};
pub use folder::folder;
pub(crate) use messages::{header_and_inline, is_whole_message};
pub(crate) use octets::Digested;

/// What a file system makes at its root.
const LOST_AND_FOUND: &str = "lost+found";

/// Checks a folder, or a mailbox with all folders in it: what holds a journal
/// or messages is a folder. Each finding is reported as soon as it is certain.
///
/// # Errors
/// [`MailboxError::NoFolder`] where nothing is there, or neither a folder nor a
/// mailbox; a fault where it cannot be opened or listed. What cannot be read
/// further down is a finding, [`Rule::Unreadable`].
pub fn directory(path: &Path, report: &mut dyn FnMut(Finding)) -> Result<(), MailboxError> {
    let directory = Directory::open(path)?;
    if directory.status(name::JOURNAL)?.is_some() || directory.status(name::MESSAGES)?.is_some() {
        folder(path, report)
    } else {
        mailbox(path, report)
    }
}

/// Checks a mailbox: every folder in it. What is wrong with one, be it that it cannot
/// be opened, is a finding, and the others are checked.
///
/// # Errors
/// As for [`directory`].
pub fn mailbox(path: &Path, report: &mut dyn FnMut(Finding)) -> Result<(), MailboxError> {
    let root = Directory::open(path)?;
    let (_, owner) = root.device_and_owner()?;
    let mut names = root.names()?;
    names.sort();
    let mut folders = 0;
    for name in names {
        let Some(status) = root.status(&name)? else {
            continue;
        };
        let found = Kind::from(FileType::from_raw_mode(status.st_mode));
        let path = path.join(&name);
        let name = name.to_string_lossy();
        let expected = match &*name {
            // fetch-mail(1) keeps its own things in a mailbox.
            LOST_AND_FOUND | name::FETCH_STATE => continue,
            name::MAILBOX_TOML => Kind::File,
            _ => Kind::Directory,
        };
        if name.starts_with(name::UNFINISHED) || name.starts_with(name::REMOVED) {
            report(Finding::new(path, Rule::Leftover));
        } else if name != name::MAILBOX_TOML && name.parse::<FolderName>().is_err() {
            report(Finding::new(path, Rule::Unexpected));
        } else if found != expected {
            report(Finding::new(path, Rule::Kind { expected, found }));
        } else if expected == Kind::File {
            match Settings::of(&root) {
                Ok(_) => {}
                Err(MailboxError::Settings { source, .. }) => {
                    report(Finding::new(path, Rule::Settings(source)));
                }
                Err(error) => report(Finding::new(path, Rule::Unreadable(error))),
            }
        } else {
            folders += 1;
            if ![0, status.st_uid].contains(&owner) {
                let rule = Rule::Owner {
                    expected: owner,
                    found: status.st_uid,
                };
                report(Finding::new(path.clone(), rule));
            }
            match folder(&path, report) {
                // Removed a moment ago.
                Err(_) if root.status(&*name)?.is_none() => folders -= 1,
                Err(error) => report(Finding::new(path, Rule::Unreadable(error))),
                Ok(()) => {}
            }
        }
    }
    if folders == 0 {
        return Err(MailboxError::NoFolder(path.to_owned()));
    }
    Ok(())
}
