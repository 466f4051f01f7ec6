//! The data of a message, held against the parts that its header block announces.

use std::io::{self, Read, Write};

use crate::digest::Digester;
use crate::part::Part;

/// Digests data as it comes, part by part, and holds nothing of it.
#[derive(Debug)]
pub struct DataVerifier<'a> {
    parts: std::iter::Enumerate<std::slice::Iter<'a, Part>>,
    current: Option<Current<'a>>,
    missing: u128,
}

#[derive(Debug)]
struct Current<'a> {
    number: usize,
    part: &'a Part,
    digester: Digester,
    missing: u64,
}

/// How data differ from what was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// A part's octets are not those that were announced.
    #[error("the octets of part {part} do not match its digest")]
    Digest {
        /// The number of the part, from 1.
        part: usize,
    },
    /// The data end early.
    #[error("the data end {missing} octets too early")]
    Short {
        /// How many octets are missing.
        missing: u128,
    },
    /// The data go on.
    #[error("more data follow than the header block announces")]
    Long,
}

/// Why verified data could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("cannot read the message: {0}")]
    Read(io::Error),
    /// The target cannot be written.
    #[error("cannot write the message: {0}")]
    Write(io::Error),
    /// The data are not those that were announced.
    #[error("not a valid message: {0}")]
    Data(#[from] DataError),
}

impl<'a> DataVerifier<'a> {
    /// A verifier of the data of these parts.
    #[must_use]
    pub fn new(parts: &'a [Part]) -> Self {
        let missing = parts.iter().map(|part| u128::from(part.length())).sum();
        Self {
            parts: parts.iter().enumerate(),
            current: None,
            missing,
        }
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// A part that does not match, as soon as its last octet came; octets behind
    /// the last part.
    pub fn update(&mut self, mut octets: &[u8]) -> Result<(), DataError> {
        while !octets.is_empty() {
            let current = self.part_in_progress()?.ok_or(DataError::Long)?;
            let take = usize::try_from(current.missing)
                .unwrap_or(usize::MAX)
                .min(octets.len());
            let (now, later) = octets.split_at_checked(take).unwrap_or((octets, &[]));
            current.digester.update(now);
            current.missing -= now.len() as u64;
            self.missing -= now.len() as u128;
            octets = later;
        }
        self.part_in_progress().map(|_| ())
    }

    /// The part that the next octet belongs to; parts that are complete are checked.
    fn part_in_progress(&mut self) -> Result<Option<&mut Current<'a>>, DataError> {
        loop {
            match self.current.take() {
                Some(current) if current.missing > 0 => {
                    return Ok(Some(self.current.insert(current)));
                }
                Some(current) => {
                    if current.digester.finish() != current.part.digest() {
                        return Err(DataError::Digest {
                            part: current.number,
                        });
                    }
                }
                None => {
                    let Some((index, part)) = self.parts.next() else {
                        return Ok(None);
                    };
                    let missing = part.length();
                    self.current = Some(Current {
                        number: index + 1,
                        part,
                        digester: Digester::new(),
                        missing,
                    });
                }
            }
        }
    }

    /// All octets have come.
    ///
    /// # Errors
    /// Octets that are missing, or an empty part whose digest is not that of nothing.
    pub fn finish(mut self) -> Result<(), DataError> {
        match self.part_in_progress()? {
            Some(_) => Err(DataError::Short {
                missing: self.missing,
            }),
            None => Ok(()),
        }
    }
}

/// Copies the data of `parts`, digesting them on the way, and demands that the
/// source ends behind them. Holds 64 KiB. Gives the number of octets.
///
/// # Errors
/// Where reading or writing fails or the data are not those announced; what was
/// written until then must not be used.
pub fn copy_verified(
    parts: &[Part],
    source: &mut impl Read,
    target: &mut impl Write,
) -> Result<u64, CopyError> {
    let mut verifier = DataVerifier::new(parts);
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        let octets = buffer.get(..n).unwrap_or_default();
        verifier.update(octets)?;
        target.write_all(octets).map_err(CopyError::Write)?;
        total += octets.len() as u64;
    }
    verifier.finish()?;
    Ok(total)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::part::MediaType;

    fn part(octets: &[u8]) -> Part {
        let mut digester = Digester::new();
        digester.update(octets);
        Part::new(
            MediaType::parse("text/plain").unwrap(),
            octets.len() as u64,
            digester.finish(),
            None,
        )
    }

    #[test]
    fn any_split_gives_the_same() {
        let parts = [part(b""), part(b"one"), part(b""), part(b"four"), part(b"")];
        let data = b"onefour";
        for size in 1..=data.len() {
            let mut verifier = DataVerifier::new(&parts);
            data.chunks(size)
                .for_each(|chunk| verifier.update(chunk).unwrap());
            verifier.finish().unwrap();
        }
    }

    #[test]
    fn differences_are_named() {
        let parts = [part(b"one"), part(b"four")];
        let check = |mut data: &[u8]| match copy_verified(&parts, &mut data, &mut io::sink()) {
            Ok(n) => panic!("{n} octets accepted"),
            Err(CopyError::Data(error)) => error,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(check(b"onefive"), DataError::Digest { part: 2 });
        assert_eq!(check(b"0nefour"), DataError::Digest { part: 1 });
        assert_eq!(check(b"onefo"), DataError::Short { missing: 2 });
        assert_eq!(check(b""), DataError::Short { missing: 7 });
        assert_eq!(check(b"onefour "), DataError::Long);
        let wrong_empty = [Part::new(
            MediaType::parse("a/b").unwrap(),
            0,
            part(b"x").digest(),
            None,
        )];
        assert_eq!(
            DataVerifier::new(&wrong_empty).finish(),
            Err(DataError::Digest { part: 1 })
        );
    }
}
