//! The mailbox of the user who has logged in, beneath the handle of its
//! directory.

use std::fmt::Display;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;

use ima_mailbox::{Folder, MailboxError};
use ima_message::{FolderName, MessageDigest, PartDigest, Token};
use ima_program::log;
use ima_program::report::chain;
use ima_proto::imrp::{self, Change, Changes, Fault, FolderStatus, Octets};
use ima_proto::users::User;
use landlock::RulesetError;
use rustix::fs::fstat;
use rustix::process::geteuid;

use crate::confine;
use crate::counted::{Tally, add};
use crate::stored::Stored;

/// An open mailbox.
pub struct Mailbox {
    mailbox: ima_mailbox::Mailbox,
    user: String,
    tally: Rc<Tally>,
    /// The folder that was asked for last: questions for its messages follow each
    /// other.
    current: Option<(FolderName, Folder)>,
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
    Confine(#[from] RulesetError),
}

impl OpenError {
    /// What an administrator does about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Mailbox(MailboxError::NoMailbox(_)) => {
                "make it with `ima-mailbox create`, or correct `mailbox` in the users file"
            }
            Self::Mailbox(_) | Self::Look { .. } => {
                "look at the mailbox, and at `mailbox` in the users file"
            }
            Self::Owner { .. } => "give it to the server's user with chown -R",
            Self::Confine(_) => "look for Landlock in the kernel's log",
        }
    }
}

impl Mailbox {
    /// Opens a user's mailbox, and confines the calling thread to it for the rest
    /// of its life.
    pub fn open(user: &User, tally: Rc<Tally>) -> Result<Self, OpenError> {
        let path = user.mailbox();
        let mailbox = ima_mailbox::Mailbox::open(path)?;
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
        confine::to(&mailbox)?;
        Ok(Self {
            mailbox,
            user: user.address().canonical(),
            tally,
            current: None,
        })
    }

    fn fault(&self, error: &MailboxError) -> Fault {
        log_fault(&self.user, error)
    }

    /// The folder, open; `None` where there is none of this name.
    fn folder(&mut self, name: &FolderName) -> Result<Option<&Folder>, Fault> {
        if self.current.as_ref().is_none_or(|(open, _)| open != name) {
            let found = self.mailbox.folder(name);
            let folder = found.map_err(|error| self.fault(&error))?;
            self.current = folder.map(|folder| (name.clone(), folder));
        }
        Ok(self.current.as_ref().map(|(_, folder)| folder))
    }

    /// What was found, to be sent.
    fn octets(
        &self,
        found: Result<Option<File>, MailboxError>,
        folder: &FolderName,
        digest: impl Display,
    ) -> Result<Option<Octets>, Fault> {
        let Some(file) = found.map_err(|error| self.fault(&error))? else {
            // A client may ask for anything; or it was listed, and is lost.
            log::info("not-there")
                .field("user", &self.user)
                .field("folder", folder)
                .field("digest", digest)
                .emit();
            return Ok(None);
        };
        let stored = Stored::new(file, &self.user, digest);
        Ok(Some(Octets {
            length: stored.length().map_err(|_| Fault)?,
            source: Box::new(stored),
        }))
    }
}

fn log_fault(user: &str, error: &MailboxError) -> Fault {
    log::error("mailbox-fault")
        .field("user", user)
        .field("error", chain(error))
        .emit();
    Fault
}

impl imrp::Mailbox for Mailbox {
    fn folders(&mut self) -> Result<Vec<FolderStatus>, Fault> {
        let names = self.mailbox.names().map_err(|error| self.fault(&error))?;
        let mut folders = Vec::new();
        for name in names {
            let found = self.mailbox.folder(&name);
            let status = found.and_then(|folder| folder.map(|one| one.status()).transpose());
            match status {
                Ok(Some(status)) => folders.push(FolderStatus {
                    name,
                    messages: status.messages,
                    unseen: status.unseen,
                    octets: status.octets,
                    token: status.token,
                }),
                // Removed a moment ago.
                Ok(None) => {}
                // The others are to be had all the same.
                Err(error) => drop(self.fault(&error)),
            }
        }
        Ok(folders)
    }

    fn changes(&mut self, folder: &FolderName, since: Option<&Token>) -> Result<Changes, Fault> {
        // What is at this name now, whatever was there before.
        self.current = None;
        let user = self.user.clone();
        let Some(folder) = self.folder(folder)? else {
            return Ok(Changes::NoFolder);
        };
        let changes = folder
            .changes(since)
            .map_err(|error| log_fault(&user, &error))?;
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

    fn message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<Option<Octets>, Fault> {
        let Some(open) = self.folder(folder)? else {
            return Ok(None);
        };
        let found = open.message(digest);
        let octets = self.octets(found, folder, digest)?;
        if octets.is_some() {
            add(&self.tally.messages, 1);
        }
        Ok(octets)
    }

    fn attachment(
        &mut self,
        folder: &FolderName,
        digest: PartDigest,
    ) -> Result<Option<Octets>, Fault> {
        let Some(open) = self.folder(folder)? else {
            return Ok(None);
        };
        let found = open.attachment(digest);
        self.octets(found, folder, digest)
    }
}
