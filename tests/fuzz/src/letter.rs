//! Whole messages whose digests are right, out of octets that a fuzzer chose.

use ima_message::{DateTime, Digester, HeaderBlock, KeyFile, Signer};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// A message, most often valid: the fuzzer cannot find SHA-256 sums by itself,
/// nor signatures.
#[derive(Arbitrary, Debug)]
pub struct Letter {
    fields: Vec<Line>,
    parts: Vec<Part>,
    spoilt: Spoilt,
    signatures: Vec<Sign>,
    filled: Filled,
}

/// A line of the header block beside those that every message has.
#[derive(Arbitrary, Debug)]
enum Line {
    To(u8),
    Bcc(u8),
    Deliver(u8),
    Mailer(u8),
    Received,
    Subject(String),
    Any(String),
}

#[derive(Arbitrary, Debug)]
struct Part {
    octets: Vec<u8>,
    /// None for an inline part.
    name: Option<Name>,
    attributes: u8,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Good(u8),
    Any(String),
}

/// What is not as the header block says.
#[derive(Arbitrary, Debug)]
enum Spoilt {
    Nothing,
    Size(i8),
    Octet(u16, u8),
    Shorter(u8),
    Longer(u8),
}

/// Whose signature, and over what.
#[derive(Arbitrary, Debug)]
enum Sign {
    OfAuthor,
    OfHost,
    /// By an algorithm that nobody here knows.
    Unknown,
    /// Over another letter.
    Wrong,
}

/// How long the header block is made, where `how_often` is among the few high
/// numbers: large ones take their time.
#[derive(Arbitrary, Debug)]
struct Filled {
    how_often: u8,
    limit: bool,
    by: i8,
}

/// A header block that a server receives has so many octets at the most.
const RECEIVED: usize = (1 << 20) - (8 << 10);
/// And any header block.
const BLOCK: usize = 1 << 20;

const ADDRESSES: [&str; 6] = [
    "bob@b.test",
    "Bob+tag@B.test Bob Ng",
    "carol@c.test",
    "Пётр@пример.test",
    "-rf@b.test",
    "alice@a.test",
];

impl Line {
    fn text(&self) -> String {
        let address = |n: &u8| ADDRESSES[usize::from(*n) % ADDRESSES.len()];
        let bare = |n| address(n).split(' ').next().unwrap_or_default();
        match self {
            Self::To(n) => format!("to: {}", address(n)),
            Self::Bcc(n) => format!("bcc: {}", address(n)),
            Self::Deliver(n) => format!("deliver: {}", bare(n)),
            Self::Mailer(n) => format!("mailer: {}", bare(n)),
            Self::Received => {
                "received: b.test 2026-11-22T09:30:02Z from=a.test address=192.0.2.7 tls=TLSv1.3 author=host".into()
            }
            Self::Subject(text) => format!("subject: {text}"),
            Self::Any(text) => text.clone(),
        }
    }
}

impl Part {
    fn line(&self) -> String {
        let mut digester = Digester::new();
        digester.update(&self.octets);
        let length = self.octets.len();
        let mut line = format!("part: text/plain {length} sha256:{}", digester.finish());
        if self.attributes & 1 == 1 {
            line += " x=1";
        }
        match &self.name {
            None => {}
            Some(Name::Good(n)) => line += &format!(" name=\"photo {n}.jpg\""),
            Some(Name::Any(name)) => line += &format!(" name=\"{name}\""),
        }
        line
    }
}

impl Sign {
    fn line(&self, letter: &[u8]) -> String {
        let signer = match self {
            Self::OfHost => "a.test",
            _ => "alice@a.test",
        };
        let octets = match self {
            Self::Unknown => return format!("signature: {signer} other-1 AAAA AAAA\n"),
            Self::Wrong => [letter, b"x"].concat(),
            Self::OfAuthor | Self::OfHost => letter.to_vec(),
        };
        let signer = Signer::parse(signer).expect("a signer");
        let day = |date| DateTime::parse(date).expect("a date");
        let (first, last) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        let key = KeyFile::new(signer, &[7; 32], day(first), day(last));
        format!("signature: {}\n", key.sign(&octets))
    }
}

impl Filled {
    /// Lines that make a block of so many octets as long as it is to be.
    fn lines(&self, octets: usize) -> String {
        const LINE: usize = 8000;
        if self.how_often < 0xFA {
            return String::new();
        }
        let limit = if self.limit { RECEIVED } else { BLOCK };
        let wanted = limit.saturating_add_signed(self.by.into());
        let mut left = wanted.saturating_sub(octets);
        let mut lines = String::new();
        while left > 2 * LINE {
            lines += &format!("x: {}\n", "x".repeat(LINE - 4));
            left -= LINE;
        }
        // Two that have room for one octet at least.
        for length in [left / 2, left - left / 2] {
            lines += &format!("x: {}\n", "x".repeat(length.saturating_sub(4).max(1)));
        }
        lines
    }
}

impl Letter {
    /// The header block and the data.
    #[must_use]
    pub fn octets(&self) -> (Vec<u8>, Vec<u8>) {
        let mut header = String::from("ima: 1\nfrom: alice@a.test Alice\nto: bob@b.test\n");
        for field in &self.fields {
            header += &field.text();
            header.push('\n');
        }
        header += "date: 2026-11-22T09:30:00Z\nid: 1@a.test\n";
        let mut data = Vec::new();
        for part in &self.parts {
            header += &part.line();
            header.push('\n');
            data.extend_from_slice(&part.octets);
        }
        let mut size = data.len() as u64;
        match self.spoilt {
            Spoilt::Nothing => {}
            Spoilt::Size(by) => size = size.saturating_add_signed(by.into()),
            Spoilt::Octet(place, by) => {
                let length = data.len().max(1);
                if let Some(octet) = data.get_mut(usize::from(place) % length) {
                    *octet ^= by;
                }
            }
            Spoilt::Shorter(by) => data.truncate(data.len().saturating_sub(by.into())),
            Spoilt::Longer(by) => data.resize(data.len() + usize::from(by), b'x'),
        }
        header += &format!("size: {size}\n");
        // What the signatures make longer is filled up as if they were none.
        header += &self.filled.lines(header.len() + 1);
        header += &self.signed(&header);
        header.push('\n');
        (header.into_bytes(), data)
    }

    /// The signatures of a letter, where it is one that can be signed.
    fn signed(&self, lines: &str) -> String {
        if self.signatures.is_empty() {
            return String::new();
        }
        match HeaderBlock::parse(format!("{lines}\n").as_bytes()) {
            Ok(header) => {
                let letter = header.letter_octets();
                self.signatures
                    .iter()
                    .map(|sign| sign.line(&letter))
                    .collect()
            }
            Err(_) => String::new(),
        }
    }
}

/// A small letter from alice@a.test to bob@b.test, with one part of 25 octets.
#[must_use]
pub fn a_letter() -> (Vec<u8>, Vec<u8>) {
    let part = Part {
        octets: b"Noon at the usual place?\n".to_vec(),
        name: None,
        attributes: 0,
    };
    let letter = Letter {
        fields: Vec::new(),
        parts: vec![part],
        spoilt: Spoilt::Nothing,
        signatures: Vec::new(),
        filled: Filled {
            how_often: 0,
            limit: false,
            by: 0,
        },
    };
    letter.octets()
}
