//! `ima-mailbox compact` and `repair`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ima_mailbox::repair::{self, Tokens};
use ima_mailbox::{Folder, Mailbox, MailboxError};
use ima_program::{escape::visible, exit::Exit};

use crate::failure::Failure;
use crate::progress::Progress;

/// Compacts a folder, or all folders of a mailbox.
pub(crate) fn compact(dir: &Path) -> Result<Exit, Failure> {
    let mut progress = Progress::new("folders compacted");
    for path in folders(dir)? {
        match Folder::open(&path).and_then(|folder| folder.compact()) {
            Ok(_) => progress.step(),
            // Removed a moment ago.
            Err(MailboxError::NoFolder(_)) if path != dir => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Exit::Done)
}

/// A directory that holds a journal is a folder.
fn folders(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    if fs::symlink_metadata(dir.join("journal")).is_ok() {
        return Ok(vec![dir.to_owned()]);
    }
    let names = Mailbox::open(dir)?.names()?;
    if names.is_empty() {
        return Err(MailboxError::NoFolder(dir.to_owned()).into());
    }
    Ok(names.iter().map(|name| dir.join(name.as_str())).collect())
}

/// Repairs a folder, or a mailbox, and prints what was done.
pub(crate) fn repair(dir: &Path, new_generation: bool) -> Result<Exit, Failure> {
    let tokens = match new_generation {
        true => Tokens::Void,
        false => Tokens::Kept,
    };
    let mut printed = Ok(());
    let repaired = repair::directory(dir, tokens, &mut |mended| {
        if printed.is_ok() {
            printed = print(&mended.to_string());
        }
    });
    printed.map_err(Failure::Stdout)?;
    repaired?;
    Ok(Exit::Done)
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", visible(line))?;
    stdout.flush()
}
