//! The mailbox here, into which mail is fetched.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ima_mailbox::{Folder, Mailbox, MailboxError, PATIENCE};
use ima_message::{Address, FolderName, MessageDigest, Part};

use crate::desk::{self, Desk};
use crate::failure::Failure;
use crate::state::State;

/// Beside folders, what the directory of a mailbox holds.
const OTHERS: [&str; 2] = ["mailbox.toml", "lost+found"];

/// Other folders in which a message is looked for before it is fetched.
const LOOKED_AT: usize = 32;

/// Whether something is at a path for which [`Mirror::open`] can be asked;
/// where nothing is, it can be made there. Nothing is locked or made.
///
/// # Errors
/// Where it is something else than a mailbox, or there is no directory above; a
/// fault.
pub fn look(path: &Path) -> Result<bool, Failure> {
    if fs::symlink_metadata(path).is_ok() {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        refuse_others(&path, &Mailbox::open(&path)?.names()?)?;
        return Ok(true);
    }
    let above = above(path);
    fs::metadata(above.join(".")).map_err(Failure::io("open", above))?;
    Ok(false)
}

/// The directory that a path lies in.
pub fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    }
}

/// The mailbox, open and locked against other runs.
#[derive(Debug)]
pub struct Mirror {
    /// Its folders.
    pub mailbox: Mailbox,
    /// Whose mail it is.
    pub address: Address,
    names: Vec<FolderName>,
    /// What is no mail.
    pub desk: Desk,
    /// How far each folder has come.
    pub state: State,
}

impl Mirror {
    /// Opens the mailbox at a path for the mail of an address. Where there is
    /// nothing it is made, but no directory above.
    ///
    /// # Errors
    /// Where something else is there, or another's mail; where another run goes
    /// on; a fault.
    pub fn open(path: &Path, address: &Address) -> Result<Self, Failure> {
        // The way to a mailbox may lead through symbolic links.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mailbox = match Mailbox::open(&path) {
            Err(MailboxError::NoMailbox(path)) => Mailbox::create(&path)?,
            opened => opened?,
        };
        let mailbox = mailbox.waiting_at_most(PATIENCE);
        let names = mailbox.names()?;
        refuse_others(&path, &names)?;
        let mut desk = Desk::open(&path)?;
        let state = State::open(&mut desk, &path, address)?;
        Ok(Self {
            mailbox,
            address: address.clone(),
            names,
            desk,
            state,
        })
    }

    /// A folder. Where it is not there it is made, and nothing has come.
    ///
    /// # Errors
    /// A fault.
    pub fn folder(&mut self, name: &FolderName) -> Result<Folder, Failure> {
        if let Some(folder) = self.mailbox.folder(name)? {
            return Ok(folder);
        }
        self.state.forget(name);
        let folder = self.mailbox.create_folder(name)?;
        // What is in it from now on was not there before.
        self.state.place_mut(name).here = Some(folder.token()?);
        if !self.names.contains(name) {
            self.names.push(name.clone());
        }
        Ok(folder)
    }

    /// Removes a folder in which there is nothing.
    ///
    /// # Errors
    /// A fault.
    pub fn remove_folder(&mut self, name: &FolderName) -> Result<(), Failure> {
        self.state.forget(name);
        self.mailbox.remove_folder(name)?;
        self.names.retain(|known| known != name);
        Ok(())
    }

    /// Brings the state onto the disk.
    ///
    /// # Errors
    /// A fault.
    pub fn write_state(&mut self) -> Result<(), Failure> {
        self.state.write(&mut self.desk)
    }

    /// Other folders, in which a message may lie already; a damaged one has none.
    pub fn others(&self, than: &FolderName) -> Vec<Folder> {
        let names = self.names.iter().filter(|name| *name != than);
        let folders = names.filter_map(|name| self.mailbox.folder(name).ok().flatten());
        folders.take(LOOKED_AT).collect()
    }

    /// An attachment that some message here holds: one of this folder at best.
    ///
    /// # Errors
    /// A fault.
    pub fn attachment(&self, at_best: &Folder, part: &Part) -> Result<Option<File>, Failure> {
        if let Some(file) = whole(at_best, part)? {
            return Ok(Some(file));
        }
        for name in &self.names {
            // A damaged one has none.
            if let Ok(Some(folder)) = self.mailbox.folder(name)
                && let Some(file) = whole(&folder, part)?
            {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// The attachment in a folder, where it has its length.
fn whole(folder: &Folder, part: &Part) -> Result<Option<File>, Failure> {
    let Some(file) = folder.attachment(part.digest())? else {
        return Ok(None);
    };
    let is_whole = file
        .metadata()
        .is_ok_and(|data| data.len() == part.length());
    Ok(is_whole.then_some(file))
}

/// A directory that holds something else was named by mistake.
fn refuse_others(path: &Path, names: &[FolderName]) -> Result<(), Failure> {
    let read = Failure::io("read", path);
    let entries: Result<Vec<(OsString, bool)>, _> = fs::read_dir(path).and_then(|dir| {
        dir.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name(), entry.file_type()?.is_dir()))
        })
        .collect()
    });
    let entries = entries.map_err(read)?;
    if entries.iter().any(|(name, _)| name == desk::NAME) {
        return Ok(());
    }
    let belongs = |name: &OsString, is_directory: bool| {
        OTHERS.iter().any(|other| name == other)
            || is_directory && names.iter().any(|folder| name == folder.as_str())
    };
    let mut others = entries.iter().filter(|(name, is)| !belongs(name, *is));
    match others.next() {
        None => Ok(()),
        Some((other, _)) => Err(Failure::NoMailbox {
            dir: PathBuf::from(path),
            holds: other.to_string_lossy().into_owned(),
        }),
    }
}

/// A message that lies in one of these folders, without its attachments.
///
/// # Errors
/// A fault.
pub fn find(folders: &[Folder], digest: MessageDigest) -> Result<Option<File>, Failure> {
    for folder in folders {
        if let Some(file) = folder.message(digest)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
