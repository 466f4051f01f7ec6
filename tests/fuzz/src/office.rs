//! What stands behind a session of IMRP here: one mailbox, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{Cursor, PipeReader, PipeWriter, Read, pipe};
use std::os::fd::{AsFd, BorrowedFd};

use ima_message::{
    Address, DataVerifier, Entry, FolderName, HeaderBlock, MessageDigest, PartDigest, Token,
};
use ima_proto::imrp::{
    Act, Change, Changes, Fault, FolderStatus, Login, MAX_FLAG_CHANGES, Mailbox, Octets, Office,
    Outcome, Watcher, Watching,
};

use crate::letter::a_letter;

/// Lets everybody in who gives the password `x`, or any certificate. At first
/// there is one letter, in the inbox.
#[derive(Clone)]
pub struct OneLetter {
    folders: BTreeMap<FolderName, BTreeSet<MessageDigest>>,
    /// Header blocks and inline parts.
    messages: BTreeMap<MessageDigest, Vec<u8>>,
    /// The inbox's.
    journal: Vec<Entry>,
}

impl Default for OneLetter {
    fn default() -> Self {
        let (header, data) = a_letter();
        let header = HeaderBlock::parse(&header).expect("a good letter");
        let digest = header.digest();
        let journal = [
            format!("add {digest} 2026-11-22T09:30:02Z 26000"),
            format!("flag {digest} +seen"),
            format!("add {} 2026-11-22T09:30:03Z 1", "ab".repeat(32)),
            format!("del {}", "ab".repeat(32)),
        ];
        let entry = |line: &String| Entry::parse(line.as_bytes()).expect("an entry");
        Self {
            folders: BTreeMap::from([(inbox(), BTreeSet::from([digest]))]),
            messages: BTreeMap::from([(digest, whole_message(&header, &data))]),
            journal: journal.iter().map(entry).collect(),
        }
    }
}

fn inbox() -> FolderName {
    "inbox".parse().expect("a name")
}

/// Header block and inline parts.
fn whole_message(header: &HeaderBlock, data: &[u8]) -> Vec<u8> {
    let mut octets = header.as_bytes().to_vec();
    let mut rest = data;
    for part in header.parts() {
        let length = usize::try_from(part.length()).expect("it is in memory");
        let (part_octets, later) = rest.split_at(length);
        if !part.is_attachment() {
            octets.extend(part_octets);
        }
        rest = later;
    }
    octets
}

impl OneLetter {
    fn changes(&self) -> Vec<Change> {
        let mut offset = 31;
        let behind = |entry: &Entry| {
            offset += entry.to_string().len() as u64 + 1;
            let (entry, token) = (entry.clone(), token(offset));
            Change { entry, token }
        };
        self.journal.iter().map(behind).collect()
    }

    fn note(&mut self, folder: &FolderName, entry: Entry) {
        if *folder == inbox() {
            self.journal.push(entry);
        }
    }

    /// What of this is in a folder that is there, to be changed.
    fn within(
        &mut self,
        folder: &FolderName,
    ) -> Result<Option<&mut BTreeSet<MessageDigest>>, Fault> {
        match folder.as_str() {
            "broken" => Err(Fault),
            _ => Ok(self.folders.get_mut(folder)),
        }
    }
}

fn token(offset: u64) -> Token {
    format!("6f0c9a1b2d3e4f50.{offset}")
        .parse()
        .expect("a token")
}

fn refused<T>(reason: &str) -> Result<Outcome<T>, Fault> {
    Ok(no(reason))
}

fn no<T>(reason: &str) -> Outcome<T> {
    Outcome::Refused(reason.into())
}

impl Office for OneLetter {
    type Mailbox = Self;

    fn by_password(&mut self, _: &Address, password: &[u8]) -> Login<Self> {
        assert!((1..=1024).contains(&password.len()));
        Login::Granted(self.clone())
    }

    fn by_certificate(&mut self, _: &Address) -> Login<Self> {
        Login::Granted(self.clone())
    }
}

impl Mailbox for OneLetter {
    fn folders(&mut self) -> Result<Vec<FolderStatus>, Fault> {
        let status = |(name, digests): (&FolderName, &BTreeSet<MessageDigest>)| FolderStatus {
            name: name.clone(),
            messages: digests.len() as u64,
            unseen: 0,
            octets: 26000,
            token: token(31),
        };
        Ok(self.folders.iter().map(status).collect())
    }

    fn changes(&mut self, folder: &FolderName, since: Option<&Token>) -> Result<Changes, Fault> {
        let mut changes = OneLetter::changes(self);
        let end = changes.last().expect("a change").token;
        match (folder.as_str(), since) {
            ("inbox", Some(since)) if since.generation != end.generation => Ok(Changes::Reset(end)),
            ("inbox", since) => {
                let from = since.map_or(0, |since| since.offset);
                changes.retain(|change| change.token.offset > from);
                Ok(Changes::Since(Box::new(changes.into_iter().map(Ok)), end))
            }
            ("broken", _) => Err(Fault),
            _ => Ok(Changes::NoFolder),
        }
    }

    fn message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<Option<Octets>, Fault> {
        let is_here = self
            .within(folder)?
            .is_some_and(|all| all.contains(&digest));
        let found = self.messages.get(&digest).filter(|_| is_here);
        Ok(found.map(|octets| Octets {
            length: octets.len() as u64,
            source: Box::new(Cursor::new(octets.clone())),
        }))
    }

    fn attachment(&mut self, _: &FolderName, digest: PartDigest) -> Result<Option<Octets>, Fault> {
        let octets = digest.to_string().into_bytes();
        Ok(Some(Octets {
            length: octets.len() as u64,
            source: Box::new(Cursor::new(octets)),
        }))
    }

    fn damaged(&mut self, _: &FolderName, _: &dyn Display) {
        panic!("no file here is shorter than it should be");
    }

    fn apply(&mut self, folder: &FolderName, acts: &[Act]) -> Result<Vec<Outcome<()>>, Fault> {
        assert!(!acts.is_empty());
        let mut outcomes = Vec::new();
        let mut deleted = BTreeSet::new();
        for act in acts {
            let digest = act.digest();
            // What follows its deletion comes by a call of its own.
            assert!(!deleted.contains(&digest));
            let Some(here) = self.within(folder)? else {
                outcomes.push(no("no such folder"));
                continue;
            };
            if !here.contains(&digest) {
                outcomes.push(no("no such message"));
                continue;
            }
            outcomes.push(Outcome::Done(()));
            match act {
                Act::Flag { changes, .. } => {
                    assert!((1..=MAX_FLAG_CHANGES).contains(&changes.len()));
                    let changes = changes.clone();
                    self.note(folder, Entry::Flag { digest, changes });
                }
                Act::Delete { .. } => {
                    here.remove(&digest);
                    deleted.insert(digest);
                    self.note(folder, Entry::Del { digest });
                }
            }
        }
        Ok(outcomes)
    }

    fn relocate(
        &mut self,
        from: &FolderName,
        digests: &[MessageDigest],
        to: &FolderName,
    ) -> Result<Vec<Outcome<()>>, Fault> {
        let distinct: BTreeSet<_> = digests.iter().collect();
        assert!(!digests.is_empty() && distinct.len() == digests.len());
        if self.within(from)?.is_none() || self.within(to)?.is_none() {
            return Ok(digests.iter().map(|_| no("no such folder")).collect());
        }
        let mut outcomes = Vec::new();
        for &digest in digests {
            let here = self.within(from)?.expect("it is there");
            if !here.contains(&digest) {
                outcomes.push(no("no such message"));
                continue;
            }
            outcomes.push(Outcome::Done(()));
            if from != to {
                here.remove(&digest);
                self.within(to)?.expect("it is there").insert(digest);
                self.note(from, Entry::Del { digest });
            }
        }
        Ok(outcomes)
    }

    fn store(
        &mut self,
        folder: &FolderName,
        header: &HeaderBlock,
        data: &mut dyn Read,
    ) -> Result<Outcome<MessageDigest>, Fault> {
        if self.within(folder)?.is_none() {
            return refused("no such folder");
        }
        let mut octets = Vec::new();
        data.read_to_end(&mut octets).map_err(|_| Fault)?;
        assert_eq!(octets.len() as u64, header.size());
        let mut verifier = DataVerifier::new(header.parts());
        if let Err(error) = verifier.update(&octets).and_then(|()| verifier.finish()) {
            return refused(&error.to_string());
        }
        let digest = header.digest();
        let whole = whole_message(header, &octets);
        self.messages.insert(digest, whole);
        self.within(folder)?.expect("it is there").insert(digest);
        let add = format!("add {digest} 2026-11-22T09:30:04Z {}", octets.len());
        self.note(folder, Entry::parse(add.as_bytes()).expect("an entry"));
        Ok(Outcome::Done(digest))
    }

    fn create(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault> {
        if self.within(folder)?.is_some() {
            return refused("there is a folder of this name");
        }
        self.folders.insert(folder.clone(), BTreeSet::new());
        Ok(Outcome::Done(()))
    }

    fn remove(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault> {
        match self.within(folder)? {
            None => refused("no such folder"),
            Some(_) if *folder == inbox() => refused("the inbox stays"),
            Some(digests) if !digests.is_empty() => refused("the folder holds messages"),
            Some(_) => {
                self.folders.remove(folder);
                Ok(Outcome::Done(()))
            }
        }
    }

    fn watch(&mut self, folders: &[(FolderName, Token)]) -> Result<Watching, Fault> {
        assert!(!folders.is_empty());
        for (folder, _) in folders {
            if self.within(folder)?.is_none() {
                return Ok(Watching::NoFolder);
            }
        }
        let (reader, writer) = pipe().map_err(|_| Fault)?;
        let changed = folders
            .iter()
            .filter(|(_, token)| token.offset < 256)
            .map(|(folder, _)| folder.clone())
            .collect();
        Ok(Watching::On(Box::new(Once {
            reader,
            _writer: writer,
            changed,
        })))
    }
}

/// Folders that have changed already, and never do again.
struct Once {
    reader: PipeReader,
    _writer: PipeWriter,
    changed: Vec<FolderName>,
}

impl Watcher for Once {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    fn changed(&mut self) -> Result<Vec<FolderName>, Fault> {
        Ok(std::mem::take(&mut self.changed))
    }
}
