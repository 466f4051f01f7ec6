//! Several sessions in one mailbox, and what else changes it meanwhile.

use std::fs;
use std::thread;

use ima_mailbox::Folder;

use super::{Place, bob};
use crate::site::{Server, letter_with};

/// More than the buffers between server and client hold.
const LARGE: usize = 8 << 20;

fn compact(place: &Place) {
    let folder = Folder::open(&place.b.inbox("bob")).unwrap();
    folder.compact().unwrap();
}

/// The token of now.
fn token(server: &Server) -> String {
    let told = bob(server).lines("FOLDERS");
    told[0].rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn one_deletes_what_the_other_fetches() {
    let place = Place::new();
    let large: Vec<u8> = (0..LARGE).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let first = place.deliver("one\n", &[&large]);
    let attachment = place.names("attachments").pop().unwrap();
    let second = place.deliver(&"two\n".repeat(LARGE / 4), &[]);
    let third = place.deliver("three\n", &[]);
    let server = place.b.start_office();
    let (mut one, mut two) = (bob(&server), bob(&server));

    // What was begun comes whole.
    one.say(&format!("PART inbox {attachment} 0"));
    assert_eq!(one.line(), format!("+ attachment {attachment} {LARGE}"));
    assert_eq!(two.lines(&format!("DELETE inbox {first}")), ["OK"]);
    assert!(one.octets(LARGE) == large);
    assert_eq!(one.line(), "OK");
    assert_eq!(
        one.lines(&format!("FETCH inbox {first}")),
        ["FAIL no such message"]
    );
    assert_eq!(
        one.lines(&format!("FLAG inbox {first} +seen")),
        ["FAIL no such message"]
    );

    // The first message is on its way, the last one is deleted.
    let before = token(&server);
    one.say("SYNC inbox - messages");
    let line = one.line();
    assert!(line.starts_with(&format!("+ add {second} ")), "{line}");
    assert_eq!(two.lines(&format!("DELETE inbox {third}")), ["OK"]);
    let rest = one.told();
    let lines: Vec<&str> = rest.iter().map(|said| &*said.line).collect();
    assert_eq!(rest[0].octets, place.stored(&format!("messages/{second}")));
    // The first is told as deleted, the last not at all.
    assert!(
        lines[1].starts_with(&format!("+ del {first} ")),
        "{lines:?}"
    );
    assert_eq!(lines[2..], [format!("OK {before}")]);
    let after = token(&server);
    assert_eq!(
        one.lines(&format!("SYNC inbox {before} list")),
        [format!("+ del {third} {after}"), format!("OK {after}")]
    );
}

#[test]
fn a_folder_that_was_made_anew_takes_nothing_for_the_old_one() {
    let place = Place::new();
    let digest = place.deliver("one\n", &[]);
    let server = place.b.start_office();
    let (mut one, mut two) = (bob(&server), bob(&server));
    assert_eq!(one.lines("CREATE box"), ["OK"]);
    let old = one.lines("SYNC box - list");
    let old = old[0].strip_prefix("OK ").unwrap();
    assert_eq!(
        one.lines(&format!("FETCH box {digest}")),
        ["FAIL no such message"]
    );
    assert_eq!(two.lines("REMOVE box"), ["OK"]);
    assert_eq!(two.lines("CREATE box"), ["OK"]);
    assert_eq!(two.lines(&format!("MOVE inbox {digest} box")), ["OK"]);
    let answer = one.lines(&format!("SYNC box {old} list"));
    assert!(answer[0].starts_with("RESET "), "{answer:?}");
    assert_eq!(one.lines(&format!("FLAG box {digest} +seen")), ["OK"]);
    assert_eq!(one.ask(&format!("FETCH box {digest}")).len(), 2);
    let told = one.lines("FOLDERS");
    assert!(told[0].starts_with("+ box 1 0 "), "{told:?}");
}

#[test]
fn folders_that_come_and_go_are_there_or_not() {
    let place = Place::new();
    let letter = letter_with(&["bob@b.test"], "Hello\n", &[]);
    let server = place.b.start_office();
    let (mut one, mut two) = (bob(&server), bob(&server));
    let other = "ab".repeat(32);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                assert_eq!(two.lines("CREATE box"), ["OK"]);
                while two.lines("REMOVE box") != ["OK"] {
                    // What the other has stored goes with it.
                    let all = two.lines("SYNC box - list");
                    for line in all.iter().filter_map(|line| line.strip_prefix("+ add ")) {
                        let digest = line.split(' ').next().unwrap();
                        two.lines(&format!("DELETE box {digest}"));
                    }
                }
            }
        });
        for _ in 0..100 {
            let told = one.lines("FOLDERS");
            assert!((2..=3).contains(&told.len()), "{told:?}");
            for command in [
                "SYNC box - messages".to_owned(),
                format!("FLAG box {other} +seen"),
                format!("MOVE inbox {other} box"),
                "REMOVE nothing".to_owned(),
            ] {
                let told = one.ask(&command).pop().unwrap().line;
                let is_told = told.starts_with("OK ") || told.starts_with("FAIL no such ");
                assert!(is_told, "{command}: {told}");
            }
            one.say(&format!("STORE box {}", letter.len()));
            one.send(&letter);
            let told = one.line();
            let is_told = told.starts_with("OK ") || told == "FAIL no such folder";
            assert!(is_told, "{told}: {}", server.log.text());
        }
    });
    let text = server.log.text();
    assert!(!text.contains("level=error"), "{text}");
}

#[test]
fn compaction_between_two_commands_is_told() {
    let place = Place::new();
    let gone = place.deliver("gone\n", &[]);
    let kept = place.deliver("kept\n", &[]);
    let server = place.b.start_office();
    let mut caller = bob(&server);
    assert_eq!(caller.lines(&format!("FLAG inbox {kept} +seen")), ["OK"]);
    let before = token(&server);
    assert_eq!(caller.lines(&format!("DELETE inbox {gone}")), ["OK"]);
    compact(&place);
    let now = token(&server);
    assert_ne!(
        before.split_once('.').unwrap().0,
        now.split_once('.').unwrap().0
    );
    for old in [&before, &now.replace('.', ".1")] {
        assert_eq!(
            caller.lines(&format!("SYNC inbox {old} list")),
            [format!("RESET {now}")]
        );
    }
    // Who was told to begin again still learns what was deleted.
    let all = caller.lines("SYNC inbox - list");
    assert!(all[0].starts_with(&format!("+ del {gone} ")), "{all:?}");
    assert!(all[1].starts_with(&format!("+ add {kept} ")), "{all:?}");
    assert!(
        all[2].starts_with(&format!("+ flag {kept} +seen ")),
        "{all:?}"
    );
    assert_eq!(all[3..], [format!("OK {now}")]);
    // And goes on in the new journal.
    assert_eq!(caller.lines(&format!("FLAG inbox {kept} -seen")), ["OK"]);
    let next = token(&server);
    assert_eq!(
        caller.lines(&format!("SYNC inbox {now} list")),
        [format!("+ flag {kept} -seen {next}"), format!("OK {next}")]
    );
}

#[test]
fn compaction_during_a_sync_changes_nothing_in_it() {
    let place = Place::new();
    let large = place.deliver(&"one\n".repeat(LARGE / 4), &[]);
    let second = place.deliver("two\n", &[]);
    let third = place.deliver("three\n", &[]);
    let server = place.b.start_office();
    let before = token(&server);
    let mut caller = bob(&server);
    caller.say("SYNC inbox - messages");
    let line = caller.line();
    assert!(line.starts_with(&format!("+ add {large} ")), "{line}");
    let mut other = bob(&server);
    assert_eq!(other.lines(&format!("DELETE inbox {third}")), ["OK"]);
    compact(&place);
    let arrived = place.deliver("four\n", &[]);
    let told = caller.told();
    assert_eq!(told[0].octets, place.stored(&format!("messages/{large}")));
    assert!(told[1].line.starts_with(&format!("+ add {second} ")));
    let (generation, _) = before.split_once('.').unwrap();
    assert!(told[1].line.contains(&format!(" {generation}.")));
    assert_eq!(told[2].octets, place.stored(&format!("messages/{second}")));
    assert_eq!(told[3].line, format!("OK {before}"));
    // That token was the old journal's.
    let now = token(&server);
    assert_eq!(
        caller.lines(&format!("SYNC inbox {before} list")),
        [format!("RESET {now}")]
    );
    let all = caller.lines("SYNC inbox - list");
    for (sort, digest) in [
        ("del", &third),
        ("add", &large),
        ("add", &second),
        ("add", &arrived),
    ] {
        let begins = format!("+ {sort} {digest} ");
        assert!(all.iter().any(|line| line.starts_with(&begins)), "{all:?}");
    }
    assert_eq!(all.len(), 5);
}

#[test]
fn flags_of_one_line_come_in_several_where_they_are_too_many() {
    let place = Place::new();
    let digest = place.deliver("one\n", &[]);
    // As another program may write it.
    let flags: Vec<String> = (0..200).map(|n| format!("+{n:032}")).collect();
    let journal = place.b.inbox("bob").join("journal");
    let whole = fs::read_to_string(&journal).unwrap();
    fs::write(
        &journal,
        format!("{whole}flag {digest} {}\n", flags.join(" ")),
    )
    .unwrap();
    let server = place.b.start_office();
    let now = token(&server);
    let (generation, _) = now.split_once('.').unwrap();
    let before = format!("{generation}.{}", whole.len());
    for (since, last) in [("-", 5), (&*before, 4)] {
        let told = bob(&server).lines(&format!("SYNC inbox {since} list"));
        let lines = &told[last - 4..last];
        let (mut heard, mut tokens) = (Vec::new(), Vec::new());
        for line in lines {
            let rest = line.strip_prefix(&format!("+ flag {digest} ")).unwrap();
            let (some, token) = rest.rsplit_once(' ').unwrap();
            heard.extend(some.split(' ').map(str::to_owned));
            tokens.push(token.to_owned());
        }
        assert_eq!(heard, flags);
        // Who was cut off among them gets all of them again.
        assert_eq!(tokens, [&*before, &before, &before, &now]);
        assert_eq!(told[last], format!("OK {now}"));
    }
}
