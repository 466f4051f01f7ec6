//! A header section, cut into its fields.

use std::borrow::Cow;

use mail_parser::{ContentType, HeaderValue, parsers::MessageStream};

use super::decode;

/// What a mail program writes into a mail that lies in a mailbox: how it lies
/// there and not what was sent, so that a mail is the same before and after it
/// was read.
const OF_MAILBOXES: &[&str] = &[
    "status",
    "x-status",
    "x-keywords",
    "x-uid",
    "x-imap",
    "x-imapbase",
    "x-mozilla-status",
    "x-mozilla-status2",
    "x-mozilla-keys",
    "x-evolution",
    "content-length",
    "lines",
];

/// The fields of a mail or of an entity in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Section<'a> {
    fields: Vec<Field>,
    /// All of its octets in order, each field's with its number.
    pieces: Vec<(&'a [u8], Option<usize>)>,
}

/// A field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name in lower case.
    name: String,
    /// Its value, folded as it was, with the last LF, in UTF-8.
    pub(super) value: Vec<u8>,
}

/// Header section and body: what stands before and behind the first empty line.
pub(super) fn split(octets: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = octets.strip_prefix(b"\n") {
        return (&[], body);
    }
    let end = octets
        .windows(2)
        .position(|two| two == b"\n\n")
        .map_or(octets.len(), |at| at + 1);
    let (section, rest) = octets.split_at_checked(end).unwrap_or((octets, &[]));
    (section, rest.strip_prefix(b"\n").unwrap_or(rest))
}

impl<'a> Section<'a> {
    /// Cuts a section into fields. A line that is neither a field nor the rest
    /// of one is passed over, but for the first: then there is no field at all.
    pub(super) fn parse(octets: &'a [u8]) -> Self {
        let mut section = Self::default();
        let mut rest = octets;
        while !rest.is_empty() {
            let (piece, after) = rest
                .split_at_checked(end_of_field(rest))
                .unwrap_or((rest, &[]));
            rest = after;
            let number = match name_of(piece) {
                Some((name, value)) => {
                    section.fields.push(Field {
                        name: name.to_ascii_lowercase(),
                        value: with_lf(decode::utf8(value)),
                    });
                    Some(section.fields.len() - 1)
                }
                None if section.fields.is_empty() => return Self::default(),
                None => None,
            };
            section.pieces.push((piece, number));
        }
        section
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Every field, its name and its value.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields.iter().map(|field| (field.name.as_str(), field))
    }

    /// All fields of a name, which is in lower case.
    pub(super) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Field> {
        self.fields.iter().filter(move |field| field.name == name)
    }

    /// The first field of a name.
    pub(super) fn first(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// `Content-Type` or `Content-Disposition`.
    pub(super) fn content_type(&self, name: &str) -> Option<ContentType<'_>> {
        match MessageStream::new(&self.first(name)?.value).parse_content_type() {
            HeaderValue::ContentType(value) => Some(value),
            _ => None,
        }
    }

    /// The octets of the section without what mail programs add to a mailbox.
    pub(super) fn as_sent(&self) -> Vec<u8> {
        let sent = |number: &Option<usize>| {
            let field = number.and_then(|number| self.fields.get(number));
            field.is_none_or(|field| !OF_MAILBOXES.contains(&field.name.as_str()))
        };
        let kept = self.pieces.iter().filter(|(_, number)| sent(number));
        kept.flat_map(|(piece, _)| piece.iter().copied()).collect()
    }
}

impl Field {
    /// The value as text: unfolded, encoded words decoded.
    pub(super) fn text(&self) -> String {
        match MessageStream::new(&self.value).parse_unstructured() {
            HeaderValue::Text(text) => text.into_owned(),
            _ => String::new(),
        }
    }

    /// The value as it stands, unfolded.
    pub(super) fn unfolded(&self) -> String {
        String::from_utf8_lossy(&self.value).replace('\n', " ")
    }
}

/// Octets of the first field with its folded lines.
fn end_of_field(octets: &[u8]) -> usize {
    let mut end = 0;
    for line in octets.split_inclusive(|&b| b == b'\n') {
        if end > 0 && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            break;
        }
        end += line.len();
    }
    end
}

fn name_of(raw: &[u8]) -> Option<(&str, &[u8])> {
    let colon = raw.iter().position(|&b| b == b':')?;
    let (name, value) = raw.split_at_checked(colon)?;
    let name = std::str::from_utf8(name.trim_ascii_end()).ok()?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    is_name.then_some((name, value.get(1..)?))
}

fn with_lf(value: Cow<'_, str>) -> Vec<u8> {
    let mut value = value.into_owned().into_bytes();
    if value.last() != Some(&b'\n') {
        value.push(b'\n');
    }
    value
}
