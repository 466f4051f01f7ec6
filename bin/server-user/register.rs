//! The users, locked while they are changed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ima_message::Address;
use ima_proto::users::{self, Entry, UsersError};
use toml_edit::{DocumentMut, Item};

use crate::failure::Failure;
use crate::replacement;

/// A users file, or a folder of them. Nobody else who locks it changes anything
/// as long as this value lives.
pub(crate) struct Register {
    path: PathBuf,
    /// A user that is added gets a file of their own.
    is_folder: bool,
    entries: Vec<Entry>,
    _lock: File,
}

impl Register {
    /// As [`Register::open`]; where nothing is there it is made: a file where the name ends in
    /// `.toml`, else a folder.
    ///
    /// # Errors
    /// Where they are wrong, or a fault.
    pub(crate) fn open_or_make(users: &Path) -> Result<Self, Failure> {
        let is_missing =
            matches!(fs::metadata(users), Err(error) if error.kind() == ErrorKind::NotFound);
        if is_missing && users.extension() == Some(OsStr::new("toml")) {
            let folder = lock(users.parent().unwrap_or(Path::new(".")))?;
            // Another may have been faster.
            if fs::symlink_metadata(users).is_err() {
                replacement::put(users, b"")?;
            }
            drop(folder);
        } else if is_missing {
            match DirBuilder::new().mode(0o700).create(users) {
                Ok(()) => replacement::sync(users.parent().unwrap_or(Path::new(".")))?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(fault("be made", users)(source)),
            }
        }
        Self::open(users)
    }

    /// The users that are there, all of them right.
    ///
    /// # Errors
    /// Where they are not there or wrong, or a fault.
    pub(crate) fn open(users: &Path) -> Result<Self, Failure> {
        let path = match fs::canonicalize(users) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let path = users.to_owned();
                return Err(UsersError::NotThere { path }.into());
            }
            found => found.map_err(fault("be found", users))?,
        };
        let is_folder = path.is_dir();
        let folder = if is_folder {
            Some(&*path)
        } else {
            path.parent()
        };
        let lock = lock(folder.unwrap_or(Path::new("/")))?;
        Ok(Self {
            entries: users::entries(&path)?,
            is_folder,
            path,
            _lock: lock,
        })
    }

    /// The entry of a user.
    ///
    /// # Errors
    /// [`Failure::NoUser`].
    pub(crate) fn entry(&self, address: &Address) -> Result<&Entry, Failure> {
        let found = self.find(address);
        found.ok_or_else(|| Failure::NoUser {
            address: address.clone(),
        })
    }

    pub(crate) fn find(&self, address: &Address) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.user.address() == address)
    }

    /// Adds the table of a user who has none. It says in which file.
    ///
    /// # Errors
    /// A fault.
    pub(crate) fn insert(&self, address: &Address, table: Item) -> Result<PathBuf, Failure> {
        let file = if self.is_folder {
            self.path.join(format!("{}.toml", address.canonical()))
        } else {
            self.path.clone()
        };
        let mut text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(fault("be read", &file))?,
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut document = parse(&file, &text)?;
        document.insert(&address.canonical(), table);
        write(&file, &document)?;
        Ok(file)
    }

    /// Changes the table of a user who has one.
    ///
    /// # Errors
    /// A fault.
    pub(crate) fn change(
        &self,
        entry: &Entry,
        change: impl FnOnce(&mut dyn toml_edit::TableLike),
    ) -> Result<(), Failure> {
        let (file, mut document) = read(entry)?;
        let key = key_of(&document, entry.user.address());
        let table = key
            .and_then(|key| document.get_mut(&key))
            .and_then(Item::as_table_like_mut);
        let table = table.ok_or_else(|| Failure::Form {
            place: entry.place(),
        })?;
        change(table);
        write(&file, &document)
    }

    /// Takes the table of a user away, and in a folder the file where nobody else
    /// stands in it.
    ///
    /// # Errors
    /// A fault.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<(), Failure> {
        let (file, mut document) = read(entry)?;
        let key = key_of(&document, entry.user.address());
        key.and_then(|key| document.remove(&key))
            .ok_or_else(|| Failure::Form {
                place: entry.place(),
            })?;
        if self.is_folder && document.is_empty() {
            return replacement::remove(&file);
        }
        write(&file, &document)
    }
}

/// The file itself is changed where its name is a link.
fn read(entry: &Entry) -> Result<(PathBuf, DocumentMut), Failure> {
    let file = fs::canonicalize(&entry.file).map_err(fault("be found", &entry.file))?;
    let text = fs::read_to_string(&file).map_err(fault("be read", &file))?;
    let document = parse(&file, &text)?;
    Ok((file, document))
}

fn parse(file: &Path, text: &str) -> Result<DocumentMut, Failure> {
    text.parse().map_err(|source| Failure::Toml {
        file: file.to_owned(),
        source,
    })
}

/// Whatever the spelling.
fn key_of(document: &DocumentMut, address: &Address) -> Option<String> {
    let mut keys = document.iter().map(|(key, _)| key);
    keys.find(|key| Address::parse(key).is_ok_and(|other| other == *address))
        .map(str::to_owned)
}

fn write(file: &Path, document: &DocumentMut) -> Result<(), Failure> {
    let text = document.to_string();
    users::parse(text.as_bytes(), file).map_err(|source| Failure::Unfit {
        file: file.to_owned(),
        source,
    })?;
    replacement::put(file, text.as_bytes())
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let locked = File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
    locked.map_err(fault("be locked", folder))
}

fn fault(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::Io { step, path, source }
}
