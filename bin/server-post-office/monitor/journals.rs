//! The changes of folders that a session is being told, in pieces.

use std::collections::BTreeMap;

use ima_message::Entry;
use ima_proto::imrp::{Change, Fault};

/// Journals that a session reads at once; the protocol needs two.
const MAX_OPEN: usize = 4;
/// Changes of a piece.
const MAX_CHANGES: usize = 400;
/// Flags in it, from which on it is full: a change may have many.
const MAX_FLAGS: usize = 800;

type Changes = Box<dyn Iterator<Item = Result<Change, Fault>>>;

/// The journals that are open, by numbers.
#[derive(Default)]
pub struct Journals {
    open: BTreeMap<u32, Changes>,
    next: u32,
}

impl Journals {
    /// Opens one; that which was opened first is closed where there are too many.
    pub fn open(&mut self, changes: Changes) -> u32 {
        while self.open.len() >= MAX_OPEN {
            self.open.pop_first();
        }
        self.next = self.next.wrapping_add(1);
        self.open.insert(self.next, changes);
        self.next
    }

    /// The next piece, and whether it is the last; behind that there is nothing.
    ///
    /// # Errors
    /// Where the journal cannot be read, or is not open.
    pub fn piece(&mut self, number: u32) -> Result<(Vec<Change>, bool), Fault> {
        let changes = self.open.get_mut(&number).ok_or(Fault)?;
        let (mut piece, mut flags) = (Vec::new(), 0_usize);
        while piece.len() < MAX_CHANGES && flags < MAX_FLAGS {
            let Some(change) = changes.next() else {
                self.close(number);
                return Ok((piece, true));
            };
            let Ok(change) = change else {
                self.close(number);
                return Err(Fault);
            };
            if let Entry::Flag { changes, .. } = &change.entry {
                flags = flags.saturating_add(changes.len());
            }
            piece.push(change);
        }
        Ok((piece, false))
    }

    pub fn close(&mut self, number: u32) {
        self.open.remove(&number);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn changes(lines: &[String]) -> Changes {
        let lines = lines.to_vec();
        Box::new(lines.into_iter().enumerate().map(|(number, line)| {
            Ok(Change {
                entry: Entry::parse(line.as_bytes()).map_err(|_| Fault)?,
                token: format!("6f0c9a1b2d3e4f50.{number}").parse().unwrap(),
            })
        }))
    }

    #[test]
    fn pieces_are_small_and_all_of_it() {
        let digest = "3b".repeat(32);
        let flags: String = (0..300).map(|n| format!(" +x-{n}")).collect();
        let mut lines = vec![format!("del {digest}"); 1000];
        lines.extend(vec![format!("flag {digest}{flags}"); 10]);
        let mut journals = Journals::default();
        let number = journals.open(changes(&lines));
        let mut told = Vec::new();
        loop {
            let (piece, is_last) = journals.piece(number).unwrap();
            assert!(piece.len() <= MAX_CHANGES);
            told.extend(piece);
            if is_last {
                break;
            }
        }
        assert_eq!(told.len(), 1010);
        assert_eq!(journals.piece(number), Err(Fault));
    }

    #[test]
    fn few_are_open_and_a_damaged_one_is_closed() {
        let mut journals = Journals::default();
        let damaged = journals.open(changes(&["nonsense".to_owned()]));
        assert_eq!(journals.piece(damaged), Err(Fault));
        assert!(journals.open.is_empty());
        for _ in 0..100 {
            journals.open(changes(&[]));
        }
        assert_eq!(journals.open.len(), MAX_OPEN);
    }
}
