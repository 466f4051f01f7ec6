//! STORE: whole messages or nothing.

use std::fs;

use super::{Place, bob};
use crate::peer::{Caller, Cut, Ending};
use crate::post::PASSWORD;
use crate::process::{kib, terminate, wait};
use crate::site::{letter_octets, letter_with, wait_until};

/// A letter of bob's own, with an attachment of so many octets.
fn letter(place: &Place, octets: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..octets)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    let file = place.site.path().join("sent.bin");
    fs::write(&file, data).unwrap();
    letter_with(
        &["carol@c.test"],
        "Sent.\n",
        &["--attach", file.to_str().unwrap()],
    )
}

fn begin(caller: &mut Caller, folder: &str, octets: usize) {
    caller.say(&format!("STORE {folder} {octets}"));
}

#[test]
fn a_message_is_stored_whole_and_not_held() {
    let place = Place::new();
    let octets = 64 << 20;
    let letter = letter(&place, octets);
    let server = place.b.start_office();
    let mut caller = bob(&server);
    assert_eq!(caller.lines("CREATE sent"), ["OK"]);
    let before = kib(server.child.id(), "VmHWM");
    begin(&mut caller, "sent", letter.len());
    caller.send(&letter);
    let answer = caller.line();
    let digest = answer.strip_prefix("OK ").unwrap();
    let grown = kib(server.child.id(), "VmHWM") - before;
    assert!(grown < 4 << 10, "{grown} KiB");

    let told = caller.lines("FOLDERS");
    let octets = letter.len();
    assert!(
        told[1].starts_with(&format!("+ sent 1 1 {octets} ")),
        "{told:?}"
    );
    let sent = place.b.mailbox("bob").join("sent");
    let body = fs::read(sent.join("messages").join(digest)).unwrap();
    let attached = fs::read(sent.join("messages").join(format!("{digest}.2"))).unwrap();
    assert!(letter_octets(&[body, attached].concat()) == letter_octets(&letter));
    // Once more is the same once.
    begin(&mut caller, "sent", letter.len());
    caller.send(&letter);
    assert_eq!(caller.line(), answer);
    assert!(caller.lines("FOLDERS")[1].starts_with("+ sent 1 1 "));
    caller.say("DONE");
    assert_eq!(caller.rest().1, Ending::Proper);
    let closed = server.log.wait_for("event=closed");
    assert!(closed.contains(" stored=2 moved=0 "), "{closed}");
}

#[test]
fn what_is_refused_leaves_the_next_command_its_turn() {
    let place = Place::new();
    let letter = letter(&place, 30_000);
    fs::write(
        place.b.mailbox("bob").join("mailbox.toml"),
        "quota = \"40KiB\"\n",
    )
    .unwrap();
    place.set("max-size", "\"100KiB\"");
    let server = place.b.start_office();
    let mut caller = bob(&server);
    let mut wrong = letter.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let large = vec![b'x'; (100 << 10) + 1];
    let second = letter_with(&["carol@c.test"], &"text ".repeat(3000), &[]);
    for (folder, octets, answer) in [
        ("inbox", &wrong, "FAIL not a valid message: "),
        ("inbox", &letter[1..].to_vec(), "FAIL not a valid message: "),
        ("nothing", &letter, "FAIL no such folder"),
        ("../inbox", &letter, "FAIL no such folder"),
        (
            "inbox",
            &large,
            "FAIL too large: a message has at most 102400 octets here",
        ),
        ("inbox", &letter, "OK "),
        (
            "inbox",
            &second,
            "FAIL the mailbox has a quota of 40960 octets, and holds ",
        ),
    ] {
        begin(&mut caller, folder, octets.len());
        caller.send(octets);
        caller.say("FOLDERS");
        let said = caller.line();
        assert!(said.starts_with(answer), "{said}");
        let told = caller.told();
        assert_eq!(told.len(), 2);
    }
    assert_eq!(place.names("messages").len(), 2);
    assert_eq!(place.names("tmp"), [""; 0]);
    // What no quota and no limit could mean is the end.
    begin(&mut caller, "inbox", usize::MAX >> 1);
    assert_eq!(
        caller.rest(),
        (
            "ERROR a message has at most 102400 octets here\n".to_owned(),
            Ending::Proper
        )
    );
}

#[test]
fn what_does_not_come_whole_is_not_stored() {
    let place = Place::new();
    let letter = letter(&place, 300_000);
    let server = place.b.start_office();
    let journal = place.stored("journal");
    let mut ends = 0;
    for cut in [Cut::CloseNotify, Cut::Fin, Cut::Reset] {
        for octets in [0, 1, 100, letter.len() / 2, letter.len() - 1] {
            let mut caller = bob(&server);
            begin(&mut caller, "inbox", letter.len());
            caller.send(&letter[..octets]);
            caller.into_peer().cut(cut);
            ends += 1;
        }
    }
    wait_until("all ends", || {
        server.log.text().matches("event=closed").count() == ends
    });
    assert_eq!(place.stored("journal"), journal);
    for directory in ["messages", "attachments", "tmp"] {
        assert_eq!(place.names(directory), [""; 0], "{directory}");
    }
    let text = server.log.text();
    assert!(!text.contains("event=mailbox-fault"), "{text}");
}

#[test]
fn a_message_on_its_way_is_stored_before_the_server_stops() {
    let place = Place::new();
    let letter = letter(&place, 300_000);
    let mut server = place.b.start_office();
    let mut caller = bob(&server);
    let (one, two) = letter.split_at(letter.len() / 2);
    begin(&mut caller, "inbox", letter.len());
    caller.send(one);
    wait_until("it is being written", || {
        let fds = fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap();
        fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
            .any(|target| target.starts_with(place.b.inbox("bob").join("tmp")))
    });
    terminate(&server.child);
    server.log.wait_for("event=stopping");
    caller.send(two);
    caller.say("FOLDERS");
    let (said, ending) = caller.rest();
    let digest = place.b.messages("bob").pop().unwrap();
    assert_eq!((said, ending), (format!("OK {digest}\n"), Ending::Proper));
    assert_eq!(wait(&mut server.child).code(), Some(0));
}

#[test]
fn few_of_one_user_are_on_their_way_at_once() {
    let place = Place::new();
    let letter = letter(&place, 300_000);
    let (one, two) = letter.split_at(letter.len() / 2);
    let server = place.b.start_office();
    let tmp = place.b.inbox("bob").join("tmp");
    let on_their_way = || {
        let fds = fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap();
        let files = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        let files = files.filter(|file| file.starts_with(&tmp));
        files.count()
    };
    let mut some: Vec<Caller> = (0..4).map(|_| bob(&server)).collect();
    for caller in &mut some {
        begin(caller, "inbox", letter.len());
        caller.send(one);
    }
    wait_until("all are being written", || on_their_way() >= 8);
    let mut late = bob(&server);
    begin(&mut late, "inbox", letter.len());
    late.send(&letter);
    assert_eq!(
        late.line(),
        "FAIL too many messages are on their way; try again later"
    );
    let mut carol = Caller::dial(server.address, None);
    assert_eq!(carol.log_in("carol@b.test", PASSWORD), "OK");
    begin(&mut carol, "inbox", letter.len());
    carol.send(&letter);
    assert!(carol.line().starts_with("OK "));
    for caller in &mut some {
        caller.send(two);
        assert!(caller.line().starts_with("OK "));
    }
    begin(&mut late, "inbox", letter.len());
    late.send(&letter);
    assert!(late.line().starts_with("OK "));
}

#[test]
fn a_full_disk_is_no_final_no() {
    let place = Place::new();
    let letter = letter(&place, 1000);
    // Announced, and more than any disk has room for.
    let header = String::from_utf8_lossy(&letter).into_owned();
    let (head, _) = header.split_once("\n\n").unwrap();
    let vast: u64 = 1 << 61;
    let head = head
        .lines()
        .map(|line| match line.split_once(' ') {
            Some(("size:", _)) => format!("size: {}\n", vast + 6),
            Some(("part:", rest)) if rest.contains(" 1000 ") => {
                format!("part: {}\n", rest.replace(" 1000 ", &format!(" {vast} ")))
            }
            _ => format!("{line}\n"),
        })
        .collect::<String>()
        + "\n";
    place.set("max-size", "\"4000000000GiB\"");
    let server = place.b.start_office();
    let mut caller = bob(&server);
    caller.say(&format!("STORE inbox {}", head.len() as u64 + vast + 6));
    caller.send(head.as_bytes());
    let (said, ending) = caller.rest();
    assert_eq!(said, "ERROR a fault here; try again later\n");
    assert_eq!(ending, Ending::Proper);
    let line = server.log.wait_for("event=mailbox-fault");
    assert!(line.contains("has room for"), "{line}");
}

#[test]
fn what_is_there_already_needs_no_room() {
    let place = Place::new();
    let letter = letter(&place, 3000);
    let server = place.b.start_office();
    let mut caller = bob(&server);
    let mut store = |letter: &[u8]| {
        begin(&mut caller, "inbox", letter.len());
        caller.send(letter);
        caller.line()
    };
    let stored = store(&letter);
    assert!(stored.starts_with("OK "), "{stored}");
    let file = place.b.mailbox("bob").join("mailbox.toml");
    fs::write(file, "quota = \"1KiB\"\n").unwrap();
    assert_eq!(store(&letter), stored);
    let other = letter_with(&["carol@c.test"], "Another.\n", &[]);
    let refused = store(&other);
    assert!(
        refused.starts_with("FAIL the mailbox has a quota of 1024 "),
        "{refused}"
    );
}
