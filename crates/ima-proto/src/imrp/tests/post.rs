//! A post office in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{Cursor, PipeReader, Read};
use std::rc::Rc;

use ima_message::{
    Address, DataVerifier, Digester, Entry, FolderName, Generation, HeaderBlock, MessageDigest,
    PartDigest, Token,
};

use super::super::*;
use super::GENERATION;
use super::watching::{Rung, Told};

/// One user, `bob@b.test`, whose password is `open sesame`.
#[derive(Clone, Default)]
pub struct Post {
    pub journal: Vec<(Entry, u64)>,
    pub messages: Vec<(MessageDigest, Vec<u8>)>,
    pub attachments: Vec<(PartDigest, Vec<u8>)>,
    /// Folders beside the inbox, and what is in them.
    pub others: BTreeMap<FolderName, Vec<MessageDigest>>,
    pub broken: bool,
    /// Messages are an octet shorter than their length.
    pub cut: bool,
    /// No flag has room any more.
    pub is_full: bool,
    /// What rings when the inbox changes while it is watched.
    pub bell: Rc<RefCell<Option<PipeReader>>>,
    /// The journal is compacted before each reading.
    pub restless: bool,
    /// How often that was.
    pub compacted: u64,
    /// What was asked of all copies of this post: what was changed by one call.
    pub calls: Rc<RefCell<Vec<String>>>,
}

pub fn digest(octets: &[u8]) -> PartDigest {
    let mut digester = Digester::new();
    digester.update(octets);
    digester.finish()
}

pub fn token(offset: u64) -> Token {
    format!("{GENERATION}.{offset}").parse().unwrap()
}

impl Post {
    pub fn add(&mut self, id: &str, text: &str, attached: &[u8]) -> MessageDigest {
        let header = format!(
            "ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\nid: {id}@a.test\npart: text/plain {} sha256:{}\npart: application/octet-stream {} sha256:{} name=a file\nsize: {}\n\n",
            text.len(),
            digest(text.as_bytes()),
            attached.len(),
            digest(attached),
            text.len() + attached.len(),
        );
        let block = HeaderBlock::parse(header.as_bytes()).unwrap();
        self.messages.push((
            block.digest(),
            [header.as_bytes(), text.as_bytes()].concat(),
        ));
        self.attachments.push((digest(attached), attached.to_vec()));
        let line = format!("add {} 2026-11-22T09:30:02Z 999", block.digest());
        self.note(&line);
        block.digest()
    }

    pub fn note(&mut self, line: &str) {
        let at = self.journal.last().map_or(31, |(_, at)| *at);
        let entry = Entry::parse(line.as_bytes()).unwrap();
        self.journal.push((entry, at + line.len() as u64 + 1));
    }

    fn call(&self, what: String) -> Result<(), Fault> {
        self.calls.borrow_mut().push(what);
        match self.broken {
            true => Err(Fault),
            false => Ok(()),
        }
    }

    fn is_folder(&self, name: &FolderName) -> bool {
        name.as_str() == "inbox" || self.others.contains_key(name)
    }

    fn has(&self, digest: MessageDigest) -> bool {
        self.messages.iter().any(|(known, _)| *known == digest)
    }

    pub fn end(&self) -> Token {
        token(self.journal.last().map_or(31, |(_, at)| *at))
    }
}

fn refused_all(count: usize, reason: &str) -> Vec<Outcome<()>> {
    vec![Outcome::Refused(reason.into()); count]
}

impl Office for Post {
    type Mailbox = Post;

    fn by_password(&mut self, address: &Address, password: &[u8]) -> Login<Post> {
        match address.canonical() == "bob@b.test" && password == b"open sesame" {
            true => Login::Granted(self.clone()),
            false => Login::Refused,
        }
    }

    fn by_certificate(&mut self, address: &Address) -> Login<Post> {
        match address.canonical() == "bob@b.test" {
            true => Login::Granted(self.clone()),
            false => Login::Refused,
        }
    }
}

impl Mailbox for Post {
    fn folders(&mut self) -> Result<Vec<FolderStatus>, Fault> {
        let messages = self.messages.len() as u64;
        Ok(vec![FolderStatus {
            name: "inbox".parse().unwrap(),
            messages,
            unseen: messages,
            octets: 999 * messages,
            token: self.end(),
        }])
    }

    fn changes(&mut self, folder: &FolderName, since: Option<&Token>) -> Result<Changes, Fault> {
        if self.broken {
            return Err(Fault);
        }
        if folder.as_str() != "inbox" {
            return Ok(Changes::NoFolder);
        }
        let mut now = self.end();
        if self.restless {
            self.compacted += 1;
            now.generation = Generation::new(self.compacted);
        }
        let from = since.map_or(31, |token| token.offset);
        if since.is_some_and(|token| token.generation != now.generation) {
            return Ok(Changes::Reset(now));
        }
        let behind: Vec<_> = self
            .journal
            .iter()
            .filter(|(_, at)| *at > from)
            .map(|(entry, at)| {
                let (entry, token) = (entry.clone(), token(*at));
                Ok(Change { entry, token })
            })
            .collect();
        Ok(Changes::Since(Box::new(behind.into_iter()), now))
    }

    fn message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<Option<Octets>, Fault> {
        assert_eq!(folder.as_str(), "inbox");
        let found = self.messages.iter().find(|(known, _)| *known == digest);
        Ok(found.map(|(_, octets)| Octets {
            length: octets.len() as u64 + u64::from(self.cut),
            source: Box::new(Cursor::new(octets.clone())),
        }))
    }

    fn attachment(
        &mut self,
        folder: &FolderName,
        digest: PartDigest,
    ) -> Result<Option<Octets>, Fault> {
        assert_eq!(folder.as_str(), "inbox");
        let found = self.attachments.iter().find(|(known, _)| *known == digest);
        Ok(found.map(|(_, octets)| Octets {
            length: octets.len() as u64,
            source: Box::new(Cursor::new(octets.clone())),
        }))
    }

    fn damaged(&mut self, folder: &FolderName, digest: &dyn Display) {
        let call = format!("damaged {folder} {digest}");
        self.calls.borrow_mut().push(call);
    }

    fn apply(&mut self, folder: &FolderName, acts: &[Act]) -> Result<Vec<Outcome<()>>, Fault> {
        self.call(format!("apply {folder} {}", acts.len()))?;
        if !self.is_folder(folder) {
            return Ok(refused_all(acts.len(), "no such folder"));
        }
        let mut outcomes = Vec::new();
        for act in acts {
            let digest = act.digest();
            if self.is_full && matches!(act, Act::Flag { .. }) {
                outcomes.push(Outcome::Refused("too many flags".into()));
                continue;
            }
            if !self.has(digest) || folder.as_str() != "inbox" {
                outcomes.push(Outcome::Refused("no such message".into()));
                continue;
            }
            outcomes.push(Outcome::Done(()));
            match act {
                Act::Flag { digest, changes } => {
                    let (digest, changes) = (*digest, changes.clone());
                    self.note(&Entry::Flag { digest, changes }.to_string());
                }
                Act::Delete { digest } => {
                    self.messages.retain(|(known, _)| known != digest);
                    self.note(&format!("del {digest}"));
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
        self.call(format!("relocate {from} {} {to}", digests.len()))?;
        if !self.is_folder(from) || !self.is_folder(to) {
            return Ok(refused_all(digests.len(), "no such folder"));
        }
        let mut outcomes = Vec::new();
        for digest in digests {
            if !self.has(*digest) {
                outcomes.push(Outcome::Refused("no such message".into()));
                continue;
            }
            outcomes.push(Outcome::Done(()));
            self.note(&format!("del {digest}"));
            self.messages.retain(|(known, _)| known != digest);
            self.others.get_mut(to).unwrap().push(*digest);
        }
        Ok(outcomes)
    }

    fn store(
        &mut self,
        folder: &FolderName,
        header: &HeaderBlock,
        data: &mut dyn Read,
    ) -> Result<Outcome<MessageDigest>, Fault> {
        self.call(format!("store {folder}"))?;
        if !self.is_folder(folder) {
            return Ok(Outcome::Refused("no such folder".into()));
        }
        let mut octets = Vec::new();
        data.read_to_end(&mut octets).map_err(|_| Fault)?;
        let mut verifier = DataVerifier::new(header.parts());
        if let Err(error) = verifier.update(&octets).and_then(|()| verifier.finish()) {
            return Ok(Outcome::Refused(error.to_string().into()));
        }
        let digest = header.digest();
        self.messages
            .push((digest, [header.as_bytes(), &octets].concat()));
        self.note(&format!("add {digest} 2026-11-22T09:30:02Z 999"));
        Ok(Outcome::Done(digest))
    }

    fn create(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault> {
        self.call(format!("create {folder}"))?;
        if self.is_folder(folder) {
            return Ok(Outcome::Refused("there is a folder of this name".into()));
        }
        self.others.insert(folder.clone(), Vec::new());
        Ok(Outcome::Done(()))
    }

    fn remove(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault> {
        self.call(format!("remove {folder}"))?;
        match self.others.remove(folder) {
            Some(_) => Ok(Outcome::Done(())),
            None => Ok(Outcome::Refused("no such folder".into())),
        }
    }

    fn ends(&mut self) {
        self.calls.borrow_mut().push("ends".into());
    }

    fn watch(&mut self, folders: &[(FolderName, Token)]) -> Result<Watching, Fault> {
        if folders.iter().any(|(name, _)| !self.is_folder(name)) {
            return Ok(Watching::NoFolder);
        }
        if let Some(bell) = self.bell.borrow_mut().take() {
            return Ok(Watching::On(Box::new(Rung::new(bell))));
        }
        let changed = folders.iter().filter(|(_, token)| *token != self.end());
        let changed = changed.map(|(name, _)| name.clone()).collect();
        Ok(Watching::On(Box::new(Told::new(changed))))
    }
}
