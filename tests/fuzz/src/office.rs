//! What stands behind a session of IMRP here: one mailbox with one folder.

use std::io::Cursor;

use ima_message::{Address, Entry, FolderName, HeaderBlock, MessageDigest, PartDigest, Token};
use ima_proto::imrp::{Change, Changes, Fault, FolderStatus, Login, Mailbox, Octets, Office};
use ima_proto::tls::KeyDigest;

use crate::letter::a_letter;

/// Lets everybody in who gives the password `x`, or any certificate.
#[derive(Clone)]
pub struct OneLetter {
    header: HeaderBlock,
    data: Vec<u8>,
}

impl Default for OneLetter {
    fn default() -> Self {
        let (header, data) = a_letter();
        let header = HeaderBlock::parse(&header).expect("a good letter");
        Self { header, data }
    }
}

impl OneLetter {
    /// Header block and inline parts.
    fn whole_message(&self) -> Vec<u8> {
        let mut octets = self.header.as_bytes().to_vec();
        let mut rest = &self.data[..];
        for part in self.header.parts() {
            let length = usize::try_from(part.length()).expect("it is in memory");
            let (part_octets, later) = rest.split_at(length);
            if !part.is_attachment() {
                octets.extend(part_octets);
            }
            rest = later;
        }
        octets
    }

    fn journal(&self) -> Vec<Change> {
        let digest = self.header.digest();
        let lines = [
            format!("add {digest} 2026-11-22T09:30:02Z 26000"),
            format!("flag {digest} +seen"),
            format!("add {} 2026-11-22T09:30:03Z 1", "ab".repeat(32)),
            format!("del {}", "ab".repeat(32)),
        ];
        let mut offset = 31;
        lines
            .iter()
            .map(|line| {
                offset += line.len() as u64 + 1;
                Change {
                    entry: Entry::parse(line.as_bytes()).expect("an entry"),
                    token: token(offset),
                }
            })
            .collect()
    }
}

fn token(offset: u64) -> Token {
    format!("6f0c9a1b2d3e4f50.{offset}")
        .parse()
        .expect("a token")
}

impl Office for OneLetter {
    type Mailbox = Self;

    fn by_password(&mut self, _: &Address, password: &[u8]) -> Login<Self> {
        assert!((1..=1024).contains(&password.len()));
        Login::Granted(self.clone())
    }

    fn by_certificate(&mut self, _: &Address, key: Option<&KeyDigest>) -> Login<Self> {
        assert!(key.is_none());
        Login::Granted(self.clone())
    }
}

impl Mailbox for OneLetter {
    fn folders(&mut self) -> Result<Vec<FolderStatus>, Fault> {
        Ok(vec![FolderStatus {
            name: "inbox".parse().expect("a name"),
            messages: 1,
            unseen: 0,
            octets: 26000,
            token: token(31),
        }])
    }

    fn changes(&mut self, folder: &FolderName, since: Option<&Token>) -> Result<Changes, Fault> {
        let mut changes = self.journal();
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

    fn message(&mut self, _: &FolderName, digest: MessageDigest) -> Result<Option<Octets>, Fault> {
        let octets = self.whole_message();
        Ok((digest == self.header.digest()).then(|| Octets {
            length: octets.len() as u64,
            source: Box::new(Cursor::new(octets)),
        }))
    }

    fn attachment(&mut self, _: &FolderName, digest: PartDigest) -> Result<Option<Octets>, Fault> {
        let octets = digest.to_string().into_bytes();
        Ok(Some(Octets {
            length: octets.len() as u64,
            source: Box::new(Cursor::new(octets)),
        }))
    }
}
