//! Text from others, made safe to look at.

use std::borrow::Cow;

/// Whether a terminal or a reader of a log could be led astray by `c`: the
/// controls (category Cc), U+2028, U+2029, and the characters that change the
/// direction of writing (Unicode's Bidi_Control).
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Adds `c` to `out` so that it can be seen: `\n`, `\t`, `\e`, or `\u{…}` with
/// its number in hexadecimal.
pub fn push_visible(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\u{1B}' => out.push_str("\\e"),
        c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
    }
}

/// `text` with every character of [`is_hidden`] made visible; all else, the
/// backslash too, as it is.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        if is_hidden(c) {
            push_visible(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::visible;
    use std::borrow::Cow;

    #[test]
    fn plain_text_is_not_touched() {
        for text in ["", "plain", "Grüße, 世界 👩‍👩‍👧", r"C:\new \e", "a b\u{a0}c"]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn controls_are_seen() {
        for (text, seen) in [
            ("a\nb", "a\\nb"),
            ("a\tb", "a\\tb"),
            ("\u{1b}[31mred", "\\e[31mred"),
            ("a\rb", "a\\u{d}b"),
            ("\0", "\\u{0}"),
            ("\u{7f}", "\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("exe.\u{202e}gpj", "exe.\\u{202e}gpj"),
            (
                "\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
                "\\u{2066}\\u{2069}\\u{200e}\\u{200f}\\u{61c}",
            ),
        ] {
            assert_eq!(visible(text), seen);
        }
    }

    #[test]
    fn nothing_hidden_is_left_of_any_character() {
        for c in '\0'..=char::MAX {
            assert!(!visible(&c.to_string()).contains(super::is_hidden), "{c:?}");
        }
    }
}
