//! A line that another process wrote, told from what is none.

use super::{Form, Level};
use crate::escape::is_hidden;

/// The keys that every line begins with.
const FIRST: [&str; 4] = ["time", "level", "program", "event"];

impl Form {
    /// The level of a line of this form, given without its LF, where it is one that
    /// [`Entry`](super::Entry) could have made for this program: what stands first is
    /// there in its order and never again, so that it is nobody else's line for any reader,
    /// and nothing in it is hidden. Of any other line, `None`.
    #[cfg_attr(
        not(feature = "separation"),
        allow(dead_code, reason = "one process has no lines of another")
    )]
    pub(crate) fn level_of(self, line: &str, program: &str) -> Option<Level> {
        if line.contains(is_hidden) {
            return None;
        }
        let mut rest = match self {
            Self::Text => line,
            Self::Json => line.strip_prefix('{')?.strip_suffix('}')?,
        };
        let mut level = None;
        let mut first = FIRST.into_iter();
        loop {
            let (key, value, behind) = self.take_field(rest)?;
            match first.next() {
                Some(due) if due != key => return None,
                None if FIRST.contains(&key) => return None,
                _ => {}
            }
            let is_right = match key {
                "time" => is_time(value),
                "program" => value == program,
                "level" => {
                    level = Level::ALL.into_iter().find(|level| level.name() == value);
                    level.is_some()
                }
                _ => true,
            };
            if !is_right {
                return None;
            }
            if behind.is_empty() {
                return level.filter(|_| first.len() == 0);
            }
            rest = behind.strip_prefix(match self {
                Self::Text => ' ',
                Self::Json => ',',
            })?;
        }
    }

    /// The first field's key and value, as it is written, and what stands behind.
    fn take_field(self, text: &str) -> Option<(&str, &str, &str)> {
        let (key, rest) = match self {
            Self::Text => text.split_once('=')?,
            Self::Json => text.strip_prefix('"')?.split_once("\":")?,
        };
        let is_key = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if key.is_empty() || !key.bytes().all(is_key) {
            return None;
        }
        if let Some(rest) = rest.strip_prefix('"') {
            let (value, behind) = rest.split_at_checked(self.end_of_quoted(rest)?)?;
            return Some((key, value, behind.strip_prefix('"')?));
        }
        if self == Self::Json {
            return None;
        }
        let end = rest.find(' ').unwrap_or(rest.len());
        let (value, behind) = rest.split_at_checked(end)?;
        let is_plain = !value.is_empty() && !value.contains(['"', '=', '\\']);
        is_plain.then_some((key, value, behind))
    }

    /// Where the quotation mark stands that ends a value.
    fn end_of_quoted(self, text: &str) -> Option<usize> {
        let mut chars = text.char_indices();
        loop {
            match chars.next()? {
                (at, '"') => return Some(at),
                (_, '\\') => match (self, chars.next()?.1) {
                    (_, '"' | '\\' | 'n' | 't') | (Self::Text, 'e' | 'u') => {}
                    (Self::Json, 'u') => {
                        let mut number = 0;
                        for _ in 0..4 {
                            number = number * 16 + chars.next()?.1.to_digit(16)?;
                        }
                        // Half of a character is none.
                        char::from_u32(number).filter(|c| is_hidden(*c))?;
                    }
                    _ => return None,
                },
                _ => {}
            }
        }
    }
}

/// Whether this looks like `2026-11-22T09:30:02.123Z`.
fn is_time(value: &str) -> bool {
    const LIKE: &[u8] = b"0000-00-00T00:00:00.000Z";
    let is_like = |(octet, like): (u8, &u8)| match like {
        b'0' => octet.is_ascii_digit(),
        like => octet == *like,
    };
    value.len() == LIKE.len() && value.bytes().zip(LIKE).all(is_like)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use jiff::Timestamp;

    use super::super::Entry;
    use super::{Form, Level};

    const TEXT: &str = "time=2026-11-22T09:30:02.123Z level=warn program=p event=e";
    const JSON: &str =
        r#"{"time":"2026-11-22T09:30:02.123Z","level":"warn","program":"p","event":"e""#;

    #[test]
    fn what_we_write_is_a_line() {
        let hard = "\u{1}".repeat(1000);
        for form in [Form::Text, Form::Json] {
            for level in Level::ALL {
                for value in [
                    "plain",
                    "",
                    "two words",
                    "a=b",
                    "say \"no\"",
                    "x\ny\tz",
                    "\\n\\",
                    "\u{1b}[2J\0\r\u{7f}",
                    "\u{202e}\u{2028}",
                    "grün 👩",
                    "grün",
                    "}",
                    "\"}",
                    "\",\"program\":\"q",
                    "x program=q",
                    &"ä".repeat(2000),
                    &hard,
                ] {
                    let mut entry = Entry::at(form, Timestamp::now(), level, "p", "an-event");
                    for key in ["a", "b-2", "reason", "d", "e"] {
                        entry = entry.field(key, value);
                    }
                    let line = entry.into_line();
                    let line = line.strip_suffix('\n').unwrap();
                    assert_eq!(form.level_of(line, "p"), Some(level), "{line}");
                    assert_eq!(form.level_of(line, "q"), None, "{line}");
                    // No piece of it is one that says more or less than it does.
                    for (at, _) in line.char_indices().skip(1) {
                        assert_eq!(form.level_of(line.get(at..).unwrap(), "p"), None, "{line}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_none() {
        for end in ["", " a=b", " a=\"b c\"", " a=\"b\\\"c\" d=e"] {
            let line = format!("{TEXT}{end}");
            assert_eq!(Form::Text.level_of(&line, "p"), Some(Level::Warn), "{line}");
        }
        for (from, to) in [
            ("time=", ""),
            ("time=", "{\"time\":"),
            ("time=2026", "time=now"),
            ("Z level", "+00:00 level"),
            (" level", "  level"),
            ("level=warn", "level=none"),
            ("level=warn ", ""),
            ("program=p ", ""),
            ("program=p", "program=q"),
            ("program=p", "program=\"p"),
            ("level=warn program=p", "program=p level=warn"),
            (" event=e", ""),
            ("event=e", "event="),
            ("event=e", "event=e "),
            ("event=e", "event=e word"),
            ("event=e", "event=e Key=x"),
            ("event=e", "event=e =x"),
            ("event=e", "event=e x=y=z"),
            ("event=e", "event=e x=\"y"),
            ("event=e", "event=e x=\"y\"z"),
            ("event=e", "event=e x=\"y\\"),
            ("event=e", "event=e x=\"\\q\""),
            ("event=e", "event=e program=q"),
            ("event=e", "event=e program=p"),
            ("event=e", "event=e event=f"),
            ("event=e", "event=e x=\u{1b}[2J"),
            ("event=e", "event=e x=\u{202e}"),
            ("event=e", "event=e x=\r"),
            ("event=e", "event=e x=\ny=z"),
        ] {
            let line = TEXT.replacen(from, to, 1);
            assert_ne!(line, TEXT, "{from}");
            assert_eq!(Form::Text.level_of(&line, "p"), None, "{line}");
        }
        assert_eq!(Form::Json.level_of(TEXT, "p"), None);
        assert_eq!(Form::Text.level_of("", "p"), None);
    }

    #[test]
    fn what_is_not_ours_is_none_in_json() {
        for end in [
            "}",
            r#","a":""}"#,
            r#","a":"b\"c\\\n\t\u001b\u202e"}"#,
            r#","a":"}"}"#,
        ] {
            let line = format!("{JSON}{end}");
            assert_eq!(Form::Json.level_of(&line, "p"), Some(Level::Warn), "{line}");
        }
        for end in [
            "",
            "}}",
            ",}",
            "} ",
            r#","program":"q"}"#,
            r#","\u0070rogram":"q"}"#,
            r#","event":"q"}"#,
            r#","a":1}"#,
            r#","a":{}}"#,
            r#", "a":"b"}"#,
            r#","a":"b" }"#,
            r#","a": "b"}"#,
            r#","a":"b}"#,
            r#","a":"\q"}"#,
            r#","a":"\e"}"#,
            r#","a":"\u0041"}"#,
            r#","a":"\ud800"}"#,
            r#","a":"\u+01b"}"#,
            r#","a":"\u1"}"#,
            "},{\"time\":\"x\"}",
            ",\"a\":\"\u{1b}\"}",
        ] {
            let line = format!("{JSON}{end}");
            assert_eq!(Form::Json.level_of(&line, "p"), None, "{line}");
        }
        assert_eq!(Form::Text.level_of(&format!("{JSON}}}"), "p"), None);
    }
}
