//! Out and back.

use std::io::{self, Cursor, Read};

use ima_message::{Digester, FileName, HeaderBlock, Part};
use proptest::prelude::*;

use crate::{Defaults, ImportError, Imported, exported_digest, read_rfc5322, write_rfc5322};

/// A message of these fields and parts: type, attributes and name, octets.
fn message(fields: &str, parts: &[(&str, &str, &[u8])]) -> (HeaderBlock, Vec<u8>) {
    let mut block = format!("ima: 1\n{fields}");
    let mut data = Vec::new();
    for (media_type, rest, octets) in parts {
        let mut digester = Digester::new();
        digester.update(octets);
        let (length, digest) = (octets.len(), digester.finish());
        block += &format!("part: {media_type} {length} sha256:{digest}{rest}\n");
        data.extend_from_slice(octets);
    }
    block += &format!("size: {}\n\n", data.len());
    (HeaderBlock::parse(block.as_bytes()).unwrap(), data)
}

fn export(header: &HeaderBlock, data: &[u8]) -> Vec<u8> {
    let mut message = Cursor::new([header.as_bytes(), data].concat());
    let mut attachment = |wanted: &Part| -> io::Result<Box<dyn Read>> {
        let mut begin = 0;
        for part in header.parts() {
            let length = usize::try_from(part.length()).unwrap();
            if part.digest() == wanted.digest() {
                return Ok(Box::new(Cursor::new(data[begin..begin + length].to_vec())));
            }
            begin += length;
        }
        Err(io::ErrorKind::NotFound.into())
    };
    let mut out = Vec::new();
    write_rfc5322(header, &mut message, &mut attachment, &mut out).unwrap();
    out
}

fn import(octets: &[u8]) -> Imported {
    read_rfc5322(octets, &Defaults::default()).unwrap()
}

/// The mail as one that went over the Internet: it is not known for ours.
fn travelled(mail: &[u8]) -> Vec<u8> {
    [
        b"Received: by mx.test; Sun, 22 Nov 2026 09:30:00 +0000\n",
        mail,
    ]
    .concat()
}

fn values(header: &HeaderBlock, name: &str) -> Vec<String> {
    let named = header.fields().filter(|(found, ..)| *found == name);
    named.map(|(_, value, _)| value.to_owned()).collect()
}

/// Octets of the parts of a message, each with its line without length and digest.
fn parts(imported: &Imported) -> Vec<(String, Vec<u8>)> {
    let mut rest = imported.data();
    let mut parts = Vec::new();
    for part in imported.header().parts() {
        let (octets, after) = rest.split_at(usize::try_from(part.length()).unwrap());
        rest = after;
        let mut said = part.media_type().to_string();
        for (key, value) in part.attributes() {
            said += &format!(" {key}={value}");
        }
        if let Some(name) = part.name() {
            said += &format!(" name={name}");
        }
        parts.push((said, octets.to_vec()));
    }
    assert!(rest.is_empty());
    parts
}

const FIELDS: &str = "from: alice@a.test Alice Å, the \"Great\"\nto: bob@b.test Bob Ng\n\
    to: дима@пример.test\ncc: ;touch@b.test =?utf-8?Q?x?=\nreply-to: a@a.test\n\
    subject: Füße =?utf-8?q?=0Abcc:_x?= und so weiter, viel länger als eine Zeile ist, ja wirklich\n\
    date: 2026-11-22T10:30:00+01:00\nid: 1@a.test\nin-reply-to: 0@a.test\nreferences: 9@a.test\n\
    references: 0@a.test\ncontent-type: text/evil\nstatus: RO\nx-ima-digest: 00\nbcc: carol@c.test\n";

#[test]
fn a_whole_letter() {
    let (header, data) = message(
        FIELDS,
        &[
            (
                "text/plain",
                " language=de",
                b"Gr\xc3\xbc\xc3\x9fe\n.\nFrom here\n",
            ),
            ("text/html", " alternative-of=1", b"<img src=\"cid:a@b\">"),
            (
                "image/png",
                " content-id=<a@b> name=ä b.png",
                b"\x89PNG\r\n",
            ),
            ("message/rfc822", " name=m.eml", b"A: 1\r\n\r\nx"),
            ("multipart/mixed", " name=q\"uo\\te.bin", b""),
        ],
    );
    let mail = export(&header, &data);
    assert_eq!(exported_digest(&mail), Some(header.digest()));
    assert_eq!(export(&header, &data), mail);
    let text = String::from_utf8(mail.clone()).unwrap_or_default();
    let (section, _) = text.split_once("\n\n").unwrap();
    for line in section.lines() {
        assert!(line.len() <= 998 && !line.is_empty(), "{line:?}");
        let name = line.split(':').next().unwrap();
        assert!(line.starts_with(' ') || KNOWN.contains(&name), "{line:?}");
    }
    // Back: the same message, and another where it went over the Internet.
    let back = import(&mail);
    assert_eq!(back.header().as_bytes(), header.as_bytes());
    assert_eq!(back.data(), data);
    let crlf = mail.iter().flat_map(|&b| match b {
        b'\n' => vec![b'\r', b'\n'],
        b => vec![b],
    });
    let read = import(&travelled(&mail));
    assert_ne!(read.header().digest(), header.digest());
    assert_ne!(import(&crlf.collect::<Vec<u8>>()).header().size(), 0);
    for name in [
        "from",
        "to",
        "reply-to",
        "subject",
        "date",
        "id",
        "in-reply-to",
        "references",
        "bcc",
    ] {
        let wanted: Vec<String> = values(&header, name)
            .into_iter()
            .map(|value| value.replace("пример", "xn--e1afmkfd"))
            .collect();
        assert_eq!(values(read.header(), name), wanted, "{name}");
    }
    let found = parts(&read);
    let said: Vec<&str> = found.iter().map(|(said, _)| said.as_str()).collect();
    assert_eq!(
        said,
        [
            "text/plain language=de",
            "text/html alternative-of=1",
            "image/png content-id=a@b name=ä b.png",
            "message/rfc822 name=m.eml",
            "application/octet-stream name=q\"uo_te.bin",
            "text/rfc822-headers name=original-header.txt",
        ]
    );
    assert_eq!(found[0].1, "Grüße\n.\nFrom here\n".as_bytes());
    assert_eq!(found[2].1, b"\x89PNG\r\n");
    assert_eq!(found[3].1, b"A: 1\r\n\r\nx");
}

/// All names of fields that an export has at its top.
const KNOWN: &[&str] = &[
    "X-IMA-Digest",
    "From",
    "To",
    "Cc",
    "Bcc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "X-IMA-Field-content-type",
    "X-IMA-Field-status",
    "X-IMA-Field-x-ima-digest",
    "X-IMA-Header",
    "MIME-Version",
    "Content-Type",
];

#[test]
fn a_message_without_parts() {
    let (header, data) = message(FIELDS, &[]);
    let mail = export(&header, &data);
    assert_eq!(import(&mail).header().digest(), header.digest());
    assert_eq!(
        parts(&import(&travelled(&mail)))[0],
        ("text/plain".to_owned(), Vec::new())
    );
}

#[test]
fn what_was_changed_is_another_message() {
    let (header, data) = message(FIELDS, &[("text/plain", "", b"Lunch at noon?\n")]);
    let mail = String::from_utf8(export(&header, &data)).unwrap();
    for (old, new) in [
        ("noon", "five"),
        ("\nSubject: ", "\nSubject: Re: "),
        ("From: ", "From: mallory@m.test, "),
    ] {
        let changed = import(mail.replacen(old, new, 1).as_bytes());
        assert_ne!(changed.header().digest(), header.digest(), "{old}");
    }
    // A mail program writes how it lies in the mailbox.
    let marked = import(format!("Status: RO\nX-Keywords: x\n{mail}").as_bytes());
    assert_eq!(marked.header().digest(), header.digest());
}

/// One row: what a mail says, and what its message says.
fn becomes(mail: &str, lines: &[&str]) {
    let imported = import(mail.as_bytes());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let found = values(imported.header(), name);
        assert!(
            found.iter().any(|found| found == value),
            "{mail:?}: {name}: {found:?}"
        );
    }
}

#[test]
fn mail_that_breaks_rules_becomes_a_message() {
    becomes(
        "From: root (Cron Daemon)\nTo: undisclosed-recipients:;\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?= \x07x\n\n",
        &[
            "from: unknown@imported.invalid root (Cron Daemon)",
            "x-original-from: root (Cron Daemon)",
            "x-original-to: undisclosed-recipients:;",
            "deliver: unknown@imported.invalid",
            "subject: Grüße x",
            "date: 1970-01-01T00:00:00Z",
        ],
    );
    becomes(
        "Received: from x by y; Mon, 1 Jul 2013 08:00:00 -0700 (PDT)\nReceived: by z; Mon, 1 Jul 2013 07:00:00 -0700\n\
         From: A <a@a.test>, B <b@b.test>\nDate: yesterday\nTo: \"x y\"@c.test,\n\tC <c@c.test>\n\
         Message-ID: <1234@localhost>\nReferences: <1234@localhost> <ok@a.test>\nIn-Reply-To: your mail\n\n",
        &[
            "from: a@a.test A",
            "x-original-from: A <a@a.test>, B <b@b.test>",
            "to: c@c.test C",
            "date: 2013-07-01T08:00:00-07:00",
            "references: ok@a.test",
        ],
    );
    let one = import(b"Message-ID: <1@localhost>\n\n");
    let two = import(b"References: <1@localhost>\n\n");
    assert_eq!(
        values(one.header(), "id"),
        values(two.header(), "references")
    );
    assert!(values(two.header(), "in-reply-to").is_empty());
    becomes(
        "From: J\u{f6}rg <j@a.test>\nSender: s@a.test\n\n",
        &["from: j@a.test Jörg"],
    );
    becomes("Sender: s@a.test\n\n", &["from: s@a.test"]);
    // Latin-1 as it was typed.
    let raw = import(b"From: J\xf6rg <j@a.test>\nSubject: \xa4\n\nGr\xfc\xdfe");
    assert_eq!(raw.header().from().display_name(), Some("Jörg"));
    let found = parts(&raw);
    assert_eq!(found[0].1, "Grüße".as_bytes());
    assert_eq!(
        found[1].0,
        "application/octet-stream name=original-header.txt"
    );
}

#[test]
fn how_it_lies_in_a_mailbox_is_not_part_of_a_mail() {
    let one = import(b"From x\nA: 1\n\nx\n");
    let two = import(b"Status: RO\r\nA: 1\r\nX-UID: 7\r\n\r\nx\r\n");
    assert_eq!(one.header().digest(), two.header().digest());
}

#[test]
fn charsets_encodings_and_names() {
    let imported = import(
        b"Content-Type: multipart/mixed; boundary=x\n\npreamble\n--x\n\
          Content-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: quoted-printable\n\n\
          =F0=D2=C9=D7=C5=D4\n--x\n\
          Content-Type: application/pdf; name=\"=?utf-8?B?w6QucGRm?=\"\nContent-Transfer-Encoding: BASE64\n\nAAEC\n--x\n\
          Content-Disposition: attachment; filename*0*=utf-8''%e2%82%ac; filename*1=\"/../a.txt\"\n\nfile\n--x \n\
          Content-Type: message/rfc822\n\nA: 1\n\ninner\n--x--\nepilogue\n",
    );
    let found = parts(&imported);
    let said: Vec<_> = found
        .iter()
        .map(|(s, o)| (s.as_str(), o.as_slice()))
        .take(4)
        .collect();
    assert_eq!(
        said,
        [
            ("text/plain", "Привет".as_bytes()),
            ("application/pdf name=ä.pdf", &b"\0\x01\x02"[..]),
            ("text/plain name=€_.._a.txt", b"file"),
            ("message/rfc822 name=message-4.eml", b"A: 1\n\ninner"),
        ]
    );
}

#[test]
fn what_a_signature_is_over_is_kept() {
    let imported = import(
        b"Content-Type: multipart/signed; boundary=x\n\n--x\nContent-Type: text/plain\n\nI owe you\n\n--x\n\
          Content-Type: application/pgp-signature\n\nsig\n--x--\n",
    );
    let found = parts(&imported);
    assert_eq!(found[0], ("text/plain".to_owned(), b"I owe you\n".to_vec()));
    assert_eq!(
        found[1],
        (
            "application/octet-stream name=signed-part".to_owned(),
            b"Content-Type: text/plain\r\n\r\nI owe you\r\n".to_vec()
        )
    );
    assert_eq!(found[2].0, "application/pgp-signature name=signature.asc");
}

/// Once each of entities that lay in one another was attached with all that was in it.
#[test]
fn of_signed_entities_in_one_another_the_outermost_is_kept() {
    let mut mail = String::new();
    for level in 0..30 {
        mail += &format!("Content-Type: multipart/signed; boundary=b{level}\n\n--b{level}\n");
    }
    mail += "Content-Type: application/x\n\n";
    mail += &"x\n".repeat(1 << 20);
    let imported = import(mail.as_bytes());
    let found = parts(&imported);
    let is_signed = |(line, _): &&(String, Vec<u8>)| line.ends_with("name=signed-part");
    assert_eq!(found.iter().filter(is_signed).count(), 1);
    assert!(imported.data().len() < 3 * mail.len());
    // One beside another is outermost as well.
    let one = "--x\nContent-Type: multipart/signed; boundary=y\n\n--y\n\nt\n--y--\n";
    let two = format!("Content-Type: multipart/mixed; boundary=x\n\n{one}{one}--x--\n");
    let found = parts(&import(two.as_bytes()));
    assert_eq!(found.iter().filter(is_signed).count(), 2);
}

#[test]
fn parts_of_many_more_octets_than_the_mail_are_refused() {
    // Each line becomes two octets where it is signed, and each octet three as a text.
    let grown = |octets: usize| {
        let mut mail = b"Content-Type: multipart/signed; boundary=x\n\n--x\n\
            Content-Type: text/plain; charset=windows-1252\n\n"
            .to_vec();
        mail.extend(std::iter::repeat_n(b'\x80', octets));
        read_rfc5322(&mail, &Defaults::default())
    };
    assert_eq!(grown(2 << 20).unwrap_err(), ImportError::Growth);
    assert!(grown(1 << 19).is_ok());
    // One that names a part of its own again and again as what was exported.
    let text = vec![b'x'; 1 << 16];
    let mut digester = Digester::new();
    digester.update(&text);
    let media_type = ima_message::MediaType::parse("text/plain").unwrap();
    let part = Part::new(media_type, text.len() as u64, digester.finish(), None);
    let count = 200;
    let mut block = String::from(
        "ima: 1\nfrom: alice@a.test\ndeliver: bob@b.test\ndate: 2026-11-22T00:00:00Z\nid: 1@a.test\n",
    );
    for _ in 0..count {
        block += &format!("part: {part}\n");
    }
    block += &format!("size: {}\n\n", count * text.len());
    let header = HeaderBlock::parse(block.as_bytes()).unwrap();
    let mut mail = Vec::new();
    crate::export::write_fields(&header, &mut mail);
    mail.extend(b"X-IMA-Header:\n ");
    let mut lines = Vec::new();
    crate::base64::write_lines(header.as_bytes(), &mut lines);
    mail.extend(
        lines
            .trim_ascii_end()
            .iter()
            .flat_map(|&octet| match octet {
                b'\n' => vec![octet, b' '],
                _ => vec![octet],
            }),
    );
    mail.push(b'\n');
    mail.extend(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\n");
    mail.extend(&text);
    for _ in 1..count {
        mail.extend(b"\n--x\n\n");
    }
    mail.extend(b"\n--x--\n");
    let imported = import(&mail);
    assert!(imported.data().len() < 4 * mail.len() + (1 << 20));
}

#[test]
fn what_has_no_bound_is_refused() {
    let refused = |mail: &[u8]| read_rfc5322(mail, &Defaults::default()).unwrap_err();
    assert_eq!(refused(b""), ImportError::NoHeader);
    assert_eq!(refused(b"\nbody"), ImportError::NoHeader);
    assert_eq!(refused(b"no field\nA: 1\n\n"), ImportError::NoHeader);
    let long = format!("A: {}\n\n", "x".repeat(1 << 20));
    assert_eq!(refused(long.as_bytes()), ImportError::LongHeader);
    let many = format!("To: {}\n\n", "a@a.test,".repeat(10_001));
    assert_eq!(refused(many.as_bytes()), ImportError::Addresses);
    let mut deep = String::new();
    for level in 0..40 {
        deep += &format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
    }
    assert_eq!(refused(deep.as_bytes()), ImportError::Depth);
    let wide = format!(
        "Content-Type: multipart/mixed; boundary=x\n\n{}",
        "--x\n\nt\n".repeat(1000)
    );
    assert_eq!(refused(wide.as_bytes()), ImportError::Parts);
    let nested = "Content-Type: message/rfc822\n\n".repeat(20_000);
    assert_eq!(parts(&import(nested.as_bytes())).len(), 2);
}

/// What may stand in a value.
fn value() -> impl Strategy<Value = String> {
    "(\\PC| |=\\?|\"|\\\\){0,120}".prop_map(|text| {
        let text: String = text
            .chars()
            .filter(|&c| ima_message::text::is_text(c))
            .collect();
        let text = text.trim().to_owned();
        if text.is_empty() {
            "x".to_owned()
        } else {
            text
        }
    })
}

proptest! {
    #[test]
    fn any_letter_comes_back(
        subject in value(),
        name in value(),
        other in value(),
        local in "[a-zA-Z0-9!#$%&'*+=?^_`{|}~;:()\\[\\]]{1,20}",
        text in "(\\PC|\n|\r|\0|=){0,300}",
        html in proptest::option::of("\\PC{0,50}\n?"),
        attached in proptest::collection::vec((value(), proptest::collection::vec(any::<u8>(), 0..200)), 0..4),
        seconds in 0_i64..4_000_000_000,
    ) {
        let date = ima_message::DateTime::utc(seconds).unwrap();
        let fields = format!(
            "from: {local}@a.test {name}\nto: bob@b.test\nsubject: {subject}\ndate: {date}\nid: 1@a.test\nx: {other}\n"
        );
        let mut all: Vec<(&str, String, &[u8])> = vec![("text/plain", String::new(), text.as_bytes())];
        if let Some(html) = &html {
            all.push(("text/html", " alternative-of=1".to_owned(), html.as_bytes()));
        }
        for (name, octets) in &attached {
            let name: String = name.chars().filter(|&c| c != '/' && !ima_message::text::is_bidi_control(c)).take(40).collect();
            let name = FileName::parse(name.trim()).map_or_else(|_| "a".to_owned(), |name| name.as_str().to_owned());
            all.push(("a/b", format!(" name={name}"), octets));
        }
        let all: Vec<(&str, &str, &[u8])> = all.iter().map(|(t, r, o)| (*t, r.as_str(), *o)).collect();
        let (header, data) = message(&fields, &all);
        let mail = export(&header, &data);

        let back = import(&mail);
        prop_assert_eq!(back.header().as_bytes(), header.as_bytes());
        prop_assert_eq!(back.data(), &data[..]);

        let read = import(&travelled(&mail));
        prop_assert_eq!(read.header().date().unix_seconds(), seconds);
        prop_assert_eq!(read.header().recipients(), header.recipients());
        let found = parts(&read);
        // A reader has one kind of line end.
        let lf = text.replace("\r\n", "\n");
        prop_assert_eq!(&found[0].1, lf.as_bytes());
        let files = found.iter().filter(|(said, _)| said.starts_with("a/b"));
        let wanted: Vec<&Vec<u8>> = attached.iter().map(|(_, octets)| octets).collect();
        prop_assert_eq!(files.map(|(_, octets)| octets).collect::<Vec<_>>(), wanted);
        // Runs of spaces become one.
        let words = |s: &str| s.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(words(read.header().subject().unwrap_or_default()), words(&subject));
    }

    #[test]
    fn nothing_makes_it_panic(mail in "(From|To|Cc|Date|Subject|Received|Message-ID|Content-Type|Content-Transfer-Encoding|multipart/mixed|boundary|=|\\?|:|;|,|<|>|@|\\(|\\)|\"|\\\\| |\n|\r|\t|x|--x|base64|text/plain|7|Jan|\\PC){0,200}") {
        if let Ok(imported) = read_rfc5322(mail.as_bytes(), &Defaults::default()) {
            let again = HeaderBlock::parse(imported.header().as_bytes()).unwrap();
            prop_assert_eq!(again.size(), imported.data().len() as u64);
            let mail = export(imported.header(), imported.data());
            let back = import(&mail);
            prop_assert_eq!(back.header().digest(), imported.header().digest());
        }
    }
}
