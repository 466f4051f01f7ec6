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
    buffer: Vec<u8>,
}

impl<'a> Source<'a> {
    pub(super) fn new(header: &'a HeaderBlock, data: &'a mut dyn Read) -> Self {
        Self {
            data,
            verifier: DataVerifier::new(header.parts()),
            missing: header.size(),
            buffer: vec![
                0;
                usize::try_from(header.size()).map_or(BUFFER, |size| size.clamp(1, BUFFER))
            ],
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
        let mut missing = part.length();
        while missing > 0 {
            let most = usize::try_from(missing)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let octets = read_some(self.data, self.buffer.get_mut(..most).unwrap_or_default())?;
            if octets.is_empty() {
                return Err(DataError::Short {
                    missing: self.missing.into(),
                }
                .into());
            }
            self.verifier.update(octets)?;
            take(octets)?;
            missing = missing.saturating_sub(octets.len() as u64);
            self.missing = self.missing.saturating_sub(octets.len() as u64);
        }
        Ok(())
    }

    /// The data end here, whole, and nothing follows.
    pub(super) fn end(mut self) -> Result<(), MailboxError> {
        self.verifier.finish()?;
        let more = read_some(self.data, self.buffer.get_mut(..1).unwrap_or_default())?;
        if more.is_empty() {
            Ok(())
        } else {
            Err(DataError::Long.into())
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
