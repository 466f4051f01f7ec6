//! The data of a message as they come: verified, part by part.

use std::io::{self, Read};

use ima_message::{DataError, DataVerifier, HeaderBlock, Part};

use crate::error::MailboxError;
use crate::stage::BUFFER;

/// The data of a message, verified as they are read.
pub(super) struct Source<'a> {
    data: &'a mut dyn Read,
    verifier: DataVerifier<'a>,
    missing: u64,
    /// Made when it is needed first.
    buffer: Vec<u8>,
}

impl<'a> Source<'a> {
    pub(super) fn new(header: &'a HeaderBlock, data: &'a mut dyn Read) -> Self {
        Self {
            data,
            verifier: DataVerifier::new(header.parts()),
            missing: header.size(),
            buffer: Vec::new(),
        }
    }

    /// Reads the next part and hands on its octets. Its digest is checked
    /// with its last octet; that of an empty part when the next octet or the end
    /// comes.
    pub(super) fn read(
        &mut self,
        part: &Part,
        take: &mut dyn FnMut(&[u8]) -> Result<(), MailboxError>,
    ) -> Result<(), MailboxError> {
        if self.buffer.is_empty() {
            let size = usize::try_from(self.missing).unwrap_or(BUFFER);
            self.buffer = vec![0; size.clamp(1, BUFFER)];
        }
        let mut missing = part.length();
        while missing > 0 {
            let most = usize::try_from(missing)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let octets = read_some(self.data, self.buffer.get_mut(..most).unwrap_or_default())?;
            if octets.is_empty() {
                return Err(self.short());
            }
            self.verifier.update(octets)?;
            take(octets)?;
            missing = missing.saturating_sub(octets.len() as u64);
            self.missing = self.missing.saturating_sub(octets.len() as u64);
        }
        Ok(())
    }

    /// Reads the next part, which is to be held as a whole, behind what is held.
    pub(super) fn hold(&mut self, part: &Part, held: &mut Vec<u8>) -> Result<(), MailboxError> {
        let begin = held.len();
        let mut data = (&mut *self.data).take(part.length());
        let read = data.read_to_end(held).map_err(MailboxError::Read)? as u64;
        self.missing = self.missing.saturating_sub(read);
        self.verifier
            .update(held.get(begin..).unwrap_or_default())?;
        match read < part.length() {
            true => Err(self.short()),
            false => Ok(()),
        }
    }

    fn short(&self) -> MailboxError {
        let missing = self.missing.into();
        DataError::Short { missing }.into()
    }

    /// The data end here, whole, and nothing follows.
    pub(super) fn end(self) -> Result<(), MailboxError> {
        self.verifier.finish()?;
        match read_some(self.data, &mut [0])? {
            [] => Ok(()),
            _ => Err(DataError::Long.into()),
        }
    }
}

/// Reads what there is; nothing at the end.
fn read_some<'b>(data: &mut dyn Read, buffer: &'b mut [u8]) -> Result<&'b [u8], MailboxError> {
    loop {
        match data.read(buffer) {
            Ok(octets) => return Ok(buffer.get(..octets).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(MailboxError::Read(e)),
        }
    }
}
