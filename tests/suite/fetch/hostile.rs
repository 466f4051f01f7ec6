//! Servers that break the rules, or are not the right ones.

mod bounds;
mod cases;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use super::{Place, contents, folder};
use crate::peer::office::{Folder, Office};
use crate::peer::{Identity, Relay, nowhere};
use crate::site::{PATIENCE, code, stderr};
use cases::{CASES, turned};

fn letters(place: &Place) -> [Folder; 1] {
    let letters = [
        place.letter("one\n", &[]),
        place.letter("two\n", &[b"attached"]),
        place.letter("three\n", &[b"attached"]),
    ];
    [folder("inbox", &letters)]
}

/// What lies beside the mailbox here and among its server's files.
fn around(place: &Place) -> BTreeSet<PathBuf> {
    let folders = [place.site.path(), &place.b.dir];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| *path != place.mail()).collect()
}

#[test]
fn nothing_broken_is_stored_and_nothing_outside_is_written() {
    let place = Place::new();
    let (identity, folders) = (place.identity(), letters(&place));
    let honest = Office::start(&identity, &folders, |_, said| said);
    place.fetch_well(honest.address);
    let expected = contents(&place.mail().join("inbox"));
    let before = around(&place);
    // The messages come with the list, or are asked for one by one.
    let cases = CASES.iter().flat_map(|case| [(case, false), (case, true)]);
    for ((what, twist, exit, said, kept), is_later) in cases {
        fs::remove_dir_all(place.mail()).unwrap();
        if is_later {
            place.begin(&folders);
        }
        let office = Office::start(&identity, &folders, twist);
        let begin = Instant::now();
        let output = place.fetch(office.address);
        let error = stderr(&output);
        assert_eq!(code(&output), *exit, "{what}: {error}");
        assert!(error.contains(said), "{what}: {error}");
        assert!(
            !error.contains(|c: char| c.is_control() && c != '\n'),
            "{what}: {error:?}"
        );
        assert!(error.lines().count() <= 3, "{what}: {error}");
        assert!(begin.elapsed() < PATIENCE / 2, "{what}");
        assert_eq!(around(&place), before, "{what}");
        let inbox = place.mail().join("inbox");
        let stored = match inbox.exists() {
            true => contents(&inbox).1.len(),
            false => 0,
        };
        assert_eq!(stored, (*kept).max(is_later.into()), "{what}");
        place.check();

        // A better server, and all is well.
        place.fetch_well(honest.address);
        assert!(contents(&inbox) == expected, "{what}");
        assert_eq!(place.partials(), [""; 0], "{what}");
    }
}

#[test]
fn a_message_that_is_damaged_holds_up_no_other() {
    let place = Place::new();
    let letters: Vec<_> = (0..5)
        .map(|n| place.letter(&format!("{n}\n"), &[]))
        .collect();
    let folders = [folder("inbox", &letters)];
    let bad = folders[0].letters[2].digest.to_string();
    let is_bad = format!("FETCH inbox {bad}");
    let office = Office::start(&place.identity(), &folders, move |line, said| {
        turned(line, said, &is_bad, 0)
    });
    for _ in 0..2 {
        let output = place.fetch(office.address);
        assert_eq!(code(&output), 3);
        assert_eq!(
            stderr(&output).matches(&bad).count(),
            1,
            "{}",
            stderr(&output)
        );
        assert_eq!(contents(&place.mail().join("inbox")).1.len(), 4);
    }
    // The second time that one was asked for.
    let fetches = office
        .lines()
        .iter()
        .filter(|l| l.starts_with("FETCH"))
        .count();
    assert_eq!(fetches, 1);
}

/// A folder's list names fewer octets than its messages have: once that ended every
/// run at the first of them.
#[test]
fn a_message_that_is_larger_than_listed_comes() {
    let place = Place::new();
    let folders = letters(&place);
    let office = Office::start(&place.identity(), &folders, |line, said| {
        if !line.starts_with("SYNC") {
            return said;
        }
        let said = String::from_utf8(said).unwrap();
        let lines = said.lines().map(|line| {
            let mut words: Vec<_> = line.split(' ').collect();
            if words.starts_with(&["+", "add"]) {
                words[4] = "1";
            }
            words.join(" ") + "\n"
        });
        lines.collect::<String>().into_bytes()
    });
    for is_later in [false, true] {
        if is_later {
            fs::remove_dir_all(place.mail()).unwrap();
            place.begin(&folders);
        }
        place.fetch_well(office.address);
        let here = contents(&place.mail().join("inbox"));
        assert_eq!(here.1.len(), folders[0].letters.len());
        place.check();
    }
}

#[test]
fn a_server_that_sends_only_wrong_octets_is_asked_no_more() {
    let place = Place::new();
    let letters: Vec<_> = (0..100)
        .map(|n| place.letter(&format!("{n}\n"), &[]))
        .collect();
    let folders = [folder("inbox", &letters)];
    let office = Office::start(&place.identity(), &folders, |line, said| {
        turned(line, said, "FETCH", 0)
    });
    for is_later in [false, true] {
        if is_later {
            place.begin(&folders);
        }
        let output = place.fetch(office.address);
        let error = stderr(&output);
        assert_eq!(code(&output), 3, "{error}");
        assert!(
            error.ends_with("again and again: no more is asked of it\n"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 18, "{error}");
    }
}

/// What an earlier run has left is not trusted.
#[test]
fn what_lies_in_partial_is_verified_like_anything_else() {
    let place = Place::new();
    let folders = letters(&place);
    let office = Office::start(&place.identity(), &folders, |_, said| said);
    let letter = &folders[0].letters[1];
    let partial = place.mail().join(".fetch-mail/partial");
    let (attachment, message) = (
        partial.join(letter.attachments[0].0.to_string()),
        partial.join(format!("{}.message", letter.digest)),
    );
    for (left, asked) in [
        (&b"att"[..], " 3"),
        (b"", " 0"),
        (b"attachad", " 0"),
        (b"axt", " 0"),
        (b"attached and more", " 0"),
        (b"attached", ""),
    ] {
        let _ = fs::remove_dir_all(place.mail());
        fs::create_dir_all(&partial).unwrap();
        fs::write(&attachment, left).unwrap();
        fs::write(&message, &letter.body[..letter.body.len() - 1]).unwrap();
        let before = office.lines().len();
        place.fetch_well(office.address);
        assert_eq!(contents(&place.mail().join("inbox")).1.len(), 3);
        place.check();
        let lines = office.lines();
        let last = lines[before..]
            .iter()
            .rfind(|line| line.starts_with("PART"));
        match asked {
            "" => assert_eq!(last, None),
            asked => assert!(last.unwrap().ends_with(asked), "{last:?}"),
        }
    }
}

#[test]
fn links_in_the_mailbox_are_not_followed() {
    let place = Place::new();
    let office = Office::start(&place.identity(), &letters(&place), |_, said| said);
    let elsewhere = place.file("elsewhere");
    for name in [
        ".fetch-mail",
        ".fetch-mail/partial",
        ".fetch-mail/state",
        "inbox",
    ] {
        let _ = fs::remove_dir_all(place.mail());
        fs::create_dir_all(&elsewhere).unwrap();
        fs::create_dir_all(place.mail().join(name).parent().unwrap()).unwrap();
        symlink(&elsewhere, place.mail().join(name)).unwrap();
        let output = place.fetch(office.address);
        assert_eq!(code(&output), 2, "{name}: {}", stderr(&output));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn the_server_must_be_the_one_of_the_address() {
    let place = Place::new();
    let folders = letters(&place);
    let asked = |identity: Identity| {
        let office = Office::start(&identity, &folders, |_, said| said);
        let output = place.fetch(office.address);
        assert_eq!(office.lines(), [""; 0]);
        (code(&output), stderr(&output))
    };
    let (exit, error) = asked(Identity::made(&place.site, "c.test"));
    assert!(exit == 2 && error.contains("c.test"), "{exit} {error}");
    let (exit, error) = asked(Identity::self_signed("b.test"));
    assert!(exit == 2 && error.contains("b.test"), "{exit} {error}");
    assert!(
        error.contains("(roots is a key in fetch-mail.toml;"),
        "{error}"
    );
    for (server, said) in [
        (nowhere(), "cannot be reached"),
        (Relay::saying(b"+OK POP3 server ready\r\n"), "b.test"),
        (Relay::closing(), "b.test"),
    ] {
        let output = place.fetch(server);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let place = Place::new();
    let folders = letters(&place);
    for word in ["LOGIN", "FOLDERS", "SYNC", "FETCH", "PART"] {
        let is_silent = AtomicBool::new(false);
        let office = Office::start(&place.identity(), &folders, move |line, said| {
            match (is_silent.load(SeqCst), line.starts_with(word)) {
                (true, _) => Vec::new(),
                (false, true) => {
                    is_silent.store(true, SeqCst);
                    said[..said.len() / 2].to_vec()
                }
                (false, false) => said,
            }
        });
        let mut command = place.configured(&format!(
            "address = \"bob@b.test\"\ncertificate = \"bob.pem\"\nkey = \"bob.key\"\n\
             idle-timeout = \"300ms\"\n[hosts]\n\"b.test\" = \"{}\"\n",
            office.address
        ));
        let begin = Instant::now();
        let output = command.output().unwrap();
        assert_eq!(code(&output), 2, "{word}: {}", stderr(&output));
        let goes_on = match word {
            "LOGIN" | "FOLDERS" => "",
            _ => "; the next connection goes on where this one stopped",
        };
        let said = format!("fetch-mail: b.test: the server took too long{goes_on}\n");
        assert_eq!(stderr(&output), said, "{word}");
        assert!(begin.elapsed() < PATIENCE / 6, "{word}");
    }
    place.check();
}
