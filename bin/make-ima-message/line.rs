//! A line of the header block, and the option that it comes from.

use std::fmt::Display;

use ima_message::text;

use crate::failure::{Failure, Wrong};

/// One field, which is one line whatever its value: no line end can stand in it.
#[derive(Debug)]
pub(crate) struct Line {
    text: String,
    option: &'static str,
    given: String,
}

impl Line {
    /// The field `name` of this value, and the option with the value that was
    /// `given` to it.
    ///
    /// # Errors
    /// A character that cannot stand in a line.
    pub(crate) fn new(
        name: &str,
        value: impl Display,
        option: &'static str,
        given: &str,
    ) -> Result<Self, Failure> {
        let line = Self {
            text: format!("{name}: {value}"),
            option,
            given: given.to_owned(),
        };
        match text::first_forbidden(&line.text) {
            Some((_, c)) => Err(line.is_wrong(Wrong::Character(c))),
            None => Ok(line),
        }
    }

    /// The line, without LF.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The failure that names the option.
    pub(crate) fn is_wrong(&self, source: impl Into<Wrong>) -> Failure {
        Failure::Value {
            option: self.option,
            value: self.given.clone(),
            source: source.into(),
        }
    }
}
