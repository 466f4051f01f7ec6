//! WATCH: the session waits, and says which folders change.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use ima_message::{FolderName, Token};

use super::{End, Session, Stop};
use crate::framing::{Channel, Line, WireError};
use crate::imrp::answer::{Final, Information};
use crate::imrp::office::{Fault, Mailbox as _, Office};

/// What came of [`Mailbox::watch`](super::super::Mailbox::watch).
pub enum Watching {
    /// One of the folders is not there.
    NoFolder,
    /// The system has no means left to watch them. Whoever returns it has logged
    /// it; the client is to ask by SYNC, or to come back.
    Unable,
    /// They are watched until this is dropped.
    On(Box<dyn Watcher>),
}

/// Folders that are watched. What changes between the moment that a token is of
/// and the first question is not missed.
pub trait Watcher {
    /// Readable as soon as [`Watcher::changed`] has something to say that it has
    /// not said before.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// The folders that are no longer as they were at their tokens, removed ones
    /// among them; each is named once in all.
    ///
    /// # Errors
    /// [`Fault`]: nothing is watched any more.
    fn changed(&mut self) -> Result<Vec<FolderName>, Fault>;
}

impl<C: Channel, O: Office> Session<C, O> {
    /// Stays until the client says a line, whatever it is, and names each folder
    /// once when it has changed.
    pub(super) fn watch(&mut self, folders: Vec<(Option<FolderName>, Token)>) -> Result<(), Stop> {
        let mailbox = self.mailbox()?;
        let named = folders.into_iter();
        let named = named.map(|(folder, token)| folder.map(|folder| (folder, token)));
        let Some(folders) = named.collect::<Option<Vec<_>>>() else {
            return self.no_folder();
        };
        let watch = match mailbox.watch(&folders)? {
            Watching::On(watch) => watch,
            Watching::NoFolder => return self.no_folder(),
            Watching::Unable => return self.fail("cannot watch now; try again later"),
        };
        drop(folders);
        self.await_line(watch)?;
        match self.wire.read_line(self.limits.stall) {
            Ok(_) => self.office.begins(),
            Err(_) if !self.office.goes_on() => return Err(Stop::End(End::Stopped)),
            Err(WireError::Closed) => return Err(Stop::End(End::Done)),
            Err(error) => return Err(error.into()),
        }
        Ok(self.say(&Final::Ok)?)
    }

    /// Until the client has said a line, or more than one can have, or has gone.
    /// What changes is told also while only some of the line has come.
    fn await_line(&mut self, mut watch: Box<dyn Watcher>) -> Result<(), Stop> {
        let mut silent = Instant::now();
        let mut begun = None;
        loop {
            for folder in watch.changed()? {
                self.tell(&Information::Changed(folder))?;
                silent = Instant::now();
            }
            self.wire.flush(self.limits.stall)?;
            // Nothing is in hand: a stop ends it, be it now or while it waits.
            if !self.office.goes_on() {
                return Err(Stop::End(End::Stopped));
            }
            let wake = Some(watch.descriptor());
            let alive = silent + self.limits.alive;
            let late = begun.map(|begun: Instant| begun + self.limits.stall);
            match self
                .wire
                .await_line(wake, late.map_or(alive, |late| late.min(alive)))
            {
                Ok(Line::Here) => return Ok(()),
                Ok(Line::Begun) => begun = begun.or_else(|| Some(Instant::now())),
                Ok(Line::Wake) => {}
                Ok(Line::TimedOut) if late.is_some_and(|late| late <= Instant::now()) => {
                    return Err(WireError::TimedOut.into());
                }
                Ok(Line::TimedOut) => {
                    self.tell(&Information::Alive)?;
                    silent = Instant::now();
                }
                Err(_) if !self.office.goes_on() => return Err(Stop::End(End::Stopped)),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
