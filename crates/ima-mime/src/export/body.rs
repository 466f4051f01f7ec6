//! Entities: the fields of MIME, and the octets.

use std::io::{self, Read, Seek, SeekFrom, Write};

use ima_message::{HeaderBlock, Part};
use mail_builder::headers::content_type::ContentType;

use super::fields::value;
use super::structure::Node;
use crate::{base64, quoted_printable};

/// The longest text that is held, to be written as it can be read.
const MAX_TEXT: u64 = 16 << 20;
/// Octets of a line without its end (RFC 5322, 2.1.1).
const MAX_LINE: usize = 998;

/// Where the octets of the parts are.
pub(super) struct Octets<'a> {
    message: &'a mut dyn Message,
    attachment: &'a mut dyn FnMut(&Part) -> io::Result<Box<dyn Read>>,
    /// Where each inline part begins in the message.
    begins: Vec<u64>,
}

trait Message: Read + Seek {}
impl<T: Read + Seek> Message for T {}

impl<'a> Octets<'a> {
    pub(super) fn new(
        header: &HeaderBlock,
        message: &'a mut (impl Read + Seek),
        attachment: &'a mut dyn FnMut(&Part) -> io::Result<Box<dyn Read>>,
    ) -> Self {
        let mut place = header.as_bytes().len() as u64;
        let begins = header
            .inline_parts()
            .map(|part| {
                let begin = place;
                place = place.saturating_add(part.length());
                begin
            })
            .collect();
        Self {
            message,
            attachment,
            begins,
        }
    }

    /// The octets of a part, as many as were announced or an error.
    fn open(&mut self, number: usize, part: &Part) -> io::Result<Exactly<'_>> {
        let source: Box<dyn Read> = if part.is_attachment() {
            (self.attachment)(part)?
        } else {
            let begin = self.begins.get(number.saturating_sub(1)).copied();
            self.message
                .seek(SeekFrom::Start(begin.unwrap_or(u64::MAX)))?;
            Box::new(&mut self.message)
        };
        Ok(Exactly {
            source,
            missing: part.length(),
        })
    }
}

/// A source cut at a length, which it must have.
struct Exactly<'a> {
    source: Box<dyn Read + 'a>,
    missing: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.by_ref().take(self.missing).read(buffer)?;
        if read == 0 && self.missing > 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the message is shorter than its header block says",
            ));
        }
        self.missing = self.missing.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Writes an entity with all beneath it. The boundary is made of the message
/// digest, which depends on every part: so no part holds it.
pub(super) fn node(
    header: &HeaderBlock,
    node: &Node,
    octets: &mut Octets,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (subtype, children) = match node {
        Node::Leaf(number) => return leaf(header, *number, false, octets, out),
        Node::Multipart(subtype, children) => (*subtype, children),
    };
    let mark = subtype.get(..1).unwrap_or_default();
    let boundary = format!("=_{mark}{}", header.digest());
    let begin = format!("Content-Type: multipart/{subtype};\n boundary=\"{boundary}\"\n\n");
    out.write_all(begin.as_bytes())?;
    for child in children {
        out.write_all(format!("--{boundary}\n").as_bytes())?;
        self::node(header, child, octets, out)?;
        out.write_all(b"\n")?;
    }
    out.write_all(format!("--{boundary}--\n").as_bytes())
}

/// How the octets of a part are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    SevenBit,
    EightBit,
    Binary,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }

    /// The plainest that keeps every octet. At the end of a message a text is
    /// to end with LF.
    fn of_text(text: &[u8], is_all: bool) -> Self {
        let is_plain = std::str::from_utf8(text).is_ok()
            && !text.contains(&b'\r')
            && !text.contains(&0)
            && text
                .split(|&b| b == b'\n')
                .all(|line| line.len() <= MAX_LINE);
        let ends = !is_all || text.is_empty() || text.ends_with(b"\n");
        match (is_plain && ends, text.is_ascii()) {
            (true, true) => Self::SevenBit,
            (true, false) => Self::EightBit,
            (false, _) => Self::QuotedPrintable,
        }
    }
}

/// Writes a part; `is_all` where it is the whole message.
pub(super) fn leaf(
    header: &HeaderBlock,
    number: usize,
    is_all: bool,
    octets: &mut Octets,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(part) = header.parts().get(number.saturating_sub(1)) else {
        return Ok(());
    };
    let source = &mut octets.open(number, part)?;
    let is_message = part.media_type() == "message/rfc822" || part.media_type() == "message/global";
    if is_message {
        // MIME allows no other encoding of these.
        out.write_all(&fields(part, Encoding::Binary))?;
        return io::copy(source, out).map(|_| ());
    }
    if part.is_attachment() || !part.media_type().is_text() || part.length() > MAX_TEXT {
        out.write_all(&fields(part, Encoding::Base64))?;
        return base64::copy(source, out);
    }
    let mut text = Vec::new();
    source.read_to_end(&mut text)?;
    let encoding = Encoding::of_text(&text, is_all);
    if encoding == Encoding::QuotedPrintable {
        let mut encoded = Vec::with_capacity(text.len());
        quoted_printable::encode(&text, &mut encoded);
        text = encoded;
    }
    out.write_all(&fields(part, encoding))?;
    out.write_all(&text)
}

/// The fields of a part, with the empty line that ends them.
fn fields(part: &Part, encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    let media_type = part.media_type();
    // What the octets are not is not said: they are one part here.
    let is_multipart = media_type
        .as_str()
        .get(..10)
        .is_some_and(|top| top.eq_ignore_ascii_case("multipart/"));
    let mut content_type = ContentType::new(match is_multipart {
        true => "application/octet-stream",
        false => media_type.as_str(),
    });
    if media_type.is_text() {
        content_type = content_type.attribute("charset", "utf-8");
    }
    value(&mut out, "Content-Type", &content_type);
    if let Some(name) = part.name() {
        let disposition = ContentType::new("attachment").attribute("filename", name);
        value(&mut out, "Content-Disposition", &disposition);
    } else if !media_type.is_text() {
        out.extend_from_slice(b"Content-Disposition: inline\n");
    }
    let id = part
        .attribute("content-id")
        .map(|id| id.trim_start_matches('<').trim_end_matches('>'))
        .filter(|id| (1..=255).contains(&id.len()))
        .filter(|id| {
            id.bytes()
                .all(|b| b.is_ascii_graphic() && !b"<>()".contains(&b))
        });
    if let Some(id) = id {
        out.extend_from_slice(format!("Content-ID: <{id}>\n").as_bytes());
    }
    // A tag is at most 8,192 octets of letters, digits and hyphens.
    if let Some(language) = part.attribute("language").filter(|tag| tag.len() <= 255) {
        out.extend_from_slice(format!("Content-Language: {language}\n").as_bytes());
    }
    let encoding = encoding.name();
    out.extend_from_slice(format!("Content-Transfer-Encoding: {encoding}\n\n").as_bytes());
    out
}
