//! The journal of a folder: its lines, and a whole one from any token on.
#![no_main]

use std::cell::RefCell;
use std::fs;

use ima_mailbox::{Changes, Folder, MailboxError};
use ima_message::{Entry, Token};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const FIRST: &str = "ima-mailbox 1 0123456789abcdef\n";

thread_local! {
    static PLACE: RefCell<TempDir> = RefCell::new({
        let place = TempDir::new().expect("a folder");
        Folder::create(&place.path().join("mail/inbox")).map(|_| ()).unwrap_or_else(|_| {
            fs::create_dir(place.path().join("mail")).expect("a mailbox");
            Folder::create(&place.path().join("mail/inbox")).map(|_| ()).expect("a folder");
        });
        place
    });
}

/// Every change since a token, and where each of them ends.
fn changes(folder: &Folder, since: Option<&Token>) -> Option<(Vec<(Entry, Token)>, usize, Token)> {
    match folder.changes(since).expect("the first line is good") {
        Changes::Reset(_) => None,
        Changes::Since(entries, now) => {
            let (mut good, mut bad) = (Vec::new(), 0);
            for change in entries {
                match change {
                    Ok(change) => good.push((change.entry, change.token)),
                    Err(MailboxError::Journal { .. }) => bad += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            Some((good, bad, now))
        }
    }
}

fuzz_target!(|octets: &[u8]| {
    // Line by line.
    let whole = octets
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |last| last + 1);
    let lines = octets[..whole].split_inclusive(|&b| b == b'\n');
    let (mut good, mut bad, mut offset) = (Vec::new(), 0, FIRST.len());
    for line in lines {
        offset += line.len();
        match Entry::parse(&line[..line.len() - 1]) {
            Ok(entry) if line.len() <= 8192 => {
                let written = entry.to_string();
                assert_eq!(written.as_bytes(), &line[..line.len() - 1]);
                assert_eq!(Entry::parse(written.as_bytes()).as_ref(), Ok(&entry));
                good.push((entry, offset));
            }
            _ => bad += 1,
        }
    }
    // As a folder reads it.
    PLACE.with_borrow(|place| {
        let inbox = place.path().join("mail/inbox");
        fs::write(inbox.join("journal"), [FIRST.as_bytes(), octets].concat()).expect("written");
        let folder = Folder::open(&inbox).expect("a folder");
        let (found, broken, now) = changes(&folder, None).expect("all of it");
        assert_eq!(broken, bad);
        assert_eq!(now.to_string(), format!("0123456789abcdef.{offset}"));
        assert_eq!(found.len(), good.len());
        for ((entry, token), (wanted, offset)) in found.iter().zip(&good) {
            assert_eq!(entry, wanted);
            assert_eq!(token.to_string(), format!("0123456789abcdef.{offset}"));
        }
        // Whoever has dealt with a change goes on behind it.
        for (place, (_, token)) in found.iter().enumerate().step_by(found.len() / 4 + 1) {
            let (later, ..) = changes(&folder, Some(token)).expect("a good token");
            assert_eq!(later, found[place + 1..]);
        }
    });
});
