//! A session: one mailbox, for whoever holds the other end of its socket.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use ima_message::FolderName;
use ima_program::log;
use ima_program::monitor::{PacketError, Packets, to_memory};
use ima_proto::imrp::{Changes, Fault};

use super::incoming::Incoming;
use super::journals::Journals;
use super::mailbox::Mailbox;
use super::places::Place;
use super::watch::{Watched, Watching};
use crate::packets::{Reply, Request};

/// One user's mailbox, served.
pub struct Session {
    packets: Packets,
    mailbox: Mailbox,
    journals: Journals,
    watched: Option<Watched>,
    /// Its place among the sessions; none from its end on.
    inside: Option<Place>,
}

/// An answer, and the descriptor that goes with it.
pub type Answer = (Reply, Option<OwnedFd>);

impl Session {
    /// A session that takes this place until it ends.
    pub fn new(packets: Packets, mailbox: Mailbox, inside: Place) -> Self {
        Self {
            packets,
            mailbox,
            journals: Journals::default(),
            watched: None,
            inside: Some(inside),
        }
    }

    /// Does what is asked, until its end is asked for or nobody can ask any more.
    ///
    /// # Errors
    /// [`PacketError`]; [`PacketError::Closed`] is the end.
    pub fn serve(mut self) -> Result<(), PacketError> {
        loop {
            let (request, _) = self.packets.receive()?;
            let (reply, with) = self.answer(request).unwrap_or((Reply::Fault, None));
            if self.inside.is_none() {
                // Its place may be another's by now: nothing of it waits for anybody.
                return self.packets.try_send(&reply);
            }
            reply_with(&self.packets, &reply, with.as_ref().map(|fd| fd.as_fd()))?;
        }
    }

    fn answer(&mut self, request: Request) -> Result<Answer, Fault> {
        let mailbox = &mut self.mailbox;
        let reply = match request {
            Request::Folders => Reply::Folders(mailbox.folders()?),
            Request::Changes(folder, since) => match mailbox.changes(&folder, since.as_ref())? {
                Changes::NoFolder => Reply::NoFolder,
                Changes::Reset(token) => Reply::Reset(token),
                Changes::Since(changes, end) => Reply::Changes(self.journals.open(changes), end),
            },
            Request::More(number) => {
                let (changes, is_last) = self.journals.piece(number)?;
                Reply::Piece(changes, is_last)
            }
            Request::Enough(number) => {
                self.journals.close(number);
                Reply::Done
            }
            Request::Message(folder, digest) => return octets(mailbox.message(&folder, digest)),
            Request::Attachment(folder, digest) => {
                return octets(mailbox.attachment(&folder, digest));
            }
            Request::Damaged(folder, digest) => {
                mailbox.damaged(&folder, digest);
                Reply::Done
            }
            Request::Apply(folder, acts) => Reply::Outcomes(mailbox.change(&folder, &acts)?),
            Request::Move(from, digests, to) => {
                Reply::Outcomes(mailbox.move_to(&from, &digests, &to)?)
            }
            Request::Store(folder) => return self.store(&folder),
            Request::Create(folder) => Reply::Outcome(mailbox.make(&folder)?),
            Request::Remove(folder) => Reply::Outcome(mailbox.unmake(&folder)?),
            Request::Watch(folders) => match mailbox.watch(&folders)? {
                Watching::NoFolder => Reply::NoFolder,
                Watching::Unable => Reply::Unable,
                Watching::On(watched, bell) => {
                    self.watched = Some(watched);
                    return Ok((Reply::Watching, Some(bell)));
                }
            },
            Request::Changed => {
                let watched = self.watched.as_mut().ok_or(Fault)?;
                Reply::Changed(watched.changed())
            }
            Request::Unwatch => {
                self.watched = None;
                Reply::Done
            }
            Request::End => {
                mailbox.tidy_up();
                // Before the other side makes room for another connection.
                self.inside = None;
                Reply::Done
            }
        };
        Ok((reply, None))
    }

    fn store(&mut self, folder: &FolderName) -> Result<Answer, Fault> {
        let mut incoming = Incoming::new(&self.packets).map_err(failed)?;
        let stored = match incoming.header() {
            Ok(header) => self.mailbox.take(folder, &header, &mut incoming),
            Err(refusal) => refusal,
        };
        Ok((Reply::Stored(stored?), None))
    }
}

fn octets(found: Result<Option<(std::fs::File, u64)>, Fault>) -> Result<Answer, Fault> {
    Ok(match found? {
        Some((file, length)) => (Reply::Octets(length), Some(file.into())),
        None => (Reply::Nothing, None),
    })
}

fn failed(error: impl std::fmt::Display) -> Fault {
    log::error("mailbox-fault")
        .field("error", error)
        .field("advice", super::advice())
        .emit();
    Fault
}

/// Answers, by a file in memory where the answer is long.
pub fn reply_with(
    packets: &Packets,
    reply: &Reply,
    with: Option<BorrowedFd<'_>>,
) -> Result<(), PacketError> {
    match packets.send(reply, with.as_slice()) {
        Err(PacketError::TooLong) => match to_memory(reply) {
            Ok(file) => packets.send(&Reply::Elsewhere, &[file.as_fd()]),
            Err(error) => {
                failed(error);
                packets.send(&Reply::Fault, &[])
            }
        },
        sent => sent,
    }
}
