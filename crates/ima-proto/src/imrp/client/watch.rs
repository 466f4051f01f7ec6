//! WATCH, from the user agent's side.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use ima_message::{FolderName, Token};

use super::{Client, ClientError, MAX_UNKNOWN, is_malformed};
use crate::framing::{Channel, MAX_LINE, Woken};
use crate::imrp::INFORMATION;
use crate::imrp::answer::{Final, Information};
use crate::imrp::command::Command;

/// What a [`Watch`] waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This folder is no longer as it was at its token.
    Changed(FolderName),
    /// The server is there, and nothing has changed.
    Alive,
    /// The server does not watch: a folder is gone, or it cannot; its reason. The
    /// connection is good for other questions.
    Refused(Box<str>),
    /// The descriptor became readable.
    Woken,
    /// The time has come.
    TimedOut,
}

/// A WATCH that goes on until [`Watch::end`]. A connection on which it was
/// dropped without that is good for nothing but to be closed.
#[derive(Debug)]
pub struct Watch<'a, C: Channel> {
    client: &'a mut Client<C>,
    folders: usize,
    is_refused: bool,
    unknown: usize,
}

impl<C: Channel> Client<C> {
    /// Watches folders, each from a token on: the first of them, as many as fit
    /// into a line ([`Watch::folders`]), at least one. No answer may be
    /// outstanding.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn watch(&mut self, folders: &[(FolderName, Token)]) -> Result<Watch<'_, C>, ClientError> {
        let mut octets = "WATCH\n".len();
        let fitting = folders.iter().take_while(|(name, token)| {
            octets += name.as_str().len() + token.to_string().len() + 2;
            octets <= MAX_LINE
        });
        let folders: Vec<(Option<FolderName>, Token)> = fitting
            .map(|(name, token)| (Some(name.clone()), *token))
            .collect();
        let count = folders.len();
        self.write(&Command::Watch { folders })?;
        self.wire.flush(self.times.idle)?;
        Ok(Watch {
            client: self,
            folders: count,
            is_refused: false,
            unknown: 0,
        })
    }
}

impl<C: Channel> Watch<'_, C> {
    /// How many of the folders are watched, counted from the first.
    #[must_use]
    pub fn folders(&self) -> usize {
        self.folders
    }

    /// Waits for the next event, until `wake` is readable, or until `at`. What the
    /// server has said goes first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn next(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        at: Instant,
    ) -> Result<Event, ClientError> {
        loop {
            match self.client.wire.wait(wake, at)? {
                Woken::Readable => {}
                Woken::Wake => return Ok(Event::Woken),
                Woken::TimedOut => return Ok(Event::TimedOut),
            }
            match self.line()? {
                (_, Some(Final::Fail(text))) => {
                    self.is_refused = true;
                    return Ok(Event::Refused(text));
                }
                (line, Some(_)) => return Err(ClientError::Unexpected(line.into())),
                (line, None) => {
                    if let Some(event) = self.event(&line)? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    /// Ends the WATCH; the connection is good for the next question. What changed
    /// since the last event is not told: a SYNC tells it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn end(mut self) -> Result<(), ClientError> {
        if self.is_refused {
            return Ok(());
        }
        // Any line ends it. Where the server has just refused, and the refusal is
        // on its way, it is a command: this one changes nothing.
        self.client.write(&Command::Folders)?;
        self.client.wire.flush(self.client.times.idle)?;
        self.client.wait(0);
        loop {
            match self.line()? {
                (_, Some(Final::Ok)) => return Ok(()),
                (_, Some(Final::Fail(_))) if !self.is_refused => self.is_refused = true,
                (line, Some(_)) => return Err(ClientError::Unexpected(line.into())),
                (line, None) => drop(self.event(&line)?),
            }
        }
    }

    /// The next line: an information line without its `+ `, or a final one.
    fn line(&mut self) -> Result<(String, Option<Final>), ClientError> {
        let line = self.client.wire.read_line(self.client.times.idle)?;
        if let Some(information) = line.strip_prefix(INFORMATION) {
            return Ok((information.to_owned(), None));
        }
        match Final::parse(&line) {
            Some(Final::Error(text)) => Err(ClientError::Ended(text)),
            Some(last) => Ok((line, Some(last))),
            None => Err(ClientError::Unexpected(line.into())),
        }
    }

    /// What an information line says; `None` where it is of no use here. Of those
    /// there is an end.
    fn event(&mut self, line: &str) -> Result<Option<Event>, ClientError> {
        match Information::parse(line) {
            Some(Information::Changed(folder)) => return Ok(Some(Event::Changed(folder))),
            Some(Information::Alive) => return Ok(Some(Event::Alive)),
            // They answer the question that ended a WATCH already refused.
            Some(Information::Folder(_)) if self.is_refused => {}
            None if !is_malformed(line) => {}
            _ => return Err(ClientError::Unexpected(line.into())),
        }
        self.unknown += 1;
        match self.unknown > MAX_UNKNOWN {
            true => Err(ClientError::Flood),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::framing::Memory;
    use crate::imrp::Times;

    #[test]
    fn as_many_folders_are_watched_as_a_line_has_room_for() {
        let token: Token = "6f0c9a1b2d3e4f50.31".parse().unwrap();
        let name = |number: usize| format!("{number:ü>64}").parse::<FolderName>().unwrap();
        let folders: Vec<_> = (0..100).map(|number| (name(number), token)).collect();
        let mut client = Client::new(Memory::new("FAIL\n"), Times::default());
        let watch = client.watch(&folders).unwrap();
        let count = watch.folders();
        let sent = watch.client.wire.channel().output();
        let line = str::from_utf8(sent).unwrap().strip_suffix('\n').unwrap();
        assert!((3950..MAX_LINE).contains(&line.len()), "{}", line.len());
        let Ok(Command::Watch { folders }) = Command::parse(line) else {
            unreachable!("{line}");
        };
        assert_eq!(folders.len(), count);
    }
}
