//! What is fetched, and what is not fetched twice.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::{Place, contents, folder};
use crate::peer::Relay;
use crate::peer::office::Office;
use crate::site::{code, stderr};

/// How many commands of a word an office has heard.
fn count(office: &Office, word: &str) -> usize {
    let lines = office.lines();
    lines.iter().filter(|line| line.starts_with(word)).count()
}

#[test]
fn what_is_fetched_is_what_the_server_holds_octet_for_octet() {
    let place = Place::new();
    let (long, photo) = (vec![b'x'; 700_000], vec![7; 1_500_000]);
    let letters = [
        place.letter("plain\n", &[]),
        place.letter("two of them\n", &[&photo, b"short"]),
        place.letter("the same again\n", &[&photo, b"short", b"", b"short"]),
        place.letter(&String::from_utf8(long).unwrap(), &[b"short"]),
    ];
    for letter in &letters {
        place.deliver("inbox", letter);
    }
    place.deliver("Entwürfe", &place.letter("not finished\n", &[&photo]));
    place.deliver("archive", &letters[0]);
    place.deliver("empty", &letters[0]);
    fs::remove_dir_all(place.b.mailbox("bob").join("empty")).unwrap();
    let server = place.b.start_office();
    place.fetch_well(server.address);
    for name in ["inbox", "Entwürfe", "archive"] {
        assert_eq!(
            contents(&place.mail().join(name)),
            contents(&place.b.mailbox("bob").join(name)),
            "{name}"
        );
    }
    assert!(!place.mail().join("empty").exists());
    place.check();
    assert_eq!(place.partials(), [""; 0]);
    let mode = |path: &str| {
        fs::metadata(place.mail().join(path))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("") & 0o777, 0o700);
    assert_eq!(mode(".fetch-mail") & 0o777, 0o700);
    assert_eq!(mode(".fetch-mail/state") & 0o777, 0o600);
}

#[test]
fn a_second_fetch_brings_nothing_and_a_third_what_is_new() {
    let place = Place::new();
    let photo = vec![7; 200_000];
    place.deliver("inbox", &place.letter("one\n", &[&photo]));
    let server = place.b.start_office();
    let relay = Relay::to(server.address);
    place.fetch_well(relay.address);
    let first = relay.octets_back();
    assert!(first > 200_000, "{first}");

    let state = place.mail().join(".fetch-mail/state");
    let before = fs::metadata(&state).unwrap().mtime_nsec();
    place.fetch_well(relay.address);
    let second = relay.octets_back() - first;
    // The handshake, the login, and the folders.
    assert!(second < 6_000, "{second}");
    assert_eq!(fs::metadata(&state).unwrap().mtime_nsec(), before);

    // Its attachment is here, in another folder than before too.
    place.deliver("inbox", &place.letter("two\n", &[&photo]));
    place.deliver("archive", &place.letter("three\n", &[&photo]));
    place.fetch_well(relay.address);
    let third = relay.octets_back() - first - second;
    assert!(third < second + 6_000, "{third}");
    for name in ["inbox", "archive"] {
        assert_eq!(
            contents(&place.mail().join(name)),
            contents(&place.b.mailbox("bob").join(name))
        );
    }
    place.check();
}

#[test]
fn a_token_that_means_nothing_any_more_fetches_and_deletes_nothing() {
    let place = Place::new();
    let letters = [place.letter("one\n", &[b"x"]), place.letter("two\n", &[])];
    let identity = place.identity();
    let office = Office::start(&identity, &[folder("inbox", &letters)], |_, said| said);
    place.fetch_well(office.address);

    // The server's folder was made anew, of the second letter and a third.
    let third = place.letter("three\n", &[]);
    let new = [folder("inbox", &[letters[1].clone(), third])];
    let newer = |text: Vec<u8>| {
        let text = String::from_utf8(text).unwrap();
        text.replace("6f0c9a1b2d3e4f50", "00000000000000ff")
            .into_bytes()
    };
    let office = Office::start(&identity, &new, move |line, said| {
        let older = line.starts_with("SYNC") && !line.contains(" - ");
        match older {
            true => b"RESET 00000000000000ff.1\n".to_vec(),
            false if line.starts_with("FETCH") => said,
            false => newer(said),
        }
    });
    place.fetch_well(office.address);
    // What it does not have any more, without a word, it gets again.
    assert_eq!(
        (count(&office, "FETCH"), count(&office, "STORE")),
        (1, 1),
        "{:?}",
        office.lines()
    );
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 3);
    place.check();

    // A folder that was removed here comes again, with its list.
    fs::remove_dir_all(place.mail().join("inbox")).unwrap();
    place.fetch_well(office.address);
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 2);
    assert_eq!(count(&office, "SYNC inbox - messages"), 1);

    // Without anything that fetch-mail has kept, the mailbox here still tells.
    fs::remove_dir_all(place.mail().join(".fetch-mail")).unwrap();
    place.fetch_well(office.address);
    assert_eq!(count(&office, "SYNC inbox - messages"), 1);
    assert_eq!(count(&office, "FETCH"), 1);
}

/// Who stores messages links them first and tells the journal then.
#[test]
fn a_message_whose_add_was_lost_is_told_of_and_not_fetched_again() {
    let place = Place::new();
    let letters = [place.letter("one\n", &[b"x"]), place.letter("two\n", &[])];
    let office = Office::start(&place.identity(), &[folder("inbox", &letters)], |_, s| s);
    place.fetch_well(office.address);
    let journal = place.mail().join("inbox/journal");
    let text = fs::read_to_string(&journal).unwrap();
    let first: String = text.split_inclusive('\n').take(2).collect();
    fs::write(&journal, first).unwrap();
    fs::remove_file(place.mail().join(".fetch-mail/state")).unwrap();
    place.fetch_well(office.address);
    assert_eq!(count(&office, "SYNC inbox - messages"), 1);
    assert_eq!(count(&office, "FETCH"), 0);
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 2);
    place.check();
}

#[test]
fn a_message_that_is_deleted_while_it_is_fetched_is_no_fault() {
    let place = Place::new();
    let letters = [place.letter("one\n", &[]), place.letter("two\n", &[])];
    let all = folder("inbox", &letters);
    let left = folder("inbox", &letters[1..]);
    let gone = all.letters[0].digest.to_string();
    let (line, token) = (format!("del {gone}"), "6f0c9a1b2d3e4f50.900");
    let deleted = std::sync::atomic::AtomicBool::new(false);
    let office = Office::start(&place.identity(), &[all], move |asked, said| {
        use std::sync::atomic::Ordering::SeqCst;
        if asked.starts_with("FETCH") && asked.contains(&gone) {
            deleted.store(true, SeqCst);
            return b"FAIL no such message\n".to_vec();
        }
        if !deleted.load(SeqCst) {
            return said;
        }
        match asked.split(' ').next().unwrap() {
            "FOLDERS" => format!("+ inbox 1 1 {} {token}\nOK\n", left.letters[0].octets).into(),
            // What had come before it was deleted comes with the list.
            "SYNC" if asked.ends_with(" messages") => said,
            "SYNC" if asked.contains(" - ") => {
                let (digest, octets) = (left.letters[0].digest, left.letters[0].octets);
                let add = format!("+ add {digest} 2026-11-22T09:30:02Z {octets}");
                let end = format!("+ {line} {token}\nOK {token}\n");
                format!("{add} 6f0c9a1b2d3e4f50.899\n{end}").into()
            }
            "SYNC" => format!("+ {line} {token}\nOK {token}\n").into(),
            _ => said,
        }
    });
    place.fetch_well(office.address);
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 1);
    // And that is all that there is to know.
    let before = office.lines().len();
    place.fetch_well(office.address);
    assert_eq!(office.lines().len(), before + 3, "{:?}", office.lines());
}

#[test]
fn an_attachment_is_fetched_once_however_many_messages_hold_it() {
    let place = Place::new();
    let letters: Vec<_> = (0..100)
        .map(|n| place.letter(&format!("{n}\n"), &[b"the same", format!("{n}").as_bytes()]))
        .collect();
    let folders = [
        folder("inbox", &letters[..90]),
        folder("later", &letters[80..]),
    ];
    let office = Office::start(&place.identity(), &folders, |_, said| said);
    place.fetch_well(office.address);
    assert_eq!((count(&office, "SYNC"), count(&office, "PART")), (2, 101));
    place.check();
    let same = place.mail().join("inbox/attachments");
    let most = fs::read_dir(same)
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().nlink());
    assert_eq!(most.max(), Some(91));
}

/// With nothing new on the server, too.
#[test]
fn a_folder_here_whose_journal_is_gone_or_damaged_is_said_and_holds_up_no_other() {
    let place = Place::new();
    let (one, two) = (place.letter("one\n", &[]), place.letter("two\n", &[]));
    let identity = place.identity();
    let folders = [
        folder("inbox", std::slice::from_ref(&one)),
        folder("other", &[]),
    ];
    let office = Office::start(&identity, &folders, |_, said| said);
    place.fetch_well(office.address);
    let journal = place.mail().join("inbox/journal");
    let well = fs::read(&journal).unwrap();
    let mut others = Vec::new();
    for (number, damage) in [None, Some(""), Some("garbage\n")].into_iter().enumerate() {
        match damage {
            None => fs::remove_file(&journal).unwrap(),
            Some(octets) => fs::write(&journal, octets).unwrap(),
        }
        others.push(place.letter(&format!("{number}\n"), &[]));
        let folders = [
            folder("inbox", std::slice::from_ref(&one)),
            folder("other", &others),
        ];
        let office = Office::start(&identity, &folders, |_, said| said);
        let output = place.fetch(office.address);
        let error = stderr(&output);
        assert_eq!(code(&output), 2, "{damage:?}: {error}");
        let begin = "fetch-mail: inbox: nothing is fetched into this folder: ";
        assert!(error.starts_with(begin), "{error}");
        assert!(error.contains("/inbox/journal"), "{error}");
        assert!(error.contains(": `ima-mailbox check` says more"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let files = contents(&place.mail().join("other")).0.len();
        assert_eq!(files, number + 1, "{damage:?}");
        fs::write(&journal, &well).unwrap();
    }
    let folders = [folder("inbox", &[one, two])];
    let office = Office::start(&identity, &folders, |_, said| said);
    place.fetch_well(office.address);
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 2);
}

/// What the page says of it.
#[test]
fn a_message_file_that_was_removed_comes_back_without_the_state() {
    let place = Place::new();
    let letters = [place.letter("one\n", &[])];
    let office = Office::start(&place.identity(), &[folder("inbox", &letters)], |_, s| s);
    place.fetch_well(office.address);
    let digest = crate::peer::office::Letter::new(&letters[0]).digest;
    let file = place.mail().join("inbox/messages").join(digest.to_string());
    fs::remove_file(&file).unwrap();
    place.fetch_well(office.address);
    assert!(!file.exists());
    fs::remove_file(place.mail().join(".fetch-mail/state")).unwrap();
    place.fetch_well(office.address);
    assert!(file.exists());
    place.check();
}
