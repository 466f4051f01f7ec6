//! What each command is given: the whole message as a file, with the header
//! block for its recipient.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, PoisonError};

use ima_message::{Address, HeaderBlock};
use ima_program::spool::Spooled;

use crate::headers::Headers;
use crate::message::Message;

/// The copies of a message. Those with the same header block share one.
pub(crate) struct Copies<'m> {
    message: &'m Message,
    headers: &'m Headers<'m>,
    common_file: Mutex<Option<File>>,
}

impl<'m> Copies<'m> {
    pub(crate) fn new(message: &'m Message, headers: &'m Headers<'m>) -> Self {
        Self {
            message,
            headers,
            common_file: Mutex::default(),
        }
    }

    /// The message for a recipient, as a file that stands at its beginning and
    /// shares its place with no other.
    ///
    /// # Errors
    /// It cannot be written or opened.
    pub(crate) fn file(&self, recipient: &Address) -> io::Result<File> {
        let header = match self.headers.of(recipient) {
            Cow::Owned(own) => return self.written(&own),
            Cow::Borrowed(common) => common,
        };
        if header.as_bytes() == self.message.header.as_bytes()
            && let Ok(mut same) = opened_again(&self.message.file)
        {
            same.seek(SeekFrom::Start(self.message.start))?;
            return Ok(same);
        }
        let mut common = self
            .common_file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let common = match &mut *common {
            Some(file) => file,
            none => none.insert(self.written(header)?),
        };
        // Without /proc each has a file of its own.
        opened_again(common).or_else(|_| self.written(header))
    }

    fn written(&self, header: &HeaderBlock) -> io::Result<File> {
        let mut spool = Spooled::writer();
        spool.write_all(header.as_bytes())?;
        io::copy(&mut self.message.data(), &mut spool)?;
        spool.finish()
    }
}

/// The same file with a place of its own, for reading. It may have no name.
fn opened_again(file: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
