//! What a WATCH tells, and when.

use std::fs;

use super::{bob, token, watch};
use crate::fetch::Place;
use crate::peer::Caller;

/// Sessions that watch one folder.
const CROWD: usize = 50;

#[test]
fn everybody_who_watches_is_told_of_a_delivery_once() {
    let place = Place::new();
    let key = "max-connections-per-address";
    place.b.set("server-post-office.toml", key, "1000");
    let server = place.b.start_office();
    let mut crowd: Vec<Caller> = (0..CROWD).map(|_| bob(&place, &server)).collect();
    for caller in &mut crowd {
        watch(caller, "inbox");
    }
    place.deliver("inbox", &place.letter("First.\n", &[]));
    for caller in &mut crowd {
        assert_eq!(caller.line(), "+ changed inbox");
    }
    place.deliver("inbox", &place.letter("Second.\n", &[]));
    for caller in &mut crowd {
        caller.say("any line at all, ERROR and WATCH among them");
        assert_eq!(caller.line(), "OK");
    }
    // One that watches anew learns of the third, and the others are as before.
    let (last, rest) = crowd.split_last_mut().unwrap();
    watch(last, "inbox");
    place.deliver("inbox", &place.letter("Third.\n", &[]));
    assert_eq!(last.line(), "+ changed inbox");
    for caller in rest {
        assert!(caller.lines("FOLDERS")[0].starts_with("+ "));
    }
}

#[test]
fn what_has_changed_already_is_told_at_once() {
    let place = Place::new();
    place.deliver("inbox", &place.letter("First.\n", &[]));
    place.deliver("other", &place.letter("Another.\n", &[]));
    let server = place.b.start_office();
    let mut caller = bob(&place, &server);
    let (inbox, other) = (token(&mut caller, "inbox"), token(&mut caller, "other"));
    place.deliver("inbox", &place.letter("Second.\n", &[]));
    caller.say(&format!("WATCH other {other} inbox {inbox}"));
    assert_eq!(caller.line(), "+ changed inbox");
    place.deliver("other", &place.letter("Last.\n", &[]));
    assert_eq!(caller.line(), "+ changed other");
    caller.say("");
    assert_eq!(caller.line(), "OK");
    // Of another generation, and twice in a line.
    let inbox = token(&mut caller, "inbox");
    let (_, offset) = inbox.split_once('.').unwrap();
    caller.say(&format!(
        "WATCH inbox {inbox} inbox 0000000000000000.{offset} inbox 0000000000000001.31"
    ));
    assert_eq!(caller.line(), "+ changed inbox");
    place.deliver("inbox", &place.letter("Third.\n", &[]));
    caller.say("DONE");
    assert_eq!(caller.line(), "OK");
    assert_eq!(token(&mut caller, "inbox").split('.').count(), 2);
}

/// The line that ends a WATCH may have come with it.
#[test]
fn a_watch_that_is_ended_as_it_begins_tells_what_has_changed() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut caller = bob(&place, &server);
    let inbox = token(&mut caller, "inbox");
    caller.send(format!("WATCH inbox {inbox}\nx\nWATCH inbox 0000000000000001.31\nx\n").as_bytes());
    assert_eq!(caller.line(), "OK");
    assert_eq!(caller.line(), "+ changed inbox");
    assert_eq!(caller.line(), "OK");
    // And it may come octet by octet.
    caller.set_pieces(1, 1);
    watch(&mut caller, "inbox");
    caller.say("the end");
    assert_eq!(caller.line(), "OK");
}

#[test]
fn a_folder_that_is_not_there_cannot_be_watched() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut caller = bob(&place, &server);
    let inbox = token(&mut caller, "inbox");
    for line in [
        format!("WATCH nowhere {inbox}"),
        format!("WATCH inbox {inbox} nowhere {inbox}"),
        format!("WATCH ../bob {inbox}"),
        format!("WATCH messages {inbox}"),
    ] {
        assert_eq!(caller.lines(&line), ["FAIL no such folder"], "{line}");
    }
    watch(&mut caller, "inbox");
    place.deliver("inbox", &place.letter("Hello\n", &[]));
    assert_eq!(caller.line(), "+ changed inbox");
}

#[test]
fn a_folder_that_is_replaced_or_goes_has_changed() {
    let place = Place::new();
    for folder in ["removed", "moved", "compacted", "flagged"] {
        place.deliver(folder, &place.letter(folder, &[]));
    }
    let server = place.b.start_office();
    let mut callers: Vec<Caller> = ["removed", "moved", "compacted", "flagged"]
        .into_iter()
        .map(|folder| {
            let mut caller = bob(&place, &server);
            watch(&mut caller, folder);
            // It watches by now: whoever is told of one folder watches the others.
            caller.say("");
            assert_eq!(caller.line(), "OK");
            watch(&mut caller, folder);
            caller
        })
        .collect();
    let mailbox = place.b.mailbox("bob");
    let digest = {
        let journal = fs::read_to_string(mailbox.join("flagged/journal")).unwrap();
        journal.lines().nth(1).unwrap()[4..68].to_owned()
    };
    fs::remove_dir_all(mailbox.join("removed")).unwrap();
    assert_eq!(callers[0].line(), "+ changed removed");
    fs::rename(mailbox.join("moved"), place.file("elsewhere")).unwrap();
    assert_eq!(callers[1].line(), "+ changed moved");
    let journal = mailbox.join("compacted/journal");
    let text = fs::read_to_string(&journal).unwrap();
    let new = mailbox.join("compacted/tmp/journal");
    fs::write(&new, text.replacen(&text[14..30], "00000000000000aa", 1)).unwrap();
    fs::rename(new, journal).unwrap();
    assert_eq!(callers[2].line(), "+ changed compacted");
    // What another session of the same user does.
    let mut other = bob(&place, &server);
    assert_eq!(other.lines(&format!("FLAG flagged {digest} +seen")), ["OK"]);
    assert_eq!(callers[3].line(), "+ changed flagged");
    for caller in &mut callers {
        caller.say("");
        assert_eq!(caller.line(), "OK");
    }
    let gone = "WATCH removed 0000000000000001.31";
    assert_eq!(callers[0].lines(gone), ["FAIL no such folder"]);
}

#[test]
fn some_of_a_line_does_not_keep_news_back() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut caller = bob(&place, &server);
    watch(&mut caller, "inbox");
    // It watches by now.
    caller.say("");
    assert_eq!(caller.line(), "OK");
    watch(&mut caller, "inbox");
    caller.send(b"x");
    place.deliver("inbox", &place.letter("Hello\n", &[]));
    assert_eq!(caller.line(), "+ changed inbox");
    caller.say("y");
    assert_eq!(caller.line(), "OK");
}
