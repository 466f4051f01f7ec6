//! An attachment, as it comes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use ima_message::{Digester, Part, PartDigest};

use crate::desk::Desk;
use crate::failure::Failure;

/// Octets read from the disk at a time.
const BUFFER: usize = 64 << 10;

/// An attachment of which some octets are in `partial/` and the rest is still to
/// come.
#[derive(Debug)]
pub struct Coming {
    digest: PartDigest,
    length: u64,
    file: File,
    digester: Digester,
    /// Octets that are here.
    here: u64,
    /// Of these, those that an earlier run has left.
    kept: u64,
}

/// What became of an attachment when no more came.
#[derive(Debug)]
pub enum Came {
    /// It is whole and right.
    Right,
    /// It is not, which may be the fault of what an earlier run had left. That is
    /// removed.
    Again,
    /// It is not, and all of it had just come. It is removed.
    Wrong,
}

impl Coming {
    /// Goes on with what an earlier run has left, or begins.
    ///
    /// # Errors
    /// A fault.
    pub fn begin(desk: &Desk, part: &Part) -> Result<Self, Failure> {
        let name = part.digest().to_string();
        let mut file = desk.begin_partial(&name)?;
        let fault = || Failure::io("read", desk.partial_path(&name));
        let mut digester = Digester::new();
        let mut kept = file.seek(SeekFrom::End(0)).map_err(fault())?;
        if kept > part.length() {
            desk.remove_partial(&name)?;
            file = desk.begin_partial(&name)?;
            kept = 0;
        }
        digest_prefix(&mut file, kept, &mut digester).map_err(fault())?;
        Ok(Self {
            digest: part.digest(),
            length: part.length(),
            file,
            digester,
            here: kept,
            kept,
        })
    }

    /// Octets that are here.
    pub fn here(&self) -> u64 {
        self.here
    }

    /// Octets that are missing.
    pub fn missing(&self) -> u64 {
        self.length.saturating_sub(self.here)
    }

    /// Takes the next octets, of which no more may come than are missing.
    ///
    /// # Errors
    /// A fault.
    pub fn take(&mut self, desk: &Desk, octets: &[u8]) -> Result<(), Failure> {
        self.file.write_all(octets).map_err(Failure::io(
            "write",
            desk.partial_path(&self.digest.to_string()),
        ))?;
        self.digester.update(octets);
        self.here = self.here.saturating_add(octets.len() as u64);
        Ok(())
    }

    /// No more comes.
    ///
    /// # Errors
    /// A fault.
    pub fn end(self, desk: &Desk) -> Result<Came, Failure> {
        if self.here == self.length && self.digester.finish() == self.digest {
            return Ok(Came::Right);
        }
        desk.remove_partial(&self.digest.to_string())?;
        Ok(match self.kept {
            0 => Came::Wrong,
            _ => Came::Again,
        })
    }
}

/// Digests the first octets of a file, and stands behind them then.
fn digest_prefix(file: &mut File, octets: u64, digester: &mut Digester) -> io::Result<()> {
    if octets == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; BUFFER];
    let mut left = octets;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
        let space = buffer.get_mut(..most).unwrap_or_default();
        match file.read(space) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                digester.update(space.get(..count).unwrap_or_default());
                left = left.saturating_sub(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
