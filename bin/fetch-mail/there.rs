//! What a folder of the server says since its token.

use ima_message::{Entry, FolderName, Token};
use ima_proto::imrp::{Change, Synced};

use crate::failure::Failure;
use crate::here::Touches;
use crate::state::Place;

/// Messages that lists of one round may speak of: some 64 MiB of them. What is
/// behind comes in the next round.
pub const MAX_TOUCHES: usize = 1 << 19;
/// The same where a list is compared with all that is here, and must be whole.
pub const MAX_COMPARED: usize = 1 << 22;

/// A list of changes, as it is told.
#[derive(Debug)]
pub struct List<'a> {
    name: &'a FolderName,
    place: &'a Place,
    most: usize,
    is_cuttable: bool,
    /// What it says.
    pub touches: Touches,
    /// Whether there is more behind.
    pub is_cut: bool,
    upto: Option<Token>,
    fault: Option<Failure>,
}

/// What came of asking for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It goes up to this token.
    Upto(Token),
    /// The token that was named means nothing any more.
    Reset,
    /// The server does not list it; its reason.
    Refused(Box<str>),
}

impl<'a> List<'a> {
    /// Of a folder, from a token on or from the start. Of more than `most` messages
    /// it is cut, or too long.
    pub fn new(
        name: &'a FolderName,
        place: &'a Place,
        since: Option<Token>,
        most: usize,
        is_cuttable: bool,
    ) -> Self {
        Self {
            name,
            place,
            most,
            is_cuttable,
            touches: Touches::new(),
            is_cut: false,
            upto: since,
            fault: None,
        }
    }

    /// The next line.
    pub fn take(&mut self, change: &Change) {
        // What came before a fault is of no use, and what comes after neither.
        if self.fault.is_none() && !self.is_cut {
            self.fault = self.take_whole(change).err();
        }
    }

    fn take_whole(&mut self, change: &Change) -> Result<(), Failure> {
        let Change { entry, token } = change;
        if let Some(before) = self.upto {
            let grows = match entry {
                // Of many flags, several lines are told at one place.
                Entry::Flag { .. } => before.offset <= token.offset,
                _ => before.offset < token.offset,
            };
            if before.generation != token.generation || !grows {
                return Err(Failure::List(self.name.clone()));
            }
        }
        let digest = entry.digest();
        if self.touches.len() >= self.most
            && !self.touches.contains_key(&digest)
            && self.upto != Some(*token)
        {
            if !self.is_cuttable {
                return Err(Failure::TooManyMessages(self.name.clone()));
            }
            self.is_cut = true;
            return Ok(());
        }
        let touch = self.touches.entry(digest).or_default();
        touch.take(entry, |said| self.place.sent.hold(digest, said));
        self.upto = Some(*token);
        Ok(())
    }

    /// The list is at its end, which the server says to be so.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub fn end(&mut self, synced: Synced) -> Result<Listed, Failure> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let end = match synced {
            Synced::Upto(end) => end,
            Synced::Reset(_) => return Ok(Listed::Reset),
            Synced::Refused(text) => return Ok(Listed::Refused(text)),
        };
        let last = self.upto.unwrap_or(end);
        if last.generation != end.generation || last.offset > end.offset {
            return Err(Failure::List(self.name.clone()));
        }
        Ok(Listed::Upto(if self.is_cut { last } else { end }))
    }
}
