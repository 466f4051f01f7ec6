//! Messages on their way into a folder here.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::time::{Duration, Instant};

use ima_mailbox::{Batch, Committed, Folder, MailboxError};
use ima_message::{
    DataError, FlagChange, FolderName, HeaderBlock, MessageDigest, Part, PartDigest,
};
use ima_program::log;

use crate::body::{self, Body};
use crate::failure::Failure;
use crate::mirror::Mirror;
use crate::plan::setting;
use crate::wanted::Wanted;

/// What is staged is committed at so many octets,
const BATCH_OCTETS: u64 = 64 << 20;
/// at so many messages,
const BATCH_MESSAGES: usize = 500;
/// after so much time,
const BATCH_TIME: Duration = Duration::from_secs(2);
/// and before an answer of so many octets, which may take long.
const LONG_ANSWER: u64 = 1 << 20;

/// The messages that are staged and not committed, and the attachments that are
/// whole and in `partial/`.
#[derive(Debug)]
pub struct Intake<'a> {
    folder: &'a Folder,
    batch: Option<Batch<'a>>,
    begun: Instant,
    whole: HashSet<PartDigest>,
    staged: Vec<Staged>,
}

/// A message that is staged, and what is of no use in `partial/` once it is
/// committed.
#[derive(Debug)]
struct Staged {
    index: usize,
    octets: u64,
    digest: MessageDigest,
    flags: Vec<FlagChange>,
    parts: Vec<PartDigest>,
}

/// Messages that were staged, on their way into the folder.
#[derive(Debug)]
pub struct Leaving<'a> {
    batch: Batch<'a>,
    staged: Vec<Staged>,
}

/// Messages that are in the folder.
#[derive(Debug)]
pub struct Arrived {
    committed: Committed,
    staged: Vec<Staged>,
}

/// What is in the mailbox now.
#[derive(Debug, Default)]
pub struct Stored {
    /// The places of the messages in the listing.
    pub messages: Vec<(usize, MessageDigest)>,
    /// How many of them are new.
    pub new: usize,
    /// The octets of all of them, attachments included.
    pub octets: u64,
}

/// A message cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Its octets are others.
    #[error(
        "an attachment that lies here already is damaged ({0}): `ima-mailbox check` finds out which"
    )]
    Data(DataError),
    /// It cannot be read.
    #[error("an attachment that lies here already cannot be read: {0}")]
    Read(io::Error),
    /// Its time is outside the years that can be written.
    #[error("it came at no time that can be written")]
    Time,
}

impl<'a> Intake<'a> {
    /// Of a folder; nothing so far.
    pub fn new(folder: &'a Folder) -> Self {
        Self {
            folder,
            batch: None,
            begun: Instant::now(),
            whole: HashSet::new(),
            staged: Vec::new(),
        }
    }

    /// An attachment is whole, in `partial/`.
    pub fn is_whole(&mut self, digest: PartDigest) {
        self.whole.insert(digest);
    }

    /// Whether an attachment is here: one that has just come, or one of a
    /// message in some folder.
    ///
    /// # Errors
    /// A fault.
    pub fn has(&self, mirror: &Mirror, part: &Part) -> Result<bool, Failure> {
        Ok(self.whole.contains(&part.digest()) || mirror.attachment(self.folder, part)?.is_some())
    }

    /// Stages a message all of whose attachments are here, and whose header block
    /// and inline parts were verified.
    ///
    /// # Errors
    /// A fault; the inner error where an attachment is damaged that was here
    /// before.
    pub fn stage(
        &mut self,
        mirror: &Mirror,
        wanted: &Wanted,
        header: &HeaderBlock,
        body: &Body,
    ) -> Result<Result<(), Damage>, Failure> {
        let Some(time) = wanted.time() else {
            return Ok(Err(Damage::Time));
        };
        let Wanted { index, digest, .. } = *wanted;
        let flags = wanted.flags.clone();
        let path = mirror.desk.partial_path(&body::name(digest));
        let inline = body.inline(header).map_err(Failure::io("read", path))?;
        let mut batch = match self.batch.take() {
            Some(batch) => batch,
            None => {
                self.begun = Instant::now();
                self.folder.batch_of_user()?
            }
        };
        let attachments: VecDeque<&Part> = header.attachments().map(|(_, part)| part).collect();
        let parts = attachments.iter().map(|part| part.digest()).collect();
        let lengths = header.parts().iter().map(Part::length);
        let octets = lengths.fold(header.as_bytes().len() as u64, u64::saturating_add);
        let mut data = Data {
            inline,
            attachments,
            current: None,
            open: &|part| self.open(mirror, part),
        };
        let staged = batch.stage_flagged(header, &mut data, time, flags);
        drop(data);
        self.batch = Some(batch);
        Ok(match staged {
            Ok(()) => {
                self.staged.push(Staged {
                    index,
                    octets,
                    digest,
                    flags: setting(&wanted.flags),
                    parts,
                });
                Ok(())
            }
            Err(MailboxError::Data(error)) => Err(Damage::Data(error)),
            Err(MailboxError::Read(error)) => Err(Damage::Read(error)),
            Err(error) => return Err(error.into()),
        })
    }

    fn open(&self, mirror: &Mirror, part: &Part) -> Result<File, Failure> {
        let name = part.digest().to_string();
        let just_come = match self.whole.contains(&part.digest()) {
            true => mirror.desk.partial(&name)?,
            false => None,
        };
        let found = match just_come {
            Some(file) => Some(file),
            None => mirror.attachment(self.folder, part)?,
        };
        let gone = Failure::io("find", mirror.desk.partial_path(&name));
        found.ok_or_else(|| gone(io::ErrorKind::NotFound.into()))
    }

    /// Whether what is staged is to be committed before so many octets come.
    pub fn is_due(&self, octets: u64) -> bool {
        self.batch.as_ref().is_some_and(|batch| {
            batch.octets() >= BATCH_OCTETS
                || batch.len() >= BATCH_MESSAGES
                || octets >= LONG_ANSWER
                || self.begun.elapsed() >= BATCH_TIME
        })
    }

    /// Makes visible and durable what is staged, in the folder of this name.
    ///
    /// # Errors
    /// A fault; nothing of it is visible then, unless all of it is.
    pub fn commit(&mut self, mirror: &mut Mirror, name: &FolderName) -> Result<Stored, Failure> {
        match self.leave(mirror, name)? {
            Some(leaving) => self.arrive(mirror, name, leaving.commit()?),
            None => Ok(Stored::default()),
        }
    }

    /// Takes out what is staged, to be committed. That it is coming is in the state
    /// from now on, so that nobody else is ever taken to have put it there.
    ///
    /// # Errors
    /// A fault.
    pub fn leave(
        &mut self,
        mirror: &mut Mirror,
        name: &FolderName,
    ) -> Result<Option<Leaving<'a>>, Failure> {
        let staged = std::mem::take(&mut self.staged);
        let Some(batch) = self.batch.take() else {
            return Ok(None);
        };
        let coming = &mut mirror.state.place_mut(name).coming;
        for Staged { digest, flags, .. } in &staged {
            coming.presence(*digest, true);
            coming.flags(*digest, flags);
        }
        mirror.write_state()?;
        Ok(Some(Leaving { batch, staged }))
    }

    /// What was taken out is in the folder of this name.
    ///
    /// # Errors
    /// A fault.
    pub fn arrive(
        &mut self,
        mirror: &mut Mirror,
        name: &FolderName,
        arrived: Arrived,
    ) -> Result<Stored, Failure> {
        let Arrived { committed, staged } = arrived;
        let place = mirror.state.place_mut(name);
        place.wrote(committed.written);
        for Staged { digest, .. } in &staged {
            place.coming.forget(*digest);
            if log::chosen().is_some() {
                log::info("fetched")
                    .field("digest", digest)
                    .field("folder", name)
                    .emit();
            }
        }
        for Staged { digest, parts, .. } in &staged {
            mirror.desk.remove_partial(&body::name(*digest))?;
            for part in parts {
                // Messages that wait find it in the folder now.
                self.whole.remove(part);
                mirror.desk.remove_partial(&part.to_string())?;
            }
        }
        let octets = staged.iter().map(|staged| staged.octets);
        Ok(Stored {
            new: committed.new,
            octets: octets.fold(0, u64::saturating_add),
            messages: staged.iter().map(|one| (one.index, one.digest)).collect(),
        })
    }
}

impl Leaving<'_> {
    /// Makes them visible and durable.
    ///
    /// # Errors
    /// A fault; nothing of it is visible then, unless all of it is.
    pub fn commit(self) -> Result<Arrived, MailboxError> {
        Ok(Arrived {
            committed: self.batch.commit()?,
            staged: self.staged,
        })
    }
}

/// The data of a message: its inline parts, then its attachments, each opened
/// when its turn comes.
struct Data<'a> {
    inline: Box<dyn BufRead + 'a>,
    attachments: VecDeque<&'a Part>,
    current: Option<File>,
    open: &'a dyn Fn(&Part) -> Result<File, Failure>,
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inline.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        loop {
            if let Some(file) = &mut self.current {
                let count = file.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
            }
            let Some(part) = self.attachments.pop_front() else {
                return Ok(0);
            };
            self.current = Some((self.open)(part).map_err(io::Error::other)?);
        }
    }
}
