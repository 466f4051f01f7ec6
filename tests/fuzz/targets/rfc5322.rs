//! Mail of others: read, written as mail again, and read once more.
#![no_main]

use std::io::{self, Cursor, Read};

use ima_message::{DataVerifier, HeaderBlock, Part};
use ima_mime::mbox::{Quoting, Reader};
use ima_mime::{Defaults, Imported, exported_digest, read_rfc5322, write_rfc5322};
use libfuzzer_sys::fuzz_target;

/// A header block that is one, and the data that it announces.
fn is_whole(imported: &Imported) {
    let header = HeaderBlock::parse(imported.header().as_bytes()).expect("a header block");
    assert_eq!(header.digest(), imported.header().digest());
    let mut verifier = DataVerifier::new(header.parts());
    verifier
        .update(imported.data())
        .expect("the data announced");
    verifier.finish().expect("all of them");
}

fn written(imported: &Imported) -> Vec<u8> {
    let header = imported.header();
    let mut message = Cursor::new([header.as_bytes(), imported.data()].concat());
    let mut attachment = |wanted: &Part| -> io::Result<Box<dyn Read>> {
        let mut begin = 0;
        for part in header.parts() {
            let end = begin + part.length() as usize;
            if part.digest() == wanted.digest() {
                return Ok(Box::new(Cursor::new(imported.data()[begin..end].to_vec())));
            }
            begin = end;
        }
        unreachable!("only parts of the message are asked for")
    };
    let mut out = Vec::new();
    write_rfc5322(header, &mut message, &mut attachment, &mut out).expect("memory has no faults");
    out
}

fuzz_target!(|octets: &[u8]| {
    let defaults = Defaults::default();
    let mut reader = Reader::new(octets);
    while let Ok(Some(mail)) = reader.read() {
        let _ = read_rfc5322(&mail.octets, &defaults);
    }
    let Ok(imported) = read_rfc5322(octets, &defaults) else {
        return;
    };
    is_whole(&imported);
    let mail = written(&imported);
    assert_eq!(exported_digest(&mail), Some(imported.header().digest()));
    // No field injects a line: each begins with a name of ours, or goes on.
    let end = mail
        .windows(2)
        .position(|two| two == b"\n\n")
        .expect("an end");
    for line in mail[..end].split(|&b| b == b'\n') {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        assert!(folded || KNOWN.iter().any(|name| line.starts_with(name.as_bytes())));
        assert!(!line.contains(&b'\r') && !line.trim_ascii().is_empty());
    }
    if imported.header().as_bytes().len() <= 64 << 10 {
        let back = read_rfc5322(&mail, &defaults).expect("a mail");
        assert_eq!(back.header().as_bytes(), imported.header().as_bytes());
        assert_eq!(back.data(), imported.data());
    }
    // As one that went over the Internet it may become another message, and is one.
    let travelled = [b"Received: by mx.test\n", &mail[..]].concat();
    is_whole(&read_rfc5322(&travelled, &defaults).expect("a mail"));

    let mut quoted = b"From a@b.test Sun Nov 22 09:30:02 2026\n".to_vec();
    let mut quoting = Quoting::new(&mut quoted);
    io::copy(&mut &mail[..], &mut quoting).expect("written");
    quoting.finish().expect("written");
    let from_mbox = Reader::new(&quoted[..])
        .read()
        .expect("an mbox")
        .expect("a mail");
    assert!(from_mbox.octets == mail || from_mbox.octets == [&mail[..], b"\n"].concat());
});

const KNOWN: &[&str] = &[
    "X-IMA-Digest: ",
    "From: ",
    "To: ",
    "Cc: ",
    "Bcc: ",
    "Reply-To: ",
    "Subject: ",
    "Date: ",
    "Message-ID: ",
    "In-Reply-To: ",
    "References: ",
    "X-IMA-Field-",
    "X-IMA-Mailer: ",
    "X-IMA-Received: ",
    "X-IMA-Header:",
    "MIME-Version: 1.0",
    "Content-",
];
