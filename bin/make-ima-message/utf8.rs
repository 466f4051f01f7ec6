//! UTF-8 that comes in pieces.

use std::str;

/// Checks octets as they come, and holds at most three of them.
#[derive(Debug, Default)]
pub(crate) struct Utf8Check {
    /// The beginning of a character whose end has not come.
    pending: Vec<u8>,
    octets: u64,
    line_ends: u64,
}

/// Where octets are not UTF-8: line and octet, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8 {
    pub(crate) line: u64,
    pub(crate) octet: u64,
}

impl Utf8Check {
    /// Takes the next octets.
    ///
    /// # Errors
    /// The place of the first character that is none.
    pub(crate) fn update(&mut self, mut octets: &[u8]) -> Result<(), NotUtf8> {
        while !self.pending.is_empty() {
            let Some((&next, rest)) = octets.split_first() else {
                return Ok(());
            };
            octets = rest;
            self.pending.push(next);
            match str::from_utf8(&self.pending) {
                Ok(_) => {
                    self.octets += self.pending.len() as u64;
                    self.pending.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(self.here()),
            }
        }
        let (good, error) = match str::from_utf8(octets) {
            Ok(_) => (octets, None),
            Err(error) => (
                octets.get(..error.valid_up_to()).unwrap_or_default(),
                Some(error),
            ),
        };
        self.octets += good.len() as u64;
        self.line_ends += good.iter().filter(|&&b| b == b'\n').count() as u64;
        match error {
            Some(error) if error.error_len().is_some() => Err(self.here()),
            Some(_) => {
                self.pending
                    .extend_from_slice(octets.get(good.len()..).unwrap_or_default());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// All octets have come.
    ///
    /// # Errors
    /// The place of a character whose end is missing.
    pub(crate) fn finish(&self) -> Result<(), NotUtf8> {
        if self.pending.is_empty() {
            Ok(())
        } else {
            Err(self.here())
        }
    }

    fn here(&self) -> NotUtf8 {
        NotUtf8 {
            line: self.line_ends + 1,
            octet: self.octets + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(octets: &[u8], size: usize) -> Result<(), NotUtf8> {
        let mut check = Utf8Check::default();
        octets
            .chunks(size)
            .try_for_each(|piece| check.update(piece))?;
        check.finish()
    }

    #[test]
    fn any_split_gives_the_same() {
        for (octets, result) in [
            (&b""[..], Ok(())),
            ("a\nü€🐎\n".as_bytes(), Ok(())),
            (b"a\n\xfc", Err(NotUtf8 { line: 2, octet: 3 })),
            (
                "ü\n\n🐎".as_bytes().get(..7).unwrap_or_default(),
                Err(NotUtf8 { line: 3, octet: 5 }),
            ),
            (b"\xe2\x82a", Err(NotUtf8 { line: 1, octet: 1 })),
            (b"ab\xed\xa0\x80", Err(NotUtf8 { line: 1, octet: 3 })),
            (b"\n\n\n\xff\n", Err(NotUtf8 { line: 4, octet: 4 })),
        ] {
            for size in 1..=octets.len().max(1) {
                assert_eq!(check(octets, size), result, "{octets:?} by {size}");
            }
        }
    }
}
