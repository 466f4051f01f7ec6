//! The parts of a message from the leaves of a mail: texts inline, all else
//! attached, behind them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ima_message::{Digester, FileName, MediaType, Part};

use super::entity::Leaf;
use super::error::ImportError;
use super::room::Room;
use super::section::Section;
use super::{decode, names};

/// What the header section is attached as.
const HEADER_NAME: &str = "original-header.txt";
const HEADER_TYPE: &str = "text/rfc822-headers";
/// What the octets are attached as that a signature is over.
const SIGNED_NAME: &str = "signed-part";
const ANY_TYPE: &str = "application/octet-stream";

/// The parts, in their order.
#[derive(Debug)]
pub(super) struct Parts {
    parts: Vec<(Part, Vec<u8>)>,
    room: Room,
}

impl Parts {
    /// Makes parts of leaves.
    ///
    /// # Errors
    /// Where they have more octets than there is room for.
    pub(super) fn of(leaves: Vec<Leaf>, room: Room) -> Result<Self, ImportError> {
        let mut parts = Self {
            parts: Vec::new(),
            room,
        };
        let mut attached = Vec::new();
        let mut forms: BTreeMap<usize, usize> = BTreeMap::new();
        for leaf in leaves {
            if is_text_of_the_mail(&leaf) {
                parts.inline(leaf, &mut forms)?;
            } else {
                attached.push(leaf);
            }
        }
        for leaf in attached {
            parts.attach(leaf)?;
        }
        Ok(parts)
    }

    /// Attaches the header section.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub(super) fn keep_header(&mut self, section: &Section) -> Result<(), ImportError> {
        let octets = section.as_sent();
        let media_type = match std::str::from_utf8(&octets) {
            Ok(_) => HEADER_TYPE,
            Err(_) => ANY_TYPE,
        };
        self.push(
            media_type,
            Vec::new(),
            FileName::parse(HEADER_NAME).ok(),
            octets,
        )
    }

    /// The `part` lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(|(part, _)| part)
    }

    /// Octets of all parts.
    pub(super) fn size(&self) -> u64 {
        self.lines().map(Part::length).sum()
    }

    /// The data of the message.
    pub(super) fn into_data(self) -> Vec<u8> {
        let mut data = Vec::with_capacity(usize::try_from(self.size()).unwrap_or_default());
        for (_, octets) in self.parts {
            data.extend_from_slice(&octets);
        }
        data
    }

    /// A text, in UTF-8 and with LF at its lines' ends. The first of several
    /// forms is what the others are forms of.
    fn inline(
        &mut self,
        leaf: Leaf,
        forms: &mut BTreeMap<usize, usize>,
    ) -> Result<(), ImportError> {
        let found = type_of(&leaf.section);
        let text = decode::text(&leaf.octets, found.charset.as_deref());
        let octets = match text.contains('\r') {
            true => text.replace("\r\n", "\n").into_bytes(),
            false => text.into_owned().into_bytes(),
        };
        let mut attributes = attributes(&leaf.section);
        if let Some(group) = leaf.alternative {
            let number = self.parts.len() + 1;
            let base = *forms.entry(group).or_insert(number);
            if base != number {
                attributes.insert(0, format!("alternative-of={base}"));
            }
        }
        self.push(&found.media_type, attributes, None, octets)
    }

    fn attach(&mut self, leaf: Leaf) -> Result<(), ImportError> {
        if leaf.is_signed_part {
            let name = FileName::parse(SIGNED_NAME).ok();
            return self.push(ANY_TYPE, Vec::new(), name, leaf.octets);
        }
        let found = type_of(&leaf.section);
        let number = self.parts.len() + 1;
        let name = given_name(&leaf.section)
            .and_then(|given| names::file_name(&given))
            .or_else(|| FileName::parse(&names::stand_in(&found.media_type, number)).ok());
        let attributes = attributes(&leaf.section);
        let (media_type, octets) = match found.media_type.starts_with("text/") {
            true => attached_text(&found, leaf.octets),
            false => (found.media_type.as_ref(), leaf.octets),
        };
        self.push(media_type, attributes, name, octets)
    }

    fn push(
        &mut self,
        media_type: &str,
        attributes: Vec<String>,
        name: Option<FileName>,
        octets: Vec<u8>,
    ) -> Result<(), ImportError> {
        self.room.take(octets.len())?;
        let number = self.parts.len() + 1;
        let mut digester = Digester::new();
        digester.update(&octets);
        let Ok(media_type) = MediaType::parse(media_type).or_else(|_| MediaType::parse(ANY_TYPE))
        else {
            return Ok(());
        };
        let length = octets.len() as u64;
        let plain = Part::new(media_type, length, digester.finish(), None);
        let mut line = plain.to_string();
        for attribute in attributes {
            line.push(' ');
            line.push_str(&attribute);
        }
        if let Some(name) = &name {
            line.push_str(&format!(" name={}", name.as_str()));
        }
        let part = Part::parse(&line, number).unwrap_or(plain);
        self.parts.push((part, octets));
        Ok(())
    }
}

/// A media type in lower case, and the charset of a text.
struct Found {
    media_type: Cow<'static, str>,
    charset: Option<String>,
}

fn type_of(section: &Section) -> Found {
    let Some(found) = section.content_type("content-type") else {
        return Found {
            media_type: Cow::Borrowed("text/plain"),
            charset: None,
        };
    };
    let media_type = match found.subtype() {
        // What says to hold entities and holds none is what it looks like.
        _ if found.ctype().eq_ignore_ascii_case("multipart") => "text/plain".to_owned(),
        Some(subtype) => format!("{}/{subtype}", found.ctype()).to_ascii_lowercase(),
        None if found.ctype().eq_ignore_ascii_case("text") => "text/plain".to_owned(),
        None => ANY_TYPE.to_owned(),
    };
    Found {
        media_type: Cow::Owned(media_type),
        charset: found.attribute("charset").map(str::to_owned),
    }
}

/// Whether a leaf is to be read with the mail: a text that is not attached.
fn is_text_of_the_mail(leaf: &Leaf) -> bool {
    let is_attached = leaf
        .section
        .content_type("content-disposition")
        .is_some_and(|found| found.ctype().eq_ignore_ascii_case("attachment"));
    !leaf.is_signed_part
        && !is_attached
        && type_of(&leaf.section).media_type.starts_with("text/")
        && given_name(&leaf.section).is_none()
}

fn given_name(section: &Section) -> Option<String> {
    let named = |field: &str, attribute: &str| {
        let found = section.content_type(field)?;
        found.attribute(attribute).map(str::to_owned)
    };
    named("content-disposition", "filename")
        .or_else(|| named("content-type", "name"))
        .map(|name| decode_words(&name))
        .filter(|name| !name.trim().is_empty())
}

/// Many programs put encoded words where RFC 2231 belongs.
fn decode_words(name: &str) -> String {
    if !name.contains("=?") {
        return name.to_owned();
    }
    let fields = format!("x: {name}\n");
    Section::parse(fields.as_bytes())
        .first("x")
        .map(|field| field.text())
        .unwrap_or_default()
}

/// `content-id` and `language`, where they can be attributes.
fn attributes(section: &Section) -> Vec<String> {
    let mut attributes = Vec::new();
    if let Some(field) = section.first("content-id") {
        let unfolded = field.unfolded();
        let id = unfolded
            .trim()
            .trim_start_matches('<')
            .trim_end_matches('>');
        let fits = (1..=255).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            attributes.push(format!("content-id={id}"));
        }
    }
    if let Some(field) = section.first("content-language") {
        let unfolded = field.unfolded();
        let tag = unfolded.split(',').next().unwrap_or_default().trim();
        let is_subtag =
            |s: &str| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
        if tag.len() <= 64 && tag.split('-').all(is_subtag) {
            attributes.push(format!("language={tag}"));
        }
    }
    attributes
}

/// A text that somebody attached is a file: its octets stay, unless another
/// charset than UTF-8 is named, since a part's type has no charset. What is no
/// text then is none.
fn attached_text(found: &Found, octets: Vec<u8>) -> (&str, Vec<u8>) {
    if std::str::from_utf8(&octets).is_ok() && !found.names_wide_charset() {
        return (&found.media_type, octets);
    }
    match &found.charset {
        Some(charset) => {
            let text = decode::text(&octets, Some(charset)).into_owned();
            (&found.media_type, text.into_bytes())
        }
        None => (ANY_TYPE, octets),
    }
}

impl Found {
    /// Charsets whose octets may look like UTF-8 and are not.
    fn names_wide_charset(&self) -> bool {
        self.charset.as_deref().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            name.starts_with("utf-16") || name.starts_with("iso-2022") || name == "utf-7"
        })
    }
}
