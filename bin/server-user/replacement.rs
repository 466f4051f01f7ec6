//! A file that takes the place of another at once, or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Writes a file under its name, in the place of the one there, whose owner and
/// permissions it takes over. A new one is its owner's alone; made by root it
/// belongs to the owner of the folder. On return it would survive a power cut.
///
/// The caller holds the lock of the folder. What a killed process left is
/// written over.
///
/// # Errors
/// A fault; then the old file is there as it was.
pub(crate) fn put(file: &Path, octets: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let unfinished = unfinished(file);
    let fault = |source| Failure::Io {
        step: "be written",
        path: file.to_owned(),
        source,
    };
    let written = write(&unfinished, octets).map_err(fault).and_then(|new| {
        give_away(&new, file, folder)?;
        new.sync_all().map_err(fault)?;
        fs::rename(&unfinished, file).map_err(fault)
    });
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    sync(folder)
}

/// Removes a file; on return its absence would survive a power cut.
///
/// # Errors
/// A fault.
pub(crate) fn remove(file: &Path) -> Result<(), Failure> {
    fs::remove_file(file).map_err(|source| Failure::Io {
        step: "be removed",
        path: file.to_owned(),
        source,
    })?;
    sync(file.parent().unwrap_or(Path::new(".")))
}

/// Brings the names in a folder onto the disk.
///
/// # Errors
/// A fault.
pub(crate) fn sync(folder: &Path) -> Result<(), Failure> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Failure::Io {
        step: "be brought onto the disk",
        path: folder.to_owned(),
        source,
    })
}

/// `.NAME.new`: it begins with a dot, so no server reads it.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".new");
    file.with_file_name(name)
}

fn write(unfinished: &Path, octets: &[u8]) -> io::Result<File> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(unfinished)?;
    new.write_all(octets)?;
    Ok(new)
}

/// Gives a new file the owner and the permissions that are due to it.
fn give_away(new: &File, file: &Path, folder: &Path) -> Result<(), Failure> {
    let fault = |source| Failure::Io {
        step: "be given its owner and permissions",
        path: file.to_owned(),
        source,
    };
    let mine = new.metadata().map_err(fault)?;
    let (owner, group, mode) = match fs::metadata(file) {
        Ok(old) => (old.uid(), old.gid(), old.mode() & 0o7777),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
        Err(_) if mine.uid() == 0 => {
            let folder = fs::metadata(folder).map_err(fault)?;
            (folder.uid(), folder.gid(), 0o600)
        }
        Err(_) => (mine.uid(), mine.gid(), 0o600),
    };
    if (owner, group) != (mine.uid(), mine.gid()) {
        fchown(new, Some(owner), Some(group)).map_err(|source| Failure::Foreign {
            file: file.to_owned(),
            owner,
            group,
            source,
        })?;
    }
    new.set_permissions(Permissions::from_mode(mode))
        .map_err(fault)
}
