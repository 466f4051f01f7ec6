//! STORE: a message that a user puts into a folder.

use std::io::{self, BufReader, ErrorKind, Read};
use std::time::{Duration, Instant};

use ima_message::{FolderName, HeaderBlock, MessageDigest, ReadError};

use super::{End, Limits, Session, Stop};
use crate::framing::{Channel, Wire, WireError};
use crate::imdp::message_time;
use crate::imrp::answer::Final;
use crate::imrp::office::{Fault, Mailbox, Office, Outcome};

/// Octets that are read from the network at a time.
const BUFFER: usize = 16 << 10;
/// Octets that are read, and forgotten, where no message has so many.
const MAX_FORGOTTEN: u64 = 4 << 30;

impl<C: Channel, O: Office> Session<C, O> {
    /// Whatever becomes of the message, its octets are read, so that the next
    /// command follows; only a fault of ours, or a number that nobody means,
    /// ends the session.
    pub(super) fn store(&mut self, folder: Option<&FolderName>, octets: u64) -> Result<(), Stop> {
        let Limits {
            stall,
            message,
            max_message,
            ..
        } = self.limits;
        if octets > max_message.max(MAX_FORGOTTEN) {
            let text = format!("a message has at most {max_message} octets here");
            return Err(Stop::Error(text));
        }
        self.wire.flush(stall)?;
        let deadline = Instant::now().checked_add(message_time(message, octets));
        self.wire.set_message_deadline(deadline);
        let Some(mailbox) = &mut self.mailbox else {
            return Err(Stop::Error("LOGIN comes first".into()));
        };
        let mut incoming = Incoming {
            wire: &mut self.wire,
            missing: octets,
            stall,
            broken: None,
        };
        let outcome = match folder {
            None => refused("no such folder"),
            Some(_) if octets > max_message => refused(format!(
                "too large: a message has at most {max_message} octets here"
            )),
            Some(folder) => take(mailbox, folder, &mut incoming, octets),
        };
        // After a fault nothing follows but the end.
        if outcome.is_ok() {
            incoming.forget();
        }
        match incoming.broken {
            None => {}
            Some(WireError::TimedOut) => return Err(Stop::Late),
            Some(error) => return Err(Stop::End(End::Broken(error))),
        }
        self.wire.set_message_deadline(None);
        match outcome? {
            Outcome::Done(digest) => Ok(self.say(&Final::Stored(digest))?),
            Outcome::Refused(reason) => self.fail(&reason),
        }
    }
}

fn refused<T>(reason: impl Into<Box<str>>) -> Result<Outcome<T>, Fault> {
    Ok(Outcome::Refused(reason.into()))
}

/// Reads the header block, which is held, and gives it on with the data, which
/// are not.
fn take<C: Channel, M: Mailbox>(
    mailbox: &mut M,
    folder: &FolderName,
    incoming: &mut Incoming<C>,
    octets: u64,
) -> Result<Outcome<MessageDigest>, Fault> {
    let mut source = BufReader::with_capacity(BUFFER, incoming);
    let header = match HeaderBlock::read(&mut source) {
        Ok(header) => header,
        Err(ReadError::Io(_)) => return Err(Fault),
        Err(error) => return refused(format!("not a valid message: {error}")),
    };
    let whole = (header.as_bytes().len() as u64).saturating_add(header.size());
    if whole != octets {
        return refused(format!(
            "not a valid message: its header block announces {whole} octets in all, not {octets}"
        ));
    }
    mailbox.store(folder, &header, &mut source)
}

/// The octets of one STORE.
struct Incoming<'a, C: Channel> {
    wire: &'a mut Wire<C>,
    missing: u64,
    stall: Duration,
    /// Why they did not all come.
    broken: Option<WireError>,
}

impl<C: Channel> Incoming<'_, C> {
    /// Reads what nobody wants.
    fn forget(&mut self) {
        let mut buffer = [0; 4096];
        while matches!(self.read(&mut buffer), Ok(1..)) {}
    }
}

impl<C: Channel> Read for Incoming<'_, C> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.broken.is_some() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let most = usize::try_from(self.missing).unwrap_or(usize::MAX);
        let most = most.min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let space = into.get_mut(..most).unwrap_or_default();
        match self.wire.read_some(space, self.stall) {
            Ok(count) => {
                self.missing = self.missing.saturating_sub(count as u64);
                Ok(count)
            }
            Err(error) => {
                self.broken = Some(error);
                Err(ErrorKind::ConnectionAborted.into())
            }
        }
    }
}
