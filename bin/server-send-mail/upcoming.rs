//! The message that comes next, which is read while another is under way.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::input::InputError;
use crate::outgoing::Outgoing;

/// A message, or why there is none.
pub type Item = Result<Arc<Outgoing>, InputError>;

/// Between the thread that reads and those that send. One item lies here; the
/// reader has at most one more in hand.
#[derive(Debug)]
pub struct Upcoming {
    slot: Mutex<Slot>,
    changed: Condvar,
    /// Holds an octet while a message lies here.
    bell: Bell,
}

#[derive(Debug, Default)]
struct Slot {
    item: Option<Item>,
    is_over: bool,
}

#[derive(Debug)]
struct Bell {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Upcoming {
    /// With nothing in it yet.
    ///
    /// # Errors
    /// There is no descriptor to be had.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe()?;
        Ok(Self {
            slot: Mutex::default(),
            changed: Condvar::new(),
            bell: Bell { reader, writer },
        })
    }

    /// Puts these in, one by one, each as soon as there is room.
    ///
    /// # Errors
    /// The senders cannot be told of a message.
    pub fn fill(&self, items: impl Iterator<Item = Item>) -> io::Result<()> {
        let end = End(self);
        for item in items {
            let slot = self.lock();
            let waited = self.changed.wait_while(slot, |slot| slot.item.is_some());
            let mut slot = waited.unwrap_or_else(PoisonError::into_inner);
            if item.is_ok() {
                (&self.bell.writer).write_all(&[0])?;
            }
            slot.item = Some(item);
            self.changed.notify_all();
        }
        drop(end);
        Ok(())
    }

    /// The next item, when it is here. None: there are no more.
    pub fn take(&self) -> Option<Item> {
        let slot = self.lock();
        let waited = self
            .changed
            .wait_while(slot, |slot| slot.item.is_none() && !slot.is_over);
        let mut slot = waited.unwrap_or_else(PoisonError::into_inner);
        let item = slot.item.take()?;
        if item.is_ok() {
            // It was put in before the item was, and so it does not block.
            let _ = (&self.bell.reader).read(&mut [0]);
        }
        self.changed.notify_all();
        Some(item)
    }

    /// The next message, if it is here.
    pub fn peek(&self) -> Next<'_> {
        let slot = self.lock();
        match &slot.item {
            Some(Ok(message)) => Next::Message(Arc::clone(message)),
            None if !slot.is_over => Next::Later(self.bell.reader.as_fd()),
            _ => Next::Never,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the next message.
pub enum Next<'u> {
    /// It is here.
    Message(Arc<Outgoing>),
    /// It is not read yet; this is readable when it is.
    Later(BorrowedFd<'u>),
    /// There is none, or none that can be sent.
    Never,
}

/// Tells that there are no more, whatever ends the reading.
struct End<'u>(&'u Upcoming);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}
