//! RFC 5322 and MIME as an IMA message.
//!
//! Mail of many years breaks every rule, so what cannot be understood is kept as
//! it is and only what has no bound is refused. The header section stands in
//! each message as its last attachment, so that signatures and the way that a
//! message took are not lost. The same octets always give the same message.

mod decode;
mod entity;
mod error;
mod exact;
mod letter;
mod names;
mod parts;
mod room;
mod section;

use std::borrow::Cow;

use ima_message::{Address, HeaderBlock};

pub use error::ImportError;
pub use letter::STAND_IN_HOST;

use entity::Leaves;
use parts::Parts;
use room::Room;
use section::{Section, split};

/// How deep entities may lie in one another.
pub const MAX_DEPTH: usize = 32;
/// All parts together have at most so many times the octets of the mail, and
const MAX_GROWTH: usize = 3;
/// so many more.
const MAX_GROWTH_BEYOND: usize = 1 << 20;
/// Octets of a header section.
const MAX_SECTION: usize = 1 << 20;

/// What stands in for what a message does not say.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Whose mail it is: the recipient where the message names no valid one.
    pub owner: Option<Address>,
    /// When it arrived, in seconds since 1970: its date where it bears none.
    pub arrived: i64,
}

/// A message that was read.
#[derive(Clone, Debug)]
pub struct Imported {
    header: HeaderBlock,
    data: Vec<u8>,
}

impl Imported {
    /// The header block.
    #[must_use]
    pub fn header(&self) -> &HeaderBlock {
        &self.header
    }

    /// The octets of the parts, one behind the other.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Reads a message of RFC 5322, whose lines end with LF or with CR LF; a line
/// `From …` before it is passed over.
/// Beside the message, its parts are held twice at most, which are no more than
/// three times the message and 1 MiB, and a copy of it where its lines end with
/// CR LF.
///
/// A message that [`write_rfc5322`](crate::write_rfc5322) wrote, that nobody
/// changed and that was sent nowhere, is the message that it was.
///
/// # Errors
/// Where it does not begin with a header field, or passes a bound.
pub fn read_rfc5322(octets: &[u8], defaults: &Defaults) -> Result<Imported, ImportError> {
    let room = Room::of(octets.len());
    let octets = unix_lines(octets);
    let (section, body) = split(without_from_line(&octets));
    if section.len() > MAX_SECTION {
        return Err(ImportError::LongHeader);
    }
    let section = Section::parse(section);
    if section.is_empty() {
        return Err(ImportError::NoHeader);
    }
    let mut leaves = Leaves::within(room);
    entity::walk(&section, body, &mut leaves)?;
    let leaves = leaves.found;
    if let Some(imported) = exact::read(&section, &leaves, room) {
        return Ok(imported);
    }
    let mut parts = Parts::of(leaves, room)?;
    parts.keep_header(&section)?;
    let header = letter::compose(&section, &parts, defaults)?;
    Ok(Imported {
        header,
        data: parts.into_data(),
    })
}

/// Where the first line ends with CR LF, all of them are taken to.
fn unix_lines(octets: &[u8]) -> Cow<'_, [u8]> {
    let first = octets.split(|&b| b == b'\n').next().unwrap_or_default();
    if !first.ends_with(b"\r") {
        return Cow::Borrowed(octets);
    }
    let mut out = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|&b| b == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            None => out.extend_from_slice(line),
        }
    }
    Cow::Owned(out)
}

fn without_from_line(octets: &[u8]) -> &[u8] {
    if !octets.starts_with(b"From ") && !octets.starts_with(b">From ") {
        return octets;
    }
    match octets.iter().position(|&b| b == b'\n') {
        Some(end) => octets.get(end + 1..).unwrap_or_default(),
        None => &[],
    }
}
