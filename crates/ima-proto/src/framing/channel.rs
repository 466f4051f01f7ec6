//! What the framing runs over.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// What [`Channel::wait`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The peer has sent something, or has ended: a read gives it without
    /// blocking.
    Readable,
    /// The descriptor became readable.
    Wake,
    /// The time has come.
    TimedOut,
}

/// What the protocols run over: a TLS connection, or memory in a test.
pub trait Channel: Read + Write {
    /// From now on a read or write that blocks past `at` fails with
    /// [`io::ErrorKind::TimedOut`]. An `at` in the past lets nothing block at all.
    fn set_deadline(&mut self, at: Instant);

    /// Whether octets have come that no `read` has taken yet. Octets that the
    /// kernel still holds do not count.
    fn has_buffered(&mut self) -> bool;

    /// Waits until the peer sends something or ends, until `wake` is readable, or
    /// until `at`, whichever comes first. Of what is there at once the peer goes
    /// first. A peer that vanished without a word is found out within minutes.
    ///
    /// # Errors
    /// What the channel says; the connection is of no further use.
    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> io::Result<Woken>;

    /// Says that no more is written, then reads and forgets what the peer still
    /// sends until it closes too, within a small bound of time and octets, so
    /// that no reset destroys what was written last.
    ///
    /// # Errors
    /// What the channel says: the end could not be announced, or not be awaited.
    fn close(&mut self) -> io::Result<()>;
}

impl<C: Channel + ?Sized> Channel for &mut C {
    fn set_deadline(&mut self, at: Instant) {
        (**self).set_deadline(at);
    }
    fn has_buffered(&mut self) -> bool {
        (**self).has_buffered()
    }
    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> io::Result<Woken> {
        (**self).wait(wake, at)
    }
    fn close(&mut self) -> io::Result<()> {
        (**self).close()
    }
}
