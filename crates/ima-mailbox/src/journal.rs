//! The journal of a folder: every change, one line each, appended only.
//!
//! ```text
//! journal = first-line *entry
//! first-line = "ima-mailbox 1 " generation LF
//! generation = 16HEXLOWER                     ; random
//! ```
//!
//! Whoever appends holds the folder's lock exclusively and opens the journal
//! after that. A last line without LF was never acknowledged: the next one who
//! appends cuts it off. What stands before the end of a whole line never
//! changes, so it can be read without the lock.

mod changes;
mod lines;
mod named;
mod salvage;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

use rustix::fs::{OFlags, ftruncate};
use rustix::io::{Errno, retry_on_intr};

use ima_message::{Entry, EntryError, Generation, Token};

pub use changes::{Change, Changes, Entries};
pub(crate) use salvage::Salvage;

use crate::directory::Directory;
use crate::durable::Barrier;
use crate::error::{MailboxError, Step};
use crate::name::JOURNAL;

const FIRST_LINE_BEGINS: &str = "ima-mailbox 1 ";
const FIRST_LINE_LENGTH: usize = 31;
/// Octets of the first line with its LF.
pub(crate) const FIRST_LINE: u64 = FIRST_LINE_LENGTH as u64;
/// Octets of a line with its LF. Writers stay below it; readers refuse more.
const MAX_LINE: u64 = 8192;

/// Why a line is not one of a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The first line is not as it should be.
    #[error("a journal begins with `ima-mailbox 1 ` and 16 hexadecimal digits in lower case")]
    FirstLine,
    /// Longer than 8,192 octets.
    #[error("a line has at most 8192 octets")]
    TooLong,
    /// Not `add`, `flag` or `del` as they should be.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// An open journal whose first line is in order.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    generation: Generation,
    /// Where the last whole line ends.
    settled: u64,
    /// Octets behind the last whole line.
    rest: u64,
    /// Octets of lines that were written and are not settled.
    unsettled: u64,
    /// How many names it had when it was opened.
    names: u64,
}

/// What one write added to a journal: the token before its lines and the one
/// behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where the first of them begins.
    pub from: Token,
    /// Where the last of them ends.
    pub to: Token,
}

/// Lines that could not be appended.
#[derive(Debug)]
pub(crate) struct NotAppended {
    pub(crate) error: MailboxError,
    /// Whether the journal is, and would be after a power cut, as it was before.
    pub(crate) withdrawn: bool,
}

impl Journal {
    /// Makes a journal with a new generation and these lines, and syncs it. Gives
    /// the token behind the last line.
    pub(crate) fn create(
        directory: &Directory,
        name: &str,
        entries: &[Entry],
    ) -> Result<Token, MailboxError> {
        let generation = Generation::new(getrandom::u64().map_err(MailboxError::Random)?);
        let fault = |e| directory.fault(Step::Write, name, e);
        let mut file = BufWriter::new(directory.create(name)?);
        let first = format!("{FIRST_LINE_BEGINS}{generation}\n");
        file.write_all(first.as_bytes()).map_err(fault)?;
        let mut offset = first.len() as u64;
        for entry in entries {
            let line = format!("{entry}\n");
            file.write_all(line.as_bytes()).map_err(fault)?;
            offset = offset.saturating_add(line.len() as u64);
        }
        file.flush().map_err(fault)?;
        Barrier::Journal
            .sync(file.get_ref())
            .map_err(|e| directory.fault(Step::Sync, name, e))?;
        Ok(Token { generation, offset })
    }

    /// Opens a folder's journal for reading.
    pub(crate) fn open(directory: &Directory) -> Result<Self, MailboxError> {
        Self::open_for(directory, OFlags::RDONLY)
    }

    /// Opens a folder's journal for appending, under its exclusive lock, and
    /// cuts off a last line without LF. Whoever appends has it from
    /// [`crate::folder::Folder`], by which its name is on the disk.
    pub(crate) fn open_to_append(directory: &Directory) -> Result<Self, MailboxError> {
        let mut journal = Self::open_for(directory, OFlags::RDWR | OFlags::APPEND)?;
        if journal.rest > 0 {
            journal.truncate()?;
            journal.rest = 0;
        }
        Ok(journal)
    }

    /// Opens a folder's journal, with whatever access is wanted.
    pub(crate) fn open_for(directory: &Directory, access: OFlags) -> Result<Self, MailboxError> {
        let path = directory.path().join(JOURNAL);
        let (file, metadata) = directory
            .find_file_and_metadata(JOURNAL, access)?
            .ok_or_else(|| directory.fault(Step::Open, JOURNAL, Errno::NOENT))?;
        let length = metadata.size();
        let generation = match read_first_line(&file) {
            Ok(Some(generation)) => generation,
            Ok(None) => {
                return Err(MailboxError::Journal {
                    path,
                    offset: 0,
                    source: JournalError::FirstLine,
                });
            }
            Err(e) => return Err(MailboxError::io(Step::Read, &path, e)),
        };
        let settled =
            end_of_last_line(&file, length).map_err(|e| MailboxError::io(Step::Read, &path, e))?;
        Ok(Self {
            file,
            path,
            generation,
            settled,
            rest: length.saturating_sub(settled),
            unsettled: 0,
            names: metadata.nlink(),
        })
    }

    /// Where the journal stands now, behind its last whole line.
    pub(crate) fn token(&self) -> Token {
        Token {
            generation: self.generation,
            offset: self.settled,
        }
    }

    /// Octets behind the last whole line, left by a power cut.
    pub(crate) fn rest(&self) -> u64 {
        self.rest
    }

    /// How many names it had when it was opened.
    pub(crate) fn names(&self) -> u64 {
        self.names
    }

    /// Brings the journal onto the disk.
    pub(crate) fn sync(&self) -> Result<(), MailboxError> {
        Barrier::Journal
            .sync(&self.file)
            .map_err(|e| MailboxError::io(Step::Sync, &self.path, e))
    }

    /// Appends lines and syncs them, or takes them back.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<Written, NotAppended> {
        let written = self.write(entries).and_then(|()| self.sync());
        self.settle(written)
    }

    /// Appends lines. They are settled before anything else is appended.
    pub(crate) fn write(&mut self, entries: &[Entry]) -> Result<(), MailboxError> {
        let lines: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        self.unsettled = lines.len() as u64;
        (&self.file)
            .write_all(lines.as_bytes())
            .map_err(|e| MailboxError::io(Step::Write, &self.path, e))
    }

    /// The lines that were written stay where they were synced too; otherwise they
    /// are taken back.
    pub(crate) fn settle(
        &mut self,
        synced: Result<(), MailboxError>,
    ) -> Result<Written, NotAppended> {
        let from = self.token();
        let octets = std::mem::take(&mut self.unsettled);
        match synced {
            Ok(()) => {
                self.settled = self.settled.saturating_add(octets);
                let to = self.token();
                Ok(Written { from, to })
            }
            Err(error) => {
                let withdrawn = self.truncate().and_then(|()| self.sync()).is_ok();
                Err(NotAppended { error, withdrawn })
            }
        }
    }

    fn truncate(&self) -> Result<(), MailboxError> {
        retry_on_intr(|| ftruncate(&self.file, self.settled))
            .map_err(|e| MailboxError::io(Step::Truncate, &self.path, e))
    }
}

fn read_first_line(file: &File) -> io::Result<Option<Generation>> {
    let mut line = [0; FIRST_LINE_LENGTH];
    match file.read_exact_at(&mut line, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let generation = || {
        let line = std::str::from_utf8(&line).ok()?;
        line.strip_prefix(FIRST_LINE_BEGINS)?
            .strip_suffix('\n')?
            .parse()
            .ok()
    };
    Ok(generation())
}

/// The offset behind the last LF of a file that holds one.
fn end_of_last_line(file: &File, length: u64) -> io::Result<u64> {
    let mut block = [0; 4096];
    let mut end = length;
    // In all but the rarest case the first octet looked at is the LF.
    let mut size: usize = 1;
    while end > 0 {
        let take = usize::try_from(end).unwrap_or(usize::MAX).min(size);
        let start = end - take as u64;
        let Some(octets) = block.get_mut(..take) else {
            break;
        };
        file.read_exact_at(octets, start)?;
        if let Some(last) = octets.iter().rposition(|&b| b == b'\n') {
            return Ok(start + last as u64 + 1);
        }
        end = start;
        size = block.len();
    }
    Ok(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs;

    use super::*;

    fn journal_with(octets: &[u8]) -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(JOURNAL), octets).unwrap();
        let directory = Directory::open(place.path()).unwrap();
        (place, directory)
    }

    #[test]
    fn a_new_journal_is_its_first_line() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        Journal::create(&directory, JOURNAL, &[]).unwrap();
        let text = fs::read_to_string(place.path().join(JOURNAL)).unwrap();
        assert_eq!(text.len() as u64, FIRST_LINE);
        let token = Journal::open(&directory).unwrap().token();
        assert_eq!(text, format!("ima-mailbox 1 {}\n", token.generation));
        assert_eq!(token.offset, FIRST_LINE);
    }

    #[test]
    fn a_last_line_without_lf_does_not_count_and_is_cut_off_by_who_appends() {
        let first = "ima-mailbox 1 0123456789abcdef\n";
        for rest in ["a", "add 00", &"\0".repeat(10_000)] {
            let (place, directory) = journal_with(format!("{first}{rest}").as_bytes());
            let path = place.path().join(JOURNAL);
            let journal = Journal::open(&directory).unwrap();
            assert_eq!(journal.token().offset, FIRST_LINE);
            assert_eq!(journal.rest(), rest.len() as u64);
            let entry = Entry::Del {
                digest: "ab".repeat(32).parse().unwrap(),
            };
            Journal::open_to_append(&directory)
                .unwrap()
                .append(std::slice::from_ref(&entry))
                .unwrap();
            assert_eq!(
                fs::read_to_string(path).unwrap(),
                format!("{first}{entry}\n")
            );
        }
    }

    #[test]
    fn a_first_line_out_of_order_is_an_error() {
        for text in [
            "",
            "ima-mailbox 1 0123456789abcdef",
            "ima-mailbox 1 0123456789ABCDEF\n",
            "ima-mailbox 2 0123456789abcdef\n",
            "ima-mailbox 1 0123456789abcde\n\n",
        ] {
            let (_place, directory) = journal_with(text.as_bytes());
            let error = Journal::open_to_append(&directory).unwrap_err();
            assert!(
                matches!(
                    error,
                    MailboxError::Journal {
                        source: JournalError::FirstLine,
                        ..
                    }
                ),
                "{text:?}: {error}"
            );
        }
    }
}
