//! The header block: what the options say, in order, and what the parts add.

use ima_message::{DateTime, HeaderBlock, Mailbox, MessageId};
use jiff::Zoned;
use uuid::Uuid;

use crate::args::Args;
use crate::failure::{Failure, Wrong};
use crate::field;
use crate::line::Line;
use crate::mailbox;
use crate::parts::Parts;

/// What the options say, checked.
#[derive(Debug)]
pub(crate) struct Letter {
    /// The fields that stand before the parts.
    before: Vec<Line>,
    /// The fields of transport, which stand behind them.
    after: Vec<Line>,
}

impl Letter {
    /// Takes the options, so that what is wrong with one is said before any
    /// file is read or a text awaited.
    ///
    /// # Errors
    /// The option whose value breaks a rule, and the rule.
    pub(crate) fn new(args: &Args) -> Result<Self, Failure> {
        let (from, author) = mailbox_line("from", &args.from)?;
        let mut before = vec![from];
        before.extend(mailbox_lines("to", &args.to)?);
        before.extend(mailbox_lines("cc", &args.cc)?);
        before.extend(mailbox_lines("reply-to", &args.reply_to)?);
        if let Some(subject) = &args.subject {
            before.push(Line::new("subject", subject, "subject", subject)?);
        }
        before.push(date_line(args.date.as_deref())?);
        before.push(match &args.id {
            Some(id) => id_line("id", id)?,
            None => new_id_line(&author)?,
        });
        if let Some(id) = &args.in_reply_to {
            before.push(id_line("in-reply-to", id)?);
        }
        for id in &args.references {
            before.push(id_line("references", id)?);
        }
        for given in &args.header {
            let (name, value) =
                field::parse(given).map_err(|wrong| wrong_value("header", given, wrong))?;
            before.push(Line::new(name, value, "header", given)?);
        }
        let after = mailbox_lines("bcc", &args.bcc)?;
        let letter = Self { before, after };
        letter.compose(&Parts::default())?;
        Ok(letter)
    }

    /// The header block of a message of these parts.
    ///
    /// # Errors
    /// A rule that a line breaks by its length or the block by its size, with
    /// the option that brought it.
    pub(crate) fn compose(&self, parts: &Parts) -> Result<HeaderBlock, Failure> {
        let part_lines = parts.lines()?;
        let size = Line::new("size", parts.size(), "attach", "")?;
        let lines: Vec<&Line> = self
            .before
            .iter()
            .chain(&part_lines)
            .chain([&size])
            .chain(&self.after)
            .collect();
        let mut block = String::from("ima: 1\n");
        for line in &lines {
            block.push_str(line.text());
            block.push('\n');
        }
        block.push('\n');
        HeaderBlock::parse(block.as_bytes()).map_err(|error| {
            // Line 1 is "ima: 1", and is never at fault but for the block as a whole.
            match error.line.checked_sub(2).and_then(|i| lines.get(i)) {
                Some(line) => line.is_wrong(error.rule),
                None => Failure::Whole(error),
            }
        })
    }
}

fn wrong_value(option: &'static str, value: &str, wrong: impl Into<Wrong>) -> Failure {
    Failure::Value {
        option,
        value: value.to_owned(),
        source: wrong.into(),
    }
}

/// A field whose name is its option's, and its mailbox.
fn mailbox_line(name: &'static str, given: &str) -> Result<(Line, Mailbox), Failure> {
    let mailbox = mailbox::parse(given).map_err(|wrong| wrong_value(name, given, wrong))?;
    Ok((Line::new(name, &mailbox, name, given)?, mailbox))
}

fn mailbox_lines(name: &'static str, given: &[String]) -> Result<Vec<Line>, Failure> {
    given
        .iter()
        .map(|given| mailbox_line(name, given).map(|(line, _)| line))
        .collect()
}

fn id_line(name: &'static str, given: &str) -> Result<Line, Failure> {
    let id = MessageId::parse(given).map_err(|error| wrong_value(name, given, error))?;
    Line::new(name, id, name, given)
}

/// A new `id`: a UUID of version 7 at the author's domain.
fn new_id_line(author: &Mailbox) -> Result<Line, Failure> {
    let host = author.address().hostpart().ascii();
    let id = MessageId::parse(&format!("{}@{host}", Uuid::now_v7())).map_err(Failure::NoId)?;
    Line::new("id", &id, "id", id.as_str())
}

/// The date that was given, or now, by the clock and zone of this machine (`TZ`).
fn date_line(given: Option<&str>) -> Result<Line, Failure> {
    let now;
    let given = match given {
        Some(given) => given,
        None => {
            now = Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
            &now
        }
    };
    let date = DateTime::parse(given).map_err(|error| wrong_value("date", given, error))?;
    Line::new("date", date, "date", given)
}
