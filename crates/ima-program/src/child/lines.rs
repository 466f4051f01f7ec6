//! What a child printed, cut into lines, within limits.

use std::mem;

/// How much was cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Lines that were too long.
    pub(super) lines: u64,
    /// Octets beyond the most that count.
    pub(super) octets: u64,
}

/// Octets in, lines out. It holds no more than what it was fed since it last
/// had no line to give, and one line.
#[derive(Debug)]
pub(super) struct Lines {
    received: Vec<u8>,
    /// So much of `received` has been dealt with.
    taken: usize,
    line: Vec<u8>,
    is_long: bool,
    max_line: usize,
    /// Octets of output that still count.
    room: usize,
    cut: Cut,
}

impl Lines {
    pub(super) const fn new(max_line: usize, max_output: usize) -> Self {
        Self {
            received: Vec::new(),
            taken: 0,
            line: Vec::new(),
            is_long: false,
            max_line,
            room: max_output,
            cut: Cut {
                lines: 0,
                octets: 0,
            },
        }
    }

    /// From here on so many octets count again.
    pub(super) const fn renew(&mut self, max_output: usize) {
        self.room = max_output;
    }

    /// Whether a whole line is here that was not taken yet.
    pub(super) fn has_line(&self) -> bool {
        let rest = self.received.get(self.taken..).unwrap_or_default();
        rest.contains(&b'\n')
    }

    /// Whether all that was fed has been taken.
    pub(super) const fn is_empty(&self) -> bool {
        self.received.len() == self.taken && self.line.is_empty()
    }

    /// Whether octets were lost since [`Lines::cut`] was last asked.
    pub(super) const fn has_lost(&self) -> bool {
        self.cut.octets > 0
    }

    pub(super) fn feed(&mut self, octets: &[u8]) {
        let (counted, lost) = octets.split_at_checked(self.room).unwrap_or((octets, &[]));
        self.room = self.room.saturating_sub(counted.len());
        self.received.extend_from_slice(counted);
        let lost = u64::try_from(lost.len()).unwrap_or(u64::MAX);
        self.cut.octets = self.cut.octets.saturating_add(lost);
    }

    /// The next line that ended and is not empty.
    pub(super) fn take(&mut self) -> Option<String> {
        loop {
            let rest = self.received.get(self.taken..).unwrap_or_default();
            let end = rest.iter().position(|octet| *octet == b'\n');
            let piece = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
            let room = self.max_line.saturating_sub(self.line.len());
            let kept = piece.get(..room).unwrap_or(piece);
            self.is_long |= kept.len() < piece.len();

            let Some(end) = end else {
                self.line.extend_from_slice(kept);
                self.received.clear();
                self.taken = 0;
                return None;
            };
            self.taken = self.taken.saturating_add(end).saturating_add(1);
            self.cut.lines = self
                .cut
                .lines
                .saturating_add(mem::take(&mut self.is_long).into());
            let line = if self.line.is_empty() {
                text(kept, self.max_line)
            } else {
                self.line.extend_from_slice(kept);
                text(&mem::take(&mut self.line), self.max_line)
            };
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// No more will come. What has no LF behind it is a line where the child
    /// was `done` with it and none of its output was lost, else it is dropped.
    pub(super) fn end(&mut self, done: bool) {
        if done && self.cut.octets == 0 {
            self.received.push(b'\n');
            return;
        }
        let rest = self.received.get(self.taken..).unwrap_or_default();
        if let Some(last) = rest.iter().rposition(|octet| *octet == b'\n') {
            self.received
                .truncate(self.taken.saturating_add(last).saturating_add(1));
        } else {
            self.received.clear();
            self.taken = 0;
            self.line.clear();
        }
    }

    /// What was cut off since this was last asked.
    pub(super) fn cut(&mut self) -> Cut {
        mem::take(&mut self.cut)
    }
}

/// `octets` as text of at most `most` octets, U+FFFD in place of what is none.
fn text(octets: &[u8], most: usize) -> String {
    let plain = |octet: &u8| matches!(octet, b' '..=b'~');
    let plain = octets.len() <= most && octets.iter().all(plain);
    if let (true, Ok(text)) = (plain, str::from_utf8(octets)) {
        return text.to_owned();
    }
    let mut text: String = String::from_utf8_lossy(octets)
        .chars()
        .map(|c| {
            if is_text(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect();
    text.truncate(text.floor_char_boundary(most));
    text
}

/// Whether `c` may stand in `text`, message.md: no controls, no U+2028 or
/// U+2029, no noncharacters.
fn is_text(c: char) -> bool {
    let number = u32::from(c);
    let is_noncharacter = number & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&number);
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}') && !is_noncharacter
}

#[cfg(test)]
mod tests {
    use super::{Cut, Lines, text};

    fn all(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.take()).collect()
    }

    #[test]
    fn any_split_gives_the_same_lines() {
        let printed = "OK bob@b.test\n\nFAIL dave@b.test full, grün\nlast".as_bytes();
        for size in 1..=printed.len() {
            let mut lines = Lines::new(4096, 1 << 20);
            let mut got = Vec::new();
            for piece in printed.chunks(size) {
                lines.feed(piece);
                got.extend(all(&mut lines));
            }
            lines.end(true);
            got.extend(all(&mut lines));
            assert_eq!(
                got,
                ["OK bob@b.test", "FAIL dave@b.test full, grün", "last"],
                "{size}"
            );
            assert_eq!(lines.cut(), Cut::default());
        }
    }

    #[test]
    fn half_a_line_of_a_child_that_was_killed_is_none() {
        for fed in [
            &["OK a@b.test\nOK b@b.te"][..],
            &["OK a@b.test\n", "OK b@b.te"],
            &["OK a", "@b.test\nOK b@b.te"],
        ] {
            let mut lines = Lines::new(4096, 1 << 20);
            let mut got = Vec::new();
            for piece in fed {
                got.extend(lines.take());
                lines.feed(piece.as_bytes());
            }
            lines.end(false);
            got.extend(all(&mut lines));
            assert_eq!(got, ["OK a@b.test"], "{fed:?}");
        }
    }

    #[test]
    fn long_lines_and_long_output_are_cut() {
        let mut lines = Lines::new(4, 30);
        lines.feed(b"abcd\nabcde\n");
        lines.feed(b"abcdefgh");
        lines.feed(b"ijkl\nab");
        assert_eq!(all(&mut lines), ["abcd"; 3]);
        lines.feed(b"cd\nwhole?");
        lines.feed(b" no\n");
        assert_eq!(all(&mut lines), ["abcd"]);
        lines.end(true);
        assert_eq!(all(&mut lines), [""; 0]);
        assert_eq!(
            lines.cut(),
            Cut {
                lines: 2,
                octets: 9
            }
        );
        assert_eq!(lines.cut(), Cut::default(), "told once");
    }

    #[test]
    fn nothing_but_text_comes_out() {
        for (octets, line) in [
            (&b"OK bob@b.test\r"[..], "OK bob@b.test\u{fffd}"),
            (b"OK\tbob@b.test", "OK\u{fffd}bob@b.test"),
            (b"a\rOK", "a\u{fffd}OK"),
            (b"\x1b[2J\0\x7f", "\u{fffd}[2J\u{fffd}\u{fffd}"),
            (b"\xff\xc3(", "\u{fffd}\u{fffd}("),
            (
                b"\xc2\x85\xe2\x80\xa8\xe2\x80\xa9",
                "\u{fffd}\u{fffd}\u{fffd}",
            ),
            (
                b"\xef\xbf\xbf\xef\xb7\x90\xf4\x8f\xbf\xbf",
                "\u{fffd}\u{fffd}\u{fffd}",
            ),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            ("grün 👍".as_bytes(), "grün 👍"),
        ] {
            assert_eq!(text(octets, 4096), line, "{octets:?}");
        }
        assert_eq!(
            text(b"\xff\xff\xff\xff", 4),
            "\u{fffd}",
            "longer by what replaces, and still within"
        );
        assert_eq!(text("aäää".as_bytes(), 4), "aä");
    }
}
