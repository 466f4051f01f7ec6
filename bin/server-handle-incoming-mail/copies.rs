//! What each place is given: the header block for its recipient, and for a
//! command the whole message as a file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use ima_message::{Address, Field, HeaderBlock};
use ima_program::spool::Spooled;

use crate::message::Message;

/// The copies of a message. Whoever has no `bcc` line of his own gets the same
/// one, which is made once.
pub(crate) struct Copies<'m> {
    message: &'m Message,
    /// Recipients whose header block names them where it names nobody else.
    with_own_line: HashSet<&'m Address>,
    common: OnceLock<HeaderBlock>,
    common_file: Mutex<Option<File>>,
}

impl<'m> Copies<'m> {
    pub(crate) fn new(message: &'m Message) -> Self {
        let named = message
            .header
            .fields()
            .any(|(_, _, field)| matches!(field, Field::To(_) | Field::Cc(_)));
        let with_own_line = message
            .header
            .fields()
            .filter_map(|(_, _, field)| match field {
                Field::Bcc(mailbox) => Some(mailbox.address()),
                Field::Deliver(address) if !named => Some(address),
                _ => None,
            })
            .collect();
        Self {
            message,
            with_own_line,
            common: OnceLock::new(),
            common_file: Mutex::default(),
        }
    }

    /// The header block for a recipient.
    pub(crate) fn header(&self, recipient: &Address) -> Cow<'_, HeaderBlock> {
        if self.with_own_line.contains(recipient) {
            return Cow::Owned(self.message.header.for_recipient(recipient));
        }
        Cow::Borrowed(
            self.common
                .get_or_init(|| self.message.header.for_recipient(recipient)),
        )
    }

    /// The message for a recipient, as a file that stands at its beginning and
    /// shares its place with no other.
    ///
    /// # Errors
    /// It cannot be written or opened.
    pub(crate) fn file(&self, recipient: &Address) -> io::Result<File> {
        let header = match self.header(recipient) {
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
