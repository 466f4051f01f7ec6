//! The small values of messages, journals and configuration files: each that can
//! be read is written and read again.
#![no_main]

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use ima_message::{
    ByteSize, DateTime, FileName, Flag, FolderName, KeyFile, KeyLine, MediaType, MessageDigest,
    MessageId, Part, PartDigest, Received, Signature, Signer, Token, text,
};
use ima_mime::maildir;
use ima_program::config::Period;
use ima_proto::tls::KeyDigest;
use libfuzzer_sys::fuzz_target;

/// Written as it was read, and read again as the same.
fn exact<T: Display + PartialEq + Debug, E: Debug>(
    written: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<T> {
    let value = parse(written).ok()?;
    assert_eq!(value.to_string(), written);
    let again = parse(written).expect("it was read before");
    assert_eq!(again, value);
    Some(value)
}

/// Read again as the same, however it is written.
fn same<T: Display + PartialEq + Debug + FromStr>(written: &str) {
    if let Ok(value) = T::from_str(written) {
        let again = T::from_str(&value.to_string()).ok();
        assert_eq!(again, Some(value));
    }
}

fn date(written: &str) {
    let Ok(date) = DateTime::parse(written) else {
        return;
    };
    assert_eq!(date.as_str(), written);
    if let Some(utc) = DateTime::utc(date.unix_seconds()) {
        assert_eq!(utc.unix_seconds(), date.unix_seconds());
        assert_eq!(DateTime::parse(utc.as_str()), Ok(utc));
    }
}

fn keys(written: &str) {
    if let Ok(line) = KeyLine::parse(written) {
        assert_eq!(KeyLine::parse(&line.to_string()), Ok(line));
    }
    let Ok(key) = KeyFile::parse(written) else {
        return;
    };
    assert_eq!(key.to_text(), written);
    let letter = b"ima: 1\n";
    let signature = key.sign(letter);
    assert_eq!(signature.check(letter), Ok(()));
    assert!(signature.check(b"ima: 2\n").is_err());
    assert_eq!(Signature::parse(&signature.to_string()), Ok(signature));
    let public = key.public();
    assert_eq!(KeyLine::parse(&public.to_string()), Ok(public));
}

/// Names that others give to files in a Maildir.
fn mail_file(name: &str) {
    let stem = maildir::stem_of(name);
    assert!(name.starts_with(stem));
    let flags = maildir::flags_of(name);
    let known: BTreeSet<Flag> = maildir::letters(&flags)
        .chars()
        .filter_map(maildir::flag_of)
        .collect();
    assert_eq!(known, flags);
    if let Some(digest) = maildir::digest_of(name) {
        assert!(stem.ends_with(&format!(".{digest}.ima")));
    }
}

fuzz_target!(|written: &str| {
    date(written);
    keys(written);
    mail_file(written);
    if let Ok(received) = Received::parse(written) {
        // Further pairs behind it are passed over.
        let again = received.to_string();
        let behind = written.strip_prefix(&again).expect("it begins so");
        assert!(behind.is_empty() || behind.starts_with(' '));
        assert_eq!(Received::parse(&again), Ok(received));
    }
    if let Some(signature) = exact(written, Signature::parse) {
        // Whatever it is, it does not hold for a letter that nobody signed.
        let is_known = signature.is_known_algorithm();
        assert_eq!(
            signature.check(b"ima: 1\nfrom: nobody@a.test\n").is_err(),
            is_known
        );
    }
    exact(written, Signer::parse);
    for number in [1, 2, 1000] {
        exact(written, |written| Part::parse(written, number));
    }
    same::<Token>(written);
    same::<MessageDigest>(written);
    same::<PartDigest>(written);
    same::<KeyDigest>(written);
    same::<ByteSize>(written);
    same::<Period>(written);
    same::<FolderName>(written);
    if let Ok(id) = MessageId::parse(written) {
        assert_eq!(id.as_str(), written);
        assert!(written.is_ascii() && written.len() <= 255);
    }
    if let Ok(kind) = MediaType::parse(written) {
        assert_eq!(MediaType::parse(kind.as_str()), Ok(kind));
    }
    if let Ok(name) = FileName::parse(written) {
        assert_eq!(name.as_str(), written);
        assert!(!written.contains('/') && ![".", ".."].contains(&written));
        assert!(!written.contains(text::is_bidi_control));
    }
    if let Ok(flag) = Flag::from_str(written) {
        assert_eq!(flag.as_str(), written);
    }
    if let Ok(name) = FolderName::from_str(written) {
        assert!(!name.as_str().contains(['/', '.', '\0']) && !written.is_empty());
    }
    if let Some(number) = text::parse_decimal(written) {
        assert_eq!(number.to_string(), written);
    }
});
