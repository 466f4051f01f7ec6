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
/// Different flags that a list may name of one message, which has 105 at most, by
/// ima-mailbox(5).
pub const MAX_FLAGS: usize = 128;
/// So many flags take the room of a message.
const FLAGS_A_MESSAGE: usize = 8;

/// A list of changes, as it is told.
#[derive(Debug)]
pub struct List<'a> {
    name: &'a FolderName,
    place: &'a Place,
    most: usize,
    is_cuttable: bool,
    /// Flags that it names, of all messages.
    flags: usize,
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
            flags: 0,
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
        let room = self
            .touches
            .len()
            .saturating_add(self.flags / FLAGS_A_MESSAGE);
        if room >= self.most
            && !self.touches.is_empty()
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
        let before = touch.flags.len();
        touch.take(entry, |said| self.place.sent.hold(digest, said));
        let now = touch.flags.len();
        if now > MAX_FLAGS {
            return Err(Failure::TooManyFlags(self.name.clone()));
        }
        self.flags = self.flags.saturating_add(now).saturating_sub(before);
        self.upto = Some(*token);
        Ok(())
    }

    /// Finds nothing wrong with what it says so far.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub fn is_sound(&mut self) -> Result<(), Failure> {
        self.fault.take().map_or(Ok(()), Err)
    }

    /// The list is at its end, which the server says to be so.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub fn end(&mut self, synced: Synced) -> Result<Listed, Failure> {
        self.is_sound()?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use ima_message::{Entry, Token};
    use ima_proto::imrp::{Change, Synced};

    use super::{FLAGS_A_MESSAGE, List, Listed, MAX_FLAGS};
    use crate::failure::Failure;
    use crate::state::Place;

    fn change(line: &str, offset: u64) -> Change {
        let token: Token = format!("6f0c9a1b2d3e4f50.{offset}").parse().unwrap();
        Change {
            entry: Entry::parse(line.as_bytes()).unwrap(),
            token,
        }
    }

    #[test]
    fn a_message_has_no_more_flags_than_it_can_have() {
        let (name, place) = ("inbox".parse().unwrap(), Place::default());
        let digest = "ab".repeat(32);
        for (flags, is_taken) in [(MAX_FLAGS, true), (MAX_FLAGS + 1, false)] {
            let mut list = List::new(&name, &place, None, 10_000, true);
            for flag in 0..flags {
                // Whether it is set or removed: it takes its room.
                let sign = if flag % 2 == 0 { '+' } else { '-' };
                let line = format!("flag {digest} {sign}f{flag}");
                list.take(&change(&line, 100));
            }
            let end = Synced::Upto("6f0c9a1b2d3e4f50.200".parse().unwrap());
            match list.end(end) {
                Ok(_) => assert!(is_taken),
                Err(failure) => {
                    assert!(!is_taken && matches!(failure, Failure::TooManyFlags(_)));
                    assert_eq!(failure.exit().code(), 3);
                }
            }
        }
    }

    #[test]
    fn many_flags_cut_a_list_as_many_messages_do() {
        let (name, place) = ("inbox".parse().unwrap(), Place::default());
        let mut list = List::new(&name, &place, None, 4, true);
        for message in 1..=2_u64 {
            let digest = format!("{message:064x}");
            for flag in 0..4 * FLAGS_A_MESSAGE {
                let line = format!("flag {digest} +f{flag}");
                list.take(&change(&line, 100 * message));
            }
        }
        assert!(list.is_cut);
        assert_eq!(list.touches.len(), 1);
        let end = Synced::Upto("6f0c9a1b2d3e4f50.900".parse().unwrap());
        let cut = "6f0c9a1b2d3e4f50.100".parse().unwrap();
        assert_eq!(list.end(end).unwrap(), Listed::Upto(cut));
    }
}
