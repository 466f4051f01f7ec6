//! What went wrong, for people at a terminal.

use crate::escape::visible;
use crate::log;
use std::error::Error;

/// Prints `program: message: cause: cause's cause` as one line on stderr, with
/// nothing in it that a terminal would obey; after [`log::to_syslog`], in the
/// system's log. Where the log is of JSON, it is an event of it, `failed`. A stderr
/// that cannot be written to is passed over.
pub fn report(program: &str, error: &dyn Error) {
    match log::form() {
        log::Form::Json => log::failed(program, &chain(error)),
        log::Form::Text => log::write(log::Level::Error, &line(program, error)),
    }
}

/// Says something to the person at the terminal, or to the log behind stderr, in one
/// write, as [`report`] does: `program: text`, or the event `said` of JSON.
pub fn say(program: &str, text: &str) {
    match log::form() {
        log::Form::Json => log::said(program, text),
        log::Form::Text => {
            let line = format!("{}: {}\n", visible(program), visible(text));
            log::write(log::Level::Warn, &line);
        }
    }
}

/// `error` and what caused it, joined by `: `. A cause that the message before
/// it already ends with is not said twice.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

fn line(program: &str, error: &dyn Error) -> String {
    let text = chain(error);
    let text = text.trim_end();
    format!("{}: {}\n", visible(program), visible(text))
}

#[cfg(test)]
mod tests {
    use super::line;
    use std::io;
    use thiserror::Error;

    #[derive(Debug, Error)]
    #[error("{path}: cannot be read")]
    struct Outer {
        path: &'static str,
        source: Inner,
    }

    #[derive(Debug, Error)]
    #[error("the disk says: {0}")]
    struct Inner(#[source] io::Error);

    #[test]
    fn causes_follow_and_are_not_said_twice() {
        let error = Outer {
            path: "/etc/x",
            source: Inner(io::Error::other("gone")),
        };
        assert_eq!(
            line("fetch-mail", &error),
            "fetch-mail: /etc/x: cannot be read: the disk says: gone\n"
        );
    }

    #[test]
    fn one_line_and_no_terminal_sequence() {
        let error = Outer {
            path: "/tmp/\u{1b}]0;x\u{7}\nfetch-mail: all is well\n",
            source: Inner(io::Error::other("\r")),
        };
        let line = line("fetch-mail", &error);
        assert_eq!(line.matches(char::is_control).collect::<Vec<_>>(), ["\n"]);
        assert!(line.ends_with('\n'));
        assert!(line.contains(r"\e]0;x\u{7}\nfetch-mail: all is well\n"));
    }
}
