//! A connection whose octets are counted.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Instant;

use ima_message::Address;
use ima_proto::framing::{Channel, Woken};

/// What a session has done, for the log.
#[derive(Debug, Default)]
pub struct Tally {
    /// Who has logged in.
    pub user: RefCell<Option<Address>>,
    /// Messages that the client was sent, whole or their header blocks.
    pub messages: Cell<u64>,
    /// All octets that the client was sent, as they are inside TLS.
    pub octets: Cell<u64>,
    /// Messages that it stored.
    pub stored: Cell<u64>,
    /// Messages that it moved.
    pub moved: Cell<u64>,
    /// Messages that it deleted.
    pub deleted: Cell<u64>,
    /// Times that it changed flags of a message.
    pub flagged: Cell<u64>,
}

/// A channel that counts what is written.
pub struct Counted<C> {
    channel: C,
    tally: Rc<Tally>,
}

impl<C> Counted<C> {
    pub fn new(channel: C, tally: Rc<Tally>) -> Self {
        Self { channel, tally }
    }
}

/// One more, up to the most that can be counted.
pub fn add(cell: &Cell<u64>, more: u64) {
    cell.set(cell.get().saturating_add(more));
}

impl<C: Read> Read for Counted<C> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.read(into)
    }
}

impl<C: Write> Write for Counted<C> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = self.channel.write(octets)?;
        add(&self.tally.octets, taken as u64);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.flush()
    }
}

impl<C: Channel> Channel for Counted<C> {
    fn set_deadline(&mut self, at: Instant) {
        self.channel.set_deadline(at);
    }

    fn has_buffered(&mut self) -> bool {
        self.channel.has_buffered()
    }

    fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at: Instant) -> io::Result<Woken> {
        self.channel.wait(wake, at)
    }

    fn close(&mut self) -> io::Result<()> {
        self.channel.close()
    }
}
