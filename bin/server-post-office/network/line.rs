//! A desk of the monitor, and what may go wrong there.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ima_program::log;
use ima_program::monitor::{PacketError, Packets, from_memory};
use ima_proto::imrp::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::packets::{Reply, Request};

/// One connection's way to the monitor.
pub struct Line {
    packets: Packets,
    /// What an administrator does where a descriptor is missing.
    advice: Arc<str>,
}

impl Line {
    pub fn new(socket: OwnedFd, advice: Arc<str>) -> Self {
        let packets = Packets::from(socket);
        Self { packets, advice }
    }

    /// Says something, and waits for what is said then.
    ///
    /// # Errors
    /// [`Fault`], which is logged.
    pub fn say<T: DeserializeOwned>(
        &mut self,
        request: &impl Serialize,
    ) -> Result<(T, Option<OwnedFd>), Fault> {
        let sent = self.packets.send(request, &[]);
        sent.map_err(|error| self.broken(&error))?;
        self.hear()
    }

    /// Waits for what is said.
    ///
    /// # Errors
    /// [`Fault`], which is logged.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<(T, Option<OwnedFd>), Fault> {
        let (reply, with) = self
            .packets
            .receive()
            .map_err(|error| self.broken(&error))?;
        Ok((reply, with.into_iter().next()))
    }

    /// Asks something of the mailbox.
    ///
    /// # Errors
    /// [`Fault`]; one of the mailbox's was logged there.
    pub fn ask(&mut self, request: &Request) -> Result<(Reply, Option<OwnedFd>), Fault> {
        let answer = self.say(request)?;
        self.whole(answer)
    }

    /// What comes of the last question, if that takes two answers.
    ///
    /// # Errors
    /// [`Fault`], as of [`Line::ask`].
    pub fn answer(&mut self) -> Result<(Reply, Option<OwnedFd>), Fault> {
        let answer = self.hear()?;
        self.whole(answer)
    }

    fn whole(&self, answer: (Reply, Option<OwnedFd>)) -> Result<(Reply, Option<OwnedFd>), Fault> {
        match answer {
            (Reply::Fault, _) => Err(Fault),
            (Reply::Elsewhere, file) => {
                let reply = from_memory(file.ok_or_else(|| self.missing())?);
                Ok((reply.map_err(|error| self.broken(&error))?, None))
            }
            answer => Ok(answer),
        }
    }

    /// A descriptor was to come and did not: this process has as many as it may have.
    pub fn missing(&self) -> Fault {
        log::error("mailbox-fault")
            .field(
                "error",
                "no descriptor is left for what was to be passed on",
            )
            .field("advice", &self.advice)
            .emit();
        Fault
    }

    fn broken(&self, error: &PacketError) -> Fault {
        log::error("mailbox-fault").field("error", error).emit();
        Fault
    }
}
