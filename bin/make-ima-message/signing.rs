//! Signatures, from key files.

use std::fs;
use std::path::PathBuf;

use ima_message::{HeaderBlock, KeyFile};
use jiff::Timestamp;

use crate::failure::Failure;

/// The keys to sign with.
#[derive(Debug)]
pub(crate) struct Keys(Vec<(PathBuf, KeyFile)>);

impl Keys {
    /// Reads key files.
    ///
    /// # Errors
    /// One that cannot be read, is no key file, or holds a key that is not
    /// valid now.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let now = Timestamp::now().as_second();
        let mut keys = Vec::new();
        for path in paths {
            let text =
                fs::read_to_string(path).map_err(|error| Failure::KeyRead(path.clone(), error))?;
            let key = KeyFile::parse(&text).map_err(|error| Failure::Key(path.clone(), error))?;
            if !key.public().vouches_for(&key.sign(b""), now) {
                return Err(Failure::KeyTime(path.clone()));
            }
            keys.push((path.clone(), key));
        }
        Ok(Self(keys))
    }

    /// Adds the signature of each key.
    ///
    /// # Errors
    /// More signatures than a message may bear.
    pub(crate) fn sign(&self, mut header: HeaderBlock) -> Result<HeaderBlock, Failure> {
        let letter = header.letter_octets();
        for (path, key) in &self.0 {
            header = header
                .with_signature(key.sign(&letter))
                .ok_or_else(|| Failure::Signature(path.clone()))?;
        }
        Ok(header)
    }
}
