//! A connection whose octets are counted.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Instant;

use ima_message::Address;
use ima_program::metrics::Counter;
use ima_proto::framing::{Channel, Woken};

use super::counts::Counts;

/// What a session has done, for the log.
#[derive(Debug)]
pub struct Tally {
    /// Who has logged in.
    pub user: RefCell<Option<Address>>,
    /// Messages that the client was sent, whole or their header blocks.
    pub messages: Number,
    /// All octets that the client was sent, as they are inside TLS.
    pub octets: Number,
    /// Messages that it stored.
    pub stored: Number,
    /// Messages that it moved.
    pub moved: Number,
    /// Messages that it deleted.
    pub deleted: Number,
    /// Times that it changed flags of a message.
    pub flagged: Number,
}

/// How much of something there was in this session, which all sessions count as well.
#[derive(Debug)]
pub struct Number {
    here: Cell<u64>,
    all: Counter,
}

impl Number {
    fn of(all: &Counter) -> Self {
        Self {
            here: Cell::new(0),
            all: all.clone(),
        }
    }

    /// So many more, up to the most that can be counted.
    pub fn add(&self, more: u64) {
        self.here.set(self.here.get().saturating_add(more));
        self.all.inc_by(more);
    }

    /// In this session.
    pub fn get(&self) -> u64 {
        self.here.get()
    }
}

impl Tally {
    /// Nothing yet.
    pub fn new(counts: &Counts) -> Self {
        Self {
            user: RefCell::default(),
            messages: Number::of(&counts.messages),
            octets: Number::of(&counts.octets),
            stored: Number::of(&counts.stored),
            moved: Number::of(&counts.moved),
            deleted: Number::of(&counts.deleted),
            flagged: Number::of(&counts.flagged),
        }
    }
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

impl<C: Read> Read for Counted<C> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.read(into)
    }
}

impl<C: Write> Write for Counted<C> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = self.channel.write(octets)?;
        self.tally.octets.add(taken as u64);
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
