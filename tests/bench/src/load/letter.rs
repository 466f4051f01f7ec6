//! Messages that nobody has seen, in both forms.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use ima_message::Digester;

use crate::args::Load;

/// Columns of a line of text.
const COLUMNS: usize = 76;
/// Octets of text that a message has at the least.
const LEAST_TEXT: usize = 64;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Makes messages; each thread has one.
pub struct Letters<'a> {
    load: &'a Load,
    random: Random,
    run: u64,
    attachment: Option<Arc<Attachment>>,
}

/// What all messages of a run have attached: random octets.
pub struct Attachment {
    octets: Vec<u8>,
    digest: String,
    base64: Vec<u8>,
}

/// An IMA message.
pub struct Ima {
    /// The header block.
    pub header: String,
    /// What lies before the attachment.
    pub text: Vec<u8>,
    attachment: Option<Arc<Attachment>>,
}

impl Ima {
    /// The data, in order.
    pub fn data(&self) -> [&[u8]; 2] {
        let attachment = self.attachment.as_ref();
        [&self.text, attachment.map_or(&[], |one| &one.octets)]
    }
}

/// Mail of RFC 5322.
pub struct Mail {
    /// Header and text, or what lies before the attachment.
    pub text: Vec<u8>,
    attachment: Option<Arc<Attachment>>,
}

impl Mail {
    /// The octets, in order. No line begins with a dot.
    pub fn octets(&self) -> [&[u8]; 3] {
        match &self.attachment {
            Some(one) => [&self.text, &one.base64, b"--load--\r\n"],
            None => [&self.text, &[], &[]],
        }
    }
}

impl Attachment {
    /// Of so many octets; None of none. `as_mail`: it will go as base64.
    pub fn new(octets: usize, as_mail: bool) -> Option<Arc<Attachment>> {
        let mut random = Random::new();
        let octets = random.octets(octets);
        if octets.is_empty() {
            return None;
        }
        let mut digester = Digester::new();
        let mut base64 = Vec::new();
        match as_mail {
            true => base64 = encode(&octets),
            false => digester.update(&octets),
        }
        Some(Arc::new(Attachment {
            digest: digester.finish().to_string(),
            octets,
            base64,
        }))
    }
}

impl<'a> Letters<'a> {
    /// Messages of the run `run`.
    pub fn new(load: &'a Load, run: u64, attachment: Option<Arc<Attachment>>) -> Self {
        Self {
            load,
            random: Random::new(),
            run,
            attachment,
        }
    }

    /// The message with a number, as long as it is asked to be, or two octets less
    /// where its lengths have a digit less than was reckoned.
    pub fn ima(&mut self, number: usize) -> Ima {
        // The header says how long the text is, which decides how long the header is.
        let mut length = self.load.size.max(LEAST_TEXT);
        let (text, header) = loop {
            let header = self.ima_header(number, length, &"0".repeat(64));
            let wanted = self.load.size.saturating_sub(header.len()).max(LEAST_TEXT);
            if wanted >= length {
                break (self.random.text(length, b"\n"), header);
            }
            length = wanted;
        };
        let mut digester = Digester::new();
        digester.update(&text);
        let digest = digester.finish().to_string();
        let header = header.replacen(&"0".repeat(64), &digest, 1);
        Ima {
            header,
            text,
            attachment: self.attachment.clone(),
        }
    }

    fn ima_header(&self, number: usize, length: usize, digest: &str) -> String {
        let Load { from, .. } = self.load;
        let mut header = format!("ima: 1\nfrom: {from} Load\n");
        for recipient in self.load.recipients_of(number) {
            let _ = writeln!(header, "to: {recipient}");
        }
        let host = from.split_once('@').map_or("", |(_, host)| host);
        let _ = write!(
            header,
            "subject: Message {number}\ndate: 2026-11-22T09:30:00Z\nid: {number}.{run}@{host}\n\
             part: text/plain {length} sha256:{digest}\n",
            run = self.run,
        );
        let mut size = length;
        if let Some(one) = &self.attachment {
            let (length, digest) = (one.octets.len(), &one.digest);
            let _ = writeln!(
                header,
                "part: application/octet-stream {length} sha256:{digest} name=load.bin"
            );
            size += length;
        }
        let _ = write!(header, "size: {size}\n\n");
        header
    }

    /// The same as mail.
    pub fn mail(&mut self, number: usize) -> Mail {
        let Load { from, .. } = self.load;
        let mut head = format!("From: Load <{from}>\r\n");
        for (at, recipient) in self.load.recipients_of(number).enumerate() {
            let before = if at == 0 { "To: " } else { ",\r\n " };
            let _ = write!(head, "{before}<{recipient}>");
        }
        let host = from.split_once('@').map_or("", |(_, host)| host);
        let _ = write!(
            head,
            "\r\nSubject: Message {number}\r\nDate: Sun, 22 Nov 2026 09:30:00 +0000\r\n\
             Message-ID: <{number}.{run}@{host}>\r\nMIME-Version: 1.0\r\n",
            run = self.run,
        );
        let kind = "Content-Type: text/plain; charset=utf-8\r\n\r\n";
        head += match self.attachment {
            Some(_) => "Content-Type: multipart/mixed; boundary=load\r\n\r\n--load\r\n",
            None => "",
        };
        head += kind;
        let length = self.load.size.saturating_sub(head.len()).max(LEAST_TEXT);
        let mut text = head.into_bytes();
        text.extend(self.random.text(length, b"\r\n"));
        if self.attachment.is_some() {
            text.extend(
                b"--load\r\nContent-Type: application/octet-stream; name=load.bin\r\n\
                  Content-Transfer-Encoding: base64\r\n\r\n",
            );
        }
        Mail {
            text,
            attachment: self.attachment.clone(),
        }
    }
}

/// Octets that do not compress; a xorshift generator, seeded by the system.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(count + 8);
        while octets.len() < count {
            octets.extend(self.next().to_le_bytes());
        }
        octets.truncate(count);
        octets
    }

    /// So many octets of lines, all of them whole.
    fn text(&mut self, count: usize, end: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(count + 8);
        let count = count.saturating_sub(end.len());
        let mut column = 0;
        while text.len() < count {
            // Ten letters of six bits each.
            let mut bits = self.next();
            for _ in 0..10 {
                if column == COLUMNS && text.len() + end.len() < count {
                    text.extend(end);
                    column = 0;
                }
                text.extend(ALPHABET.get((bits & 63) as usize));
                column += 1;
                bits >>= 6;
            }
        }
        // A line end stands only where a letter follows, so none is cut through.
        text.truncate(count);
        text.extend(end);
        text
    }
}

/// Base64 in lines, RFC 2045.
fn encode(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 54 * 78 + 80);
    for line in octets.chunks(COLUMNS / 4 * 3) {
        for three in line.chunks(3) {
            let at = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for place in 0..4 {
                let letter = ALPHABET.get((bits >> (18 - 6 * place) & 63) as usize);
                out.push(match place <= three.len() {
                    true => letter.copied().unwrap_or_default(),
                    false => b'=',
                });
            }
        }
        out.extend(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, What};
    use clap::Parser as _;
    use ima_message::{DataVerifier, HeaderBlock};

    fn load(arguments: &str) -> Load {
        let all = format!("load smtp --address 127.0.0.1:1 --roots ca {arguments}");
        match Arguments::try_parse_from(all.split_whitespace())
            .unwrap()
            .what
        {
            What::Smtp(options) => options.load,
            _ => unreachable!("smtp was asked for"),
        }
    }

    #[test]
    fn messages_keep_the_rules_and_the_length() {
        for (arguments, size) in [
            ("--size 4096", Some(4096)),
            ("--size 1100 --recipients 3 --users 2", Some(1100)),
            ("--size 1 --recipients 1000 --users 1000", None),
            ("--size 100000 --attachment 300001", None),
        ] {
            let load = load(arguments);
            let attachment = Attachment::new(load.attachment, false);
            let mut letters = Letters::new(&load, 7, attachment);
            for number in [0, 9, 12345] {
                let ima = letters.ima(number);
                let header = HeaderBlock::parse(ima.header.as_bytes()).unwrap();
                assert_eq!(header.recipients().len(), load.recipients.min(load.users));
                let mut verifier = DataVerifier::new(header.parts());
                for piece in ima.data() {
                    verifier.update(piece).unwrap();
                }
                verifier.finish().unwrap();
                if let Some(size) = size {
                    assert!((size - 2..=size).contains(&(ima.header.len() + ima.text.len())));
                    if load.attachment == 0 {
                        assert_eq!(letters.mail(number).text.len(), size);
                    }
                }
            }
        }
    }

    #[test]
    fn mail_has_whole_lines_without_dots() {
        for arguments in ["", "--attachment 1000", "--attachment 57", "--size 1"] {
            let load = load(arguments);
            let mut letters = Letters::new(&load, 7, Attachment::new(load.attachment, true));
            for _ in 0..200 {
                let mail = String::from_utf8(letters.mail(0).octets().concat()).unwrap();
                assert!(mail.ends_with("\r\n"));
                assert!(mail.split("\r\n").all(|line| line.len() <= 78
                    && !line.starts_with('.')
                    && !line.contains(['\r', '\n'])));
            }
        }
    }

    #[test]
    fn base64_is_as_everybody_writes_it() {
        // RFC 4648, section 10.
        for (octets, text) in [
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(encode(octets.as_bytes()), format!("{text}\r\n").as_bytes());
        }
    }
}
