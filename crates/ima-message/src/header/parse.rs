//! From octets to a header block.

use std::str;
use std::sync::OnceLock;

use super::{Essentials, Field, HeaderBlock, HeaderError, Line, Rule};
use crate::address::{Address, Mailbox};
use crate::date::DateTime;
use crate::id::MessageId;
use crate::limits::{MAX_ADDRESSES, MAX_BLOCK, MAX_LINE, MAX_MAILERS, MAX_PARTS, MAX_SIGNATURES};
use crate::part::Part;
use crate::received::Received;
use crate::signature::Signature;
use crate::text;

impl HeaderBlock {
    /// Reads a whole header block, with the empty line that ends it and nothing
    /// behind, and checks the mathematics of its signatures.
    ///
    /// # Errors
    /// The first rule that is broken, with its place.
    pub fn parse(octets: &[u8]) -> Result<Self, HeaderError> {
        if octets.len() > MAX_BLOCK {
            return Err(HeaderError {
                line: 1,
                column: 1,
                rule: Rule::LongBlock,
            });
        }
        let block = utf8(octets)?;
        let mut reading = Reading::default();
        let mut offset = 0;
        for (index, line) in block.split_inclusive('\n').enumerate() {
            let number = index + 1;
            reading.line = number;
            let at = |(column, rule)| HeaderError {
                line: number,
                column,
                rule,
            };
            if line.len() > MAX_LINE {
                return Err(at((MAX_LINE, Rule::LongLine)));
            }
            let Some(content) = line.strip_suffix('\n') else {
                return Err(at((1, Rule::NoEnd)));
            };
            if content.is_empty() && number > 1 {
                if offset + 1 != block.len() {
                    return Err(HeaderError {
                        line: number + 1,
                        column: 1,
                        rule: Rule::AfterEnd,
                    });
                }
                return reading.finish(block, number);
            }
            let field = if number == 1 {
                if content != "ima: 1" {
                    return Err(at((1, Rule::Version)));
                }
                Field::Ima
            } else {
                reading.field(content).map_err(at)?
            };
            let range = offset..offset + content.len();
            if !field.is_by_name() {
                reading.lines.push(Line { range, field });
            }
            offset += line.len();
        }
        let rule = if octets.is_empty() {
            Rule::Version
        } else {
            Rule::NoEnd
        };
        Err(HeaderError {
            line: reading.line + 1,
            column: 1,
            rule,
        })
    }
}

fn utf8(octets: &[u8]) -> Result<&str, HeaderError> {
    str::from_utf8(octets).map_err(|error| {
        let valid = octets.get(..error.valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|&&b| b == b'\n').count() + 1;
        let begin = valid.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let column = valid
            .get(begin..)
            .and_then(|l| str::from_utf8(l).ok())
            .map_or(0, |l| l.chars().count())
            + 1;
        HeaderError {
            line,
            column,
            rule: Rule::Utf8,
        }
    })
}

/// What has been seen so far.
#[derive(Default)]
struct Reading {
    /// The number of the line that is read, from 1.
    line: usize,
    lines: Vec<Line>,
    from: Option<Mailbox>,
    date: Option<DateTime>,
    id: Option<MessageId>,
    size: Option<u64>,
    size_line: usize,
    parts: Vec<Part>,
    subject: bool,
    in_reply_to: bool,
    received: bool,
    addresses: usize,
    delivers: usize,
    mailers: usize,
    signatures: Vec<usize>,
}

/// The rule that a line breaks and the column where.
type Fault = (usize, Rule);

impl Reading {
    fn field(&mut self, line: &str) -> Result<Field, Fault> {
        if let Some((column, c)) = text::first_forbidden(line) {
            return Err((column, Rule::Character(c)));
        }
        let Some((name, rest)) = line.split_once(':') else {
            return Err((
                1,
                if line.starts_with(' ') {
                    Rule::Space
                } else {
                    Rule::NoColon
                },
            ));
        };
        let is_name = (1..=32).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !is_name {
            return Err((
                1,
                if line.starts_with(' ') {
                    Rule::Space
                } else {
                    Rule::Name
                },
            ));
        }
        let column = name.len() + 3;
        if rest.is_empty() || rest == " " {
            return Err((column, Rule::Empty));
        }
        let value = rest.strip_prefix(' ').ok_or((column - 1, Rule::NoColon))?;
        if value.starts_with(' ') || value.ends_with(' ') {
            return Err((column, Rule::Space));
        }
        self.value(name, value).map_err(|rule| (column, rule))
    }

    fn value(&mut self, name: &str, value: &str) -> Result<Field, Rule> {
        let twice = || Rule::Twice(name.into());
        let too_many = || Rule::TooMany(name.into());
        Ok(match name {
            "ima" => return Err(twice()),
            "from" => {
                let from = Mailbox::parse(value)?;
                once(self.from.replace(from.clone()).is_some(), twice)?;
                Field::From(from)
            }
            "to" | "cc" | "bcc" => {
                once(self.addresses == MAX_ADDRESSES, too_many)?;
                self.addresses += 1;
                let mailbox = Mailbox::parse(value)?;
                match name {
                    "to" => Field::To(mailbox),
                    "cc" => Field::Cc(mailbox),
                    _ => Field::Bcc(mailbox),
                }
            }
            "deliver" => {
                once(self.delivers == MAX_ADDRESSES, too_many)?;
                self.delivers += 1;
                Field::Deliver(Address::parse(value)?)
            }
            "reply-to" => {
                Mailbox::parse(value)?;
                Field::ReplyTo
            }
            "subject" => {
                once(std::mem::replace(&mut self.subject, true), twice)?;
                Field::Subject
            }
            "date" => {
                let date = DateTime::parse(value)?;
                once(self.date.replace(date.clone()).is_some(), twice)?;
                Field::Date(date)
            }
            "id" => {
                let id = MessageId::parse(value)?;
                once(self.id.replace(id.clone()).is_some(), twice)?;
                Field::Id(id)
            }
            "in-reply-to" => {
                once(std::mem::replace(&mut self.in_reply_to, true), twice)?;
                Field::InReplyTo(MessageId::parse(value)?)
            }
            "references" => {
                MessageId::parse(value)?;
                Field::References
            }
            "part" => {
                once(self.parts.len() == MAX_PARTS, too_many)?;
                let part = Part::parse(value, self.parts.len() + 1)?;
                if !part.is_attachment() && self.parts.last().is_some_and(Part::is_attachment) {
                    return Err(Rule::InlineAfterAttachment);
                }
                self.parts.push(part);
                Field::Part(self.parts.len())
            }
            "size" => {
                let size = text::parse_decimal(value).ok_or(Rule::SizeFormat)?;
                once(self.size.replace(size).is_some(), twice)?;
                self.size_line = self.line;
                Field::Size(size)
            }
            "mailer" => {
                once(self.mailers == MAX_MAILERS, too_many)?;
                self.mailers += 1;
                Field::Mailer(Address::parse(value)?)
            }
            "signature" => {
                once(self.signatures.len() == MAX_SIGNATURES, too_many)?;
                self.signatures.push(self.line);
                Field::Signature(Box::new(Signature::parse(value)?))
            }
            "received" => {
                once(std::mem::replace(&mut self.received, true), twice)?;
                Field::Received(Box::new(Received::parse(value)?))
            }
            _ => Field::Other,
        })
    }

    /// What can be said only when the whole block was seen.
    fn finish(mut self, block: &str, last_line: usize) -> Result<HeaderBlock, HeaderError> {
        let missing = |rule| HeaderError {
            line: last_line,
            column: 1,
            rule,
        };
        let field = |name| move || missing(Rule::Missing(name));
        let size = self.size.ok_or_else(field("size"))?;
        let essentials = Essentials {
            from: self.from.ok_or_else(field("from"))?,
            date: self.date.ok_or_else(field("date"))?,
            id: self.id.ok_or_else(field("id"))?,
            size,
            parts: self.parts,
        };
        if self.addresses + self.delivers == 0 {
            return Err(missing(Rule::NoRecipient));
        }
        let sum: u128 = essentials
            .parts
            .iter()
            .map(|part| u128::from(part.length()))
            .sum();
        if sum != u128::from(size) {
            let column = "size: ".len() + 1;
            return Err(HeaderError {
                line: self.size_line,
                column,
                rule: Rule::SizeSum(sum),
            });
        }
        self.lines.shrink_to_fit();
        let header = HeaderBlock {
            octets: block.into(),
            lines: self.lines,
            essentials,
            digest: OnceLock::new(),
        };
        if !self.signatures.is_empty() {
            let letter = header.letter_octets();
            for (signature, line) in header.signatures().zip(&self.signatures) {
                let column = "signature: ".len() + 1;
                signature.check(&letter).map_err(|error| HeaderError {
                    line: *line,
                    column,
                    rule: error.into(),
                })?;
            }
        }
        Ok(header)
    }
}

fn once(again: bool, rule: impl FnOnce() -> Rule) -> Result<(), Rule> {
    if again { Err(rule()) } else { Ok(()) }
}
