//! Where in a configuration file something is wrong.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the parser's words for a type say to somebody who writes a file.
const PLAIN: [(&str, &str); 10] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, 0 or more"),
    ("usize", "a whole number, 0 or more"),
    ("a nonzero usize", "a whole number, 1 or more"),
    ("a nonzero u64", "a whole number, 1 or more"),
    ("a sequence", "a list, in [ ]"),
    ("a string", "a text, in quotes"),
    ("a boolean", "true or false"),
];

/// Line and column, both from 1, the column in characters, of the octet `at`.
pub(super) fn position(octets: &[u8], at: usize) -> (usize, usize) {
    let before = octets.get(..at).unwrap_or(octets);
    let line = before.split(|b| *b == b'\n').count();
    let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    (
        line,
        String::from_utf8_lossy(last)
            .chars()
            .count()
            .saturating_add(1),
    )
}

/// The key that stands at `span`, or whose value does, with the tables around
/// it; where `text` is not TOML, what stands before the `=` of that line.
pub(super) fn key(text: &str, span: &Range<usize>) -> Option<String> {
    let Ok(table) = DeTable::parse(text) else {
        let before = text.get(..span.start)?;
        let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let line = text.get(start..)?.lines().next()?;
        let (key, _) = line.split_once('=')?;
        let key = key.trim();
        return (!key.is_empty() && !key.starts_with('#')).then(|| key.to_owned());
    };
    let path = in_table(table.get_ref(), span)?;
    Some(path.trim_start_matches('.').to_owned())
}

fn in_table(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let below = in_value(value, span);
        let here = || (holds(&key.span(), span) || holds(&value.span(), span)).then(String::new);
        Some(format!(".{}{}", key.get_ref(), below.or_else(here)?))
    })
}

fn in_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, span),
        DeValue::Array(values) => values.iter().enumerate().find_map(|(i, value)| {
            let below = in_value(value, span);
            let here = || holds(&value.span(), span).then(String::new);
            Some(format!("[{i}]{}", below.or_else(here)?))
        }),
        _ => None,
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    !inner.is_empty() && outer.start <= inner.start && inner.end <= outer.end
}

/// The parser's message, in the words of somebody who writes a file.
pub(super) fn plain(message: &str) -> String {
    if message.starts_with("missing field ") {
        return format!("{message}, which has no default");
    }
    for (theirs, ours) in PLAIN {
        let said = message.strip_suffix(theirs);
        if let Some(rest) = said.filter(|rest| rest.ends_with(", expected ")) {
            return format!("{rest}{ours}");
        }
    }
    message.to_owned()
}

/// How a message begins that is about `key`.
pub(super) fn prefix(key: Option<&str>) -> String {
    key.map(|key| format!("`{key}`: ")).unwrap_or_default()
}
