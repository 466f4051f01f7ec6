//! Every file of tests/data/vectors: accepted ones hold what their `.json`
//! says, refused ones break the rule that their name says, on its line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;

use ima_message::{
    AddressError as A, CopyError, DataError, DateError, DigestError, FileNameError as F,
    HeaderBlock, HostpartError as H, IdError, MailboxError, PartError as P, ReadError, Rule,
    SignatureError, copy_verified,
};

fn vectors(kind: &str, suffix: &str) -> Vec<(String, PathBuf)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/vectors")
        .join(kind);
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == suffix))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    found.sort();
    found
}

#[derive(Debug)]
enum Refusal {
    Header(usize, Rule),
    Data(DataError),
}

fn read(octets: &[u8]) -> Result<HeaderBlock, Refusal> {
    let mut rest = octets;
    let header = match HeaderBlock::read(&mut rest) {
        Ok(header) => header,
        Err(ReadError::Header(error)) => return Err(Refusal::Header(error.line, error.rule)),
        Err(error) => panic!("{error}"),
    };
    match copy_verified(header.parts(), &mut rest, &mut std::io::sink()) {
        Ok(_) => Ok(header),
        Err(CopyError::Data(error)) => Err(Refusal::Data(error)),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn accepted_vectors_hold_what_their_json_says() {
    let vectors = vectors("accept", "ima");
    assert!(vectors.len() >= 22);
    for (name, path) in vectors {
        let octets = fs::read(&path).unwrap();
        let header = read(&octets).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        let strings = |key: &str| -> Vec<String> {
            json.get(key)
                .unwrap()
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s.as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            header.digest().to_string(),
            json.get("digest").unwrap().as_str().unwrap(),
            "{name}"
        );
        assert_eq!(
            header.as_bytes().len() as u64,
            json.get("header-octets").unwrap().as_u64().unwrap(),
            "{name}"
        );
        assert_eq!(
            header.size(),
            json.get("size").unwrap().as_u64().unwrap(),
            "{name}"
        );
        let recipients: Vec<_> = header
            .recipients()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(recipients, strings("recipients"), "{name}");
        let signers: Vec<_> = header
            .signatures()
            .filter(|s| s.is_known_algorithm())
            .map(|s| s.signer().to_string())
            .collect();
        let all: Vec<_> = header
            .signatures()
            .map(|s| s.signer().to_string())
            .collect();
        let wanted = strings("signers");
        assert!(wanted == signers || wanted == all, "{name}: {all:?}");
        assert_eq!(
            header.as_bytes(),
            octets.get(..header.as_bytes().len()).unwrap(),
            "{name}"
        );
    }
}

fn address(error: A) -> Rule {
    Rule::Mailbox(MailboxError::Address(error))
}
fn host(error: H) -> Rule {
    address(A::Hostpart(error))
}

/// The rule and line by which a vector is refused. Line 0: the data are at fault.
fn expected(name: &str) -> (usize, Rule) {
    match name {
        "address-angle" => (3, address(A::Character('<'))),
        "address-bidi-override"
        | "address-decomposed"
        | "address-fullwidth-letters"
        | "address-fullwidth-slash" => (3, address(A::NotPrecis)),
        "address-comma" => (3, address(A::Character(','))),
        "address-empty-label" => (3, host(H::EmptyLabel)),
        "address-empty-localpart" => (3, address(A::EmptyLocalpart)),
        "address-hyphen-label" => (3, host(H::Hyphen)),
        "address-ip-literal" | "address-ipv4" | "address-port" => (3, host(H::Literal)),
        "address-last-label-digits" => (3, host(H::LastLabelDigits)),
        "address-leading-dot" => (3, address(A::Leading('.'))),
        "address-leading-hyphen" => (3, address(A::Leading('-'))),
        "address-localpart-of-65" => (3, address(A::LongLocalpart)),
        "address-no-at" => (3, address(A::NoAt)),
        "address-one-label" => (3, host(H::OneLabel)),
        "address-quote" => (3, address(A::Character('"'))),
        "address-slash" => (3, address(A::Character('/'))),
        "address-trailing-dot" => (3, host(H::TrailingDot)),
        "address-two-at" => (3, address(A::TwoAt)),
        "attribute-twice" => (8, Rule::Part(P::AttributeTwice("language".into()))),
        "bare-cr-in-value" => (4, Rule::Character('\r')),
        "crlf-line-ends" => (1, Rule::Version),
        "data-short" => (0, Rule::NoEnd),
        "date-missing" => (8, Rule::Missing("date")),
        "date-not-rfc3339" | "date-without-offset" => (5, Rule::Date(DateError)),
        "digest-of-other-algorithm" => (7, Rule::Part(P::Algorithm)),
        "digest-short" | "digest-upper-case" => (7, Rule::Part(P::Digest(DigestError))),
        "digest-wrong" => (0, Rule::NoEnd),
        "empty-value" => (4, Rule::Empty),
        "escape-in-value" => (4, Rule::Character('\x1b')),
        "folded-line" => (5, Rule::Space),
        "from-missing" => (8, Rule::Missing("from")),
        "from-twice" => (3, Rule::Twice("from".into())),
        "id-missing" => (8, Rule::Missing("id")),
        "id-without-at" => (6, Rule::Id(IdError::NoAt)),
        "inline-after-attachment" => (8, Rule::InlineAfterAttachment),
        "invalid-utf8" | "surrogate-utf8" => (4, Rule::Utf8),
        "line-of-8193" => (4, Rule::LongLine),
        "media-type-without-slash" => (7, Rule::Part(P::MediaType("text".into()))),
        "name-dot-dot" | "name-with-slash" => (8, Rule::Part(P::FileName(F::Path))),
        "name-empty" | "name-of-256-octets" => (8, Rule::Part(P::FileName(F::Length))),
        "name-of-33" | "upper-case-name" => (4, Rule::Name),
        "name-with-leading-space" => (8, Rule::Part(P::FileName(F::Space))),
        "no-colon" | "no-space-after-colon" => (4, Rule::NoColon),
        "no-empty-line" => (9, Rule::NoColon),
        "no-recipient" => (8, Rule::NoRecipient),
        "nul-in-value" => (4, Rule::Character('\0')),
        "signature-over-other-letter" => (10, Rule::Signature(SignatureError::Invalid)),
        "signature-without-algorithm" => (10, Rule::Signature(SignatureError::Words)),
        "size-huge" | "size-leading-zero" | "size-negative" => (8, Rule::SizeFormat),
        "size-missing" => (8, Rule::Missing("size")),
        "size-not-the-sum" => (8, Rule::SizeSum(25)),
        "tab-in-value" => (4, Rule::Character('\t')),
        "trailing-space" | "two-spaces-after-colon" => (4, Rule::Space),
        "two-received" => (10, Rule::Twice("received".into())),
        "version-2" | "version-missing" | "version-not-first" => (1, Rule::Version),
        other => panic!("{other}: a vector that this table does not know"),
    }
}

#[test]
fn refused_vectors_break_the_rule_that_their_name_says() {
    let vectors = vectors("reject", "ima");
    assert!(vectors.len() >= 68);
    let mut wrong = Vec::new();
    for (name, path) in vectors {
        let (line, rule) = expected(&name);
        match (name.as_str(), read(&fs::read(&path).unwrap())) {
            ("data-short", Err(Refusal::Data(DataError::Short { missing: 1.. })))
            | ("digest-wrong", Err(Refusal::Data(DataError::Digest { part: 1 }))) => {}
            (_, Err(Refusal::Header(l, r))) if (l, &r) == (line, &rule) => {}
            (_, other) => wrong.push(format!(
                "{name}: wanted {line} {rule:?}, got {:?}",
                other.map(|_| "accepted")
            )),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
