//! Asking for what changed.

use std::time::Instant;

use ima_message::limits::MAX_BLOCK;
use ima_message::{Entry, FolderName, Token};

use super::{Asked, Budget, Client, ClientError, SinkError, Told};
use crate::framing::Channel;
use crate::imrp::answer::{Change, Final, Information};
use crate::imrp::command::{Command, SyncMode};

/// Octets that a message may have without its attachments, even where its `add`
/// names fewer: whether they are right, its digest says.
const MAX_MESSAGE: u64 = 4 << 20;

/// What came of a SYNC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// All changes up to this token were told.
    Upto(Token),
    /// The token that was named means nothing any more: begin from the start.
    Reset(Token),
    /// There is no such folder, or the server will not; its reason.
    Refused(Box<str>),
}

/// Given each change, and the octets that came with it: with an `add` by
/// [`SyncMode::Headers`] its header block; none with anything else.
pub type TakeChange<'a> = &'a mut dyn FnMut(Change, Option<&[u8]>);

/// The answer to a SYNC, as far as it was taken.
#[derive(Debug)]
pub struct Syncing {
    mode: SyncMode,
    budget: Budget,
    /// Octets that come next.
    octets: u64,
    /// Since when nothing is waited for: what becomes of what has come takes its own
    /// time, and not the server's.
    idle_since: Instant,
}

/// What such an answer says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Something changed. So many octets come with it, to be taken by
    /// [`Client::sync_octets`] first.
    Change(Change, Option<u64>),
    /// That was all.
    End(Synced),
}

impl<C: Channel> Client<C> {
    /// What changed in a folder since a token, or all of it; each change is
    /// handed on as it comes. No answer may be outstanding.
    ///
    /// # Errors
    /// [`ClientError`]. What was handed on is true all the same, and the token
    /// of the last change is a place to go on from.
    pub fn sync(
        &mut self,
        folder: &FolderName,
        since: Option<Token>,
        changed: &mut dyn FnMut(Change),
    ) -> Result<Synced, ClientError> {
        self.ask_sync(folder, since, SyncMode::List)?;
        self.sync_answer(&mut |change, _| changed(change))
    }

    /// Asks what changed in a folder since a token, or for all of it. The answer
    /// is to be taken by [`Client::sync_answer`], in the order of the questions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_sync(
        &mut self,
        folder: &FolderName,
        since: Option<Token>,
        mode: SyncMode,
    ) -> Result<(), ClientError> {
        self.write(&Command::Sync {
            folder: Some(folder.clone()),
            since,
            mode,
        })?;
        self.asked.push_back(Asked::Sync { mode });
        Ok(())
    }

    /// Takes the answer to the oldest question, and hands on each change as it
    /// comes. At most 1 MiB is held, of a header block; whether it is right, its
    /// digest says. Messages are to be taken as they come, by
    /// [`Client::begin_sync`].
    ///
    /// # Errors
    /// As [`Client::sync`]; [`ClientError::NotNext`] also where the answer is of
    /// [`SyncMode::Messages`].
    pub fn sync_answer(&mut self, changed: TakeChange<'_>) -> Result<Synced, ClientError> {
        if let Some(Asked::Sync {
            mode: SyncMode::Messages,
        }) = self.asked.front()
        {
            return Err(ClientError::NotNext);
        }
        let mut syncing = self.begin_sync()?;
        loop {
            match self.next_change(&mut syncing)? {
                Next::End(synced) => return Ok(synced),
                Next::Change(change, None) => changed(change, None),
                Next::Change(change, Some(octets)) => {
                    syncing.octets = 0;
                    let (most, idle) = (MAX_BLOCK as u64, self.times.idle);
                    let block = self.wire.read_block(octets, most, idle)?;
                    changed(change, Some(&block));
                }
            }
        }
    }

    /// Begins to take the answer to the oldest question. Until
    /// [`Client::next_change`] says that it is at its end, nothing else may be
    /// asked or taken.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn begin_sync(&mut self) -> Result<Syncing, ClientError> {
        if !self.early.is_empty() {
            return Err(ClientError::NotNext);
        }
        let Some(Asked::Sync { mode }) = self
            .asked
            .pop_front_if(|asked| matches!(asked, Asked::Sync { .. }))
        else {
            return Err(ClientError::NotNext);
        };
        self.wire.flush(self.times.idle)?;
        Ok(Syncing {
            mode,
            budget: Budget::new(),
            octets: 0,
            idle_since: Instant::now(),
        })
    }

    /// The next that an answer says. What was said before is true whatever follows,
    /// and the token of the last change is a place to go on from.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::NotNext`] where octets are to be taken first.
    pub fn next_change(&mut self, syncing: &mut Syncing) -> Result<Next, ClientError> {
        if syncing.octets > 0 {
            return Err(ClientError::NotNext);
        }
        let begin = &mut syncing.budget.begin;
        *begin = begin
            .checked_add(syncing.idle_since.elapsed())
            .unwrap_or(*begin);
        let next = self.next_told(syncing);
        syncing.idle_since = Instant::now();
        next
    }

    fn next_told(&mut self, syncing: &mut Syncing) -> Result<Next, ClientError> {
        let (line, told) = self.told(&mut syncing.budget)?;
        let change = match told {
            Told::Last(Final::Upto(token)) => return Ok(Next::End(Synced::Upto(token))),
            Told::Last(Final::Reset(token)) => return Ok(Next::End(Synced::Reset(token))),
            Told::Last(Final::Fail(text)) => return Ok(Next::End(Synced::Refused(text))),
            Told::Information(Information::Change(change)) => change,
            _ => return Err(ClientError::Unexpected(line.into())),
        };
        let octets = match change.entry {
            Entry::Add { octets, .. } => self.announced(syncing, octets)?,
            _ => None,
        };
        Ok(Next::Change(change, octets))
    }

    /// Takes the octets that come with a change. `sink` is given them as they come,
    /// at most 16 KiB at once.
    ///
    /// # Errors
    /// [`SinkError`]; the connection is of no further use.
    pub fn sync_octets<E>(
        &mut self,
        syncing: &mut Syncing,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), SinkError<E>> {
        let octets = std::mem::take(&mut syncing.octets);
        let read = self.wire.read_exact_into(octets, self.times.idle, sink);
        syncing.idle_since = Instant::now();
        Ok(read?)
    }

    /// How many octets come with an `add` that names so many.
    fn announced(&mut self, syncing: &mut Syncing, named: u64) -> Result<Option<u64>, ClientError> {
        let Syncing { mode, budget, .. } = syncing;
        if *mode == SyncMode::List {
            return Ok(None);
        }
        let (line, told) = self.told(budget)?;
        let (announced, most) = match (*mode, told) {
            (SyncMode::Headers, Told::Information(Information::Header { octets })) => {
                (octets, MAX_BLOCK as u64)
            }
            (SyncMode::Messages, Told::Information(Information::Message { octets })) => {
                (octets, named.max(MAX_MESSAGE))
            }
            _ => return Err(ClientError::Unexpected(line.into())),
        };
        if announced > most {
            return Err(ClientError::Length { announced, most });
        }
        budget.octets = budget.octets.saturating_add(announced);
        self.allow(budget);
        syncing.octets = announced;
        Ok(Some(announced))
    }
}
