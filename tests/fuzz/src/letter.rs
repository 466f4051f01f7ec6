//! Whole messages whose digests are right, out of octets that a fuzzer chose.

use ima_message::Digester;
use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// A message, most often valid: the fuzzer cannot find SHA-256 sums by itself.
#[derive(Arbitrary, Debug)]
pub struct Letter {
    fields: Vec<Line>,
    parts: Vec<Part>,
    spoilt: Spoilt,
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
        header += &format!("size: {size}\n\n");
        (header.into_bytes(), data)
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
    };
    letter.octets()
}
