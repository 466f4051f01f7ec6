//! The header block of a mail.

use std::fmt::Write as _;

use ima_message::limits::MAX_ADDRESSES;
use ima_message::{Address, DateTime, Digester, HeaderBlock, Mailbox, MessageId, text};
use mail_parser::{HeaderValue, parsers::MessageStream};

use super::Defaults;
use super::error::ImportError;
use super::parts::Parts;
use super::section::{Field, Section};

/// Where addresses and ids are that a mail does not have, or not such that they
/// could be a message's. Nobody can own the name (RFC 2606).
pub const STAND_IN_HOST: &str = "imported.invalid";
const STAND_IN: &str = "unknown";
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Octets of a display name, and of another text from a mail.
const MAX_NAME: usize = 1000;
const MAX_TEXT: usize = 4000;
/// The newest of what came before; mail that was answered for years names all.
const MAX_REFERENCES: usize = 500;

/// Makes the header block.
///
/// # Errors
/// Where there are too many addresses, or the block would pass its limits.
pub(super) fn compose(
    section: &Section,
    parts: &Parts,
    defaults: &Defaults,
) -> Result<HeaderBlock, ImportError> {
    let mut letter = Letter::default();
    letter.from(section);
    letter.recipients(section, "to");
    letter.recipients(section, "cc");
    letter.recipients(section, "reply-to");
    if let Some(subject) = section.first("subject") {
        letter.text("subject", &subject.text());
    }
    letter.line("date", &date(section, defaults));
    letter.line("id", &id(section, parts));
    if let Some(answered) = ids(section, "in-reply-to").first() {
        letter.line("in-reply-to", answered);
    }
    let references = ids(section, "references");
    let newest = references.len().saturating_sub(MAX_REFERENCES);
    for reference in references.iter().skip(newest) {
        letter.line("references", reference);
    }
    let bcc = letter.bcc(section);
    letter
        .block
        .push_str(&std::mem::take(&mut letter.originals));
    for part in parts.lines() {
        letter.line("part", &part.to_string());
    }
    letter.line("size", &parts.size().to_string());
    letter.block.push_str(&bcc);
    if letter.recipients == 0 {
        let owner = defaults.owner.as_ref().map(Address::to_string);
        let owner = owner.unwrap_or_else(|| format!("{STAND_IN}@{STAND_IN_HOST}"));
        letter.line("deliver", &owner);
    }
    if letter.addresses > MAX_ADDRESSES {
        return Err(ImportError::Addresses);
    }
    Ok(HeaderBlock::parse(
        format!("ima: 1\n{}\n", letter.block).as_bytes(),
    )?)
}

/// The block as it grows.
#[derive(Default)]
struct Letter {
    block: String,
    /// Fields as they stood in the mail, of which not all could be taken.
    originals: String,
    recipients: usize,
    addresses: usize,
}

impl Letter {
    fn line(&mut self, name: &str, value: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.block, "{name}: {value}");
    }

    /// A text from the mail, where anything of it stays.
    fn text(&mut self, name: &str, value: &str) {
        let value = one_line(value, MAX_TEXT);
        if !value.is_empty() {
            self.line(name, &value);
        }
    }

    fn original(&mut self, name: &str, field: &Field) {
        let value = one_line(&field.text(), MAX_TEXT);
        if !value.is_empty() {
            let _ = writeln!(self.originals, "x-original-{name}: {value}");
        }
    }

    /// The author: the first valid address of `From`, else of `Sender`, else one
    /// that stands in, with what stood there as its display name.
    fn from(&mut self, section: &Section) {
        let mut author = None;
        for field in section.all("from") {
            let found = Found::of(field);
            if !(found.is_whole && found.mailboxes.len() == 1 && author.is_none()) {
                self.original("from", field);
            }
            author = author.or(found.mailboxes.into_iter().next());
        }
        let sender = || {
            section
                .all("sender")
                .flat_map(|field| Found::of(field).mailboxes)
                .next()
        };
        let author = author.or_else(sender).map(|author| author.to_string());
        let author = author.unwrap_or_else(|| {
            let name = section.first("from").map(Field::text).unwrap_or_default();
            let name = one_line(&name, MAX_NAME);
            let space = if name.is_empty() { "" } else { " " };
            format!("{STAND_IN}@{STAND_IN_HOST}{space}{name}")
        });
        self.line("from", &author);
    }

    fn recipients(&mut self, section: &Section, name: &str) {
        for field in section.all(name) {
            let found = Found::of(field);
            for mailbox in &found.mailboxes {
                self.line(name, &mailbox.to_string());
            }
            if name != "reply-to" {
                self.recipients += found.mailboxes.len();
                self.addresses += found.mailboxes.len();
            }
            if !found.is_whole {
                self.original(name, field);
            }
        }
    }

    /// `bcc` is no letter field, and stands behind them.
    fn bcc(&mut self, section: &Section) -> String {
        let before = std::mem::take(&mut self.block);
        self.recipients(section, "bcc");
        std::mem::replace(&mut self.block, before)
    }
}

/// The addresses of a field.
struct Found {
    mailboxes: Vec<Mailbox>,
    /// Whether they are all that stands in it.
    is_whole: bool,
}

impl Found {
    fn of(field: &Field) -> Self {
        let value = MessageStream::new(&field.value).parse_address();
        let mut mailboxes = Vec::new();
        let mut is_whole = true;
        if let HeaderValue::Address(addresses) = &value {
            for found in addresses.iter() {
                match mailbox(found.address(), found.name()) {
                    Some(mailbox) => mailboxes.push(mailbox),
                    None => is_whole = false,
                }
            }
        }
        is_whole &= !mailboxes.is_empty();
        Self {
            mailboxes,
            is_whole,
        }
    }
}

fn mailbox(address: Option<&str>, name: Option<&str>) -> Option<Mailbox> {
    let address = Address::parse(address?.trim()).ok()?;
    let name = one_line(name.unwrap_or_default(), MAX_NAME);
    Mailbox::new(address, Some(name.as_str()).filter(|name| !name.is_empty())).ok()
}

/// `Date`; else when it was received last; else when it arrived here.
fn date(section: &Section, defaults: &Defaults) -> String {
    let read = |octets: &[u8]| match MessageStream::new(octets).parse_date() {
        HeaderValue::DateTime(date) if date.is_valid() => DateTime::parse(&date.to_rfc3339()).ok(),
        _ => None,
    };
    let received = |field: &Field| {
        let place = field.value.iter().rposition(|&b| b == b';')?;
        read(field.value.get(place + 1..)?)
    };
    let written = section.all("date").find_map(|field| read(&field.value));
    written
        .or_else(|| section.all("received").find_map(received))
        .or_else(|| DateTime::utc(defaults.arrived))
        .map_or_else(|| EPOCH.to_owned(), |date| date.to_string())
}

/// The id of the mail, or one made of its parts, of which one is its header.
fn id(section: &Section, parts: &Parts) -> String {
    let given = section.first("message-id").map(tokens).unwrap_or_default();
    match given.first() {
        Some(given) => fitting(given),
        None => {
            let lines: String = parts.lines().map(|part| format!("{part}\n")).collect();
            made_of(lines.as_bytes())
        }
    }
}

/// The ids that a field names; what stands there without brackets is prose.
fn ids(section: &Section, name: &str) -> Vec<String> {
    section
        .all(name)
        .filter(|field| field.value.contains(&b'<'))
        .flat_map(tokens)
        .map(|given| fitting(&given))
        .collect()
}

fn tokens(field: &Field) -> Vec<String> {
    match MessageStream::new(&field.value).parse_id() {
        HeaderValue::Text(one) => vec![one.into_owned()],
        HeaderValue::TextList(several) => several.into_iter().map(Into::into).collect(),
        _ => Vec::new(),
    }
}

/// The id as it is, or, where it is none of ima-message(5), one made of it: the
/// same wherever the mail is named, so that answers find what they answer.
fn fitting(given: &str) -> String {
    let given = given.trim();
    match MessageId::parse(given) {
        Ok(id) => id.as_str().to_owned(),
        Err(_) => made_of(given.as_bytes()),
    }
}

fn made_of(octets: &[u8]) -> String {
    let mut digester = Digester::new();
    digester.update(octets);
    let digest = digester.finish().to_string();
    format!("{}@{STAND_IN_HOST}", digest.get(..32).unwrap_or_default())
}

/// A text as a value: one line, without what a line cannot hold, with one space
/// where there were several or a control, and of so many octets at most.
fn one_line(given: &str, most: usize) -> String {
    let mut line = String::with_capacity(given.len().min(most));
    for c in given.chars() {
        let c = if text::is_text(c) { c } else { ' ' };
        if c == ' ' && (line.is_empty() || line.ends_with(' ')) {
            continue;
        }
        if line.len() + c.len_utf8() > most {
            break;
        }
        line.push(c);
    }
    line.truncate(line.trim_end_matches(' ').len());
    line
}
