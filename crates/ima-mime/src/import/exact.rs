//! A message that was exported, and comes back.

use std::collections::BTreeMap;

use ima_message::{Digester, HeaderBlock, PartDigest};

use super::Imported;
use super::entity::Leaf;
use super::room::Room;
use super::section::Section;
use crate::base64;
use crate::export::{HEADER_FIELD, write_fields};

/// Fields that a mail bears which went over the Internet: it was sent by
/// somebody, who could have written any header block into it.
const TRAVELLED: &[&str] = &["received", "return-path", "delivered-to"];

/// The message whose header block stands in the mail, where all else is as it
/// was exported: every field, and every part by its digest.
pub(super) fn read(section: &Section, leaves: &[Leaf], mut room: Room) -> Option<Imported> {
    let field = section.first(&HEADER_FIELD.to_ascii_lowercase())?;
    if TRAVELLED.iter().any(|name| section.first(name).is_some()) {
        return None;
    }
    let header = HeaderBlock::parse(&base64::decode(&field.value)).ok()?;
    let mut written = Vec::new();
    write_fields(&header, &mut written);
    let written = Section::parse(&written);
    let is_there = |(name, wanted): (&str, &super::section::Field)| {
        section.all(name).any(|found| found.value == wanted.value)
    };
    if !written.fields().all(is_there) {
        return None;
    }
    let by_digest: BTreeMap<PartDigest, &[u8]> = leaves
        .iter()
        .map(|leaf| {
            let mut digester = Digester::new();
            digester.update(&leaf.octets);
            (digester.finish(), leaf.octets.as_slice())
        })
        .collect();
    // A mail without a part has an empty body.
    let is_empty = header.parts().is_empty() && leaves.iter().all(|leaf| leaf.octets.is_empty());
    if leaves.len() != header.parts().len() && !is_empty {
        return None;
    }
    let mut data = Vec::new();
    for part in header.parts() {
        // Several may be the same.
        let octets = by_digest.get(&part.digest())?;
        room.take(octets.len()).ok()?;
        data.extend_from_slice(octets);
    }
    Some(Imported { header, data })
}
