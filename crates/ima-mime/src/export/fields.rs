//! The header section. A field's value comes from a header block, so it holds
//! no control; names are fixed, or `X-IMA-Field-` and a name of the format: so
//! no field of the sender's stands for one of a mail program's or of ours.

use ima_message::{Address, Field, HeaderBlock, Mailbox};
use mail_builder::headers::Header;
use mail_builder::headers::address::EmailAddress;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;

use super::{DIGEST_FIELD, date, words};

/// The longest word that may stand in a line as it is.
const MAX_WORD: usize = 200;

/// Writes all fields but those of MIME.
pub(crate) fn write(header: &HeaderBlock, out: &mut Vec<u8>) {
    line(out, DIGEST_FIELD, &header.digest().to_string());
    mailboxes(out, "From", &[header.from()]);
    let of = |wanted: fn(&Field) -> Option<&Mailbox>| -> Vec<&Mailbox> {
        header
            .fields()
            .filter_map(|(_, _, field)| wanted(field))
            .collect()
    };
    mailboxes(
        out,
        "To",
        &of(|f| match f {
            Field::To(m) => Some(m),
            _ => None,
        }),
    );
    mailboxes(
        out,
        "Cc",
        &of(|f| match f {
            Field::Cc(m) => Some(m),
            _ => None,
        }),
    );
    mailboxes(
        out,
        "Bcc",
        &of(|f| match f {
            Field::Bcc(m) => Some(m),
            _ => None,
        }),
    );
    let reply_to: Vec<Mailbox> = header.reply_to().collect();
    mailboxes(out, "Reply-To", &reply_to.iter().collect::<Vec<_>>());
    if let Some(subject) = header.subject() {
        text(out, "Subject", subject);
    }
    line(out, "Date", &date::rfc5322(header.date()));
    line(out, "Message-ID", &format!("<{}>", header.id()));
    let answered = header.fields().find_map(|(_, _, field)| match field {
        Field::InReplyTo(id) => Some(id),
        _ => None,
    });
    if let Some(id) = answered {
        line(out, "In-Reply-To", &format!("<{id}>"));
    }
    let references: Vec<&str> = header
        .fields()
        .filter_map(|(_, value, field)| match field {
            Field::References => Some(value),
            _ => None,
        })
        .collect();
    if !references.is_empty() {
        value(
            out,
            "References",
            &MessageId::new_list(references.into_iter()),
        );
    }
    for (name, value, field) in header.fields() {
        match field {
            Field::Mailer(_) => text(out, "X-IMA-Mailer", value),
            Field::Received(_) => text(out, "X-IMA-Received", value),
            Field::Other => text(out, &format!("X-IMA-Field-{name}"), value),
            _ => {}
        }
    }
}

/// A value that is short and visible ASCII.
fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(format!("{name}: {value}\n").as_bytes());
}

/// A value as mail-builder writes and folds it, its lines ending with LF.
pub(super) fn value(out: &mut Vec<u8>, name: &str, value: &impl Header) {
    out.extend_from_slice(format!("{name}: ").as_bytes());
    let mut written = Vec::new();
    value.write_header(&mut written, name.len() + 2);
    out.extend(written.into_iter().filter(|&b| b != b'\r'));
}

fn text(out: &mut Vec<u8>, name: &str, text: &str) {
    if words::looks_encoded(text) {
        out.extend_from_slice(format!("{name}: ").as_bytes());
        // The name may leave too little room for a word.
        if name.len() > 60 {
            out.extend_from_slice(b"\n ");
        }
        out.extend_from_slice(&words::encode(text));
        out.push(b'\n');
    } else if text.is_ascii()
        && text
            .split(' ')
            .all(|word| (1..=MAX_WORD).contains(&word.len()))
    {
        value(out, name, &Raw::new(text));
    } else {
        value(out, name, &Text::new(text));
    }
}

/// One mailbox a line.
fn mailboxes(out: &mut Vec<u8>, name: &str, mailboxes: &[&Mailbox]) {
    if mailboxes.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{name}: ").as_bytes());
    for (place, mailbox) in mailboxes.iter().enumerate() {
        if place > 0 {
            out.extend_from_slice(b",\n ");
        }
        let column = if place > 0 { 1 } else { name.len() + 2 };
        let mut name = mailbox.display_name();
        if let Some(encoded) = name.take_if(|name| words::looks_encoded(name)) {
            out.extend_from_slice(&words::encode(encoded));
            out.extend_from_slice(b"\n ");
        }
        let address = EmailAddress {
            name: name.map(Into::into),
            email: addr_spec(mailbox.address()).into(),
        };
        let mut written = Vec::new();
        address.write_header(&mut written, column);
        let written: Vec<u8> = written.into_iter().filter(|&b| b != b'\r').collect();
        out.extend_from_slice(written.trim_ascii_end());
    }
    out.push(b'\n');
}

/// The address with A-labels, which every mail program knows; a localpart that
/// is not ASCII stands as UTF-8 (RFC 6532), and one that is no dot-atom in
/// quotes, where it needs no escape since it holds neither quote nor backslash.
fn addr_spec(address: &Address) -> String {
    let local = address.localpart().as_written();
    let is_atext =
        |c: char| c.is_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_dot_atom = local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
    let host = address.hostpart().ascii();
    if is_dot_atom {
        format!("{local}@{host}")
    } else {
        format!("\"{local}\"@{host}")
    }
}
