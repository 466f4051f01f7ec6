//! The data of a message that goes to many folders: read once, and kept where each of
//! them can take them from.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use ima_message::{HeaderBlock, Part, PartDigest};

use super::MAX_DESCRIPTORS;
use super::found::Found;
use super::incoming::{Attached, Incoming, hold_kept, octets};
use super::message::MessageFile;
use super::shelf::{Group, Shelf};
use super::source::Source;
use super::targets::Aim;
use crate::error::MailboxError;
use crate::folder::Folder;
use crate::stage::{BUFFER, Draft, Stage, Staged, Syncing};
use crate::stored::body_length;

/// File systems and owners for which a copy of the attachments is held. Where there are
/// more, some folders have a copy of their own that could share one.
const MAX_GROUPS: usize = 16;
/// Attachments of a message up to which a folder that has them already holds a
/// descriptor of each.
const MAX_HELD: usize = 4;

/// The data of a message, whole and verified.
pub(super) struct Common<'a> {
    parts: &'a [Part],
    inline: Inline,
    /// The same behind header blocks.
    messages: Shelf<'a>,
    found: Arc<Found>,
    attachments: Vec<Attachment<'a>>,
    /// Copies of the attachments, in their order, for groups that cannot link them.
    copies: BTreeMap<Group, Vec<Arc<Staged>>>,
    /// Whether files that folders have already are what came, by device and inode.
    compared: BTreeMap<(u64, u64, PartDigest), bool>,
}

/// The octets of the inline parts.
enum Inline {
    Held(Vec<u8>),
    Written(Staged),
}

impl Inline {
    /// The file of the message with a header block.
    fn write_behind(
        &self,
        header: &HeaderBlock,
        stage: &Stage,
    ) -> Result<MessageFile, MailboxError> {
        let mut draft = stage.begin()?;
        match self {
            Self::Held(octets) => draft.write(&[header.as_bytes(), octets].concat())?,
            Self::Written(staged) => {
                draft.write(header.as_bytes())?;
                draft.copy(&staged.open()?, &staged.path(), u64::MAX)?;
            }
        }
        MessageFile::finish(stage, draft, body_length(header))
    }
}

struct Attachment<'a> {
    number: usize,
    part: &'a Part,
    staged: Arc<Staged>,
    group: Group,
}

impl<'a> Common<'a> {
    /// Reads the data to their end. What cannot be written in the first folder is
    /// written in another.
    pub(super) fn read(
        header: &'a HeaderBlock,
        aims: &[Aim<'a>],
        data: &mut dyn Read,
    ) -> Result<Self, MailboxError> {
        let mut source = Source::new(header, data);
        let named = header.attachments().count() > MAX_DESCRIPTORS;
        let mut refuge = Refuge::new(aims, named);
        let length = header.inline_parts().map(Part::length);
        let length = length.fold(0, u64::saturating_add);
        let inline = match usize::try_from(length) {
            Ok(length) if length <= BUFFER => {
                let mut octets = Vec::with_capacity(length);
                for part in header.inline_parts() {
                    source.hold(part, &mut octets)?;
                }
                Some(Inline::Held(octets))
            }
            _ => {
                let mut refugee = refuge.begin();
                for part in header.inline_parts() {
                    source.read(part, &mut |octets| {
                        refuge.write(&mut refugee, octets);
                        Ok(())
                    })?;
                }
                refugee.map(|refugee| Inline::Written(refugee.draft.finish_unsynced()))
            }
        };
        let mut attachments: Vec<Attachment<'a>> = Vec::new();
        for (number, part) in header.attachments() {
            let mut before = attachments.iter();
            if let Some(same) = before.find(|one| one.part.digest() == part.digest()) {
                let (staged, group) = (Arc::clone(&same.staged), same.group);
                source.read(part, &mut |_| Ok(()))?;
                attachments.push(Attachment {
                    number,
                    part,
                    staged,
                    group,
                });
                continue;
            }
            let mut refugee = refuge.begin();
            source.read(part, &mut |octets| {
                refuge.write(&mut refugee, octets);
                Ok(())
            })?;
            if let Some((staged, group)) = refuge.finish(refugee) {
                attachments.push(Attachment {
                    number,
                    part,
                    staged: Arc::new(staged),
                    group,
                });
            }
        }
        source.end()?;
        match (inline, refuge.fault) {
            (Some(inline), _) if attachments.len() == header.attachments().count() => Ok(Self {
                parts: header.parts(),
                inline,
                messages: Shelf::default(),
                found: Arc::default(),
                attachments,
                copies: BTreeMap::new(),
                compared: BTreeMap::new(),
            }),
            (_, Some(fault)) => Err(fault),
            (_, None) => Err(MailboxError::NoFolder(PathBuf::new())),
        }
    }

    /// The number of the first part that another header block announces otherwise.
    pub(super) fn first_other(&self, header: &HeaderBlock) -> Option<usize> {
        let (ours, theirs) = (self.parts, header.parts());
        if ours == theirs {
            return None;
        }
        let mut pairs = ours.iter().zip(theirs);
        let same = ours.len().min(theirs.len());
        let place = pairs.position(|(one, other)| one != other).unwrap_or(same);
        Some(place.saturating_add(1))
    }

    /// The message as this folder has it, staged.
    pub(super) fn stage(
        &mut self,
        folder: &Folder,
        header: Cow<'a, HeaderBlock>,
    ) -> Result<Incoming, MailboxError> {
        let stage = Stage::new(&folder.tmp, false, Syncing::Each);
        let mut attachments = Vec::with_capacity(self.attachments.len());
        if !self.attachments.is_empty() {
            let group = folder.attachments.device_and_owner()?;
            let copies = self.copies(group, folder)?;
            let holds_names = self.attachments.len() > MAX_HELD;
            let holding = Stage::new(&folder.tmp, holds_names, Syncing::Each);
            for (place, copy) in copies.into_iter().enumerate() {
                let Some(Attachment { number, part, .. }) = self.attachments.get(place) else {
                    continue;
                };
                let (number, part) = (*number, *part);
                let staged = match hold_kept(folder, &holding, part.into())? {
                    Some(held) if self.is_right(&held, &copy, part)? => held,
                    _ => copy,
                };
                attachments.push(Attached::new(number, part, staged));
            }
        }
        let group = folder.messages.device_and_owner()?;
        let (digest, octets) = (header.digest(), octets(&header));
        let inline = &self.inline;
        let write = |header: &HeaderBlock| inline.write_behind(header, &stage);
        let message = self.messages.file(group, header, write)?;
        let found = Arc::clone(&self.found);
        Ok(Incoming::written(
            (digest, octets),
            stage,
            message,
            found,
            attachments,
        ))
    }

    /// The attachments, in their order, as a folder of this group can link them.
    fn copies(&mut self, group: Group, folder: &Folder) -> Result<Vec<Arc<Staged>>, MailboxError> {
        if let Some(copies) = self.copies.get(&group) {
            return Ok(copies.clone());
        }
        let named = self.attachments.len() > MAX_HELD;
        let stage = Stage::new(&folder.tmp, named, Syncing::Each);
        let mut copies: Vec<Arc<Staged>> = Vec::new();
        for (place, attachment) in self.attachments.iter().enumerate() {
            let mut before = self.attachments.iter().take(place);
            let same = before.position(|one| one.part.digest() == attachment.part.digest());
            let copy = match same.and_then(|place| copies.get(place)) {
                Some(copy) => Arc::clone(copy),
                None if attachment.group == group => Arc::clone(&attachment.staged),
                None => Arc::new(stage.copy(&attachment.staged)?),
            };
            copies.push(copy);
        }
        if self.copies.len() >= MAX_GROUPS {
            self.copies.pop_first();
        }
        self.copies.insert(group, copies.clone());
        Ok(copies)
    }

    /// Whether a file that a folder has already has the octets that came.
    fn is_right(
        &mut self,
        held: &Staged,
        came: &Staged,
        part: &Part,
    ) -> Result<bool, MailboxError> {
        let (held, came) = (held.open()?, came.open()?);
        let Ok(metadata) = held.metadata() else {
            return Ok(false);
        };
        let key = (metadata.dev(), metadata.ino(), part.digest());
        if let Some(is_right) = self.compared.get(&key) {
            return Ok(*is_right);
        }
        let is_right = has_same(&held, &came, part.length());
        self.compared.insert(key, is_right);
        Ok(is_right)
    }
}

/// Whether two files have the same first octets; what cannot be read has not.
fn has_same(one: &File, other: &File, octets: u64) -> bool {
    let (mut here, mut there) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut offset: u64 = 0;
    while offset < octets {
        let most = usize::try_from(octets.saturating_sub(offset)).unwrap_or(BUFFER);
        let most = most.min(BUFFER);
        let (Some(here), Some(there)) = (here.get_mut(..most), there.get_mut(..most)) else {
            return false;
        };
        if one.read_exact_at(here, offset).is_err()
            || other.read_exact_at(there, offset).is_err()
            || here != there
        {
            return false;
        }
        offset = offset.saturating_add(most as u64);
    }
    true
}

/// Where the data are written: in the first folder that can take them. One whose disk
/// is full leaves them to the next that lies on another.
struct Refuge<'a, 'b> {
    others: std::slice::Iter<'b, Aim<'a>>,
    named: bool,
    stage: Option<(Stage, Group)>,
    full: BTreeSet<u64>,
    fault: Option<MailboxError>,
}

/// What is being written, and how much of it was.
struct Refugee {
    draft: Draft,
    octets: u64,
}

impl<'a, 'b> Refuge<'a, 'b> {
    fn new(aims: &'b [Aim<'a>], named: bool) -> Self {
        Self {
            others: aims.iter(),
            named,
            stage: None,
            full: BTreeSet::new(),
            fault: None,
        }
    }

    fn begin(&mut self) -> Option<Refugee> {
        loop {
            if let Some((stage, _)) = &self.stage {
                match stage.begin() {
                    Ok(draft) => return Some(Refugee { draft, octets: 0 }),
                    Err(error) => self.fault = Some(error),
                }
            }
            let aim = self.others.next()?;
            self.stage = match self.stage_of(aim) {
                Ok(stage) => stage,
                Err(error) => {
                    self.fault = Some(error);
                    None
                }
            };
        }
    }

    fn stage_of(&self, aim: &Aim<'a>) -> Result<Option<(Stage, Group)>, MailboxError> {
        let folder = aim.open()?;
        folder.refuse_foreign_root()?;
        let group = folder.tmp.device_and_owner()?;
        let stage = Stage::new(&folder.tmp, self.named, Syncing::Each);
        Ok((!self.full.contains(&group.0)).then_some((stage, group)))
    }

    /// Writes the next octets; nothing where no folder can take them.
    fn write(&mut self, refugee: &mut Option<Refugee>, octets: &[u8]) {
        while let Some(current) = refugee {
            let Err(error) = current.draft.write(octets) else {
                current.octets = current.octets.saturating_add(octets.len() as u64);
                return;
            };
            self.give_up(error);
            let old = refugee.take();
            *refugee = old.and_then(|old| self.go_on(&old));
        }
    }

    /// The file system in which it was written until now takes no more.
    fn give_up(&mut self, error: MailboxError) {
        self.fault = Some(error);
        if let Some((_, (device, _))) = self.stage.take() {
            self.full.insert(device);
        }
    }

    /// What was written of a file, once more in another folder.
    fn go_on(&mut self, old: &Refugee) -> Option<Refugee> {
        let written = old.draft.reading().ok()?;
        loop {
            let mut new = self.begin()?;
            match new.draft.copy(&written, old.draft.path(), old.octets) {
                Ok(()) => {
                    new.octets = old.octets;
                    return Some(new);
                }
                Err(error) => self.give_up(error),
            }
        }
    }

    fn finish(&mut self, refugee: Option<Refugee>) -> Option<(Staged, Group)> {
        match refugee?.draft.finish() {
            Ok(staged) => self.stage.as_ref().map(|(_, group)| (staged, *group)),
            Err(error) => {
                self.fault = Some(error);
                None
            }
        }
    }
}
