//! `text`, the characters that may stand in a line of a header block or of a
//! protocol.
//!
//! ```text
//! text = UTF-8 (RFC 3629), any code point except the controls (category
//!        Cc), U+2028, U+2029 and noncharacters
//! ```

/// Whether a character may stand in a line.
#[must_use]
pub fn is_text(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\u{2028}' | '\u{2029}' | '\u{FDD0}'..='\u{FDEF}' => false,
        c => !c.is_control() && u32::from(c) & 0xFFFE != 0xFFFE,
    }
}

/// The first character of `s` that is not `text`, with its place in characters
/// from 1.
#[must_use]
pub fn first_forbidden(s: &str) -> Option<(usize, char)> {
    if s.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return None;
    }
    s.chars()
        .enumerate()
        .find(|&(_, c)| !is_text(c))
        .map(|(i, c)| (i + 1, c))
}

/// Whether a character only changes the direction in which others are shown:
/// U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
#[must_use]
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A count: decimal digits without sign or leading zero, below 2^63.
#[must_use]
pub fn parse_decimal(s: &str) -> Option<u64> {
    let canonical = s == "0" || (!s.starts_with('0') && s.bytes().all(|b| b.is_ascii_digit()));
    if !canonical {
        return None;
    }
    s.parse().ok().filter(|&n: &u64| n < 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_separators_and_noncharacters_are_not_text() {
        for c in [
            '\0',
            '\t',
            '\n',
            '\r',
            '\x1b',
            '\x7f',
            '\u{80}',
            '\u{9f}',
            '\u{2028}',
            '\u{2029}',
            '\u{FDD0}',
            '\u{FFFE}',
            '\u{FFFF}',
            '\u{1FFFE}',
            '\u{10FFFF}',
        ] {
            assert!(!is_text(c), "{c:?}");
        }
        for c in [
            ' ', '~', 'é', '\u{a0}', '\u{202E}', '\u{FFFD}', '🐎', '\u{FDF0}',
        ] {
            assert!(is_text(c), "{c:?}");
        }
    }

    #[test]
    fn counts_are_canonical_and_bounded() {
        assert_eq!(parse_decimal("0"), Some(0));
        assert_eq!(parse_decimal("9223372036854775807"), Some((1 << 63) - 1));
        for bad in [
            "",
            "-1",
            "+5",
            "007",
            "00",
            "1e3",
            " 1",
            "9223372036854775808",
            "18446744073709551616",
            "٣",
        ] {
            assert_eq!(parse_decimal(bad), None, "{bad:?}");
        }
    }
}
