//! What can still be read of a journal that breaks its grammar.

use ima_message::Entry;
use rustix::fs::OFlags;

use super::lines::Lines;
use super::{FIRST_LINE, JournalError, read_first_line};
use crate::directory::Directory;
use crate::error::{MailboxError, Step};
use crate::name::JOURNAL;

/// The lines of a journal, good and bad.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// What the good ones say, in their order.
    pub(crate) entries: Vec<Entry>,
    /// Where the bad ones begin, in octets from 0, and the rules that they break.
    pub(crate) bad: Vec<(u64, JournalError)>,
    /// Octets behind the last whole line.
    pub(crate) rest: u64,
}

impl Salvage {
    /// Reads the journal of a folder, whose lock is held; `None` where there is
    /// none.
    pub(crate) fn read(folder: &Directory) -> Result<Option<Self>, MailboxError> {
        let Some(file) = folder.find_file(JOURNAL, OFlags::RDONLY)? else {
            return Ok(None);
        };
        let fault = |e| folder.fault(Step::Read, JOURNAL, e);
        let octets = folder.metadata(JOURNAL, &file)?.len();
        let from = match read_first_line(&file).map_err(fault)? {
            Some(_) => FIRST_LINE,
            None => 0,
        };
        let mut salvage = Self::default();
        let mut lines = Lines::new(file, from, octets);
        let mut begin = from;
        while lines.advance().map_err(fault)? {
            let end = lines.offset();
            match lines.line().map(Entry::parse) {
                Some(Ok(entry)) => salvage.entries.push(entry),
                Some(Err(_)) if begin == 0 => salvage.bad.push((0, JournalError::FirstLine)),
                Some(Err(error)) => salvage.bad.push((begin, error.into())),
                None if end == octets && !lines.is_ended() => salvage.rest = end - begin,
                None => salvage.bad.push((begin, JournalError::TooLong)),
            }
            begin = end;
        }
        if from == 0 && salvage.bad.first().is_none_or(|(offset, _)| *offset > 0) {
            salvage.bad.insert(0, (0, JournalError::FirstLine));
        }
        Ok(Some(salvage))
    }
}
