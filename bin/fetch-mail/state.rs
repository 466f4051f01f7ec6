//! What is kept from one run to the next: whose mailbox is fetched, and how far
//! each folder has come.
//!
//! ```text
//! state = "fetch-mail 1" LF "address " address LF *( "folder " name SP token LF )
//! ```
//!
//! A folder's token stands here only when everything before it is in the
//! mailbox, durably.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use ima_message::{Address, FolderName, Token};

use crate::desk::Desk;
use crate::failure::Failure;

const FIRST: &str = "fetch-mail 1";
const ADDRESS: &str = "address ";
const FOLDER: &str = "folder ";

/// The state, as it is on the disk.
#[derive(Debug)]
pub struct State {
    address: String,
    tokens: BTreeMap<FolderName, Token>,
}

impl State {
    /// Reads the state, or begins one for this address; that goes onto the disk
    /// with its first token.
    ///
    /// # Errors
    /// [`Failure::OtherAccount`], [`Failure::State`], or a fault.
    pub fn open(desk: &Desk, mailbox: &Path, address: &Address) -> Result<Self, Failure> {
        let Some(octets) = desk.state()? else {
            return Ok(Self {
                address: address.to_string(),
                tokens: BTreeMap::new(),
            });
        };
        let state = Self::parse(&octets).map_err(|line| Failure::State {
            path: desk.state_path(),
            line,
        })?;
        if Address::parse(&state.address).is_ok_and(|of| of == *address) {
            Ok(state)
        } else {
            Err(Failure::OtherAccount {
                dir: mailbox.to_owned(),
                of: state.address,
                wanted: address.clone(),
            })
        }
    }

    /// How far a folder has come; `None` where nothing is known.
    pub fn token(&self, folder: &FolderName) -> Option<Token> {
        self.tokens.get(folder).copied()
    }

    /// A folder has come this far, durably; brings that onto the disk.
    ///
    /// # Errors
    /// A fault.
    pub fn advance(
        &mut self,
        desk: &Desk,
        folder: &FolderName,
        token: Token,
    ) -> Result<(), Failure> {
        if self.tokens.insert(folder.clone(), token) == Some(token) {
            return Ok(());
        }
        self.write(desk)
    }

    /// Nothing of a folder is here; brings that onto the disk.
    ///
    /// # Errors
    /// A fault.
    pub fn forget(&mut self, desk: &Desk, folder: &FolderName) -> Result<(), Failure> {
        match self.tokens.remove(folder) {
            Some(_) => self.write(desk),
            None => Ok(()),
        }
    }

    /// Forgets folders that the server has no more; that goes onto the disk with
    /// the next change.
    pub fn keep(&mut self, is_there: impl Fn(&FolderName) -> bool) {
        self.tokens.retain(|name, _| is_there(name));
    }

    fn write(&self, desk: &Desk) -> Result<(), Failure> {
        desk.write_state(self.to_text().as_bytes())
    }

    fn to_text(&self) -> String {
        let mut text = format!("{FIRST}\n{ADDRESS}{}\n", self.address);
        for (name, token) in &self.tokens {
            // Writing into memory does not fail.
            let _ = writeln!(text, "{FOLDER}{name} {token}");
        }
        text
    }

    /// Reads a state; the number of the first line that is wrong where it is none.
    fn parse(octets: &[u8]) -> Result<Self, usize> {
        let text = str::from_utf8(octets).map_err(|_| 1_usize)?;
        let mut lines = text.split_inclusive('\n').enumerate();
        let mut next = |prefix: &str| {
            let (_, line) = lines.next()?;
            line.strip_suffix('\n')?.strip_prefix(prefix)
        };
        if next(FIRST) != Some("") {
            return Err(1);
        }
        let address = next(ADDRESS).ok_or(2_usize)?.to_owned();
        let mut tokens = BTreeMap::new();
        for (index, line) in lines {
            let folder = || {
                let line = line.strip_suffix('\n')?.strip_prefix(FOLDER)?;
                let (name, token) = line.split_once(' ')?;
                Some((name.parse().ok()?, token.parse().ok()?))
            };
            let (name, token) = folder().ok_or(index.saturating_add(1))?;
            tokens.insert(name, token);
        }
        Ok(Self { address, tokens })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::State;

    #[test]
    fn what_is_read_is_written() {
        for text in [
            "fetch-mail 1\naddress bob@b.test\n",
            "fetch-mail 1\naddress bob@b.test\nfolder archive 0000000000000001.31\nfolder inbox 6f0c9a1b2d3e4f50.256\n",
        ] {
            assert_eq!(State::parse(text.as_bytes()).unwrap().to_text(), text);
        }
    }

    #[test]
    fn the_first_wrong_line_is_named() {
        for (text, line) in [
            ("", 1),
            ("fetch-mail 2\naddress bob@b.test\n", 1),
            ("fetch-mail 1\n", 2),
            ("fetch-mail 1\nbob@b.test\n", 2),
            ("fetch-mail 1\naddress bob@b.test", 2),
            (
                "fetch-mail 1\naddress bob@b.test\nfolder ../x 0000000000000001.31\n",
                3,
            ),
            ("fetch-mail 1\naddress bob@b.test\nfolder inbox 1\n", 3),
            (
                "fetch-mail 1\naddress bob@b.test\nfolder inbox 0000000000000001.31",
                3,
            ),
        ] {
            assert_eq!(State::parse(text.as_bytes()).unwrap_err(), line, "{text:?}");
        }
    }
}
