//! Step 1 of a delivery: the message, read, verified and staged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use ima_message::{HeaderBlock, MessageDigest, Part, PartDigest};

use super::found::Found;
use super::message::MessageFile;
use super::source::Source;
use crate::error::MailboxError;
use crate::folder::{Announced, Folder, Kept};
use crate::name;
use crate::shared::{self, Key, Shared};
use crate::stage::{BUFFER, Draft, Stage, Staged};
use crate::stored::body_length;

/// A message whose octets are all staged and are those that were announced.
#[derive(Debug)]
pub(crate) struct Incoming {
    digest: MessageDigest,
    octets: u64,
    pub(super) stage: Stage,
    pub(super) message: Arc<MessageFile>,
    /// What other folders were found to have of the message.
    pub(super) found: Option<Arc<Found>>,
    attachments: Vec<Attached>,
}

/// An attachment: of its part no more than is needed, since there may be as many of
/// these at once as parts and folders.
#[derive(Debug)]
pub(super) struct Attached {
    /// The part number.
    pub(super) number: usize,
    pub(super) announced: Announced,
    pub(super) staged: Arc<Staged>,
}

impl Attached {
    pub(super) fn new(number: usize, part: &Part, staged: Arc<Staged>) -> Self {
        Self {
            number,
            announced: part.into(),
            staged,
        }
    }
}

/// The header block and the inline parts of a message that comes.
enum Body {
    /// They are written at once, when all has come and is right.
    Held(Vec<u8>),
    Large(Draft),
}

impl Body {
    fn begin(stage: &Stage, header: &HeaderBlock) -> Result<Self, MailboxError> {
        let length = body_length(header);
        if let Ok(length) = usize::try_from(length)
            && length <= BUFFER
        {
            let mut octets = Vec::with_capacity(length);
            octets.extend_from_slice(header.as_bytes());
            return Ok(Self::Held(octets));
        }
        let mut draft = stage.begin()?;
        draft.write(header.as_bytes())?;
        Ok(Self::Large(draft))
    }

    fn read(&mut self, part: &Part, source: &mut Source<'_>) -> Result<(), MailboxError> {
        match self {
            Self::Held(held) => source.hold(part, held),
            Self::Large(draft) => source.read(part, &mut |octets| draft.write(octets)),
        }
    }

    fn finish(self, stage: &Stage) -> Result<MessageFile, MailboxError> {
        match self {
            Self::Held(octets) => {
                let mut draft = stage.begin()?;
                draft.write(&octets)?;
                MessageFile::finish(stage, draft, octets.len() as u64)
            }
            Self::Large(draft) => draft.finish().map(MessageFile::synced),
        }
    }
}

impl Incoming {
    /// Reads the data of a message to their end.
    pub(crate) fn read(
        folder: &Folder,
        stage: Stage,
        header: &HeaderBlock,
        data: &mut dyn Read,
        shared: Option<&Shared>,
    ) -> Result<Self, MailboxError> {
        let mut source = Source::new(header, data);
        let mut body = Body::begin(&stage, header)?;
        for part in header.inline_parts() {
            body.read(part, &mut source)?;
        }
        let mut attachments = Vec::new();
        let mut by_digest: BTreeMap<PartDigest, Arc<Staged>> = BTreeMap::new();
        for (number, part) in header.attachments() {
            let digest = part.digest();
            if let Some(staged) = by_digest.get(&digest) {
                source.read(part, &mut |_| Ok(()))?;
                attachments.push(Attached::new(number, part, Arc::clone(staged)));
                continue;
            }
            let staged = if let Some(held) = hold_kept(folder, &stage, part.into())? {
                stage_beside(&stage, part, held, &mut source)?
            } else if let Some(shared) = shared {
                let (device, owner) = folder.attachments.device_and_owner()?;
                let slot = shared.slot(Key {
                    device,
                    owner,
                    digest,
                });
                let mut slot = shared::lock(&slot);
                if let Some(staged) = slot.clone() {
                    drop(slot);
                    source.read(part, &mut |_| Ok(()))?;
                    staged
                } else {
                    Arc::clone(slot.insert(stage_part(&stage, part, &mut source)?))
                }
            } else {
                stage_part(&stage, part, &mut source)?
            };
            by_digest.insert(digest, Arc::clone(&staged));
            attachments.push(Attached::new(number, part, staged));
        }
        source.end()?;
        let message = Arc::new(body.finish(&stage)?);
        Ok(Self {
            digest: header.digest(),
            octets: octets(header),
            stage,
            message,
            found: None,
            attachments,
        })
    }

    /// A message of this digest and so many octets, whose files were written from what
    /// was read before.
    pub(super) fn written(
        (digest, octets): (MessageDigest, u64),
        stage: Stage,
        message: Arc<MessageFile>,
        found: Arc<Found>,
        attachments: Vec<Attached>,
    ) -> Self {
        Self {
            digest,
            octets,
            stage,
            message,
            found: Some(found),
            attachments,
        }
    }

    /// A message that another folder holds, whose lock is held: its files are
    /// linked from there. `None` where an attachment is missing.
    ///
    /// # Errors
    /// A fault.
    pub(crate) fn stored(
        folder: &Folder,
        stage: Stage,
        header: &HeaderBlock,
    ) -> Result<Option<Self>, MailboxError> {
        let digest = header.digest();
        let mut attachments = Vec::new();
        for (number, part) in header.attachments() {
            let name = name::attachment(digest, number);
            let staged = if folder.messages.holds(&name)? {
                Staged::named(&folder.messages, name)
            } else {
                let kept = name::kept(part.digest());
                if !folder.attachments.holds(&kept)? {
                    return Ok(None);
                }
                Staged::named(&folder.attachments, kept)
            };
            attachments.push(Attached::new(number, part, Arc::new(staged)));
        }
        Ok(Some(Self {
            digest,
            octets: octets(header),
            stage,
            message: Arc::new(MessageFile::synced(Staged::named(
                &folder.messages,
                name::message(digest),
            ))),
            found: None,
            attachments,
        }))
    }

    pub(crate) fn digest(&self) -> MessageDigest {
        self.digest
    }

    /// Octets of the whole message.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Octets of the attachments, each as often as the message holds it.
    pub(super) fn attached_octets(&self) -> u64 {
        self.attachments
            .iter()
            .map(|one| one.announced.length)
            .fold(0, u64::saturating_add)
    }

    /// The attachments with their part numbers.
    pub(super) fn attachments(&self) -> impl Iterator<Item = &Attached> {
        self.attachments.iter()
    }

    /// The files that are staged for this message.
    pub(super) fn staged_files(&self) -> impl Iterator<Item = &Staged> {
        let attachments = self.attachments.iter().map(|one| &*one.staged);
        attachments.chain([self.message.staged()])
    }

    /// Files that are open or have names for this message.
    pub(crate) fn files(&self) -> usize {
        self.attachments.len().saturating_add(1)
    }
}

/// Octets of the whole message.
pub(super) fn octets(header: &HeaderBlock) -> u64 {
    (header.as_bytes().len() as u64).saturating_add(header.size())
}

/// The attachment of that digest that the folder has already.
pub(super) fn hold_kept(
    folder: &Folder,
    stage: &Stage,
    part: Announced,
) -> Result<Option<Arc<Staged>>, MailboxError> {
    match folder.kept(part)? {
        Kept::Whole(file) => {
            let held = stage.hold(file, &folder.attachments, &name::kept(part.digest))?;
            Ok(held.map(Arc::new))
        }
        Kept::Damaged | Kept::Absent => Ok(None),
    }
}

fn stage_part(
    stage: &Stage,
    part: &Part,
    source: &mut Source,
) -> Result<Arc<Staged>, MailboxError> {
    let mut draft = stage.begin()?;
    source.read(part, &mut |octets| draft.write(octets))?;
    draft.finish().map(Arc::new)
}

/// Reads a part beside the file that the folder keeps of it. Where that has other
/// octets, what comes is staged: nobody is told that rotten octets are mail.
fn stage_beside(
    stage: &Stage,
    part: &Part,
    held: Arc<Staged>,
    source: &mut Source,
) -> Result<Arc<Staged>, MailboxError> {
    let kept = held.open()?;
    let mut same: u64 = 0;
    let mut buffer = vec![0; BUFFER];
    let mut anew: Option<Draft> = None;
    source.read(part, &mut |octets| {
        if let Some(draft) = &mut anew {
            return draft.write(octets);
        }
        if is_same(&kept, same, octets, &mut buffer) {
            same = same.saturating_add(octets.len() as u64);
            return Ok(());
        }
        let mut draft = stage.begin()?;
        draft.copy(&kept, &held.path(), same)?;
        draft.write(octets)?;
        anew = Some(draft);
        Ok(())
    })?;
    match anew {
        Some(draft) => draft.finish().map(Arc::new),
        None => Ok(held),
    }
}

/// Whether a file has these octets there; what cannot be read has not.
fn is_same(file: &File, offset: u64, octets: &[u8], buffer: &mut [u8]) -> bool {
    let Some(there) = buffer.get_mut(..octets.len()) else {
        return false;
    };
    file.read_exact_at(there, offset).is_ok() && there == octets
}
