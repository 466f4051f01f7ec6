//! FETCH and PART: octets from the disk.

use std::fmt::Display;
use std::io::{self, Cursor, Read, SeekFrom};

use ima_message::limits::MAX_BLOCK;
use ima_message::{FolderName, MessageDigest, PartDigest};

use super::{End, Session, Stop};
use crate::framing::Channel;
use crate::imrp::answer::{Final, Information};
use crate::imrp::office::{Fault, Mailbox as _, Octets, Office};

/// Octets read from the disk at a time.
const BUFFER: usize = 64 << 10;
/// What ends a header block.
const EMPTY_LINE: &[u8] = b"\n\n";

/// A message of which as much was read as shows whether its header block is whole.
pub(super) struct Begun {
    begin: Vec<u8>,
    message: Octets,
}

impl<C: Channel, O: Office> Session<C, O> {
    pub(super) fn fetch(
        &mut self,
        folder: Option<&FolderName>,
        digest: MessageDigest,
    ) -> Result<(), Stop> {
        let mailbox = self.mailbox()?;
        let Some(folder) = folder else {
            return self.no_folder();
        };
        let Some(mut message) = mailbox.message(folder, digest)? else {
            return self.fail("no such message");
        };
        let octets = message.length;
        let announced = Information::Message { octets };
        if !self.tell_octets(&announced, &mut message.source, octets)? {
            return self.cut_short(folder, &digest);
        }
        Ok(self.say(&Final::Ok)?)
    }

    pub(super) fn part(
        &mut self,
        folder: Option<&FolderName>,
        digest: PartDigest,
        from: u64,
    ) -> Result<(), Stop> {
        let mailbox = self.mailbox()?;
        let Some(folder) = folder else {
            return self.no_folder();
        };
        let Some(mut block) = mailbox.attachment(folder, digest)? else {
            return self.fail("no such attachment");
        };
        let Some(octets) = block.length.checked_sub(from) else {
            return self.fail("the attachment is shorter than that");
        };
        block
            .source
            .seek(SeekFrom::Start(from))
            .map_err(|_| Fault)?;
        let announced = Information::Attachment { digest, octets };
        if !self.tell_octets(&announced, &mut block.source, octets)? {
            return self.cut_short(folder, &digest);
        }
        Ok(self.say(&Final::Ok)?)
    }

    /// Sends the header block that a message begins with.
    pub(super) fn tell_header(&mut self, block: &[u8]) -> Result<(), Stop> {
        let octets = block.len() as u64;
        self.tell(&Information::Header { octets })?;
        Ok(self.wire.write_octets(block)?)
    }

    /// Sends a message of which some was read already.
    pub(super) fn tell_message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
        message: Begun,
    ) -> Result<(), Stop> {
        let Begun { begin, message } = message;
        let octets = message.length;
        let mut source = Cursor::new(begin).chain(message.source);
        match self.tell_octets(&Information::Message { octets }, &mut source, octets)? {
            true => Ok(()),
            false => self.cut_short(folder, &digest),
        }
    }

    /// Announces octets and sends them. False where there were fewer.
    fn tell_octets(
        &mut self,
        information: &Information,
        source: &mut impl Read,
        octets: u64,
    ) -> Result<bool, Stop> {
        self.tell(information)?;
        let mut missing = octets;
        let mut buffer = vec![0; BUFFER.min(usize::try_from(missing).unwrap_or(BUFFER))];
        while missing > 0 {
            let most = usize::try_from(missing).unwrap_or(usize::MAX);
            let most = most.min(buffer.len());
            // A fault within a block ends the connection without a word, since a
            // word would be taken for octets.
            let count = read(source, buffer.get_mut(..most).unwrap_or_default())
                .map_err(|_| Stop::End(End::Fault))?;
            if count == 0 {
                return Ok(false);
            }
            let octets = buffer.get(..count).unwrap_or_default();
            self.wire.write_octets(octets)?;
            missing = missing.saturating_sub(count as u64);
        }
        Ok(true)
    }

    /// What was announced cannot be taken back: only the end says it.
    fn cut_short(&mut self, folder: &FolderName, digest: &dyn Display) -> Result<(), Stop> {
        self.mailbox()?.damaged(folder, digest);
        Err(Stop::End(End::Fault))
    }
}

/// The header block that a message begins with; `None` where it has no end.
pub(super) fn header_of(message: Octets) -> io::Result<Option<Vec<u8>>> {
    let mut block = Vec::new();
    let mut source = message.source.take(MAX_BLOCK as u64);
    let mut buffer = vec![0; BUFFER.min(usize::try_from(message.length).unwrap_or(BUFFER))];
    loop {
        // The empty line may lie across two readings.
        let seen = block.len().saturating_sub(1);
        let count = read(&mut source, &mut buffer)?;
        block.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let fresh = block.get(seen..).unwrap_or_default();
        if let Some(at) = fresh.windows(2).position(|pair| pair == EMPTY_LINE) {
            block.truncate(seen.saturating_add(at).saturating_add(2));
            return Ok(Some(block));
        }
        if count == 0 {
            return Ok(None);
        }
    }
}

/// Reads the beginning of a message; `None` where all of it is there and its header
/// block has no end.
pub(super) fn begin(mut message: Octets) -> io::Result<Option<Begun>> {
    let mut begin = Vec::new();
    let source = &mut message.source;
    source.take(BUFFER as u64).read_to_end(&mut begin)?;
    let is_cut = begin.len() < BUFFER && (begin.len() as u64) < message.length;
    let is_long = begin.len() >= BUFFER;
    let is_whole = begin.windows(2).any(|pair| pair == EMPTY_LINE);
    Ok(((is_whole || is_long) && !is_cut).then_some(Begun { begin, message }))
}

/// Reads what there is; nothing at the end.
fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
