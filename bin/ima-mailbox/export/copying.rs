//! Writing a message somewhere, and which side failed where that fails.

use std::io::{self, Read, Write};

use ima_mailbox::VerifiedMessage;
use ima_message::Part;
use ima_mime::mbox;

/// Why a message was not written to its end.
#[derive(Debug)]
pub(super) enum CopyFault {
    /// It cannot be read.
    Read(io::Error),
    /// The other side cannot be written.
    Write(io::Error),
}

/// Writes a message as it is.
pub(super) fn as_it_is(
    message: &VerifiedMessage<'_>,
    out: &mut dyn Write,
) -> Result<(), CopyFault> {
    copy(out, |out| io::copy(&mut message.whole(), out).map(drop))
}

/// Writes a message as RFC 5322.
pub(super) fn as_mail(message: &VerifiedMessage<'_>, out: &mut dyn Write) -> Result<(), CopyFault> {
    copy(out, |out| write_rfc5322(message, out))
}

/// Writes a message as a mail of an mbox, which begins with this line.
pub(super) fn into_mbox(
    message: &VerifiedMessage<'_>,
    begin: &str,
    out: &mut dyn Write,
) -> Result<(), CopyFault> {
    copy(out, |out| {
        out.write_all(begin.as_bytes())?;
        let mut quoting = mbox::Quoting::new(out);
        write_rfc5322(message, &mut quoting)?;
        quoting.finish()
    })
}

fn write_rfc5322(message: &VerifiedMessage<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut open =
        |part: &Part| -> io::Result<Box<dyn Read>> { Ok(Box::new(message.attachment(part)?)) };
    ima_mime::write_rfc5322(message.header(), &mut message.body(), &mut open, out)
}

fn copy(
    out: &mut dyn Write,
    write: impl FnOnce(&mut Noting<'_>) -> io::Result<()>,
) -> Result<(), CopyFault> {
    let mut noting = Noting {
        out,
        has_failed: false,
    };
    write(&mut noting).map_err(|error| match noting.has_failed {
        true => CopyFault::Write(error),
        false => CopyFault::Read(error),
    })
}

/// Notes whether it was writing that failed.
struct Noting<'a> {
    out: &'a mut dyn Write,
    has_failed: bool,
}

impl Noting<'_> {
    fn noted<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        self.has_failed |= done.is_err();
        done
    }
}

impl Write for Noting<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_all(octets).map(|()| octets.len())
    }

    fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        let done = self.out.write_all(octets);
        self.noted(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.out.flush();
        self.noted(done)
    }
}
