//! A header block from a stream.

use std::io::{BufRead, Read};

use super::{HeaderBlock, HeaderError, ReadError, Rule};
use crate::limits::{MAX_BLOCK, MAX_LINE};

impl HeaderBlock {
    /// Takes the octets of one header block from a stream, to its empty line,
    /// and no octet more. At most 1 MiB is read and held.
    ///
    /// # Errors
    /// [`ReadError::Empty`] where the stream has no octet; otherwise as reading
    /// and [`HeaderBlock::parse`] fail.
    pub fn read(stream: &mut impl BufRead) -> Result<Self, ReadError> {
        let mut octets = Vec::with_capacity(1024);
        let mut line = 0;
        loop {
            let start = octets.len();
            line += 1;
            // One octet over the limit shows that it is passed.
            let limit = (MAX_LINE + 1).min((MAX_BLOCK + 1).saturating_sub(start));
            stream
                .by_ref()
                .take(limit as u64)
                .read_until(b'\n', &mut octets)?;
            if octets.is_empty() {
                return Err(ReadError::Empty);
            }
            let read = octets.len() - start;
            let at = |column, rule| Err(HeaderError { line, column, rule }.into());
            if octets.len() > MAX_BLOCK {
                return at(1, Rule::LongBlock);
            }
            if read > MAX_LINE {
                return at(MAX_LINE, Rule::LongLine);
            }
            if line == 1 && octets != b"ima: 1\n" {
                return at(1, Rule::Version);
            }
            if octets.get(start..) == Some(b"\n") {
                return Ok(Self::parse(&octets)?);
            }
            if read == 0 || octets.last() != Some(&b'\n') {
                // The fault that comes first is the one to name.
                Self::parse(&octets)?;
                return at(1, Rule::NoEnd);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    const PLAIN: &[u8] = b"ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\nid: 1@a.test\nsize: 0\n\n";

    #[test]
    fn takes_the_block_and_no_octet_more() {
        let stream = [PLAIN, b"data"].concat();
        for capacity in [1, 2, 7, 8192] {
            let mut stream = BufReader::with_capacity(capacity, Cursor::new(&stream));
            let header = HeaderBlock::read(&mut stream).unwrap();
            assert_eq!(header.as_bytes(), PLAIN);
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"data");
        }
    }

    #[test]
    fn an_end_at_the_end_of_a_line_is_seen() {
        let mut stream = Cursor::new(PLAIN.strip_suffix(b"\n").unwrap());
        let Err(ReadError::Header(error)) = HeaderBlock::read(&mut stream) else {
            panic!("accepted")
        };
        assert_eq!((error.line, error.rule), (7, Rule::NoEnd));
    }

    #[test]
    fn an_endless_line_is_not_held() {
        let mut stream = BufReader::new(b"ima: 1\nfrom: ".chain(std::io::repeat(b'a')));
        let Err(ReadError::Header(error)) = HeaderBlock::read(&mut stream) else {
            panic!("accepted")
        };
        assert_eq!((error.line, error.rule), (2, Rule::LongLine));
        let mut stream = BufReader::new(std::io::repeat(0));
        assert!(matches!(
            HeaderBlock::read(&mut stream),
            Err(ReadError::Header(HeaderError { line: 1, .. }))
        ));
        assert!(matches!(
            HeaderBlock::read(&mut Cursor::new(b"")),
            Err(ReadError::Empty)
        ));
    }

    #[test]
    fn an_endless_block_is_not_held() {
        struct Lines(usize);
        impl Read for Lines {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let line = b"x: 1\n";
                let n = buffer.len().min(line.len());
                self.0 += n;
                assert!(self.0 < 2 * MAX_BLOCK);
                buffer
                    .get_mut(..n)
                    .unwrap()
                    .copy_from_slice(line.get(..n).unwrap());
                Ok(n)
            }
        }
        let mut stream = BufReader::with_capacity(5, Cursor::new(b"ima: 1\n").chain(Lines(0)));
        let Err(ReadError::Header(error)) = HeaderBlock::read(&mut stream) else {
            panic!("accepted")
        };
        assert_eq!(error.rule, Rule::LongBlock);
    }
}
