//! The file that holds a key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ima_message::KeyFile;

use crate::failure::Failure;

/// Writes a key to a new file that only its owner may read, and has it on disk
/// before it returns. What is there already, a symbolic link too, stays as it is.
///
/// # Errors
/// The name is taken; the file or its folder cannot be written. No file is left
/// behind then.
pub(crate) fn create(path: &Path, key: &KeyFile) -> Result<(), Failure> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::Exists(path.to_owned()),
            _ => Failure::Create(path.to_owned(), error),
        })?;
    store(file, path, key).map_err(|error| {
        // What went wrong first is what matters.
        let _ = fs::remove_file(path);
        Failure::Create(path.to_owned(), error)
    })
}

fn store(mut file: File, path: &Path, key: &KeyFile) -> io::Result<()> {
    file.write_all(key.to_text().as_bytes())?;
    file.sync_all()?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Reads a key.
///
/// # Errors
/// The file cannot be read or is no key file.
pub(crate) fn read(path: &Path) -> Result<KeyFile, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::Read(path.to_owned(), error))?;
    KeyFile::parse(&text).map_err(|error| Failure::Key(path.to_owned(), error))
}
