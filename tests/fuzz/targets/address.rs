//! Addresses, mailboxes and hostparts.
#![no_main]

use ima_message::{Address, Hostpart, Mailbox};
use libfuzzer_sys::fuzz_target;

fn host(host: &Hostpart) {
    let ascii = Hostpart::parse(host.ascii()).expect("A-labels are a hostpart");
    assert_eq!(&ascii, host);
    assert_eq!(ascii.ascii(), host.ascii());
    assert!(
        host.ascii()
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    );
    assert!(
        host.ascii().len() <= 253
            && host
                .ascii()
                .split('.')
                .all(|label| (1..=63).contains(&label.len()))
    );
}

/// Good as a command's argument, a file's name and a part of a path.
fn harmless(text: &str) {
    assert!(!text.is_empty() && text.len() <= 255);
    assert!(!text.starts_with('-') && !text.starts_with('.'));
    assert!(!text.contains(|c: char| c == '/' || c == '@' || c.is_control() || c.is_whitespace()));
}

fn address(address: &Address) {
    host(address.hostpart());
    let local = address.localpart();
    harmless(local.mapped());
    harmless(local.mapped_without_tag());
    harmless(local.as_written());
    // Mapping may make a localpart too long to be written so.
    if let Ok(canonical) = Address::parse(&address.canonical()) {
        assert_eq!(&canonical, address);
        assert_eq!(canonical.canonical(), address.canonical());
    }
    if let Some(untagged) = address.without_tag() {
        assert_eq!(untagged.localpart().mapped(), local.mapped_without_tag());
        assert_eq!(untagged.without_tag(), None);
        if let Ok(again) = Address::parse(&untagged.to_string()) {
            assert_eq!(again, untagged);
        }
    } else {
        assert_eq!(local.mapped(), local.mapped_without_tag());
    }
}

fuzz_target!(|text: &str| {
    if let Ok(parsed) = Hostpart::parse(text) {
        assert_eq!(parsed.to_string(), text);
        host(&parsed);
    }
    if let Ok(parsed) = Address::parse(text) {
        assert_eq!(parsed.to_string(), text);
        assert_eq!(
            Mailbox::parse(text)
                .expect("an address is a mailbox")
                .address(),
            &parsed
        );
        address(&parsed);
    }
    if let Ok(parsed) = Mailbox::parse(text) {
        assert_eq!(parsed.to_string(), text);
        assert_eq!(Mailbox::parse(&parsed.to_string()).as_ref(), Ok(&parsed));
        address(parsed.address());
    }
});
