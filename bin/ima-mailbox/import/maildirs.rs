//! A Maildir, and those in it: `Maildir/.Name` as Maildir++ has them, and
//! `Maildir/Name` as others do.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ima_mailbox::Mailbox;
use ima_message::FolderName;
use ima_mime::maildir::{self, Maildir};

use super::{Sink, Tally, folder};
use crate::failure::Failure;

/// How deep Maildirs may lie in one another.
const MAX_DEPTH: usize = 16;
/// Names that are the same in every mailbox, however they are written.
const PERSONAL: [&str; 6] = ["inbox", "sent", "drafts", "archive", "junk", "trash"];

/// Stores the mails of a Maildir in a folder, and those of the Maildirs in it in
/// folders beside that, which have their names.
pub(super) fn import(
    from: &Path,
    mailbox: &Mailbox,
    name: &FolderName,
    tally: &mut Tally,
) -> Result<(), Failure> {
    fs::read_dir(from).map_err(Failure::io("open", from))?;
    let mut found = Vec::new();
    find(from, &mut Vec::new(), &mut found)?;
    if found.is_empty() {
        return Err(Failure::NoMaildir(from.to_owned()));
    }
    for (path, names) in found {
        let into = match names.is_empty() {
            true => Ok(name.clone()),
            false => folder_name(&names),
        };
        match into {
            Ok(into) => {
                let folder = folder(mailbox, &into)?;
                one(&path, &mut Sink::new(&folder, tally))?;
            }
            Err((name, source)) => tally.refuse(&Failure::FolderName { path, name, source }),
        }
    }
    Ok(())
}

/// Every Maildir at or below a path, with the names that lead to it.
fn find(
    path: &Path,
    names: &mut Vec<String>,
    found: &mut Vec<(PathBuf, Vec<String>)>,
) -> Result<(), Failure> {
    if Maildir::open(path).is_some() {
        found.push((path.to_owned(), names.clone()));
    }
    if names.len() >= MAX_DEPTH {
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(Failure::io("read", path))?;
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Failure::io("read", path))?;
        // Symbolic links are not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories.push(entry.file_name());
        }
    }
    directories.sort();
    let is_part = |name: &OsStr| ["cur", "new", "tmp"].iter().any(|part| name == *part);
    for directory in directories.iter().filter(|name| !is_part(name)) {
        names.push(directory.to_string_lossy().into_owned());
        find(&path.join(directory), names, found)?;
        names.pop();
    }
    Ok(())
}

/// The name of the folder for a Maildir: what led to it, joined by hyphens, with
/// underscores for spaces.
fn folder_name(names: &[String]) -> Result<FolderName, (String, ima_message::FolderNameError)> {
    let parts = names.iter().flat_map(|name| name.split('.'));
    let name = parts
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
        .replace(' ', "_");
    let known = PERSONAL
        .iter()
        .find(|known| name.eq_ignore_ascii_case(known));
    let name = known.map_or(name, |known| (*known).to_owned());
    name.parse().map_err(|source| (name, source))
}

fn one(path: &Path, sink: &mut Sink) -> Result<(), Failure> {
    let Some(maildir) = Maildir::open(path) else {
        return Ok(());
    };
    for mail in maildir.mails()? {
        let path = maildir.path_of(&mail);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            // A mail program has renamed or removed it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::io("open", path)(error)),
        };
        let mut octets = Vec::new();
        file.read_to_end(&mut octets)
            .map_err(Failure::io("read", &path))?;
        let arrived = file.metadata().and_then(|data| data.modified()).ok();
        let arrived = arrived.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let arrived = arrived.and_then(|since| i64::try_from(since.as_secs()).ok());
        let place = || path.display().to_string();
        sink.mail(&place, &octets, arrived, maildir::flags_of(&mail.name))?;
    }
    sink.commit()
}
