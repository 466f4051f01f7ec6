//! `ima-mailbox flag`, `delete` and `move`: however many messages are named,
//! the folder is locked, written and synced once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};

use ima_mailbox::{Act, Mailbox, MailboxError};
use ima_message::{FlagChange, FolderName, MessageDigest};
use ima_program::{exit::Exit, report};

use crate::PROGRAM;
use crate::failure::{self, Failure};

/// What stands for standard input.
const STDIN: &str = "-";

/// Sets and removes flags.
pub(crate) fn flag(path: &Path, words: &[String]) -> Result<Exit, Failure> {
    let is_change = |word: &&String| word.starts_with(['+', '-']) && *word != STDIN;
    let (changes, digests): (Vec<_>, Vec<_>) = words.iter().partition(is_change);
    if changes.is_empty() || digests.is_empty() {
        return Err(Failure::NothingToFlag);
    }
    let changes: Vec<FlagChange> = changes
        .into_iter()
        .map(|word| change(word))
        .collect::<Result<_, _>>()?;
    let folder = failure::open(path)?;
    let acts: Vec<Act> = messages(digests)?
        .into_iter()
        .map(|digest| Act::Flag {
            digest,
            changes: changes.clone(),
        })
        .collect();
    Ok(missing(path, &folder.apply(&acts)?.missing))
}

/// Deletes messages.
pub(crate) fn delete(path: &Path, digests: &[String]) -> Result<Exit, Failure> {
    let folder = failure::open(path)?;
    let acts: Vec<Act> = messages(digests)?
        .into_iter()
        .map(|digest| Act::Delete { digest })
        .collect();
    Ok(missing(path, &folder.apply(&acts)?.missing))
}

/// Moves messages.
pub(crate) fn move_to(from: &Path, to: &Path, digests: &[String]) -> Result<Exit, Failure> {
    let (mailbox, here) = place(from)?;
    let (other, there) = place(to)?;
    if mailbox != other {
        return Err(Failure::TwoMailboxes {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }
    let mailbox = Mailbox::open(&mailbox)?;
    let transfer = mailbox.move_messages(&here, &messages(digests)?, &there)?;
    match transfer {
        Some(transfer) => Ok(missing(from, &transfer.missing)),
        None => Err(Failure::Removed(there)),
    }
}

/// A folder's mailbox and name. The folder is there.
pub(crate) fn place(path: &Path) -> Result<(PathBuf, FolderName), Failure> {
    failure::open(path)?;
    let whole = fs::canonicalize(path).map_err(Failure::io("open", path))?;
    let name = whole
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    let name = name.parse().map_err(|source| MailboxError::FolderName {
        path: path.to_owned(),
        source,
    })?;
    let mailbox = whole.parent().unwrap_or(&whole).to_owned();
    Ok((mailbox, name))
}

fn change(word: &str) -> Result<FlagChange, Failure> {
    let set = word.starts_with('+');
    let name = word.get(1..).unwrap_or_default();
    match name.parse() {
        Ok(flag) => Ok(FlagChange { flag, set }),
        Err(_) => Err(Failure::Flag(word.to_owned())),
    }
}

/// The messages that are named, each once, in order.
fn messages(
    words: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<MessageDigest>, Failure> {
    let mut seen = BTreeSet::new();
    let mut digests = Vec::new();
    let mut take = |word: &str| match word.parse::<MessageDigest>() {
        Ok(digest) => {
            if seen.insert(digest) {
                digests.push(digest);
            }
            Ok(())
        }
        Err(_) => Err(Failure::Digest(word.to_owned())),
    };
    for word in words {
        if word.as_ref() != STDIN {
            take(word.as_ref())?;
            continue;
        }
        for line in io::stdin().lock().lines() {
            take(line.map_err(Failure::Stdin)?.trim())?;
        }
    }
    Ok(digests)
}

/// Names each message that is not there. The others are done.
fn missing(folder: &Path, missing: &[MessageDigest]) -> Exit {
    for &digest in missing {
        let folder = folder.to_owned();
        report::report(PROGRAM, &Failure::Missing { digest, folder });
    }
    if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Refused
    }
}
