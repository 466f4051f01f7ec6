//! `ima-mailbox compact` and `repair`.

use std::io::{self, Write as _};
use std::path::Path;

use ima_mailbox::Folder;
use ima_mailbox::repair::{self, Tokens};
use ima_program::{escape::visible, exit::Exit, report};

use crate::PROGRAM;
use crate::failure::Failure;
use crate::folders;
use crate::progress::Progress;

/// Compacts a folder, or all folders of a mailbox. One with which that cannot be done is
/// named, and the others are compacted.
pub(crate) fn compact(dir: &Path) -> Result<Exit, Failure> {
    let mut progress = Progress::new("folders compacted");
    let mut exit = Exit::Done;
    for found in folders::find(dir)? {
        match Folder::open(&found.path).and_then(|folder| folder.compact()) {
            Ok(_) => progress.step(),
            Err(error) => {
                if let Some(failure) = found.undone(error)? {
                    progress.clear();
                    report::report(PROGRAM, &failure);
                    exit = Exit::Unfinished;
                }
            }
        }
    }
    Ok(exit)
}

/// Repairs a folder, or a mailbox, and prints what was done. What cannot be repaired is
/// named.
pub(crate) fn repair(dir: &Path, new_generation: bool) -> Result<Exit, Failure> {
    let tokens = match new_generation {
        true => Tokens::Void,
        false => Tokens::Kept,
    };
    let (mut printed, mut exit) = (Ok(()), Exit::Done);
    let repaired = repair::directory(dir, tokens, &mut |mended| {
        if printed.is_ok() {
            printed = print(&mended.to_string());
        }
    });
    printed.map_err(Failure::Stdout)?;
    let left = repaired?;
    for (folder, source) in left {
        report::report(PROGRAM, &Failure::Folder { folder, source });
        exit = Exit::Unfinished;
    }
    Ok(exit)
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", visible(line))?;
    stdout.flush()
}
