//! A text for a terminal: line ends and tabs stay, every other control and
//! what changes the direction of writing is made visible.

use std::io::{self, ErrorKind, Read, Write};
use std::str;

use ima_program::escape::{is_hidden, push_visible};

use crate::input::BUFFER;

/// Copies text that may come in any pieces. CR LF becomes LF, octets that are
/// not UTF-8 become U+FFFD, and a line end is added where the last is missing.
///
/// # Errors
/// Reading or writing fails.
pub(crate) fn copy(source: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut text = VisibleText::default();
    let mut octets = Vec::with_capacity(BUFFER);
    loop {
        let held = octets.len();
        match source.by_ref().take(BUFFER as u64).read_to_end(&mut octets) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let last = octets.len() == held;
        let rest = text.take(&octets, last);
        output.write_all(text.out.as_bytes())?;
        text.out.clear();
        octets.drain(..octets.len() - rest);
        if last {
            break;
        }
    }
    text.finish();
    output.write_all(text.out.as_bytes())
}

#[derive(Default)]
struct VisibleText {
    out: String,
    /// A CR came, and what follows it did not.
    cr: bool,
    /// The last character was no line end.
    in_line: bool,
}

impl VisibleText {
    /// Takes octets, and gives the number of those at the end that are the
    /// beginning of a character; none where they are the `last`.
    fn take(&mut self, octets: &[u8], last: bool) -> usize {
        let mut chunks = octets.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|c| self.push(c));
            let invalid = chunk.invalid();
            let unfinished = chunks.peek().is_none()
                && str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if unfinished && !last {
                return invalid.len();
            }
            if !invalid.is_empty() {
                self.push(char::REPLACEMENT_CHARACTER);
            }
        }
        0
    }

    fn push(&mut self, c: char) {
        if std::mem::take(&mut self.cr) && c != '\n' {
            push_visible(&mut self.out, '\r');
        }
        self.in_line = c != '\n';
        match c {
            '\r' => self.cr = true,
            '\n' | '\t' => self.out.push(c),
            c if is_hidden(c) => push_visible(&mut self.out, c),
            c => self.out.push(c),
        }
    }

    fn finish(&mut self) {
        if std::mem::take(&mut self.cr) {
            push_visible(&mut self.out, '\r');
        }
        if self.in_line {
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Gives its pieces one at a time.
    struct Pieces<'a>(std::slice::Chunks<'a, u8>);
    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.next().map_or(Ok(0), |mut piece| piece.read(buffer))
        }
    }

    fn shown(octets: &[u8]) -> String {
        let mut text = VisibleText::default();
        let mut whole = Vec::new();
        copy(&mut Pieces(octets.chunks(1)), &mut whole).unwrap();
        for size in 1..=octets.len() {
            text.out.clear();
            let mut held: Vec<u8> = Vec::new();
            for piece in octets.chunks(size) {
                held.extend_from_slice(piece);
                let rest = text.take(&held, false);
                held.drain(..held.len() - rest);
            }
            text.take(&held, true);
            text.finish();
            assert_eq!(text.out.as_bytes(), whole, "{octets:?} by {size}");
            text = VisibleText::default();
        }
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn what_could_mislead_is_seen() {
        for (text, seen) in [
            (&b""[..], ""),
            (b"a\tb\n", "a\tb\n"),
            (b"no line end", "no line end\n"),
            (b"a\r\nb\r\n", "a\nb\n"),
            (b"a\rb\r\r\n\r", "a\\u{d}b\\u{d}\n\\u{d}\n"),
            (b"\x1b[31mred\x07\n", "\\e[31mred\\u{7}\n"),
            ("gpj.\u{202e}exe\n".as_bytes(), "gpj.\\u{202e}exe\n"),
            ("ü€🐎\n".as_bytes(), "ü€🐎\n"),
            (b"\xff\xe2\x82a\xf0\x9f", "\u{fffd}\u{fffd}a\u{fffd}\n"),
        ] {
            assert_eq!(shown(text), seen);
        }
    }

    #[test]
    fn a_character_on_the_edge_of_a_buffer_stays_whole() {
        for before in BUFFER - 5..=BUFFER {
            let text = format!("{}€🐎\r\n", "x".repeat(before));
            let mut out = Vec::new();
            copy(&mut text.as_bytes(), &mut out).unwrap();
            assert_eq!(out, text.replace('\r', "").as_bytes());
        }
    }
}
