//! The entities of a mail (RFC 2046), one behind the other.

use super::error::ImportError;
use super::room::Room;
use super::section::{Section, split};
use super::{MAX_DEPTH, MAX_SECTION};
use crate::{base64, quoted_printable};
use ima_message::limits::MAX_PARTS;

/// An entity that holds no other.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// Its fields. The fields of the mail itself, where it has no other entity.
    pub(super) section: Section<'a>,
    /// Its octets, decoded.
    pub(super) octets: Vec<u8>,
    /// In which `multipart/alternative` it is, where it is a form of a text.
    pub(super) alternative: Option<usize>,
    /// The octets that a signature is over, as they stood in the mail.
    pub(super) is_signed_part: bool,
}

/// The leaves, as they are found.
#[derive(Debug)]
pub(super) struct Leaves<'a> {
    /// In the order of the mail.
    pub(super) found: Vec<Leaf<'a>>,
    room: Room,
}

/// What is known on the way down.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// In an entity of which the signed octets are kept: they hold all that is in it.
    is_signed: bool,
    alternative: Option<usize>,
    /// In `multipart/digest` a part without a type is a message.
    is_digest: bool,
}

/// Collects the leaves of a mail. A `multipart/` without a part in it is a text.
///
/// # Errors
/// Where entities lie too deep in one another, are too many or have too many octets.
pub(super) fn walk<'a>(
    section: &Section<'a>,
    body: &'a [u8],
    leaves: &mut Leaves<'a>,
) -> Result<(), ImportError> {
    let mut alternatives = 0;
    let place = Place {
        depth: 0,
        is_signed: false,
        alternative: None,
        is_digest: false,
    };
    entity(section.clone(), body, place, &mut alternatives, leaves)
}

fn entity<'a>(
    section: Section<'a>,
    body: &'a [u8],
    place: Place,
    alternatives: &mut usize,
    leaves: &mut Leaves<'a>,
) -> Result<(), ImportError> {
    if place.depth > MAX_DEPTH {
        return Err(ImportError::Depth);
    }
    let content_type = section.content_type("content-type");
    let subtype = content_type
        .as_ref()
        .filter(|found| found.ctype().eq_ignore_ascii_case("multipart"))
        .map(|found| found.subtype().unwrap_or_default().to_ascii_lowercase());
    let boundary = content_type
        .as_ref()
        .and_then(|found| found.attribute("boundary"))
        .filter(|boundary| !boundary.is_empty());
    let children = match (&subtype, boundary) {
        (Some(_), Some(boundary)) => children(body, boundary.as_bytes()),
        _ => Vec::new(),
    };
    if children.is_empty() {
        return leaf(section, body, place, leaves);
    }
    let subtype = subtype.unwrap_or_default();
    let mut inner = Place {
        depth: place.depth + 1,
        is_signed: place.is_signed,
        alternative: place.alternative,
        is_digest: subtype == "digest",
    };
    if subtype == "alternative" && place.alternative.is_none() {
        inner.alternative = Some(*alternatives);
        *alternatives += 1;
    }
    for (index, child) in children.into_iter().enumerate() {
        let (fields, body) = split(child);
        if fields.len() > MAX_SECTION {
            return Err(ImportError::LongHeader);
        }
        inner.is_signed = place.is_signed || (subtype == "signed" && index == 0);
        if inner.is_signed && !place.is_signed {
            leaves.push(Leaf {
                section: Section::default(),
                octets: with_cr_lf(child),
                alternative: None,
                is_signed_part: true,
            })?;
        }
        let parsed = Section::parse(fields);
        // A part that begins with no field is all body.
        let body = if parsed.is_empty() && !fields.is_empty() {
            child
        } else {
            body
        };
        entity(parsed, body, inner, alternatives, leaves)?;
    }
    Ok(())
}

fn leaf<'a>(
    section: Section<'a>,
    body: &[u8],
    place: Place,
    leaves: &mut Leaves<'a>,
) -> Result<(), ImportError> {
    let encoding = section
        .first("content-transfer-encoding")
        .map(|field| field.text().trim().to_ascii_lowercase())
        .unwrap_or_default();
    let octets = match encoding.as_str() {
        "base64" => base64::decode(body),
        "quoted-printable" => quoted_printable::decode(body),
        _ => body.to_vec(),
    };
    let mut section = section;
    if place.is_digest && section.first("content-type").is_none() {
        section = Section::parse(b"Content-Type: message/rfc822\n");
    }
    leaves.push(Leaf {
        section,
        octets,
        alternative: place.alternative,
        is_signed_part: false,
    })
}

impl<'a> Leaves<'a> {
    /// Takes no more than this room has.
    pub(super) fn within(room: Room) -> Self {
        Self {
            found: Vec::new(),
            room,
        }
    }

    /// One place stays for the header section.
    fn push(&mut self, leaf: Leaf<'a>) -> Result<(), ImportError> {
        if self.found.len() + 1 >= MAX_PARTS {
            return Err(ImportError::Parts);
        }
        self.room.take(leaf.octets.len())?;
        self.found.push(leaf);
        Ok(())
    }
}

/// The entities between the lines of a boundary. What stands before the first
/// and behind the last is said to be nothing. Where the last line is missing,
/// the last entity goes to the end.
fn children<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    let mut begin: Option<usize> = None;
    let mut place = 0;
    for line in body.split_inclusive(|&b| b == b'\n') {
        let at = place;
        place += line.len();
        let Some(end) = boundary_line(line, boundary) else {
            continue;
        };
        if let Some(begin) = begin {
            // The LF before the line belongs to the boundary.
            let child = body.get(begin..at.saturating_sub(1).max(begin));
            found.push(child.unwrap_or_default());
        }
        if end {
            return found;
        }
        begin = Some(place);
    }
    if let Some(begin) = begin {
        found.push(body.get(begin..).unwrap_or_default());
    }
    found
}

/// Whether a line is the boundary's, and then whether it is its last.
fn boundary_line(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line
        .strip_prefix(b"--")?
        .strip_prefix(boundary)?
        .trim_ascii_end();
    match rest {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

/// As signatures are made: every line ends with CR LF (RFC 1847, 2.1).
fn with_cr_lf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 32);
    for &octet in octets {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}
