//! The check of `messages/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ima_message::{DataVerifier, HeaderBlock, MessageDigest, Part, ReadError};

use super::finding::{Finding, Rule};
use super::folder::{Inspection, open, unreadable};
use super::snapshot::{Snapshot, State};
use crate::directory::Directory;
use crate::error::{Kind, MailboxError};
use crate::name::{self, StoredName};
use crate::stage::BUFFER;

impl Inspection<'_> {
    pub(super) fn messages(
        &mut self,
        directory: &Directory,
        snapshot: &Snapshot,
    ) -> Result<(), MailboxError> {
        let mut present = BTreeSet::new();
        let mut attached = Vec::new();
        for entry in &snapshot.messages {
            match entry.to_str().and_then(StoredName::parse) {
                Some(StoredName::Message(digest)) => {
                    present.insert(digest);
                }
                Some(StoredName::Attachment(digest, number)) => attached.push((digest, number)),
                None => {
                    self.found(directory.path().join(entry), Rule::Unexpected);
                    continue;
                }
            }
            self.entry(directory, entry, Kind::File)?;
        }
        let numbers = self.live_messages(directory, snapshot, &present)?;
        for (digest, number) in attached {
            let rule = match numbers.get(&digest) {
                Some(Some(numbers)) if !numbers.contains(&number) => Rule::Unexpected,
                None if !present.contains(&digest) => Rule::NoMessage,
                _ => continue,
            };
            self.found(
                directory.path().join(name::attachment(digest, number)),
                rule,
            );
        }
        Ok(())
    }

    /// Checks every message that the journal has as live; without a journal,
    /// every message that is there. Returns the numbers of their attachments,
    /// where they are known.
    fn live_messages(
        &mut self,
        directory: &Directory,
        snapshot: &Snapshot,
        present: &BTreeSet<MessageDigest>,
    ) -> Result<BTreeMap<MessageDigest, Option<Vec<usize>>>, MailboxError> {
        let mut numbers = BTreeMap::new();
        let state = |digest| match &snapshot.states {
            Some(states) => states.get(digest).copied(),
            None => None,
        };
        for digest in present {
            let rule = match state(digest) {
                Some(State::Live(_)) => continue,
                Some(State::Deleted) => Rule::Deleted,
                None if snapshot.states.is_some() => Rule::NotAdded,
                None => continue,
            };
            self.found(directory.path().join(name::message(*digest)), rule);
        }
        let live: Vec<(MessageDigest, Option<u64>)> = match &snapshot.states {
            Some(states) => states
                .iter()
                .filter_map(|(digest, state)| match state {
                    State::Live(octets) => Some((*digest, Some(*octets))),
                    State::Deleted => None,
                })
                .collect(),
            None => present.iter().map(|digest| (*digest, None)).collect(),
        };
        for (digest, octets) in live {
            let mut findings = Vec::new();
            let attachments = self
                .message(directory, snapshot, digest, octets, &mut findings)
                .unwrap_or_else(|finding| {
                    findings.push(finding);
                    None
                });
            numbers.insert(digest, attachments);
            if !findings.is_empty() && snapshot.is_still_live(&self.root, digest)? {
                findings.into_iter().for_each(|finding| self.tell(finding));
            }
        }
        Ok(numbers)
    }

    /// Checks a message; an error is the finding after which nothing more can be
    /// said of it.
    fn message(
        &mut self,
        directory: &Directory,
        snapshot: &Snapshot,
        digest: MessageDigest,
        octets: Option<u64>,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Vec<usize>>, Finding> {
        let name = name::message(digest);
        let path = directory.path().join(&name);
        let Some(file) = open(directory, &name)? else {
            return Ok(None);
        };
        let length = file.metadata().map_err(|e| unreadable(&path, e))?.len();
        let header = header_and_inline(&path, file, digest, findings)?;
        let attachments = header
            .attachments()
            .map(|(_, part)| part.length())
            .fold(0, u64::saturating_add);
        let found = length.saturating_add(attachments);
        if let Some(journal) = octets.filter(|&journal| journal != found && findings.is_empty()) {
            findings.push(Finding::new(path, Rule::Octets { journal, found }));
        }
        let mut numbers = Vec::new();
        for (number, part) in header.attachments() {
            numbers.push(number);
            self.held.insert(part.digest());
            let name = name::attachment(digest, number);
            if let Err(finding) = self.attachment(directory, &name, part) {
                findings.push(finding);
            }
            let kept = name::kept(part.digest());
            if snapshot
                .attachments
                .binary_search_by(|entry| entry.as_os_str().cmp(kept.as_ref()))
                .is_err()
            {
                let path = self.root.path().join(name::ATTACHMENTS).join(kept);
                let held_as = format!("{}/{name}", name::MESSAGES);
                findings.push(Finding::new(path, Rule::NotKept { held_as }));
            }
        }
        Ok(Some(numbers))
    }

    fn attachment(
        &mut self,
        directory: &Directory,
        name: &str,
        part: &Part,
    ) -> Result<(), Finding> {
        let Some(file) = open(directory, name)? else {
            return Ok(());
        };
        let path = directory.path().join(name);
        let found = file.metadata().map_err(|e| unreadable(&path, e))?.len();
        if found != part.length() {
            let expected = part.length();
            return Err(Finding::new(path, Rule::Length { expected, found }));
        }
        let found = self.digest(&path, file)?;
        if found != part.digest() {
            return Err(Finding::new(path, Rule::Content { found }));
        }
        Ok(())
    }
}

/// Reads a file of `messages/` to its end.
pub(crate) fn header_and_inline(
    path: &Path,
    file: File,
    digest: MessageDigest,
    findings: &mut Vec<Finding>,
) -> Result<HeaderBlock, Finding> {
    let finding = |rule| Finding::new(path.to_owned(), rule);
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let header = HeaderBlock::read(&mut reader).map_err(|error| match error {
        ReadError::Empty => finding(Rule::Empty),
        ReadError::Io(e) => unreadable(path, e),
        ReadError::Header(error) => finding(Rule::Header(error)),
    })?;
    if header.digest() != digest {
        return Err(finding(Rule::Digest {
            found: header.digest(),
        }));
    }
    let inline = header
        .parts()
        .get(..header.inline_parts().count())
        .unwrap_or_default();
    let mut verifier = DataVerifier::new(inline);
    let mut buffer = vec![0; BUFFER];
    let verified = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break verifier.finish(),
            Ok(octets) => {
                if let Err(error) = verifier.update(buffer.get(..octets).unwrap_or_default()) {
                    break Err(error);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(path, e)),
        }
    };
    if let Err(error) = verified {
        findings.push(finding(Rule::Inline(error)));
    }
    Ok(header)
}

/// Whether a file in `messages/` is the header block and inline parts of the
/// message that it is named for; one that cannot be read is not.
pub(crate) fn is_whole_message(path: &Path, file: File, digest: MessageDigest) -> bool {
    let mut findings = Vec::new();
    header_and_inline(path, file, digest, &mut findings).is_ok() && findings.is_empty()
}
