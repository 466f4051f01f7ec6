//! A post office in memory.

use std::io::Cursor;
use std::time::Duration;

use ima_message::{
    Address, Digester, Entry, FolderName, HeaderBlock, MessageDigest, PartDigest, Token,
};

use super::super::*;
use super::{GENERATION, KEY};
use crate::tls::KeyDigest;

/// One user, `bob@b.test`, whose password is `open sesame`.
#[derive(Clone, Default)]
pub struct Post {
    pub journal: Vec<(Entry, u64)>,
    pub messages: Vec<(MessageDigest, Vec<u8>)>,
    pub attachments: Vec<(PartDigest, Vec<u8>)>,
    pub broken: bool,
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

    pub fn end(&self) -> Token {
        token(self.journal.last().map_or(31, |(_, at)| *at))
    }
}

impl Office for Post {
    type Mailbox = Post;

    fn by_password(&mut self, address: &Address, password: &[u8]) -> Login<Post> {
        match address.canonical() == "bob@b.test" && password == b"open sesame" {
            true => Login::Granted(self.clone()),
            false => Login::Refused(Duration::ZERO),
        }
    }

    fn by_certificate(&mut self, address: &Address, key: Option<&KeyDigest>) -> Login<Post> {
        let is_bobs = key.is_some_and(|key| key.to_string() == KEY);
        match address.canonical() == "bob@b.test" && is_bobs {
            true => Login::Granted(self.clone()),
            false => Login::Refused(Duration::ZERO),
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
        let from = since.map_or(31, |token| token.offset);
        if since.is_some_and(|token| token.generation != self.end().generation) {
            return Ok(Changes::Reset(self.end()));
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
        Ok(Changes::Since(Box::new(behind.into_iter()), self.end()))
    }

    fn message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<Option<Octets>, Fault> {
        assert_eq!(folder.as_str(), "inbox");
        let found = self.messages.iter().find(|(known, _)| *known == digest);
        Ok(found.map(|(_, octets)| Octets {
            length: octets.len() as u64,
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
}
