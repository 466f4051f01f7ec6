//! Messages for the tests.

use std::fmt::Write as _;

use ima_message::{Digester, HeaderBlock, PartDigest};

/// A message and its octets.
pub struct Letter {
    pub header: HeaderBlock,
    pub data: Vec<u8>,
}

/// The parts of a message that is being written.
#[derive(Default)]
pub struct Parts {
    lines: String,
    data: Vec<u8>,
}

pub fn sha256(octets: &[u8]) -> PartDigest {
    let mut digester = Digester::new();
    digester.update(octets);
    digester.finish()
}

/// Octets that are no two seeds' alike.
pub fn octets(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

impl Parts {
    pub fn inline(mut self, octets: &[u8]) -> Self {
        writeln!(
            self.lines,
            "part: text/plain {} sha256:{}",
            octets.len(),
            sha256(octets)
        )
        .unwrap();
        self.data.extend(octets);
        self
    }

    pub fn attach(mut self, octets: &[u8]) -> Self {
        let (length, digest) = (octets.len(), sha256(octets));
        writeln!(
            self.lines,
            "part: application/octet-stream {length} sha256:{digest} name=a file"
        )
        .unwrap();
        self.data.extend(octets);
        self
    }

    pub fn letter(self, id: &str) -> Letter {
        self.letter_with(id, "")
    }

    /// A letter with further transport fields, whole lines.
    pub fn letter_with(self, id: &str, transport: &str) -> Letter {
        let Self { lines, data } = self;
        let text = format!(
            "ima: 1\nfrom: alice@a.test\nto: bob@b.test\ndate: 2026-11-22T09:30:00Z\nid: {id}@a.test\n{transport}{lines}size: {}\n\n",
            data.len()
        );
        let header = HeaderBlock::parse(text.as_bytes()).unwrap();
        Letter { header, data }
    }
}

impl Letter {
    /// A line of text.
    pub fn plain(id: &str) -> Self {
        Parts::default()
            .inline(format!("This is {id}.\n").as_bytes())
            .letter(id)
    }

    /// Two inline parts and two attachments, one of them longer than a buffer.
    pub fn full(id: &str) -> Self {
        Parts::default()
            .inline(b"text\n")
            .inline(b"<p>text</p>\n")
            .attach(&octets(1, 300_000))
            .attach(b"small")
            .letter(id)
    }

    pub fn whole(&self) -> Vec<u8> {
        [self.header.as_bytes(), &self.data].concat()
    }

    pub fn name(&self) -> String {
        self.header.digest().to_string()
    }
}
