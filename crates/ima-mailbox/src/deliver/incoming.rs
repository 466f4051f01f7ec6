//! Step 1 of a delivery: the message, read, verified and staged.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use ima_message::{DataError, DataVerifier, HeaderBlock, MessageDigest, Part, PartDigest};

use crate::error::MailboxError;
use crate::folder::{Folder, Kept};
use crate::name;
use crate::shared::{self, Key, Shared};
use crate::stage::{BUFFER, Draft, Stage, Staged};

/// A message whose octets are all staged and are those that were announced.
#[derive(Debug)]
pub(crate) struct Incoming {
    digest: MessageDigest,
    octets: u64,
    pub(super) stage: Stage,
    pub(super) message: Staged,
    attachments: Vec<(usize, Part, Arc<Staged>)>,
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
        let mut message = stage.begin()?;
        message.write(header.as_bytes())?;
        for part in header.inline_parts() {
            source.read(part, Some(&mut message))?;
        }
        let message = message.finish()?;
        let mut attachments = Vec::new();
        let mut by_digest: BTreeMap<PartDigest, Arc<Staged>> = BTreeMap::new();
        let (device, owner) = folder.attachments.device_and_owner()?;
        for (number, part) in header.attachments() {
            let digest = part.digest();
            if let Some(staged) = by_digest.get(&digest) {
                source.read(part, None)?;
                attachments.push((number, part.clone(), Arc::clone(staged)));
                continue;
            }
            let staged = if let Some(held) = hold_kept(folder, &stage, part)? {
                source.read(part, None)?;
                held
            } else if let Some(shared) = shared {
                let slot = shared.slot(Key {
                    device,
                    owner,
                    digest,
                });
                let mut slot = shared::lock(&slot);
                if let Some(staged) = slot.clone() {
                    drop(slot);
                    source.read(part, None)?;
                    staged
                } else {
                    Arc::clone(slot.insert(stage_part(&stage, part, &mut source)?))
                }
            } else {
                stage_part(&stage, part, &mut source)?
            };
            by_digest.insert(digest, Arc::clone(&staged));
            attachments.push((number, part.clone(), staged));
        }
        source.end()?;
        Ok(Self {
            digest: header.digest(),
            octets: (header.as_bytes().len() as u64).saturating_add(header.size()),
            stage,
            message,
            attachments,
        })
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
            .map(|(_, part, _)| part.length())
            .fold(0, u64::saturating_add)
    }

    /// The attachments with their part numbers.
    pub(super) fn attachments(&self) -> impl Iterator<Item = (usize, &Part, &Staged)> {
        self.attachments
            .iter()
            .map(|(number, part, staged)| (*number, part, &**staged))
    }

    /// Files that are open or have names for this message.
    pub(crate) fn files(&self) -> usize {
        self.attachments.len().saturating_add(1)
    }
}

/// The attachment of that digest that the folder has already.
fn hold_kept(
    folder: &Folder,
    stage: &Stage,
    part: &Part,
) -> Result<Option<Arc<Staged>>, MailboxError> {
    match folder.kept(part)? {
        Kept::Whole(file) => {
            let held = stage.hold(file, &folder.attachments, &name::kept(part.digest()))?;
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
    source.read(part, Some(&mut draft))?;
    draft.finish().map(Arc::new)
}

/// The data of a message, verified as they are read.
struct Source<'a> {
    data: &'a mut dyn Read,
    verifier: DataVerifier<'a>,
    missing: u64,
    buffer: Vec<u8>,
}

impl<'a> Source<'a> {
    fn new(header: &'a HeaderBlock, data: &'a mut dyn Read) -> Self {
        Self {
            data,
            verifier: DataVerifier::new(header.parts()),
            missing: header.size(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Reads the next part, into a file where there is one. Its digest is checked
    /// with its last octet; that of an empty part when the next octet or the end
    /// comes.
    fn read(&mut self, part: &Part, mut into: Option<&mut Draft>) -> Result<(), MailboxError> {
        let mut missing = part.length();
        while missing > 0 {
            let most = usize::try_from(missing)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let octets = read_some(self.data, self.buffer.get_mut(..most).unwrap_or_default())?;
            if octets.is_empty() {
                return Err(DataError::Short {
                    missing: self.missing.into(),
                }
                .into());
            }
            self.verifier.update(octets)?;
            if let Some(draft) = &mut into {
                draft.write(octets)?;
            }
            missing = missing.saturating_sub(octets.len() as u64);
            self.missing = self.missing.saturating_sub(octets.len() as u64);
        }
        Ok(())
    }

    /// The data end here, whole, and nothing follows.
    fn end(mut self) -> Result<(), MailboxError> {
        self.verifier.finish()?;
        let more = read_some(self.data, self.buffer.get_mut(..1).unwrap_or_default())?;
        if more.is_empty() {
            Ok(())
        } else {
            Err(DataError::Long.into())
        }
    }
}

/// Reads what there is; nothing at the end.
fn read_some<'b>(data: &mut dyn Read, buffer: &'b mut [u8]) -> Result<&'b [u8], MailboxError> {
    loop {
        match data.read(buffer) {
            Ok(octets) => return Ok(buffer.get(..octets).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(MailboxError::Read(e)),
        }
    }
}
