//! The options that a program was started with.

use std::io::{self, Write as _};
use std::process;

use clap::Parser;

use crate::escape::{is_hidden, push_visible};

/// The options of this process. Where they are wrong, that is said on stderr and the
/// process ends with 2; `--help` and `--version` are answered on stdout and end it
/// with 0.
///
/// What is said of an option holds nothing that a terminal would obey: a file's name
/// can look like an option where a pattern of the shell brought it.
#[must_use]
pub fn parse<A: Parser>() -> A {
    A::try_parse().unwrap_or_else(|error| end(&error))
}

#[allow(clippy::exit, reason = "as clap does: nothing has been begun")]
fn end(error: &clap::Error) -> ! {
    let text = shown(&error.to_string());
    // Nobody is left to be told that nobody listens.
    let _ = match error.use_stderr() {
        true => io::stderr().write_all(text.as_bytes()),
        false => io::stdout().write_all(text.as_bytes()),
    };
    process::exit(error.exit_code())
}

/// Lines stay lines.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) && c != '\n' {
            true => push_visible(&mut shown, c),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn lines_stay_and_nothing_is_hidden() {
        for (text, seen) in [
            ("Usage: x\n\nOptions:\n", "Usage: x\n\nOptions:\n"),
            ("'--\u{1b}[2J'\n", "'--\\e[2J'\n"),
            ("'--\r\u{202e}\t'", "'--\\u{d}\\u{202e}\\t'"),
        ] {
            assert_eq!(shown(text), seen);
        }
    }
}
