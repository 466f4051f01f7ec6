//! Keys that are taken for published, and what they say of signatures.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use ima_message::{HeaderBlock, KeyLine, Signature};
use jiff::Timestamp;

use crate::failure::Failure;

/// The keys of `--keys FILE`: a `KEY` line each. Empty lines, and lines that
/// begin with `#`, say nothing.
#[derive(Debug)]
pub(crate) struct Keys(Vec<KeyLine>);

/// What is to be said of a signature in a header block, where no wrong one
/// stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Right, and the key is known, for the time of receipt.
    Valid,
    /// Right, by a key that is not known.
    UnknownKey,
    /// By an algorithm that is not known here.
    UnknownAlgorithm,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::UnknownKey => "unknown-key",
            Self::UnknownAlgorithm => "unknown-algorithm",
        })
    }
}

impl Keys {
    /// Reads a file of keys; without one, no key is known.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is no key; it is standard input, and
    /// the message is, too.
    pub(crate) fn read(path: Option<&Path>, message: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self(Vec::new()));
        };
        let text = if path != Path::new("-") {
            fs::read_to_string(path)
        } else if message.is_some() {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            return Err(Failure::StdinTwice);
        };
        let text = text.map_err(|error| Failure::KeysRead(path.to_owned(), error))?;
        let is_key = |line: &&str| !line.is_empty() && !line.starts_with('#');
        text.split('\n')
            .enumerate()
            .filter(|(_, line)| is_key(line))
            .map(|(index, line)| {
                KeyLine::parse(line).map_err(|source| Failure::Key {
                    file: path.to_owned(),
                    line: index + 1,
                    source,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Each signature of a message and what is to be said of it. Keys count for
    /// the time of receipt: that of the `received` field, and now where there
    /// is none.
    pub(crate) fn judge<'h>(
        &self,
        header: &'h HeaderBlock,
    ) -> impl Iterator<Item = (&'h Signature, Verdict)> {
        let at = match header.received() {
            Some(received) => received.time.unix_seconds(),
            None => Timestamp::now().as_second(),
        };
        header.signatures().map(move |signature| {
            let verdict = if !signature.is_known_algorithm() {
                Verdict::UnknownAlgorithm
            } else if self.0.iter().any(|key| key.vouches_for(signature, at)) {
                Verdict::Valid
            } else {
                Verdict::UnknownKey
            };
            (signature, verdict)
        })
    }
}
