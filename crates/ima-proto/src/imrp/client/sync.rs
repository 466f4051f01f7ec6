//! Asking for what changed.

use ima_message::limits::MAX_BLOCK;
use ima_message::{Entry, FolderName, Token};

use super::{Asked, Budget, Client, ClientError, Told};
use crate::framing::Channel;
use crate::imrp::answer::{Change, Final, Information};
use crate::imrp::command::{Command, SyncMode};

/// Octets of a header block with inline parts that come with an `add`; for
/// longer ones there is [`Client::ask_message`].
const MAX_MESSAGE: u64 = 64 << 20;

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
/// [`SyncMode::Headers`] its header block, by [`SyncMode::Messages`] also its
/// inline parts; none with anything else.
pub type TakeChange<'a> = &'a mut dyn FnMut(Change, Option<&[u8]>);

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
    /// comes. At most 1 MiB is held of a header block, and 64 MiB of a message;
    /// whether they are right, their digest says.
    ///
    /// # Errors
    /// As [`Client::sync`].
    pub fn sync_answer(&mut self, changed: TakeChange<'_>) -> Result<Synced, ClientError> {
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
        let mut budget = Budget::new();
        loop {
            let (line, told) = self.told(&mut budget)?;
            match told {
                Told::Last(Final::Upto(token)) => return Ok(Synced::Upto(token)),
                Told::Last(Final::Reset(token)) => return Ok(Synced::Reset(token)),
                Told::Last(Final::Fail(text)) => return Ok(Synced::Refused(text)),
                Told::Information(Information::Change(change)) => {
                    let block = match change.entry {
                        Entry::Add { .. } => self.block(mode, &mut budget)?,
                        _ => None,
                    };
                    changed(change, block.as_deref());
                }
                _ => return Err(ClientError::Unexpected(line.into())),
            }
        }
    }

    /// What comes with an `add`.
    fn block(
        &mut self,
        mode: SyncMode,
        budget: &mut Budget,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        if mode == SyncMode::List {
            return Ok(None);
        }
        let (line, told) = self.told(budget)?;
        let (octets, most) = match (mode, told) {
            (SyncMode::Headers, Told::Information(Information::Header { octets })) => {
                (octets, MAX_BLOCK as u64)
            }
            (SyncMode::Messages, Told::Information(Information::Message { octets })) => {
                (octets, MAX_MESSAGE)
            }
            _ => return Err(ClientError::Unexpected(line.into())),
        };
        if octets > most {
            let announced = octets;
            return Err(ClientError::Length { announced, most });
        }
        budget.octets = budget.octets.saturating_add(octets);
        self.allow(budget);
        Ok(Some(self.wire.read_block(octets, most, self.times.idle)?))
    }
}
