//! A message that the network process passes on while it comes.

use std::io::{self, BufReader, PipeReader, Read};
use std::os::fd::AsFd as _;

use ima_message::{HeaderBlock, MessageDigest, ReadError};
use ima_program::monitor::{PacketError, Packets};
use ima_proto::imrp::{Fault, Outcome};

use crate::packets::Reply;

/// Octets that are read at a time.
const BUFFER: usize = 64 << 10;

/// The octets of one message, from a pipe: its header block comes at once, and its data
/// when they are wanted for the first time, so that the other side does not wait for
/// them in vain where nobody wants them.
pub struct Incoming<'a> {
    packets: &'a Packets,
    pipe: BufReader<PipeReader>,
    /// Octets of the data that are still to come.
    missing: u64,
    are_wanted: bool,
}

impl<'a> Incoming<'a> {
    /// Asks for the message.
    ///
    /// # Errors
    /// Where there are no descriptors left, or nobody is asked.
    pub fn new(packets: &'a Packets) -> Result<Self, PacketError> {
        let (pipe, theirs) = io::pipe()?;
        packets.send(&Reply::Write, &[theirs.as_fd()])?;
        Ok(Self {
            packets,
            pipe: BufReader::with_capacity(BUFFER, pipe),
            missing: 0,
            are_wanted: false,
        })
    }

    /// The header block.
    ///
    /// # Errors
    /// What the client is told in place of it, or that it does not come.
    pub fn header(&mut self) -> Result<HeaderBlock, Result<Outcome<MessageDigest>, Fault>> {
        match HeaderBlock::read(&mut self.pipe) {
            Ok(header) => {
                self.missing = header.size();
                Ok(header)
            }
            Err(ReadError::Io(_)) => Err(Err(Fault)),
            Err(error) => Err(Ok(Outcome::Refused(
                format!("not a valid message: {error}").into(),
            ))),
        }
    }
}

/// The data, and not an octet more; an end that comes before is an error, for which
/// nobody here can do anything.
impl Read for Incoming<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.are_wanted {
            let sent = self.packets.send(&Reply::Go, &[]);
            sent.map_err(|_| io::ErrorKind::ConnectionAborted)?;
            self.are_wanted = true;
        }
        let most = usize::try_from(self.missing).unwrap_or(usize::MAX);
        let most = most.min(into.len());
        if most == 0 {
            return Ok(0);
        }
        match self.pipe.read(into.get_mut(..most).unwrap_or_default())? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.missing = self.missing.saturating_sub(count as u64);
                Ok(count)
            }
        }
    }
}
