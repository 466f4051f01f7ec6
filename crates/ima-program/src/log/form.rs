//! The two forms of a line.

use std::cell::RefCell;
use std::env;
use std::fmt::{Display, Write as _};
use std::str::FromStr;
use std::sync::OnceLock;

use jiff::Timestamp;

use super::MAX_VALUE;
use crate::escape::{is_hidden, push_visible};

/// The environment variable that names the form, and that children have.
pub const VARIABLE: &str = "EMEMO_LOG";

/// What an option says.
static OPTION: OnceLock<Form> = OnceLock::new();
/// Where neither it nor the environment says anything.
static USUAL: OnceLock<Form> = OnceLock::new();
/// What they say.
static CHOSEN: OnceLock<Option<Form>> = OnceLock::new();

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `key=value`, for people and for `grep`.
    Text,
    /// A JSON object (RFC 8259) on one line, whose values are strings.
    Json,
}

/// The word that names no form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log is text or json")]
pub struct FormError;

impl FromStr for Form {
    type Err = FormError;

    fn from_str(name: &str) -> Result<Self, FormError> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(FormError),
        }
    }
}

/// Chooses the form, before the first line. What the environment says counts no more.
pub fn set_form(form: Form) {
    OPTION.get_or_init(|| form);
}

/// Chooses the form where neither an option nor the environment does, before the first
/// line: for a program that always has a log, and so for the commands that it starts.
pub fn set_usual_form(form: Form) {
    USUAL.get_or_init(|| form);
}

/// The form that an option or the environment names, where one does, or the program has
/// always: a filter that is silent otherwise says in it what it has done. A variable that names no form is
/// logged, in text.
#[must_use]
pub fn chosen() -> Option<Form> {
    // Whoever finds out tells, in a line that asks for its form.
    let mut wrong = None;
    let mut named = || {
        let name = env::var_os(VARIABLE).filter(|name| !name.is_empty())?;
        let form = name.to_str().and_then(|name| name.parse().ok());
        if form.is_none() {
            wrong = Some(name);
        }
        Some(form.unwrap_or(Form::Text))
    };
    let chosen = *CHOSEN.get_or_init(|| {
        let option = OPTION.get().copied();
        option.or_else(&mut named).or_else(|| USUAL.get().copied())
    });
    if let Some(name) = wrong {
        super::warn("unknown-log-form")
            .field("variable", VARIABLE)
            .field("value", name.display())
            .field("advice", FormError)
            .emit();
    }
    chosen
}

/// The form of this process's lines.
#[must_use]
pub fn form() -> Form {
    chosen().unwrap_or(Form::Text)
}

impl Form {
    /// The name that [`Form::from_str`] reads.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    pub(super) fn begin(self, line: &mut String, time: Timestamp, level: &str) {
        line.push_str(match self {
            Self::Text => "time=",
            Self::Json => "{\"time\":\"",
        });
        push_time(line, time);
        match self {
            Self::Text => line.extend([" level=", level]),
            Self::Json => line.extend(["\",\"level\":\"", level, "\""]),
        }
    }

    /// Adds a field to a line.
    pub(super) fn push_field(self, line: &mut String, key: &str, value: impl Display) {
        match self {
            Self::Text => line.extend([" ", key, "="]),
            Self::Json => line.extend([",\"", key, "\":"]),
        }
        let start = line.len();
        // A value that cannot be shown to its end is shown as far as it goes.
        let _ = write!(line, "{value}");
        match self {
            Self::Text if line.get(start..).is_some_and(is_plain) => {}
            Self::Text => {
                let value = line.split_off(start);
                line.push_str(&escaped(&value));
            }
            Self::Json => {
                let value = line.split_off(start);
                line.push_str(&quoted(&value));
            }
        }
    }

    /// What ends a line in which a field was left out.
    pub(super) fn cut(self) -> &'static str {
        match self {
            Self::Text => " cut=true",
            Self::Json => ",\"cut\":\"true\"",
        }
    }

    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Text => "\n",
            Self::Json => "}\n",
        }
    }
}

/// Adds a time in UTC, with milliseconds. The text of the last second is
/// remembered: lines come in crowds.
fn push_time(line: &mut String, time: Timestamp) {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };
    }
    let (second, millisecond) = (time.as_second(), time.subsec_millisecond());
    if second <= 0 {
        // Where the clock stands before 1970 it counts downwards.
        let _ = write!(line, "{time:.3}");
        return;
    }
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second {
            *last = second;
            text.clear();
            let _ = write!(text, "{time:.0}");
            text.truncate(text.len().saturating_sub("Z".len()));
        }
        line.push_str(text);
    });
    let _ = write!(line, ".{millisecond:03}Z");
}

/// Whether a value stands in a line of text as it is.
fn is_plain(value: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'=' | b'\\');
    (1..=MAX_VALUE).contains(&value.len()) && value.bytes().all(plain)
}

/// What of a value is written, and whether that is not all.
fn kept(value: &str) -> (&str, bool) {
    let end = value.floor_char_boundary(MAX_VALUE);
    let (kept, rest) = value.split_at_checked(end).unwrap_or((value, ""));
    (kept, !rest.is_empty())
}

fn escaped(value: &str) -> String {
    let (kept, is_cut) = kept(value);
    let quote =
        kept.is_empty() || kept.contains(|c| matches!(c, ' ' | '"' | '=' | '\\') || is_hidden(c));
    let mut out = String::with_capacity(kept.len().saturating_add(8));
    if quote {
        out.push('"');
    }
    for c in kept.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_hidden(c) => push_visible(&mut out, c),
            c => out.push(c),
        }
    }
    if is_cut {
        out.push('…');
    }
    if quote {
        out.push('"');
    }
    out
}

/// A JSON string, in which whatever a terminal would obey is a number.
fn quoted(value: &str) -> String {
    let (kept, is_cut) = kept(value);
    let mut out = String::with_capacity(kept.len().saturating_add(8));
    out.push('"');
    for c in kept.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    if is_cut {
        out.push('…');
    }
    out.push('"');
    out
}
