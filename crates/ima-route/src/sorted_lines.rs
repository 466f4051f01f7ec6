//! Looking up an address in sorted lines, without reading them all.
//!
//! ```text
//! line = canonical-address TAB value LF       ; at most 8,192 octets
//! ```
//!
//! The lines stand in the order of their octets. A search reads about 1 KiB for
//! each halving, until 4 KiB are left.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::LineError;

/// Octets of a line of a route file, with its LF.
pub const MAX_LINE: usize = 8192;

/// Octets asked for at once.
const STEP: usize = 1024;
/// What is left of the file when its lines are read one after the other.
const RUN: u64 = 4096;

/// Octets at a place, like those of a file.
pub(crate) trait Positional {
    /// Reads at most `octets.len()` octets from `offset` on; 0 at the end.
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Positional for File {
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, octets, offset)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SearchError {
    Read(io::Error),
    /// The line at an offset.
    Line(u64, LineError),
}

impl From<io::Error> for SearchError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// A line that was found: where it begins, where the next one does, and its
/// value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) value: Vec<u8>,
}

/// The line for `wanted`, of the first `size` octets of `source`.
pub(crate) fn search(
    source: &impl Positional,
    size: u64,
    wanted: &[u8],
) -> Result<Option<Found>, SearchError> {
    let mut window = Window::new(source, size);
    let mut bounds = Bounds::default();
    let mut found: Option<Found> = None;
    // The first line that is not below `wanted` begins in low..high, where low
    // is the beginning of a line; or it is the one that was seen last at or
    // behind high, `found` where it is equal.
    let (mut low, mut high) = (0, size);
    while high.saturating_sub(low) > RUN {
        let middle = low + (high - low) / 2;
        let Some(line) = window.line_from(middle)?.filter(|line| line.start < high) else {
            high = middle;
            continue;
        };
        let entry = line.entry()?;
        bounds.check(&line, entry.key)?;
        if entry.key < wanted {
            bounds.below = Some(entry.key.to_owned());
            low = line.end();
        } else {
            bounds.above = Some(entry.key.to_owned());
            high = middle;
            if entry.key == wanted {
                found = Some(line.found(&entry));
            }
        }
    }
    while low < high {
        let line = window.line_at(low)?;
        let entry = line.entry()?;
        bounds.check(&line, entry.key)?;
        if entry.key >= wanted {
            if entry.key == wanted {
                found = Some(line.found(&entry));
            }
            break;
        }
        bounds.below = Some(entry.key.to_owned());
        low = line.end();
    }
    if let Some(next) = found
        .as_ref()
        .map(|found| found.end)
        .filter(|&next| next < size)
    {
        let line = window.line_at(next)?;
        bounds.below = Some(wanted.to_owned());
        bounds.above = None;
        bounds.check(&line, line.entry()?.key)?;
    }
    Ok(found)
}

/// The nearest keys on both sides of what is being looked at.
#[derive(Default)]
struct Bounds {
    below: Option<Vec<u8>>,
    above: Option<Vec<u8>>,
}

impl Bounds {
    fn check(&self, line: &Line<'_>, key: &[u8]) -> Result<(), SearchError> {
        let below = self
            .below
            .as_deref()
            .map_or(Ordering::Less, |below| below.cmp(key));
        let above = self
            .above
            .as_deref()
            .map_or(Ordering::Less, |above| key.cmp(above));
        match below.max(above) {
            Ordering::Less => Ok(()),
            Ordering::Equal => Err(SearchError::Line(line.start, LineError::Twice)),
            Ordering::Greater => Err(SearchError::Line(line.start, LineError::NotSorted)),
        }
    }
}

/// A line without its LF.
struct Line<'w> {
    start: u64,
    octets: &'w [u8],
}

struct Entry<'w> {
    key: &'w [u8],
    value: &'w [u8],
}

impl<'w> Line<'w> {
    /// Where the next line begins.
    fn end(&self) -> u64 {
        self.start + self.octets.len() as u64 + 1
    }

    fn found(&self, entry: &Entry<'_>) -> Found {
        Found {
            offset: self.start,
            end: self.end(),
            value: entry.value.to_owned(),
        }
    }

    fn entry(&self) -> Result<Entry<'w>, SearchError> {
        let fail = |error| SearchError::Line(self.start, error);
        let tab = self
            .octets
            .iter()
            .position(|&b| b == b'\t')
            .ok_or_else(|| fail(LineError::NoTab))?;
        let (key, value) = self
            .octets
            .split_at_checked(tab)
            .ok_or_else(|| fail(LineError::NoTab))?;
        let canonical =
            key.contains(&b'@') && !key.iter().any(|b| b.is_ascii_uppercase() || *b <= b' ');
        if !canonical {
            return Err(fail(LineError::NotCanonical));
        }
        let value = value.strip_prefix(b"\t").unwrap_or_default();
        Ok(Entry { key, value })
    }
}

/// The octets read last.
struct Window<'s, S> {
    source: &'s S,
    size: u64,
    start: u64,
    octets: Vec<u8>,
}

impl<'s, S: Positional> Window<'s, S> {
    fn new(source: &'s S, size: u64) -> Self {
        Self {
            source,
            size,
            start: 0,
            octets: Vec::new(),
        }
    }

    /// The first line that begins at `offset`, which is not 0, or behind it;
    /// None at the end of the file.
    fn line_from(&mut self, offset: u64) -> Result<Option<Line<'_>>, SearchError> {
        let start = self.line_feed_from(offset - 1)? + 1;
        if start >= self.size {
            return Ok(None);
        }
        self.line_at(start).map(Some)
    }

    /// The line that begins at `start`, which is before the end of the file.
    fn line_at(&mut self, start: u64) -> Result<Line<'_>, SearchError> {
        let end = self.line_feed_from(start)?;
        let from = usize::try_from(start - self.start).unwrap_or(usize::MAX);
        let to = usize::try_from(end - self.start).unwrap_or(usize::MAX);
        Ok(Line {
            start,
            octets: self.octets.get(from..to).unwrap_or_default(),
        })
    }

    /// Where the first LF at or after `offset` stands. The octets from `offset`
    /// to it are in the window then.
    fn line_feed_from(&mut self, offset: u64) -> Result<u64, SearchError> {
        let mut seen = match offset.checked_sub(self.start).map(usize::try_from) {
            Some(Ok(seen)) if seen <= self.octets.len() => seen,
            _ => {
                self.start = offset;
                self.octets.clear();
                0
            }
        };
        let limit = seen + MAX_LINE;
        loop {
            let fresh = self.octets.get(seen..).unwrap_or_default();
            if let Some(at) = fresh.iter().take(limit - seen).position(|&b| b == b'\n') {
                return Ok(self.start + (seen + at) as u64);
            }
            seen = self.octets.len();
            if seen >= limit {
                return Err(SearchError::Line(offset, LineError::TooLong));
            }
            if self.read_on()? == 0 {
                return Err(SearchError::Line(offset, LineError::CutShort));
            }
        }
    }

    fn read_on(&mut self) -> Result<usize, SearchError> {
        let old = self.octets.len();
        let end = self.start + old as u64;
        let left = usize::try_from(self.size.saturating_sub(end)).unwrap_or(usize::MAX);
        self.octets.resize(old + STEP.min(left), 0);
        let fresh = self.octets.get_mut(old..).unwrap_or_default();
        let read = loop {
            match self.source.read_at(fresh, end) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.octets.truncate(old + read);
        Ok(read)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Octets in memory that count what is read of them.
    struct Counted<'o> {
        octets: &'o [u8],
        read: Cell<usize>,
    }

    impl Positional for Counted<'_> {
        fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = &self.octets[usize::try_from(offset).unwrap()..];
            // Short reads are ordinary.
            let n = rest.len().min(octets.len()).min(700);
            octets[..n].copy_from_slice(&rest[..n]);
            self.read.set(self.read.get() + n);
            Ok(n)
        }
    }

    fn look_up(octets: &[u8], wanted: &str) -> (Result<Option<String>, (u64, LineError)>, usize) {
        let counted = Counted {
            octets,
            read: Cell::new(0),
        };
        let answer = match search(&counted, octets.len() as u64, wanted.as_bytes()) {
            Ok(found) => Ok(found.map(|found| String::from_utf8(found.value).unwrap())),
            Err(SearchError::Line(offset, error)) => Err((offset, error)),
            Err(SearchError::Read(error)) => panic!("{error}"),
        };
        (answer, counted.read.get())
    }

    fn found(octets: &[u8], wanted: &str) -> Option<String> {
        look_up(octets, wanted).0.unwrap()
    }

    fn fault(octets: &[u8], wanted: &str) -> (u64, LineError) {
        look_up(octets, wanted).0.unwrap_err()
    }

    #[test]
    fn every_line_is_found_and_nothing_between_them() {
        for lines in [0, 1, 2, 3, 10, 1000] {
            for padding in [0, 1, 100, 3000] {
                let text: String = (0..lines)
                    .map(|n| format!("u{n:04}@b.test\t{n}{}\n", "x".repeat(padding * (n % 3))))
                    .collect();
                for n in (0..lines).step_by(if padding > 100 { 97 } else { 1 }) {
                    let value = found(text.as_bytes(), &format!("u{n:04}@b.test")).unwrap();
                    assert_eq!(value.trim_end_matches('x'), n.to_string());
                    assert_eq!(found(text.as_bytes(), &format!("u{n:04}x@b.test")), None);
                }
                assert_eq!(found(text.as_bytes(), "a@b.test"), None);
                assert_eq!(found(text.as_bytes(), "z@b.test"), None);
            }
        }
    }

    #[test]
    fn few_octets_of_ten_million_are_read() {
        let mut text = String::new();
        let mut n = 0;
        while text.len() < 10_000_000 {
            text.push_str(&format!("user{n:07}@b.test\t{{ inbox = \"/mail/{n}\" }}\n"));
            n += 1;
        }
        for wanted in [0, 1, n / 3, n / 2, n - 2, n - 1] {
            let (answer, read) = look_up(text.as_bytes(), &format!("user{wanted:07}@b.test"));
            assert_eq!(
                answer.unwrap().unwrap(),
                format!("{{ inbox = \"/mail/{wanted}\" }}")
            );
            assert!(read < 24 * 1024, "{read} octets");
        }
        let (answer, read) = look_up(text.as_bytes(), "user@b.test");
        assert_eq!(answer.unwrap(), None);
        assert!(read < 24 * 1024, "{read} octets");
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named() {
        let good = "a@b.test\t1\nb@b.test\t2\nc@b.test\t3\n";
        assert_eq!(found(good.as_bytes(), "b@b.test").unwrap(), "2");
        for (text, wanted, offset, error) in [
            ("a@b.test 1\n", "a@b.test", 0, LineError::NoTab),
            (
                "a@b.test\t1\n\nb@b.test\t1\n",
                "b@b.test",
                11,
                LineError::NoTab,
            ),
            ("A@b.test\t1\n", "a@b.test", 0, LineError::NotCanonical),
            ("a\t1\n", "a@b.test", 0, LineError::NotCanonical),
            (
                "b@b.test\t1\na@b.test\t1\n",
                "c@b.test",
                11,
                LineError::NotSorted,
            ),
            (
                "a@b.test\t1\na@b.test\t2\n",
                "a@b.test",
                11,
                LineError::Twice,
            ),
            (
                "a@b.test\t1\na@b.test\t2\n",
                "b@b.test",
                11,
                LineError::Twice,
            ),
            (
                "a@b.test\t1\nb@b.test\t2",
                "b@b.test",
                11,
                LineError::CutShort,
            ),
        ] {
            assert_eq!(fault(text.as_bytes(), wanted), (offset, error), "{text:?}");
        }
    }

    #[test]
    fn a_line_has_its_limit() {
        let line = |octets: usize| format!("a@b.test\t{}\n", "x".repeat(octets - 10));
        assert!(found(line(MAX_LINE).as_bytes(), "a@b.test").is_some());
        assert_eq!(
            fault(line(MAX_LINE + 1).as_bytes(), "a@b.test"),
            (0, LineError::TooLong)
        );
        let endless = "x".repeat(1 << 20);
        let (answer, read) = look_up(endless.as_bytes(), "a@b.test");
        assert_eq!(answer.unwrap_err().1, LineError::TooLong);
        assert!(read <= 2 * MAX_LINE, "{read} octets");
    }

    #[test]
    fn both_of_two_lines_for_one_address_are_seen_wherever_a_search_meets_them() {
        for lines in [1, 50, 500, 2000] {
            for twice in (0..lines).step_by(7) {
                let text: String = (0..lines)
                    .map(|n| {
                        format!("u{n:04}@b.test\t{n}\n").repeat(if n == twice { 2 } else { 1 })
                    })
                    .collect();
                assert_eq!(
                    fault(text.as_bytes(), &format!("u{twice:04}@b.test")).1,
                    LineError::Twice
                );
            }
        }
    }
}
