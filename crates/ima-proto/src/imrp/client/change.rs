//! Asking for changes.

use std::io::{ErrorKind, Read};

use ima_message::{FlagChange, FolderName, MessageDigest};

use super::{Answer, Asked, Budget, Client, ClientError, Told};
use crate::framing::{Channel, WireError};
use crate::imrp::answer::Final;
use crate::imrp::command::{Command, MAX_FLAG_CHANGES};

/// Answers without octets that may be unread, so that they have room on their
/// way and the server is not kept from reading.
const MAX_UNREAD: usize = 1024;
/// The same before a STORE.
const MAX_UNREAD_STORE: usize = 64;
/// Answers that are read at once where there are too many.
const READ_AT_ONCE: usize = 128;
/// Octets that are sent at a time.
const BUFFER: usize = 16 << 10;
/// Octets of a reason that is kept until somebody asks.
const MAX_REASON: usize = 300;

/// What came of a STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is in the folder, and durable.
    Stored(MessageDigest),
    /// The server will not; its reason.
    Refused(Box<str>),
}

/// An answer that nobody has taken yet.
#[derive(Debug)]
pub(super) enum Early {
    Change(Answer),
    Store(Stored),
}

impl<C: Channel> Client<C> {
    /// Asks for flags of a message to be set and removed, in this order. The
    /// answer is to be taken by [`Client::acknowledged`], in the order of the
    /// questions; there may be any number of them. Nothing is sent before that,
    /// or before 16 KiB.
    ///
    /// # Errors
    /// [`ClientError`]; for none or more than [`MAX_FLAG_CHANGES`] changes
    /// [`ClientError::Flags`], and the connection is as it was.
    pub fn ask_flag(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
        changes: &[FlagChange],
    ) -> Result<(), ClientError> {
        if !(1..=MAX_FLAG_CHANGES).contains(&changes.len()) {
            return Err(ClientError::Flags(changes.len()));
        }
        self.ask_change(&Command::Flag {
            folder: Some(folder.clone()),
            digest,
            changes: changes.to_vec(),
        })
    }

    /// Asks for a message to be deleted; otherwise as [`Client::ask_flag`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_delete(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<(), ClientError> {
        let folder = Some(folder.clone());
        self.ask_change(&Command::Delete { folder, digest })
    }

    /// Asks for a message to be moved to another folder; otherwise as
    /// [`Client::ask_flag`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_move(
        &mut self,
        from: &FolderName,
        digest: MessageDigest,
        to: &FolderName,
    ) -> Result<(), ClientError> {
        let (from, to) = (Some(from.clone()), Some(to.clone()));
        self.ask_change(&Command::Move { from, digest, to })
    }

    /// Asks for a folder to be made; otherwise as [`Client::ask_flag`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_create(&mut self, folder: &FolderName) -> Result<(), ClientError> {
        let folder = Some(folder.clone());
        self.ask_change(&Command::Create { folder })
    }

    /// Asks for a folder that holds no message to be removed; otherwise as
    /// [`Client::ask_flag`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_remove(&mut self, folder: &FolderName) -> Result<(), ClientError> {
        let folder = Some(folder.clone());
        self.ask_change(&Command::Remove { folder })
    }

    fn ask_change(&mut self, command: &Command) -> Result<(), ClientError> {
        self.make_room(MAX_UNREAD)?;
        self.write(command)?;
        self.asked.push_back(Asked::Change);
        Ok(())
    }

    /// Takes the answer to the oldest question, which asked for a change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn acknowledged(&mut self) -> Result<Answer, ClientError> {
        match self.early(|next| matches!(next, Asked::Change))? {
            Early::Change(answer) => Ok(answer),
            Early::Store(_) => Err(ClientError::NotNext),
        }
    }

    /// Sends a message of so many octets, header block and all parts in their
    /// order, to be stored in a folder. The answer is to be taken by
    /// [`Client::stored`], in the order of the questions.
    ///
    /// # Errors
    /// [`ClientError::Unread`] where an answer with octets is outstanding, and
    /// the connection is as it was; otherwise the connection is of no further use.
    pub fn ask_store(
        &mut self,
        folder: &FolderName,
        octets: u64,
        source: &mut dyn Read,
    ) -> Result<(), ClientError> {
        let is_small = |asked: &Asked| matches!(asked, Asked::Change | Asked::Store);
        if !self.asked.iter().all(is_small) {
            return Err(ClientError::Unread);
        }
        self.make_room(MAX_UNREAD_STORE)?;
        self.write(&Command::Store {
            folder: Some(folder.clone()),
            octets,
        })?;
        self.asked.push_back(Asked::Store);
        self.wait(octets);
        self.send(octets, source)
    }

    /// Takes the answer to the oldest question, which was to store a message.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn stored(&mut self) -> Result<Stored, ClientError> {
        match self.early(|next| matches!(next, Asked::Store))? {
            Early::Store(stored) => Ok(stored),
            Early::Change(_) => Err(ClientError::NotNext),
        }
    }

    fn send(&mut self, octets: u64, source: &mut dyn Read) -> Result<(), ClientError> {
        let mut buffer = vec![0; BUFFER];
        let mut missing = octets;
        while missing > 0 {
            let most = usize::try_from(missing).unwrap_or(usize::MAX).min(BUFFER);
            let count = match source.read(buffer.get_mut(..most).unwrap_or_default()) {
                Ok(0) => return Err(ClientError::Source(ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(ClientError::Source(error)),
            };
            let piece = buffer.get(..count).unwrap_or_default();
            if let Err(error) = self.wire.write_octets(piece) {
                return Err(self.last_words(error));
            }
            missing = missing.saturating_sub(count as u64);
        }
        Ok(())
    }

    /// Why the server took no more, if it has said so.
    fn last_words(&mut self, error: WireError) -> ClientError {
        if matches!(error, WireError::TimedOut) {
            return error.into();
        }
        for _ in 0..self.asked.len() {
            match self.next_line() {
                Ok((_, Some(_))) => {}
                Err(ended @ ClientError::Ended(_)) => return ended,
                Ok((_, None)) | Err(_) => break,
            }
        }
        error.into()
    }

    /// The next answer, if it is to a question of this kind.
    fn early(&mut self, is_wanted: fn(&Asked) -> bool) -> Result<Early, ClientError> {
        if let Some(early) = self.early.pop_front() {
            return Ok(early);
        }
        match self.asked.pop_front_if(|next| is_wanted(next)) {
            None => Err(ClientError::NotNext),
            Some(asked) => {
                self.wire.flush(self.times.idle)?;
                self.read_small(&asked)
            }
        }
    }

    /// Reads answers, where more than so many are unread, until one that brings
    /// octets is next.
    fn make_room(&mut self, most: usize) -> Result<(), ClientError> {
        if self.asked.len() < most {
            return Ok(());
        }
        self.wire.flush(self.times.idle)?;
        let keep = most.saturating_sub(READ_AT_ONCE.min(most / 2));
        while self.asked.len() > keep {
            let small = |next: &mut Asked| matches!(next, Asked::Change | Asked::Store);
            let Some(asked) = self.asked.pop_front_if(small) else {
                break;
            };
            let early = self.read_small(&asked)?;
            self.early.push_back(early);
        }
        Ok(())
    }

    /// Reads the answer to a change.
    fn read_small(&mut self, asked: &Asked) -> Result<Early, ClientError> {
        let (line, told) = self.told(&mut Budget::new())?;
        match (asked, told) {
            (Asked::Change, Told::Last(Final::Ok)) => Ok(Early::Change(Answer::Whole)),
            (Asked::Change, Told::Last(Final::Fail(text))) => {
                Ok(Early::Change(Answer::Refused(short(text))))
            }
            (Asked::Store, Told::Last(Final::Stored(digest))) => {
                Ok(Early::Store(Stored::Stored(digest)))
            }
            (Asked::Store, Told::Last(Final::Fail(text))) => {
                Ok(Early::Store(Stored::Refused(short(text))))
            }
            _ => Err(ClientError::Unexpected(line.into())),
        }
    }
}

fn short(text: Box<str>) -> Box<str> {
    match text.len() <= MAX_REASON {
        true => text,
        false => {
            let end = text.floor_char_boundary(MAX_REASON);
            text.get(..end).unwrap_or_default().into()
        }
    }
}
