//! The mailbox of the user who has logged in, beneath the handle of its
//! directory.

mod changing;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use ima_mailbox::{Folder, MailboxError};
use ima_message::{FolderName, MessageDigest, PartDigest, Token};
use ima_program::confinement::{Confinement, ConfinementError};
use ima_program::log;
use ima_program::report::chain;
use ima_proto::imrp::{Change, Changes, Fault, FolderStatus};
use ima_proto::users::User;
use rustix::fs::fstat;
use rustix::process::geteuid;

use super::descriptors;
use super::logins::Office;
use super::stores::Stores;
use super::watch::{Watchers, Watching};
use changing::{Growth, Removals};

/// Times that a folder may be removed and made anew while it is opened.
const MAX_TRIES: usize = 4;

/// An open mailbox.
pub struct Mailbox {
    mailbox: ima_mailbox::Mailbox,
    user: String,
    watchers: Watchers,
    stores: Stores,
    /// Octets of a message that is stored.
    max_message: u64,
    /// The folder that was asked for last: questions for its messages follow each
    /// other.
    current: Option<(FolderName, Folder)>,
    /// The folders that this session has changed.
    changed: BTreeMap<FolderName, Growth>,
    /// What the mailbox still knows of messages that are gone.
    removals: Removals,
}

/// Why a mailbox cannot be given to its user.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there, or cannot be opened.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// Its owner cannot be found out.
    #[error("cannot look at {}: {source}", .path.display())]
    Look {
        /// The mailbox.
        path: PathBuf,
        /// What the system says.
        source: rustix::io::Errno,
    },
    /// It is somebody else's.
    #[error(
        "{} belongs to user id {owner}, and this server runs as user id {ours}: a post office gives out the mailboxes of its own user",
        .path.display()
    )]
    Owner {
        /// The mailbox.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// As whom we run.
        ours: u32,
    },
    /// The session cannot be confined to it.
    #[error("the session cannot be confined to the mailbox: {0}")]
    Confine(#[from] ConfinementError),
}

impl OpenError {
    /// What an administrator does about it.
    pub fn advice(&self) -> Cow<'static, str> {
        let advice = match self {
            error if descriptors::are_used_up(error) => return descriptors::advice().into(),
            Self::Mailbox(MailboxError::NoMailbox(_)) => {
                "make it with `ima-mailbox create`, or correct `mailbox` in the users file"
            }
            Self::Mailbox(_) | Self::Look { .. } => {
                "look at the mailbox, and at `mailbox` in the users file"
            }
            Self::Owner { owner, ours: 0, .. } => {
                return format!(
                    "run the server as user id {owner}: as root it gives out the mailboxes of root alone"
                )
                .into();
            }
            Self::Owner { .. } => "give it to the server's user with chown -R",
            Self::Confine(_) => "look for Landlock in the kernel's log",
        };
        advice.into()
    }
}

impl Mailbox {
    /// Opens a user's mailbox, and confines the calling thread to it for the rest
    /// of its life.
    pub fn open(user: &User, office: &Office) -> Result<Self, OpenError> {
        let path = user.mailbox();
        let mailbox = ima_mailbox::Mailbox::open(path)?.waiting_at_most(ima_mailbox::PATIENCE);
        let status = fstat(&mailbox).map_err(|source| OpenError::Look {
            path: path.to_owned(),
            source,
        })?;
        let ours = geteuid().as_raw();
        if status.st_uid != ours {
            return Err(OpenError::Owner {
                path: path.to_owned(),
                owner: status.st_uid,
                ours,
            });
        }
        let directory = mailbox.as_fd().try_clone_to_owned();
        let directory = directory.map_err(ConfinementError::Descriptor)?;
        Confinement::default().changes(directory).enter()?;
        Ok(Self {
            mailbox,
            user: user.address().canonical(),
            watchers: office.watchers.clone(),
            stores: office.stores.clone(),
            max_message: office.max_message,
            current: None,
            changed: BTreeMap::new(),
            removals: Removals::default(),
        })
    }

    fn fault(&self, error: &MailboxError) -> Fault {
        log_fault(&self.user, error)
    }

    /// The folder, open; `None` where there is none of this name.
    fn folder(&mut self, name: &FolderName) -> Result<Option<&Folder>, Fault> {
        if self.current.as_ref().is_none_or(|(open, _)| open != name) {
            let folder = self.find(name)?;
            self.current = folder.map(|folder| (name.clone(), folder));
        }
        Ok(self.current.as_ref().map(|(_, folder)| folder))
    }

    fn find(&self, name: &FolderName) -> Result<Option<Folder>, Fault> {
        self.try_to_find(name).map_err(|error| self.fault(&error))
    }

    fn try_to_find(&self, name: &FolderName) -> Result<Option<Folder>, MailboxError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.mailbox.folder(name) {
                // Removed a moment ago.
                Err(MailboxError::NoFolder(_)) => return Ok(None),
                // And made anew, or damaged.
                Err(MailboxError::Io { source, .. })
                    if source.kind() == ErrorKind::NotFound && tries < MAX_TRIES => {}
                found => return found,
            }
        }
    }

    /// What was found, with its length.
    fn octets(
        &self,
        found: Result<Option<File>, MailboxError>,
        folder: &FolderName,
        digest: impl Display,
    ) -> Result<Option<(File, u64)>, Fault> {
        let Some(file) = found.map_err(|error| self.fault(&error))? else {
            // A client may ask for anything; or it was listed, and is lost.
            log::info("not-there")
                .field("user", &self.user)
                .field("folder", folder)
                .field("digest", digest)
                .emit();
            return Ok(None);
        };
        match file.metadata() {
            Ok(metadata) => Ok(Some((file, metadata.len()))),
            Err(error) => {
                log::error("mailbox-fault")
                    .field("user", &self.user)
                    .field("digest", digest)
                    .field("error", error)
                    .emit();
                Err(Fault)
            }
        }
    }

    /// All folders.
    pub fn folders(&mut self) -> Result<Vec<FolderStatus>, Fault> {
        let names = self.mailbox.names().map_err(|error| self.fault(&error))?;
        let mut folders = Vec::new();
        for name in names {
            let status = match self.try_to_find(&name) {
                Ok(None) => continue,
                Ok(Some(folder)) => folder.status(),
                Err(error) => Err(error),
            };
            match status {
                Ok(status) => folders.push(FolderStatus {
                    name,
                    messages: status.messages,
                    unseen: status.unseen,
                    octets: status.octets,
                    token: status.token,
                }),
                // Removed a moment ago.
                Err(MailboxError::NoFolder(_)) => {}
                // The next time it is there again: no client may take it for removed.
                Err(error @ MailboxError::Locked { .. }) => return Err(self.fault(&error)),
                Err(error) if descriptors::are_used_up(&error) => return Err(self.fault(&error)),
                // What is damaged is logged, and the others are to be had all the same.
                Err(error) => drop(self.fault(&error)),
            }
        }
        Ok(folders)
    }

    /// What changed in a folder since a token, in order.
    pub fn changes(
        &mut self,
        folder: &FolderName,
        since: Option<&Token>,
    ) -> Result<Changes, Fault> {
        // What is at this name now, whatever was there before.
        self.current = None;
        let user = self.user.clone();
        let Some(folder) = self.folder(folder)? else {
            return Ok(Changes::NoFolder);
        };
        let changes = match folder.changes(since) {
            Err(MailboxError::NoFolder(_)) => return Ok(Changes::NoFolder),
            changes => changes.map_err(|error| log_fault(&user, &error))?,
        };
        Ok(match changes {
            ima_mailbox::Changes::Reset(token) => Changes::Reset(token),
            ima_mailbox::Changes::Since(entries, token) => {
                let told = entries.map(move |change| match change {
                    Ok(ima_mailbox::Change { entry, token }) => Ok(Change { entry, token }),
                    Err(error) => Err(log_fault(&user, &error)),
                });
                Changes::Since(Box::new(told), token)
            }
        })
    }

    /// A message's header block and inline parts.
    pub fn message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<Option<(File, u64)>, Fault> {
        let Some(open) = self.folder(folder)? else {
            return Ok(None);
        };
        let found = open.message(digest);
        self.octets(found, folder, digest)
    }

    /// An attachment.
    pub fn attachment(
        &mut self,
        folder: &FolderName,
        digest: PartDigest,
    ) -> Result<Option<(File, u64)>, Fault> {
        let Some(open) = self.folder(folder)? else {
            return Ok(None);
        };
        let found = open.attachment(digest);
        self.octets(found, folder, digest)
    }

    /// The file of this digest is shorter than what it should hold.
    pub fn damaged(&self, folder: &FolderName, digest: impl Display) {
        log::error("mailbox-fault")
            .field("user", &self.user)
            .field("folder", folder)
            .field("digest", digest)
            .field("error", "its file is shorter than what it should hold")
            .field("advice", "mend the folder with `ima-mailbox repair`")
            .emit();
    }

    /// Watches folders, each from its token on.
    pub fn watch(&mut self, folders: &[(FolderName, Token)]) -> Result<Watching, Fault> {
        // A session that waits holds nothing open.
        self.current = None;
        let watching = self.watchers.watch(&self.mailbox, folders);
        watching.map_err(|error| self.fault(&error))
    }
}

fn log_fault(user: &str, error: &MailboxError) -> Fault {
    let event = log::error("mailbox-fault")
        .field("user", user)
        .field("error", chain(error));
    match descriptors::are_used_up(error) {
        true => event.field("advice", descriptors::advice()).emit(),
        false => event.emit(),
    }
    Fault
}
