//! What a receiver accepts and what a mailbox accepts is the same set.
#![no_main]

use std::cell::RefCell;
use std::fs;

use ememo_fuzz::{Anybody, Letter, Post};
use ima_mailbox::{Delivered, Folder, check};
use ima_message::HeaderBlock;
use ima_proto::framing::Memory;
use ima_proto::imdp::{Limits, Receiver};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// After so many messages the mailbox begins anew.
const MANY: usize = 64;

thread_local! {
    static PLACE: RefCell<(Option<TempDir>, usize)> = const { RefCell::new((None, 0)) };
}

fn fresh() -> TempDir {
    let place = TempDir::new().expect("a folder");
    fs::create_dir(place.path().join("mail")).expect("a mailbox");
    Folder::create(&place.path().join("mail/inbox")).expect("a folder");
    place
}

fuzz_target!(|letter: Letter| {
    let (header, data) = letter.octets();
    let mut input = format!("HEADERS {}\n", header.len()).into_bytes();
    input.extend_from_slice(&header);
    input.extend_from_slice(format!("DATA {}\n", data.len()).as_bytes());
    input.extend_from_slice(&data);
    input.extend_from_slice(b"DONE\n");
    let mut post = Post::default();
    Receiver::new(
        &mut Memory::new(input),
        &Anybody,
        &Limits::default(),
        &mut post,
    )
    .run();
    let received = !post.delivered.is_empty();

    PLACE.with_borrow_mut(|(place, count)| {
        *count += 1;
        if *count % MANY == 1 {
            *place = Some(fresh());
        }
        let inbox = place
            .as_ref()
            .expect("made above")
            .path()
            .join("mail/inbox");
        let folder = Folder::open(&inbox).expect("a folder");
        let Ok(parsed) = HeaderBlock::parse(&header) else {
            assert!(!received);
            return;
        };
        let stored = match folder.deliver(&parsed, &mut &data[..], None) {
            Ok(Delivered::Stored | Delivered::Duplicate) => true,
            Err(error) => {
                assert!(error.is_refusal(), "{error}");
                false
            }
        };
        // Whom the peer is, what comes later and what its service wants are no
        // matters of the message.
        let by_itself = parsed.received().is_some()
            || parsed.mailers().next().is_some()
            || matches!(parsed.subject(), Some("defer" | "reject" | "drop"));
        if !by_itself {
            assert_eq!(received, stored);
        }
        if *count % MANY == 0 {
            let mut findings = Vec::new();
            check::directory(&inbox, &mut |finding| findings.push(finding))
                .expect("it can be read");
            assert!(findings.is_empty(), "{findings:?}");
        }
    });
});
