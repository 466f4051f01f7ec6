//! The first fetch, in which messages come with their list.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use super::both_ways::{Both, delete, flag, mail};
use super::{Place, contents, folder};
use crate::peer::office::{GENERATION, Letter, Office};
use crate::site::{code, stderr};

/// Three letters.
fn letters(place: &Place) -> Vec<Vec<u8>> {
    let letter = |n| place.letter(&format!("{n}\n"), &[]);
    (0..3).map(letter).collect()
}

/// Stores the letters, and then ends with a token of another journal.
fn broken(place: &Place, letters: &[Vec<u8>]) {
    let folders = [folder("inbox", letters)];
    let office = Office::start(&place.identity(), &folders, |line, mut said| {
        if line.starts_with("SYNC") {
            let end = said.windows(4).rposition(|four| four == b"\nOK ").unwrap();
            said.truncate(end + 1);
            said.extend(b"OK 00000000000000ff.1\n");
        }
        said
    });
    let output = place.fetch(office.address);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert_eq!(mail(&place.mail())["inbox"].len(), letters.len());
}

#[test]
fn what_is_deleted_here_after_a_run_that_broke_stays_deleted() {
    let both = Both::new(&[]);
    let letters = letters(&both.place);
    for letter in &letters {
        both.place.deliver("inbox", letter);
    }
    broken(&both.place, &letters);
    let here = both.place.mail();
    for letter in &letters {
        delete(&here, "inbox", Letter::new(letter).digest);
    }
    both.fetch();
    both.fetch();
    assert!(both.same()["inbox"].is_empty());
}

/// Some are stored while others come: a long one lets go those before it.
#[test]
fn messages_flags_and_attachments_come_in_several_batches() {
    let both = Both::new(&["archive"]);
    for n in 0..12 {
        let text = match n % 3 {
            0 => "long ".repeat(220_000),
            _ => format!("{n}\n"),
        };
        let attachments: &[&[u8]] = if n % 4 == 1 { &[b"attached"] } else { &[] };
        let letter = both.place.letter(&text, attachments);
        let name = if n % 5 == 4 { "archive" } else { "inbox" };
        both.place.deliver(name, &letter);
        if n % 2 == 0 {
            flag(&both.there(), name, Letter::new(&letter).digest, "+seen");
        }
    }
    both.fetch();
    let same = both.same();
    assert_eq!((same["inbox"].len(), same["archive"].len()), (10, 2));
    for name in ["inbox", "archive"] {
        let (there, here) = (both.there().join(name), both.place.mail().join(name));
        assert_eq!(contents(&there).0, contents(&here).0);
    }
    assert_eq!(both.place.partials(), [""; 0]);
    both.place.check();
}

/// Of two that were deleted while they came, one had come.
#[test]
fn what_the_server_deletes_meanwhile_is_deleted_here() {
    let place = Place::new();
    let all = folder("inbox", &letters(&place));
    let [first, second, third] = [0, 1, 2].map(|n| all.letters[n].clone());
    let has_come = AtomicBool::new(false);
    let gone = third.digest.to_string();
    let deletions = format!(
        "+ del {} {GENERATION}.850\n+ del {gone} {GENERATION}.900\nOK {GENERATION}.900\n",
        first.digest
    );
    let office = Office::start(&place.identity(), &[all], move |line, said| {
        if line.starts_with("FETCH") && line.contains(&gone) {
            return b"FAIL no such message\n".to_vec();
        }
        if line.ends_with(" messages") {
            has_come.store(true, SeqCst);
        } else if has_come.load(SeqCst) && line == "FOLDERS" {
            let octets = second.octets;
            return format!("+ inbox 1 1 {octets} {GENERATION}.900\nOK\n").into();
        } else if has_come.load(SeqCst) && line == "SYNC inbox - list" {
            let text = String::from_utf8(said).unwrap();
            let kept = second.digest.to_string();
            let line = text.lines().find(|line| line.contains(&kept)).unwrap();
            return format!("{line}\n{deletions}").into();
        }
        said
    });
    place.fetch_well(office.address);
    assert_eq!(mail(&place.mail())["inbox"].len(), 1);
}

#[test]
fn where_messages_do_not_come_with_the_list_they_are_asked_for() {
    let place = Place::new();
    let folders = [folder("inbox", &letters(&place))];
    let office = Office::start(&place.identity(), &folders, |line, said| {
        match line.ends_with(" messages") {
            true => b"FAIL not now\n".to_vec(),
            false => said,
        }
    });
    place.fetch(office.address);
    assert_eq!(mail(&place.mail())["inbox"].len(), 3);
    place.fetch_well(office.address);
}

/// A message for which there is no room is in the way once.
#[test]
fn a_message_without_room_holds_up_no_other_for_good() {
    let place = Place::new();
    let letters = letters(&place);
    let folders = [folder("inbox", &letters), folder("other", &letters)];
    let office = Office::start(&place.identity(), &folders, |line, said| {
        if !line.starts_with("SYNC inbox -") {
            return said;
        }
        let (digest, huge) = ("ab".repeat(32), i64::MAX);
        let add = format!("+ add {digest} 2026-11-22T09:30:02Z {huge} {GENERATION}.40\n");
        match line.ends_with(" messages") {
            true => format!("{add}+ message {huge}\n").into(),
            false => [add.into_bytes(), said].concat(),
        }
    });
    for _ in 0..2 {
        let output = place.fetch(office.address);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains(" has room for "), "{output:?}");
    }
    let here = mail(&place.mail());
    assert_eq!((here["inbox"].len(), here["other"].len()), (3, 3));
}

#[test]
fn one_message_that_is_wrong_again_and_again_is_taken_no_more() {
    let place = Place::new();
    let folders = [folder("inbox", &letters(&place))];
    let office = Office::start(&place.identity(), &folders, |line, said| {
        if !line.ends_with(" messages") {
            return said;
        }
        let line = |n| {
            let digest = "ab".repeat(32);
            let token = format!("{GENERATION}.{n}");
            format!("+ add {digest} 2026-11-22T09:30:02Z 9 {token}\n+ message 5\nwrong")
        };
        let lines: String = (200..300).map(line).collect();
        format!("{lines}OK {GENERATION}.9999\n").into()
    });
    let output = place.fetch(office.address);
    assert_eq!(code(&output), 3);
    let error = stderr(&output);
    assert!(error.contains("again and again"), "{error}");
}

/// A message that is told twice does not stand for one that is left out.
#[test]
fn a_message_that_is_left_out_is_said() {
    let place = Place::new();
    let all = folder("inbox", &letters(&place));
    let (first, last) = (all.letters[0].clone(), all.letters[2].digest.to_string());
    let left_out = last.clone();
    let office = Office::start(&place.identity(), &[all], move |line, mut said| {
        if line.starts_with("FETCH") && line.contains(&left_out) {
            return b"FAIL it is damaged\n".to_vec();
        }
        if line.ends_with(" messages") {
            let end = said.windows(4).rposition(|four| four == b"\nOK ").unwrap();
            let end = String::from_utf8(said.split_off(end + 1)).unwrap();
            let token = end.trim_end().strip_prefix("OK ").unwrap();
            let Letter {
                digest,
                octets,
                body,
                ..
            } = &first;
            let add = format!("+ add {digest} 2026-11-22T09:30:02Z {octets} {token}\n");
            said.extend(format!("{add}+ message {}\n", body.len()).into_bytes());
            said.extend(body);
            said.extend(end.into_bytes());
        }
        said
    });
    for _ in 0..2 {
        let output = place.fetch(office.address);
        assert_eq!(code(&output), 2);
        let error = stderr(&output);
        assert!(error.contains(&last), "{error}");
        assert!(error.contains("it is damaged"), "{error}");
    }
    assert_eq!(mail(&place.mail())["inbox"].len(), 2);
}

/// Where the server says that it holds less than it sends, the room here may end.
#[test]
fn what_finds_no_room_comes_when_there_is_some() {
    let place = Place::new();
    let text = "x".repeat(2000);
    let letter = |n| place.letter(&format!("{n}\n{text}\n"), &[]);
    let letters: Vec<_> = (0..40).map(letter).collect();
    let folders = [folder("inbox", &letters), folder("other", &letters[..20])];
    let office = Office::start(&place.identity(), &folders, |line, said| {
        if line != "FOLDERS" {
            return said;
        }
        let said = String::from_utf8(said).unwrap();
        let lines = said.lines().map(|line| {
            let mut words: Vec<_> = line.split(' ').collect();
            if words[0] == "+" {
                words[4] = "1";
            }
            words.join(" ") + "\n"
        });
        lines.collect::<String>().into_bytes()
    });
    fs::create_dir(place.mail()).unwrap();
    let quota = place.mail().join("mailbox.toml");
    fs::write(&quota, "quota = \"30KiB\"\n").unwrap();
    for _ in 0..2 {
        let output = place.fetch(office.address);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        place.check();
    }
    fs::write(&quota, "quota = \"30MiB\"\n").unwrap();
    place.fetch_well(office.address);
    let here = mail(&place.mail());
    assert_eq!((here["inbox"].len(), here["other"].len()), (40, 20));
    let told = ["STORE", "DELETE", "FLAG", "MOVE"];
    let lines = office.lines();
    assert!(
        !lines
            .iter()
            .any(|line| told.iter().any(|word| line.starts_with(word)))
    );
    place.check();
}
