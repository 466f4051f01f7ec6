//! Reading a journal from a token on.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use ima_message::{Entry, Generation, Token};

use super::lines::Lines;
use super::{FIRST_LINE, Journal, JournalError};
use crate::error::{MailboxError, Step};

/// What changed in a folder.
#[derive(Debug)]
pub enum Changes {
    /// The changes since the token, and the token behind the last of them.
    Since(Entries, Token),
    /// The token means nothing here (another generation, beyond the end, not at
    /// the start of a line): read it all again. This is the token of now.
    Reset(Token),
}

/// A change, and the token behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub entry: Entry,
    /// Who has dealt with this change may go on from here.
    pub token: Token,
}

/// The changes, read as they are asked for. After an item that is
/// [`MailboxError::Journal`] the next line follows; after another error nothing.
#[derive(Debug)]
pub struct Entries {
    lines: Lines,
    path: PathBuf,
    generation: Generation,
}

impl Journal {
    /// The changes since a token, or all of them.
    pub(crate) fn changes(&self, since: Option<Token>) -> Result<Changes, MailboxError> {
        let now = self.token();
        let from = match since {
            None => FIRST_LINE,
            Some(token) if self.is_place(token)? => token.offset,
            Some(_) => return Ok(Changes::Reset(now)),
        };
        Ok(Changes::Since(self.entries(from, now.offset)?, now))
    }

    /// The changes up to a token, or all of them; `None` where the token means
    /// nothing here.
    pub(crate) fn until(&self, upto: Option<Token>) -> Result<Option<Entries>, MailboxError> {
        let upto = match upto {
            None => self.settled,
            Some(token) if self.is_place(token)? => token.offset,
            Some(_) => return Ok(None),
        };
        self.entries(FIRST_LINE, upto).map(Some)
    }

    fn entries(&self, from: u64, upto: u64) -> Result<Entries, MailboxError> {
        Ok(Entries {
            lines: self.lines(from, upto)?,
            path: self.path.clone(),
            generation: self.generation,
        })
    }

    /// The lines between two places.
    pub(super) fn lines(&self, from: u64, upto: u64) -> Result<Lines, MailboxError> {
        let file = self.file.try_clone();
        let file = file.map_err(|e| MailboxError::io(Step::Read, &self.path, e))?;
        Ok(Lines::new(file, from, upto))
    }

    /// Whether a line of this journal begins at the token.
    pub(crate) fn is_place(&self, token: Token) -> Result<bool, MailboxError> {
        if token.generation != self.generation
            || !(FIRST_LINE..=self.settled).contains(&token.offset)
        {
            return Ok(false);
        }
        let mut before = [0];
        self.file
            .read_exact_at(&mut before, token.offset.saturating_sub(1))
            .map_err(|e| MailboxError::io(Step::Read, &self.path, e))?;
        Ok(before == *b"\n")
    }
}

impl Iterator for Entries {
    type Item = Result<Change, MailboxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let begin = self.lines.offset();
        match self.lines.advance() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(e) => return Some(Err(MailboxError::io(Step::Read, &self.path, e))),
        }
        let entry = match self.lines.line() {
            Some(line) => Entry::parse(line).map_err(JournalError::from),
            None => Err(JournalError::TooLong),
        };
        let token = Token {
            generation: self.generation,
            offset: self.lines.offset(),
        };
        Some(
            entry
                .map(|entry| Change { entry, token })
                .map_err(|source| MailboxError::Journal {
                    path: self.path.clone(),
                    offset: begin,
                    source,
                }),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use std::fs;

    use super::*;
    use crate::directory::Directory;

    fn entries(
        text: &str,
        since: Option<&str>,
    ) -> Result<Vec<Result<Change, MailboxError>>, Token> {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("journal"), text).unwrap();
        let journal = Journal::open(&Directory::open(place.path()).unwrap()).unwrap();
        match journal
            .changes(since.map(|token| token.parse().unwrap()))
            .unwrap()
        {
            Changes::Since(entries, _) => Ok(entries.collect()),
            Changes::Reset(token) => Err(token),
        }
    }

    #[test]
    fn a_bad_line_does_not_hide_those_behind_it() {
        let digest = "ab".repeat(32);
        let long = "x".repeat(20_000);
        let text = format!(
            "ima-mailbox 1 0123456789abcdef\n{long}\nnonsense\n\ndel {digest}\ndel {digest}"
        );
        let found = entries(&text, None).unwrap();
        let offsets: Vec<_> = found
            .iter()
            .map(|entry| match entry {
                Err(MailboxError::Journal { offset, .. }) => Err(*offset),
                Ok(change) => Ok(change.token.to_string()),
                other => panic!("{other:?}"),
            })
            .collect();
        let end = text.len() - 68;
        assert_eq!(
            offsets,
            [
                Err(31),
                Err(20_032),
                Err(20_041),
                Ok(format!("0123456789abcdef.{end}"))
            ]
        );
        assert!(matches!(
            found.first(),
            Some(Err(MailboxError::Journal {
                source: JournalError::TooLong,
                ..
            }))
        ));
    }

    #[test]
    fn a_token_that_means_nothing_here_resets() {
        let text = format!("ima-mailbox 1 0123456789abcdef\ndel {}\n", "ab".repeat(32));
        let end = text.len();
        assert_eq!(
            entries(&text, Some("0123456789abcdef.31")).unwrap().len(),
            1
        );
        assert_eq!(
            entries(&text, Some(&format!("0123456789abcdef.{end}")))
                .unwrap()
                .len(),
            0
        );
        for token in [
            "0123456789abcdee.31".to_owned(),
            "0123456789abcdef.0".to_owned(),
            "0123456789abcdef.30".to_owned(),
            "0123456789abcdef.32".to_owned(),
            format!("0123456789abcdef.{}", end + 1),
        ] {
            let now = entries(&text, Some(&token)).unwrap_err();
            assert_eq!(
                now.to_string(),
                format!("0123456789abcdef.{end}"),
                "{token}"
            );
        }
    }
}
