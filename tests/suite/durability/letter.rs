//! Messages that are known by their names.

use ima_message::{Digester, HeaderBlock};

/// A message, and the name that it has in a mailbox.
#[derive(Clone, Debug)]
pub struct Letter {
    pub digest: String,
    pub octets: Vec<u8>,
}

/// Octets of an attachment that no other name gives.
pub fn octets(name: &str, length: usize) -> Vec<u8> {
    let pattern = format!("{name} ");
    pattern.bytes().cycle().take(length).collect()
}

impl Letter {
    /// A line of text to bob.
    pub fn plain(name: &str) -> Letter {
        Letter::new(&["bob"], name, &[])
    }

    /// Two attachments, of which one has more octets than are written at once.
    pub fn full(name: &str) -> Letter {
        Letter::new(&["bob"], name, &[octets(name, 150_000), octets("small", 9)])
    }

    /// More attachments than may keep a descriptor each: they have names in `tmp/`.
    pub fn crowded(name: &str) -> Letter {
        let each = |n| octets(&format!("{name} {n}"), 30);
        let attachments: Vec<_> = (0..70).map(each).collect();
        Letter::new(&["bob"], name, &attachments)
    }

    /// A letter to these users of b.test.
    pub fn new(to: &[&str], name: &str, attachments: &[Vec<u8>]) -> Letter {
        let text = format!("This is {name}.\n").into_bytes();
        let id = name.replace(' ', "-");
        let mut header = "ima: 1\nfrom: alice@a.test\n".to_owned();
        for user in to {
            header += &format!("to: {user}@b.test\n");
        }
        header += &format!("date: 2026-11-22T09:30:00Z\nid: {id}@a.test\n");
        let mut data = Vec::new();
        for (number, part) in [&text].into_iter().chain(attachments).enumerate() {
            let mut digester = Digester::new();
            digester.update(part);
            let (length, digest) = (part.len(), digester.finish());
            header += &match number {
                0 => format!("part: text/plain {length} sha256:{digest}\n"),
                _ => {
                    format!("part: application/octet-stream {length} sha256:{digest} name=a file\n")
                }
            };
            data.extend_from_slice(part);
        }
        header += &format!("size: {}\n\n", data.len());
        let block = HeaderBlock::parse(header.as_bytes()).unwrap();
        Letter {
            digest: block.digest().to_string(),
            octets: [header.as_bytes(), &data].concat(),
        }
    }
}
