//! Mailboxes that are damaged, elsewhere, or not what they should be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::{Place, bob};
use crate::peer::{Caller, Ending};
use crate::post::PASSWORD;
use crate::process::{descriptors_of_monitor, with_descriptors};
use crate::site::{Server, wait_until};

const FAULT: &str = "ERROR a fault here; try again later\n";

/// What bob's command comes to where there is a fault.
fn is_a_fault(server: &Server, command: &str) {
    let mut caller = bob(server);
    caller.say(command);
    assert_eq!(
        caller.rest(),
        (FAULT.to_owned(), Ending::Proper),
        "{command}"
    );
}

/// Bob's inbox is damaged, and his other folder is to be had all the same.
fn is_left_out(server: &Server) {
    let told = bob(server).lines("FOLDERS");
    assert!(
        matches!(&told[..], [other, ok] if other.starts_with("+ Archive ") && ok == "OK"),
        "{told:?}"
    );
}

/// Bob cannot be let in, and the log says why and what to do.
fn cannot_open(server: &Server, says: &[&str]) {
    let mut caller = Caller::dial(server.address, None);
    caller.send_login("bob@b.test", PASSWORD);
    assert_eq!(caller.rest(), (FAULT.to_owned(), Ending::Proper));
    let line = server.log.wait_for("event=cannot-open-mailbox");
    for part in says.iter().chain(&["user=bob@b.test", "advice="]) {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    // Others are not disturbed.
    let mut carol = Caller::dial(server.address, None);
    assert_eq!(carol.log_in("carol@b.test", PASSWORD), "OK");
}

#[test]
fn a_damaged_journal_is_a_fault() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    let mailbox = place.b.mailbox("bob");
    copy(&mailbox.join("inbox"), &mailbox.join("Archive"));
    let journal = place.b.inbox("bob").join("journal");
    let whole = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("{whole}nonsense\n")).unwrap();
    let server = place.b.start_office();
    is_left_out(&server);
    is_a_fault(&server, "SYNC inbox - list");
    let line = server.log.wait_for("event=mailbox-fault");
    assert!(
        line.contains("user=bob@b.test") && line.contains("inbox/journal"),
        "{line}"
    );
    // The message itself is whole.
    assert_eq!(bob(&server).ask(&format!("FETCH inbox {digest}")).len(), 2);
    // A last line that was not written whole is nobody's fault.
    fs::write(&journal, format!("{whole}add 0123")).unwrap();
    assert_eq!(bob(&server).lines("SYNC inbox - list").len(), 2);
    fs::write(&journal, "something else\n").unwrap();
    is_left_out(&server);
    fs::remove_file(&journal).unwrap();
    is_a_fault(&server, "SYNC inbox - list");
}

#[test]
fn a_message_that_is_listed_and_lost_is_logged() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    fs::remove_file(place.b.inbox("bob").join("messages").join(&digest)).unwrap();
    let server = place.b.start_office();
    let mut caller = bob(&server);
    assert!(caller.lines("SYNC inbox - list")[0].contains(&digest));
    let told = caller.lines(&format!("FETCH inbox {digest}"));
    assert_eq!(told, ["FAIL no such message"]);
    let line = server.log.wait_for("event=not-there");
    let says = format!("user=bob@b.test folder=inbox digest={digest}");
    assert!(line.contains(&says), "{line}");
}

#[test]
fn only_folders_are_listed() {
    let place = Place::new();
    let mailbox = place.b.mailbox("bob");
    for name in ["in box", "-x", "x.bak", "e\u{301}"] {
        copy(&mailbox.join("inbox"), &mailbox.join(name));
    }
    fs::create_dir(mailbox.join("empty")).unwrap();
    fs::write(mailbox.join("mailbox.toml"), "").unwrap();
    fs::write(mailbox.join("notes"), "").unwrap();
    copy(&mailbox.join("inbox"), &mailbox.join("Entwürfe"));
    let server = place.b.start_office();
    let told = bob(&server).lines("FOLDERS");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("+ Entwürfe 0 0 0 ") && told[1].starts_with("+ inbox 0 0 0 "));
}

/// A folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap().is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(from, to).unwrap()),
        }
    }
}

#[test]
fn no_symbolic_link_is_followed() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[b"attached\n"]);
    let attachment = place.names("attachments").pop().unwrap();
    let (mailbox, inbox) = (place.b.mailbox("bob"), place.b.inbox("bob"));
    symlink("inbox", mailbox.join("other")).unwrap();
    symlink(place.b.inbox("carol"), mailbox.join("carols")).unwrap();
    let server = place.b.start_office();
    assert_eq!(bob(&server).lines("FOLDERS").len(), 2);
    is_a_fault(&server, "SYNC other - list");
    is_a_fault(&server, "SYNC carols - list");

    let secret = place.site.path().join("secret");
    fs::write(&secret, "what nobody may read\n").unwrap();
    for (file, command) in [
        (
            format!("messages/{digest}"),
            format!("FETCH inbox {digest}"),
        ),
        (
            format!("attachments/{attachment}"),
            format!("PART inbox {attachment} 0"),
        ),
        ("journal".to_owned(), "SYNC inbox - list".to_owned()),
        ("lock".to_owned(), "SYNC inbox - list".to_owned()),
    ] {
        let file = inbox.join(file);
        let kept = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        symlink(&secret, &file).unwrap();
        is_a_fault(&server, &command);
        fs::remove_file(&file).unwrap();
        fs::write(&file, kept).unwrap();
    }
    let messages = inbox.join("messages");
    fs::rename(&messages, mailbox.join("moved")).unwrap();
    symlink("../moved", &messages).unwrap();
    is_a_fault(&server, &format!("FETCH inbox {digest}"));
}

#[test]
fn a_mailbox_that_is_not_there() {
    let place = Place::new();
    let mailbox = place.b.mailbox("bob");
    fs::rename(&mailbox, mailbox.with_file_name("moved")).unwrap();
    let server = place.b.start_office();
    cannot_open(&server, &["there is no mailbox", "mail/b.test/bob"]);
    // A link in its place is none either.
    symlink("moved", &mailbox).unwrap();
    let mut caller = Caller::dial(server.address, None);
    caller.send_login("bob@b.test", PASSWORD);
    assert_eq!(caller.rest().0, FAULT);
    fs::remove_file(&mailbox).unwrap();
    fs::rename(mailbox.with_file_name("moved"), &mailbox).unwrap();
    assert_eq!(bob(&server).lines("FOLDERS").len(), 2);
}

#[test]
fn a_mailbox_of_another_user_id() {
    let place = Place::new();
    // Root can give bob's away; for others the root directory is somebody else's.
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(place.b.mailbox("bob"), Some(12345), None).unwrap();
    } else {
        place
            .b
            .edit("users.toml", |text| text.replace("mail/b.test/bob", "/"));
    }
    let server = place.b.start_office();
    let owner = if is_root { 12345 } else { 0 };
    let said = format!("belongs to user id {owner}, ");
    match is_root {
        // What root is told does not give the mailbox to root.
        true => cannot_open(&server, &[&said, "run the server as user id 12345: "]),
        false => cannot_open(&server, &[&said]),
    }
}

/// What root starts over a configuration of somebody else's.
#[test]
fn root_is_told_to_be_somebody_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let start = || [place.b.start(), place.b.start_office()];
    for server in start() {
        server.log.wait_for("event=listening");
        assert!(!server.log.text().contains("runs-as-root"));
    }
    std::os::unix::fs::chown(&place.b.dir, Some(12345), None).unwrap();
    for server in start() {
        let line = server.log.wait_for("event=runs-as-root");
        assert!(line.contains(" owner=12345 advice="), "{line}");
    }
}

/// Bob's mailbox with a folder that is damaged by this.
fn with_damaged(damage: impl Fn(&Path)) -> Place {
    let place = Place::new();
    let mailbox = place.b.mailbox("bob");
    copy(&mailbox.join("inbox"), &mailbox.join("Archive"));
    damage(&mailbox.join("Archive"));
    place
}

#[test]
fn a_folder_that_is_damaged_in_any_way_stands_in_nobodys_way() {
    /// What is done to the directory of a folder.
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("a directory for a journal", |folder| {
            fs::remove_file(folder.join("journal")).unwrap();
            fs::create_dir(folder.join("journal")).unwrap();
        }),
        ("a link for a journal", |folder| {
            fs::remove_file(folder.join("journal")).unwrap();
            symlink("../inbox/journal", folder.join("journal")).unwrap();
        }),
        ("no gone", |folder| {
            fs::remove_dir(folder.join("gone")).unwrap();
        }),
        ("a link for its messages", |folder| {
            fs::remove_dir(folder.join("messages")).unwrap();
            symlink("../inbox/messages", folder.join("messages")).unwrap();
        }),
        ("no lock", |folder| {
            fs::remove_file(folder.join("lock")).unwrap();
            fs::create_dir(folder.join("lock")).unwrap();
        }),
        ("another first line", |folder| {
            fs::write(folder.join("journal"), "something else\n").unwrap();
        }),
    ];
    for (what, damage) in damages {
        let place = with_damaged(damage);
        let server = place.b.start_office();
        let mut caller = bob(&server);
        let told = caller.lines("FOLDERS");
        assert!(
            matches!(&told[..], [inbox, ok] if inbox.starts_with("+ inbox ") && ok == "OK"),
            "{what}: {told:?}"
        );
        let line = server.log.wait_for("event=mailbox-fault");
        assert!(line.contains("bob/Archive"), "{what}: {line}");
        assert_eq!(caller.lines("CREATE new"), ["OK"], "{what}");
        assert_eq!(
            caller.lines("CREATE Archive"),
            ["FAIL there is a folder of this name"],
            "{what}"
        );
        is_a_fault(&server, "SYNC Archive - list");
    }
}

#[test]
fn a_message_that_is_cut_short_is_named_and_the_rest_is_to_be_had() {
    let place = Place::new();
    let digests: Vec<String> = ["one\n", "two\n", "three\n"]
        .map(|text| {
            let had = place.names("messages");
            place.deliver(text, &[]);
            let now = place.names("messages");
            now.into_iter().find(|name| !had.contains(name)).unwrap()
        })
        .into();
    let file = place.b.inbox("bob").join("messages").join(&digests[1]);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..20]).unwrap();
    let server = place.b.start_office();
    let mut caller = bob(&server);
    for mode in ["headers", "messages"] {
        let told = caller.ask(&format!("SYNC inbox - {mode}"));
        let adds: Vec<&str> = told
            .iter()
            .filter_map(|said| said.line.strip_prefix("+ add "))
            .map(|line| &line[..64])
            .collect();
        assert_eq!(adds, [&*digests[0], &*digests[2]], "{mode}");
        assert!(told.last().unwrap().line.starts_with("OK "), "{mode}");
    }
    let line = server.log.wait_for("event=mailbox-fault");
    let says = format!("user=bob@b.test folder=inbox digest={}", digests[1]);
    assert!(line.contains(&says) && line.contains("repair"), "{line}");
    // It can be deleted, and cannot be moved; the others can.
    assert_eq!(caller.lines("CREATE new"), ["OK"]);
    for digest in &digests {
        caller.say(&format!("MOVE inbox {digest} new"));
    }
    let answers: Vec<String> = digests.iter().map(|_| caller.line()).collect();
    assert_eq!(answers, ["OK", "FAIL the message is damaged here", "OK"]);
    let delete = format!("DELETE inbox {}", digests[1]);
    assert_eq!(caller.lines(&delete), ["OK"]);
}

#[test]
fn a_lost_message_can_be_deleted_and_each_change_has_its_own_answer() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    fs::remove_file(place.b.inbox("bob").join("messages").join(&digest)).unwrap();
    let server = place.b.start_office();
    let mut caller = bob(&server);
    caller.send(format!("FLAG inbox {digest} +seen\nDELETE inbox {digest}\n").as_bytes());
    assert_eq!(caller.line(), "FAIL no such message");
    assert_eq!(caller.line(), "OK");
}

#[test]
fn a_server_without_descriptors_says_so_and_what_to_do() {
    let place = Place::new();
    let limit = 64;
    let server = with_descriptors(&place.b, "server-post-office", limit);
    let mut crowd = vec![bob(&server)];
    while descriptors_of_monitor(&server.child) < limit - 5 {
        crowd.push(bob(&server));
    }
    let mut last = crowd.pop().unwrap();
    last.say("FOLDERS");
    assert_eq!(last.rest(), (FAULT.to_owned(), Ending::Proper));
    let line = server.log.wait_for("event=mailbox-fault");
    for part in [
        "Too many open files",
        "may have 64 files open",
        "LimitNOFILE",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    // Those that go make room.
    crowd.truncate(2);
    wait_until("room", || descriptors_of_monitor(&server.child) < limit / 2);
    assert_eq!(crowd[0].lines("FOLDERS").len(), 2);
}

/// Once a program that was stopped with the lock, and a client that came again and again,
/// took all places of all users.
#[test]
fn a_folder_that_another_program_keeps_locked_is_a_fault_after_half_a_minute() {
    let place = Place::new();
    place.deliver("Hello\n", &[]);
    let server = place.b.start_office();
    let held = fs::File::open(place.b.inbox("bob").join("lock")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let begin = Instant::now();
    // No client may take the folder for removed, either.
    let mut waiting = ["SYNC inbox - list", "FOLDERS", "CREATE new"].map(|command| {
        let mut caller = bob(&server);
        caller.say(command);
        caller
    });
    let mut carol = Caller::dial(server.address, None);
    assert_eq!(carol.log_in("carol@b.test", PASSWORD), "OK");
    assert!(carol.lines("SYNC inbox - list")[0].starts_with("OK "));
    assert_eq!(waiting[2].line(), "OK");
    assert!(begin.elapsed() < Duration::from_secs(20));
    for caller in &mut waiting[..2] {
        assert_eq!(caller.rest(), (FAULT.to_owned(), Ending::Proper));
        let took = begin.elapsed();
        assert!((29..35).contains(&took.as_secs()), "{took:?}");
    }
    let line = server.log.wait_for("event=mailbox-fault");
    assert!(
        line.contains("bob/inbox is locked: another program holds the lock"),
        "{line}"
    );
    drop(held);
    assert_eq!(bob(&server).lines("SYNC inbox - list").len(), 2);
}
