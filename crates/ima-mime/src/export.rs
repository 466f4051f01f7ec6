//! An IMA message as RFC 5322 and MIME, for programs that read nothing else.
//!
//! Lines end with LF, as they do in Maildir and mbox. The same message gives
//! the same octets: nothing is drawn and no clock is read. The header section
//! holds what a mail program shows, and `X-IMA-Header` the header block itself,
//! so that what was not changed comes back as the same message.

mod body;
mod date;
mod fields;
mod structure;
mod words;

use std::io::{self, Read, Seek, Write};

use ima_message::{HeaderBlock, MessageDigest, Part};

use crate::base64;
use body::Octets;
use structure::Node;

pub(crate) use fields::write as write_fields;

/// The field that names the message: its digest.
pub const DIGEST_FIELD: &str = "X-IMA-Digest";
/// The field that holds the header block in base64.
pub(crate) const HEADER_FIELD: &str = "X-IMA-Header";
/// The longest header block that is put into a field; a longer one comes of
/// many recipients or parts, and is left out.
const MAX_HEADER_FIELD: usize = 64 << 10;

/// Writes a message as RFC 5322. `message` is its header block and inline
/// parts, as they lie in a mailbox and wherever it stands; `attachment` opens
/// the octets of an attachment. Attachments are streamed; of a text up to
/// 16 MiB are held.
///
/// # Errors
/// Where reading or writing fails, or a part has not the octets that were
/// announced: [`io::ErrorKind::UnexpectedEof`]. What was written until then
/// must not be used.
pub fn write_rfc5322(
    header: &HeaderBlock,
    message: &mut (impl Read + Seek),
    attachment: &mut dyn FnMut(&Part) -> io::Result<Box<dyn Read>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut section = Vec::with_capacity(2048);
    fields::write(header, &mut section);
    if header.as_bytes().len() <= MAX_HEADER_FIELD {
        section.extend_from_slice(format!("{HEADER_FIELD}:\n").as_bytes());
        let mut lines = Vec::new();
        base64::write_lines(header.as_bytes(), &mut lines);
        for line in lines.split_inclusive(|&b| b == b'\n') {
            section.push(b' ');
            section.extend_from_slice(line);
        }
    }
    section.extend_from_slice(b"MIME-Version: 1.0\n");
    out.write_all(&section)?;
    let mut octets = Octets::new(header, message, attachment);
    match structure::of(header.parts()) {
        Some(Node::Leaf(number)) => body::leaf(header, number, true, &mut octets, out),
        Some(node) => body::node(header, &node, &mut octets, out),
        None => out.write_all(b"Content-Type: text/plain; charset=utf-8\n\n"),
    }
}

/// The digest of the message that was exported, read from the beginning of what
/// [`write_rfc5322`] wrote; `None` where these octets are no such thing. Only the
/// header section is looked at, and of it what is there.
#[must_use]
pub fn exported_digest(beginning: &[u8]) -> Option<MessageDigest> {
    let mut lines = beginning.split(|&b| b == b'\n');
    lines
        .by_ref()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
        .find_map(|line| {
            let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
            name.eq_ignore_ascii_case(DIGEST_FIELD)
                .then(|| value.trim().parse().ok())?
        })
}
