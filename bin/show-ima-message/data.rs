//! The data, part by part, held against what the header block announces.

use std::fmt;
use std::io::BufRead as _;
use std::slice;

use ima_message::{DataError, DataVerifier, HeaderBlock, Part};

use crate::failure::Failure;
use crate::input::Input;

/// Takes the octets of the parts while they are verified; none of them may be
/// used before [`Verdicts::all_right`] said that all are right.
pub(crate) trait Sink {
    /// A part begins.
    ///
    /// # Errors
    /// There is no place for it.
    fn begin(&mut self, part: &Part) -> Result<(), Failure>;

    /// Its next octets.
    ///
    /// # Errors
    /// They cannot be kept.
    fn take(&mut self, octets: &[u8]) -> Result<(), Failure>;
}

/// Keeps nothing.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self, _: &Part) -> Result<(), Failure> {
        Ok(())
    }

    fn take(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

/// What is to be said of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its octets match its digest.
    Ok,
    /// They do not.
    Wrong,
    /// The data end within it.
    Short,
    /// The data end before it.
    Missing,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Wrong => "wrong",
            Self::Short => "short",
            Self::Missing => "missing",
        })
    }
}

/// What is to be said of all data.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// Of each part, in order.
    pub(crate) parts: Vec<Verdict>,
    /// Whether something follows the last part.
    pub(crate) long: bool,
    /// Octets that came, of those announced.
    pub(crate) octets: u64,
    missing: u128,
}

impl Verdicts {
    /// Whether no octet of data came: the input was a header block alone.
    pub(crate) fn absent(&self) -> bool {
        self.octets == 0 && !self.long
    }

    /// # Errors
    /// The first difference from what was announced.
    pub(crate) fn all_right(&self) -> Result<(), DataError> {
        let wrong = |verdict: &Verdict| *verdict == Verdict::Wrong;
        if let Some(index) = self.parts.iter().position(wrong) {
            return Err(DataError::Digest { part: index + 1 });
        }
        if self.parts.iter().any(|&verdict| verdict != Verdict::Ok) {
            return Err(DataError::Short {
                missing: self.missing,
            });
        }
        if self.long {
            return Err(DataError::Long);
        }
        Ok(())
    }
}

/// Reads the data to their end, or one octet behind it, gives them to a sink
/// and digests them.
///
/// # Errors
/// Reading fails, or the sink.
pub(crate) fn read(
    header: &HeaderBlock,
    input: &mut Input,
    sink: &mut impl Sink,
) -> Result<Verdicts, Failure> {
    let mut verdicts = Verdicts {
        parts: Vec::with_capacity(header.parts().len()),
        long: false,
        octets: 0,
        missing: 0,
    };
    for (index, part) in header.parts().iter().enumerate() {
        if part.is_attachment() {
            input.go_on_beside(index + 1)?;
        }
        sink.begin(part)?;
        let (verdict, octets) = read_part(part, input, sink)?;
        verdicts.parts.push(verdict);
        verdicts.octets = verdicts.octets.saturating_add(octets);
    }
    verdicts.missing = u128::from(header.size().saturating_sub(verdicts.octets));
    verdicts.long = !input.next()?.is_empty();
    Ok(verdicts)
}

fn read_part(
    part: &Part,
    input: &mut Input,
    sink: &mut impl Sink,
) -> Result<(Verdict, u64), Failure> {
    let mut verifier = DataVerifier::new(slice::from_ref(part));
    let mut octets: u64 = 0;
    while octets < part.length() {
        let wanted = usize::try_from(part.length() - octets).unwrap_or(usize::MAX);
        let next = input.next()?;
        let next = next.get(..wanted).unwrap_or(next);
        let length = next.len();
        if length == 0 {
            let verdict = if octets == 0 {
                Verdict::Missing
            } else {
                Verdict::Short
            };
            return Ok((verdict, octets));
        }
        octets = octets.saturating_add(length as u64);
        let result = verifier.update(next);
        sink.take(next)?;
        input.consume(length);
        if result.is_err() {
            return Ok((Verdict::Wrong, octets));
        }
    }
    let verdict = match verifier.finish() {
        Ok(()) => Verdict::Ok,
        Err(_) => Verdict::Wrong,
    };
    Ok((verdict, octets))
}
