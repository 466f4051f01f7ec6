//! `ima-mailbox import`.

mod maildirs;
mod mbox;
mod stream;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ima_mailbox::{Batch, Folder, Mailbox, MailboxError};
use ima_message::{Address, DateTime, Flag, FolderName, HeaderBlock};
use ima_mime::{Defaults, read_rfc5322};
use ima_program::{exit::Exit, report};

use crate::PROGRAM;
use crate::change::place;
use crate::failure::Failure;
use crate::progress::Progress;

/// Messages, and their octets, that appear together and are synced together.
const TOGETHER: usize = 500;
const OCTETS_TOGETHER: u64 = 64 << 20;

/// Imports into a folder.
pub(crate) fn import(
    folder: &Path,
    maildir: Option<&Path>,
    mbox: Option<&Path>,
    owner: Option<Address>,
) -> Result<Exit, Failure> {
    let (mailbox, name) = place(folder)?;
    let mailbox = Mailbox::open(&mailbox)?;
    let owner = owner.or(mailbox.settings()?.owner);
    let mut tally = Tally::new(owner);
    match (maildir, mbox) {
        (Some(from), _) => maildirs::import(from, &mailbox, &name, &mut tally)?,
        (None, Some(file)) => {
            mbox::import(file, Sink::new(&self::folder(&mailbox, &name)?, &mut tally))?
        }
        (None, None) => stream::import(Sink::new(&self::folder(&mailbox, &name)?, &mut tally))?,
    }
    Ok(tally.end())
}

/// What was done, over all folders.
pub(crate) struct Tally {
    owner: Option<Address>,
    progress: Progress,
    stored: u64,
    known: u64,
    refused: u64,
}

impl Tally {
    fn new(owner: Option<Address>) -> Self {
        Self {
            owner,
            progress: Progress::new("messages imported"),
            stored: 0,
            known: 0,
            refused: 0,
        }
    }

    /// Names something that is not imported. The others go on.
    fn refuse(&mut self, why: &Failure) {
        self.progress.clear();
        report::report(PROGRAM, why);
        self.refused += 1;
    }

    fn end(mut self) -> Exit {
        if self.refused == 0 {
            return Exit::Done;
        }
        self.progress.clear();
        report::report(
            PROGRAM,
            &Failure::SomeRefused {
                refused: self.refused,
                stored: self.stored,
                known: self.known,
            },
        );
        Exit::Refused
    }
}

/// A folder into which messages go, several at a time.
pub(crate) struct Sink<'a> {
    folder: &'a Folder,
    batch: Option<Batch<'a>>,
    tally: &'a mut Tally,
}

impl<'a> Sink<'a> {
    fn new(folder: &'a Folder, tally: &'a mut Tally) -> Self {
        Self {
            folder,
            batch: None,
            tally,
        }
    }

    /// Takes a message. `data` is read to its end.
    fn message(
        &mut self,
        header: &HeaderBlock,
        data: &mut dyn Read,
        arrived: Option<i64>,
        flags: BTreeSet<Flag>,
    ) -> Result<(), Failure> {
        let time = arrived.or_else(now).and_then(DateTime::utc);
        let time = time.ok_or(MailboxError::Clock)?;
        let mut batch = match self.batch.take() {
            Some(batch) => batch,
            None => self.folder.batch_of_user()?,
        };
        let staged = batch.stage_flagged(header, data, time, flags);
        let is_full = batch.len() >= TOGETHER || batch.octets() >= OCTETS_TOGETHER;
        self.batch = Some(batch);
        staged?;
        self.tally.progress.step();
        if is_full { self.commit() } else { Ok(()) }
    }

    /// Takes a mail; one that cannot become a message is named.
    fn mail(
        &mut self,
        place: &dyn Fn() -> String,
        octets: &[u8],
        arrived: Option<i64>,
        flags: BTreeSet<Flag>,
    ) -> Result<(), Failure> {
        let defaults = Defaults {
            owner: self.tally.owner.clone(),
            arrived: arrived.unwrap_or_default(),
        };
        match read_rfc5322(octets, &defaults) {
            Ok(imported) => {
                // A mail without a time of arrival is as old as it says.
                let arrived = arrived.unwrap_or_else(|| imported.header().date().unix_seconds());
                let arrived = Some(arrived.max(0));
                self.message(imported.header(), &mut imported.data(), arrived, flags)
            }
            Err(source) => {
                let place = place();
                self.tally.refuse(&Failure::Mail { place, source });
                Ok(())
            }
        }
    }

    /// Stores what was taken. On return it would survive a power cut.
    fn commit(&mut self) -> Result<(), Failure> {
        if let Some(batch) = self.batch.take() {
            let taken = batch.len();
            let new = batch.commit()?.new;
            let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            self.tally.stored += count(new);
            self.tally.known += count(taken.saturating_sub(new));
        }
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// A folder of a mailbox, made where it is not there.
fn folder(mailbox: &Mailbox, name: &FolderName) -> Result<Folder, Failure> {
    match mailbox.folder(name)? {
        Some(folder) => Ok(folder),
        None => Ok(mailbox.create_folder(name)?),
    }
}
