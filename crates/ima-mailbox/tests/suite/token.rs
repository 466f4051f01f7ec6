//! What changed since a token.

use std::fs;

use ima_mailbox::{Change, Changes, Folder};
use ima_message::{Entry, Token};

use crate::letter::Letter;
use crate::place::Place;

fn since(folder: &Folder, token: Option<&Token>) -> (Vec<Change>, Token) {
    match folder.changes(token).unwrap() {
        Changes::Since(entries, now) => (entries.map(Result::unwrap).collect(), now),
        Changes::Reset(_) => panic!("the token means nothing"),
    }
}

#[test]
fn a_token_leads_to_what_came_after_it_and_nothing_else() {
    let place = Place::new();
    let folder = place.open();
    let start = folder.token().unwrap();
    assert_eq!(since(&folder, Some(&start)), (Vec::new(), start));
    let letters = [Letter::plain("1"), Letter::plain("2"), Letter::plain("3")];
    for letter in &letters {
        place.deliver(letter).unwrap();
    }
    let (all, end) = since(&folder, None);
    assert_eq!(since(&folder, Some(&start)), (all.clone(), end));
    assert_eq!(end, folder.token().unwrap());
    let added: Vec<_> = all.iter().map(|change| change.entry.digest()).collect();
    assert_eq!(
        added,
        letters.each_ref().map(|letter| letter.header.digest())
    );
    for (n, change) in all.iter().enumerate() {
        let written: Token = change.token.to_string().parse().unwrap();
        assert_eq!(since(&folder, Some(&written)), (all[n + 1..].to_vec(), end));
    }
    assert_eq!(all[2].token, end);
}

#[test]
fn flags_and_deletions_are_read() {
    let place = Place::new();
    let letter = Letter::plain("1");
    place.deliver(&letter).unwrap();
    let name = letter.name();
    let journal = place.journal();
    fs::write(
        place.path("journal"),
        format!("{journal}flag {name} +seen -junk\ndel {name}\ndel {name}"),
    )
    .unwrap();
    let (changes, now) = since(&place.open(), None);
    let entries: Vec<_> = changes
        .iter()
        .map(|change| change.entry.to_string())
        .collect();
    assert_eq!(
        entries[1..],
        [format!("flag {name} +seen -junk"), format!("del {name}")]
    );
    assert!(matches!(changes[0].entry, Entry::Add { .. }));
    assert_eq!(
        changes[2].token, now,
        "the line that is not whole does not count"
    );
}

#[test]
fn a_token_that_means_nothing_here_is_answered_with_that_of_now() {
    let (place, other) = (Place::new(), Place::new());
    place.deliver(&Letter::plain("1")).unwrap();
    let folder = place.open();
    let now = folder.token().unwrap();
    let (generation, offset) = {
        let text = now.to_string();
        let (generation, offset) = text.split_once('.').unwrap();
        (generation.to_owned(), offset.parse::<u64>().unwrap())
    };
    let mut tokens = vec![other.open().token().unwrap().to_string()];
    tokens.extend([0, 30, 32, offset - 1, offset + 1].map(|place| format!("{generation}.{place}")));
    for token in tokens {
        match folder.changes(Some(&token.parse().unwrap())).unwrap() {
            Changes::Reset(answer) => assert_eq!(answer, now, "{token}"),
            Changes::Since(..) => panic!("{token}"),
        }
    }
}
