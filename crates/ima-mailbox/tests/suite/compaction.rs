//! Journals that are written anew, and what goes with it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use ima_mailbox::{Act, Changes, Delivered, Folder, MailboxError};
use ima_message::Entry;

use crate::letter::{Letter, Parts, octets};
use crate::place::{Place, assert_modes, deliver, flags, live};

const DAY: Duration = Duration::from_hours(24);

fn delete(letter: &Letter) -> Act {
    Act::Delete {
        digest: letter.header.digest(),
    }
}

fn flag(letter: &Letter, text: &str) -> Act {
    Act::Flag {
        digest: letter.header.digest(),
        changes: flags(text),
    }
}

/// A file that was last written so long ago.
fn aged(path: &std::path::Path, age: Duration) {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

#[test]
fn a_compacted_journal_says_the_same_in_fewer_lines() {
    let place = Place::new();
    let folder = place.open();
    let letters: Vec<Letter> = (0..5).map(|n| Letter::full(&n.to_string())).collect();
    for letter in &letters {
        place.deliver(letter).unwrap();
        place.deliver(letter).unwrap();
    }
    for text in ["+seen", "-seen +x", "+seen +y -y"] {
        let acts: Vec<_> = letters[..3].iter().map(|l| flag(l, text)).collect();
        folder.apply(&acts).unwrap();
    }
    folder
        .apply(&[delete(&letters[0]), delete(&letters[4])])
        .unwrap();
    // One of them was deleted longer ago than anybody remembers.
    aged(&place.path("gone").join(letters[4].name()), 11 * DAY);
    let before = live(&place.inbox);
    let times: Vec<String> = place
        .journal()
        .lines()
        .filter(|line| line.starts_with("add"))
        .map(str::to_owned)
        .collect();
    let token = folder.token().unwrap();
    let compacted = folder.compact().unwrap();
    assert_eq!(compacted.from, token);
    assert_eq!(compacted.to, folder.token().unwrap());
    assert_ne!(compacted.to.generation, token.generation);
    assert_eq!(compacted.swept.removals, 1);
    assert_eq!(live(&place.inbox), before);
    let journal = place.journal();
    let lines: Vec<&str> = journal.lines().skip(1).collect();
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|n| letters[n].name());
    assert_eq!(
        lines,
        [
            format!("del {first}"),
            times[2].clone(),
            format!("flag {second} +seen +x"),
            times[4].clone(),
            format!("flag {third} +seen +x"),
            times[6].clone(),
        ]
    );
    assert!(times[6].contains(&fourth));
    assert_eq!(place.names("gone"), [first]);
    place.holds_exactly(&[&letters[1], &letters[2], &letters[3]]);
    assert_modes(&place.inbox);
    assert!(place.names("tmp").is_empty());
    // The summary holds for it at once.
    let summary = fs::read_to_string(place.path("summary")).unwrap();
    assert!(
        summary.contains(&format!("{} 3 1 ", compacted.to)),
        "{summary}"
    );
    // Compacted again it says the same.
    folder.compact().unwrap();
    assert!(place.journal().ends_with(&journal[31..]));
}

#[test]
fn what_is_deleted_long_ago_is_forgotten_and_may_be_delivered_again() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    let folder = place.open();
    folder.apply(&[delete(&letter)]).unwrap();
    aged(&place.path("gone").join(letter.name()), 9 * DAY);
    folder.compact().unwrap();
    assert_eq!(place.deliver(&letter).unwrap(), Delivered::Duplicate);
    aged(&place.path("gone").join(letter.name()), 10 * DAY);
    folder.compact().unwrap();
    assert_eq!(place.journal().lines().count(), 1);
    assert_eq!(place.deliver(&letter).unwrap(), Delivered::Stored);
    place.holds_exactly(&[&letter]);
}

#[test]
fn a_journal_that_breaks_its_grammar_is_not_compacted() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    let journal = place.journal();
    fs::write(place.path("journal"), format!("{journal}nonsense\n")).unwrap();
    let before = place.tree();
    let error = place.open().compact().unwrap_err();
    let MailboxError::Damaged { offset, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(offset, journal.len() as u64);
    assert!(error.to_string().contains("ima-mailbox repair"));
    assert_eq!(place.tree(), before);
    // A line that was not written whole is none.
    fs::write(place.path("journal"), format!("{journal}add 01")).unwrap();
    place.open().compact().unwrap();
    place.holds_exactly(&[&letter]);
}

#[test]
fn what_somebody_may_still_write_stays() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    let digest = "ab".repeat(32);
    for name in [
        "tmp/0123456789abcdef".to_owned(),
        format!("messages/{digest}"),
        format!("messages/{digest}.2"),
        "messages/README".to_owned(),
    ] {
        aged(&place.path(&name), 3 * DAY);
    }
    let before = place.names("messages");
    let swept = place.open().compact().unwrap().swept;
    assert_eq!(swept, ima_mailbox::Swept::default());
    assert_eq!(place.names("messages"), before);
    assert_eq!(place.names("tmp").len(), 1);
}

#[test]
fn attachments_that_are_files_of_their_own_are_not_swept() {
    // As a copy leaves them that knows no hard links.
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    for name in place.names("attachments") {
        let path = place.path("attachments").join(name);
        let octets = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, octets).unwrap();
    }
    let unused = place.path("attachments").join("ab".repeat(32));
    fs::write(&unused, "x").unwrap();
    let swept = place.open().compact().unwrap().swept;
    assert_eq!(swept.attachments, 1);
    assert!(!unused.exists());
    for (_, part) in letter.header.attachments() {
        assert!(place.open().attachment(part.digest()).unwrap().is_some());
    }
}

#[test]
fn a_link_in_place_of_a_name_leads_nowhere() {
    for name in ["journal", "gone", "messages", "attachments", "tmp"] {
        let place = Place::new();
        let letter = Letter::full("1");
        place.deliver(&letter).unwrap();
        let outside = place.dir.path().join("outside");
        fs::rename(place.path(name), &outside).unwrap();
        symlink(&outside, place.path(name)).unwrap();
        let before = place.tree();
        let compacted = Folder::open(&place.inbox).and_then(|folder| folder.compact());
        let error = compacted.unwrap_err();
        assert!(
            matches!(error, MailboxError::Kind { .. }),
            "{name}: {error}"
        );
        assert_eq!(place.tree(), before, "{name}");
    }
    // What is swept is no link.
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs::write(&outside, "x").unwrap();
    let digest = "ab".repeat(32);
    let links =
        ["attachments", "gone", "messages", "tmp"].map(|name| place.path(name).join(&digest));
    for link in &links {
        symlink(&outside, link).unwrap();
    }
    let swept = place.open().compact().unwrap().swept;
    assert_eq!(swept, ima_mailbox::Swept::default());
    assert!(links.iter().all(|link| link.is_symlink()));
}

#[test]
fn it_is_tidied_when_a_quarter_is_dead_and_not_before() {
    let place = Place::new();
    let folder = place.open();
    let letters: Vec<Letter> = (0..40).map(|n| Letter::plain(&n.to_string())).collect();
    for letter in &letters {
        place.deliver(letter).unwrap();
    }
    let flagged = |text: &str, times: usize| {
        let acts: Vec<_> = letters.iter().map(|letter| flag(letter, text)).collect();
        for _ in 0..times {
            folder.apply(&acts).unwrap();
        }
    };
    flagged("+seen", 2);
    // All of it dead, and too little.
    assert_eq!(folder.tidy().unwrap(), None);
    flagged("-seen", 30);
    let before = live(&place.inbox);
    let compacted = folder.tidy().unwrap().unwrap();
    assert!(compacted.from.offset > 64 * 1024);
    assert!(compacted.to.offset < 5000);
    assert_eq!(live(&place.inbox), before);
    assert_eq!(folder.tidy().unwrap(), None);
    // Large, and alive.
    let names: Vec<String> = (0..100).map(|n| format!("+{n:032}")).collect();
    flagged(&names.join(" "), 1);
    assert!(folder.token().unwrap().offset > 64 * 1024);
    assert_eq!(folder.tidy().unwrap(), None);
}

/// Once they stayed until the journal had more than 64 KiB, some 380 of them.
#[test]
fn a_small_folder_is_rid_of_the_attachments_of_what_was_deleted() {
    let place = Place::new();
    let folder = place.open();
    let octets = octets(1, 300);
    let [deleted, kept] = ["1", "2"].map(|id| {
        let own = Parts::default().attach(id.as_bytes());
        own.attach(&octets).letter(id)
    });
    for letter in [&deleted, &kept] {
        place.deliver(letter).unwrap();
    }
    folder.apply(&[delete(&deleted)]).unwrap();
    assert_eq!(place.names("attachments").len(), 3);
    let token = folder.token().unwrap();
    assert_eq!(folder.tidy().unwrap(), None);
    assert_eq!(place.names("attachments").len(), 2);
    // Nobody has to read the folder again.
    assert_eq!(folder.token().unwrap(), token);
    place.holds_exactly(&[&kept]);
}

/// Reads slowly: after the first octets it waits until somebody says so.
struct Halting<'a> {
    data: &'a [u8],
    halt: Option<Box<dyn FnOnce() + 'a>>,
}

impl Read for Halting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(1000);
        let read = self.data.read(&mut buffer[..most])?;
        if self.data.is_empty()
            && let Some(halt) = self.halt.take()
        {
            halt();
        }
        Ok(read)
    }
}

#[test]
fn an_attachment_that_a_delivery_counts_on_may_be_swept_under_it() {
    // Few enough to be held open, and so many that they have names.
    for attachments in [2, 100] {
        let place = Place::new();
        let parts = |text: &[u8]| {
            (0..attachments).fold(Parts::default().inline(text), |parts, n: u64| {
                parts.attach(&octets(n, 500))
            })
        };
        let (first, second) = (parts(b"1").letter("1"), parts(b"2").letter("2"));
        place.deliver(&first).unwrap();
        let sweep = || {
            let folder = place.open();
            folder.apply(&[delete(&first)]).unwrap();
            assert_eq!(
                folder.compact().unwrap().swept.attachments,
                usize::try_from(attachments).unwrap()
            );
        };
        let mut data = Halting {
            data: &second.data,
            halt: Some(Box::new(sweep)),
        };
        let delivered = place.open().deliver(&second.header, &mut data, None);
        assert_eq!(delivered.unwrap(), Delivered::Stored);
        place.holds_exactly(&[&second]);
    }
}

#[test]
fn a_reader_of_the_old_journal_reads_it_to_its_end() {
    let place = Place::new();
    let letters: Vec<Letter> = (0..300).map(|n| Letter::plain(&n.to_string())).collect();
    let folder = place.open();
    for letter in &letters {
        place.deliver(letter).unwrap();
    }
    let Changes::Since(mut entries, _) = folder.changes(None).unwrap() else {
        panic!("there is no token")
    };
    let mut read = vec![entries.next().unwrap().unwrap()];
    let acts: Vec<_> = letters.iter().map(delete).collect();
    folder.apply(&acts).unwrap();
    folder.compact().unwrap();
    place.deliver(&Letter::plain("new")).unwrap();
    read.extend(entries.map(Result::unwrap));
    let added: Vec<_> = read.iter().map(|change| change.entry.digest()).collect();
    let expected: Vec<_> = letters.iter().map(|l| l.header.digest()).collect();
    assert_eq!(added, expected);
}

/// Whoever follows by tokens knows in the end what is there.
fn follow(folder: &Folder, is_over: &AtomicBool) -> usize {
    let mut known = std::collections::BTreeMap::new();
    let mut token = None;
    let mut resets = 0;
    loop {
        let last = is_over.load(Ordering::SeqCst);
        match folder.changes(token.as_ref()).unwrap() {
            Changes::Reset(_) => {
                resets += 1;
                known.clear();
                token = None;
                continue;
            }
            Changes::Since(entries, now) => {
                for change in entries {
                    match change.unwrap().entry {
                        Entry::Add { digest, .. } => {
                            known.entry(digest).or_insert(false);
                        }
                        Entry::Del { digest } => {
                            known.remove(&digest);
                        }
                        Entry::Flag { digest, changes } => {
                            let seen = changes.iter().any(|c| c.set && c.flag.as_str() == "seen");
                            if let Some(known) = known.get_mut(&digest) {
                                *known |= seen;
                            }
                        }
                    }
                }
                token = Some(now);
            }
        }
        if last {
            break;
        }
    }
    let live = folder.live(None).unwrap().unwrap();
    let seen = |message: &ima_mailbox::Message| message.flags.iter().any(|f| f.as_str() == "seen");
    let live: std::collections::BTreeMap<_, _> = live
        .iter()
        .map(|(digest, message)| (*digest, seen(message)))
        .collect();
    assert_eq!(known, live);
    resets
}

#[test]
fn compaction_goes_on_beside_eight_writers_and_readers() {
    let place = Place::new();
    let letters: Vec<Vec<Letter>> = (0..8_u64)
        .map(|writer| {
            (0..25_u64)
                .map(|n| {
                    Parts::default()
                        .inline(format!("{writer} {n}").as_bytes())
                        .attach(&octets(n % 5, 400))
                        .letter(&format!("{writer}-{n}"))
                })
                .collect()
        })
        .collect();
    let (is_over, running) = (AtomicBool::new(false), AtomicUsize::new(8));
    thread::scope(|scope| {
        for mine in &letters {
            let (place, is_over, running) = (&place, &is_over, &running);
            scope.spawn(move || {
                let folder = place.open();
                for (n, letter) in mine.iter().enumerate() {
                    deliver(&place.inbox, letter, None).unwrap();
                    folder.apply(&[flag(letter, "+seen")]).unwrap();
                    if n % 2 == 1 {
                        folder.apply(&[delete(&mine[n - 1])]).unwrap();
                    }
                }
                if running.fetch_sub(1, Ordering::SeqCst) == 1 {
                    is_over.store(true, Ordering::SeqCst);
                }
            });
        }
        let followers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| follow(&place.open(), &is_over)))
            .collect();
        let folder = place.open();
        while !is_over.load(Ordering::SeqCst) {
            folder.compact().unwrap();
        }
        let resets: usize = followers.into_iter().map(|one| one.join().unwrap()).sum();
        assert!(resets > 0);
    });
    place.open().compact().unwrap();
    let left: Vec<&Letter> = letters
        .iter()
        .flat_map(|mine| mine.iter().enumerate())
        .filter(|(n, _)| n % 2 == 1 || *n == 24)
        .map(|(_, letter)| letter)
        .collect();
    place.holds_exactly(&left);
    assert!(place.names("tmp").is_empty());
}
