//! What goes to the server is cut, refused, or answered with lies.

use std::fs;
use std::path::Path;
use std::process::Command;

use ima_mailbox::{Act, Mailbox};
use ima_message::{DateTime, FlagChange, HeaderBlock, MessageDigest};

use super::both_ways::mail;
use super::{Place, folder};
use crate::peer::Relay;
use crate::peer::office::{Letter, Office};
use crate::site::{code, stderr};

/// Puts a message into a folder here, as a user's program does.
fn put(mailbox: &Path, name: &str, letter: &[u8]) -> MessageDigest {
    let mailbox = Mailbox::open(mailbox).unwrap();
    let folder = mailbox.folder(&name.parse().unwrap()).unwrap().unwrap();
    let mut rest = letter;
    let header = HeaderBlock::read(&mut rest).unwrap();
    let mut batch = folder.batch_of_user().unwrap();
    let time = DateTime::parse("2026-11-22T09:30:02Z").unwrap();
    batch.stage(&header, &mut rest, time).unwrap();
    batch.commit().unwrap();
    header.digest()
}

fn change(mailbox: &Path, name: &str, acts: &[Act]) {
    let mailbox = Mailbox::open(mailbox).unwrap();
    let folder = mailbox.folder(&name.parse().unwrap()).unwrap().unwrap();
    folder.apply(acts).unwrap();
}

fn flag(digest: MessageDigest, flag: &str, set: bool) -> Act {
    let flag = flag.parse().unwrap();
    Act::Flag {
        digest,
        changes: vec![FlagChange { flag, set }],
    }
}

fn seen(digest: MessageDigest) -> Act {
    flag(digest, "seen", true)
}

/// Letters here and there, all flags, and a deletion, of which the server knows
/// nothing.
struct Work {
    place: Place,
    there: Vec<MessageDigest>,
    here: Vec<Vec<u8>>,
}

impl Work {
    fn new() -> Work {
        let place = Place::new();
        let mut there = Vec::new();
        for number in 0..4 {
            let letter = place.letter(&format!("{number}\n"), &[]);
            place.deliver("inbox", &letter);
            there.push(Letter::new(&letter).digest);
        }
        let here = (0..3)
            .map(|n| place.letter(&format!("here {n}\n"), &[&vec![n; 3000]]))
            .collect();
        Work { place, there, here }
    }

    fn change(&self) {
        let mail = self.place.mail();
        for letter in &self.here {
            let digest = put(&mail, "inbox", letter);
            change(&mail, "inbox", &[seen(digest)]);
        }
        let flags: Vec<_> = self.there[..3].iter().map(|digest| seen(*digest)).collect();
        change(&mail, "inbox", &flags);
        let digest = self.there[3];
        change(&mail, "inbox", &[Act::Delete { digest }]);
    }
}

/// Copies a mailbox, in the place of what is there.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let mut command = Command::new("cp");
    command.arg("-a").arg(from).arg(to);
    assert!(command.status().unwrap().success());
}

/// The octets that go there are cut at every so many.
#[test]
fn cut_at_any_octet_of_what_is_sent_it_goes_on_and_stores_nothing_twice() {
    let work = Work::new();
    let place = &work.place;
    let server = place.b.start_office();
    let relay = Relay::to(server.address);
    let there = place.b.mailbox("bob");
    place.fetch_well(relay.address);
    work.change();
    let saved = [place.file("saved-here"), place.file("saved-there")];
    copy(&place.mail(), &saved[0]);
    copy(&there, &saved[1]);
    let sent = relay.octets();
    place.fetch_well(relay.address);
    let total = relay.octets() - sent;
    let expected = mail(&there);
    assert_eq!(mail(&place.mail()), expected);
    assert_eq!(expected["inbox"].len(), 6);
    assert!(expected["inbox"].values().all(|flags| flags == &["seen"]));
    assert!(total > 9000, "{total}");
    let stride = std::env::var("EMEMO_STRIDE").map_or(911, |text| text.parse().unwrap());
    let begin = usize::try_from(std::process::id()).unwrap() % stride;
    for octets in (begin..usize::try_from(total).unwrap() - 64).step_by(stride) {
        copy(&saved[0], &place.mail());
        copy(&saved[1], &there);
        relay.cut_sent_after(octets as u64 + 1);
        let output = place.fetch(relay.address);
        assert_eq!(code(&output), 2, "{octets}: {}", stderr(&output));
        relay.cut_sent_after(u64::MAX);
        // What somebody changes meanwhile is no echo of what was sent.
        let was_seen = mail(&there)["inbox"][&work.there[0].to_string()].len() == 1;
        if was_seen {
            change(&there, "inbox", &[flag(work.there[0], "seen", false)]);
        }
        place.fetch_well(relay.address);
        let mut expected = expected.clone();
        if was_seen {
            let inbox = expected.get_mut("inbox").unwrap();
            inbox.insert(work.there[0].to_string(), Vec::new());
        }
        assert_eq!(mail(&there), expected, "{octets}");
        assert_eq!(mail(&place.mail()), expected, "{octets}");
        let journal = fs::read_to_string(there.join("inbox/journal")).unwrap();
        assert_eq!(journal.matches("\nadd ").count(), 7, "{octets}: {journal}");
        place.check();
    }
}

/// What a server says to the questions that change something, what fetch-mail
/// exits with, and what it says.
const LIES: &[(&str, &str, &[u8], i32, &str)] = &[
    (
        "another message is stored",
        "STORE",
        b"OK abababababababababababababababababababababababababababababababab\n",
        2,
        "it says that it stored another message",
    ),
    (
        "nothing is said to be stored",
        "STORE",
        b"OK\n",
        3,
        "said \"OK\"",
    ),
    (
        "a token for a message",
        "STORE",
        b"OK 6f0c9a1b2d3e4f50.31\n",
        3,
        "said \"OK 6f0",
    ),
    (
        "it is refused",
        "STORE",
        b"FAIL the mailbox is full: its quota is 1 GiB\n",
        2,
        "not sent: the server does not take it: the mailbox is full",
    ),
    (
        "it is refused in colours",
        "STORE",
        b"FAIL \x1b[31mno\n",
        3,
        "not text",
    ),
    (
        "it is refused at length",
        "STORE",
        &[b'x'; 8192],
        3,
        "longer than the 4096 octets",
    ),
    (
        "a fault",
        "STORE",
        b"ERROR a fault here; try again later\n",
        2,
        "a fault here",
    ),
    ("nonsense", "FLAG", b"250 OK\n", 3, "250 OK"),
    ("information", "FLAG", b"+ message 100\n", 3, "message 100"),
    (
        "a message",
        "FLAG",
        b"OK abababababababababababababababababababababababababababababababab\n",
        3,
        "said \"OK abab",
    ),
    (
        "a fault, later",
        "FLAG",
        b"ERROR a fault here; try again later\n",
        2,
        "a fault here",
    ),
    (
        "a flag is refused",
        "FLAG",
        b"FAIL its folder has too many flags\n",
        2,
        "not flagged on the server, which says: its folder has too many flags",
    ),
    (
        "a deletion is refused",
        "DELETE",
        b"FAIL not now\n",
        2,
        "not deleted on the server, which says: not now",
    ),
    (
        "information, later",
        "DELETE",
        b"+ alive\n+ attachment x 1\n",
        3,
        "attachment x",
    ),
    (
        "nonsense, later",
        "DELETE",
        b"RESET 6f0c9a1b2d3e4f50.31\n",
        3,
        "RESET",
    ),
    (
        "a fault, last",
        "DELETE",
        b"ERROR a fault here; try again later\n",
        2,
        "a fault here",
    ),
];

#[test]
fn a_server_that_answers_with_lies_is_left_and_a_better_one_is_told_all() {
    let place = Place::new();
    let letters: Vec<_> = (0..3)
        .map(|n| place.letter(&format!("{n}\n"), &[]))
        .collect();
    let folders = [folder("inbox", &letters)];
    let digests: Vec<_> = folders[0].letters.iter().map(|l| l.digest).collect();
    let identity = place.identity();
    let honest = Office::start(&identity, &folders, |_, said| said);
    place.fetch_well(honest.address);
    let new = place.letter("new\n", &[b"attached"]);
    let stored = put(&place.mail(), "inbox", &new);
    let acts = [seen(digests[0]), Act::Delete { digest: digests[1] }];
    change(&place.mail(), "inbox", &acts);
    let saved = place.file("saved");
    copy(&place.mail(), &saved);
    let expected = mail(&place.mail());
    for (what, word, lie, exit, said) in LIES {
        copy(&saved, &place.mail());
        let office = Office::start(&identity, &folders, move |line, said| {
            match line.starts_with(word) {
                true => lie.to_vec(),
                false => said,
            }
        });
        let output = place.fetch(office.address);
        let error = stderr(&output);
        assert_eq!(code(&output), *exit, "{what}: {error}");
        assert!(error.contains(said), "{what}: {error}");
        assert!(error.lines().count() <= 2, "{what}: {error}");
        assert_eq!(mail(&place.mail()), expected, "{what}");
        let before = honest.lines().len();
        place.fetch_well(honest.address);
        let lines = honest.lines()[before..].join("\n");
        for asked in [
            format!("STORE inbox {}", new.len()),
            format!("FLAG inbox {} +seen", digests[0]),
            format!("DELETE inbox {}", digests[1]),
        ] {
            let is_told = lines.contains(&asked);
            // What was told already needs not be told again.
            let was_told = office.answered().contains(&asked) && !asked.starts_with(word);
            assert!(is_told || was_told, "{what}: {asked}\n{lines}");
        }
        place.check();
    }
    assert!(expected["inbox"].contains_key(&stored.to_string()));
}

/// What a server refuses for a reason of its own is not taken to be done.
#[test]
fn what_is_refused_is_said_and_asked_for_again_by_the_next_run() {
    let place = Place::new();
    let letter = place.letter("one\n", &[]);
    let folders = [
        folder("inbox", std::slice::from_ref(&letter)),
        folder("archive", &[]),
        folder("old", &[]),
    ];
    let digest = folders[0].letters[0].digest;
    let identity = place.identity();
    let honest = Office::start(&identity, &folders, |_, said| said);
    place.fetch_well(honest.address);
    let saved = place.file("saved");
    copy(&place.mail(), &saved);
    let refusing = |word: &'static str| {
        Office::start(&identity, &folders, move |line, said| {
            match line.starts_with(word) {
                true => b"FAIL not now\n".to_vec(),
                false => said,
            }
        })
    };
    let moves = |mailbox: &Path| {
        let mailbox = Mailbox::open(mailbox).unwrap();
        let (from, to) = ("inbox".parse().unwrap(), "archive".parse().unwrap());
        mailbox.move_message(&from, digest, &to).unwrap();
    };
    let removes = |mailbox: &Path| fs::remove_dir_all(mailbox.join("old")).unwrap();
    let makes = |mailbox: &Path| {
        let mailbox = Mailbox::open(mailbox).unwrap();
        mailbox.create_folder(&"new".parse().unwrap()).unwrap();
    };
    type Change<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Change, &[&str], &str); 4] = [
        ("MOVE", &moves, &[], "not moved on the server, which says"),
        ("REMOVE", &removes, &[], "the server does not remove"),
        ("CREATE", &makes, &[], "the server does not make"),
        (
            "DELETE",
            &|_| (),
            &["--delete-after-fetch"],
            "not deleted on the server, which says",
        ),
    ];
    for (word, change, options, said) in cases {
        copy(&saved, &place.mail());
        change(&place.mail());
        let office = refusing(word);
        let expected = mail(&place.mail());
        for _ in 0..2 {
            let before = office.lines().len();
            let mut command = place.command(office.address);
            let output = command.args(options).output().unwrap();
            let error = stderr(&output);
            assert_eq!(code(&output), 2, "{word}: {error}");
            assert!(error.contains(said), "{word}: {error}");
            assert!(error.contains("not now"), "{word}: {error}");
            assert_eq!(error.lines().count(), 1, "{word}: {error}");
            let lines = &office.lines()[before..];
            let asked = lines.iter().filter(|line| line.starts_with(word));
            assert!((1..=2).contains(&asked.count()), "{word}: {lines:?}");
            assert_eq!(mail(&place.mail()), expected, "{word}");
        }
    }
}
