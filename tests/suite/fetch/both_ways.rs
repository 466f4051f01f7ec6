//! Changes in both directions, over a real server.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ima_mailbox::{Act, Mailbox};
use ima_message::{FlagChange, MessageDigest};

use super::Place;
use crate::peer::office::Letter;
use crate::site::{Server, code, stderr, stdout};

/// bob's mailbox on the server, the mirror here, and another device of his.
pub struct Both {
    pub place: Place,
    pub server: Server,
}

/// By folder and message, the flags.
pub type Mail = BTreeMap<String, BTreeMap<String, Vec<String>>>;

impl Both {
    /// With these folders beside the inbox.
    pub fn new(folders: &[&str]) -> Both {
        let place = Place::new();
        let mailbox = Mailbox::open(&place.b.mailbox("bob")).unwrap();
        for name in folders {
            mailbox.create_folder(&name.parse().unwrap()).unwrap();
        }
        let server = place.b.start_office();
        Both { place, server }
    }

    pub fn there(&self) -> PathBuf {
        self.place.b.mailbox("bob")
    }

    /// Delivers a letter to the server's inbox.
    pub fn deliver(&self, text: &str, attachments: &[&[u8]]) -> MessageDigest {
        let letter = self.place.letter(text, attachments);
        self.place.deliver("inbox", &letter);
        Letter::new(&letter).digest
    }

    pub fn fetch(&self) {
        self.place.fetch_well(self.server.address);
    }

    /// With further options.
    pub fn fetch_with(&self, options: &[&str]) -> String {
        let mut command = self.place.command(self.server.address);
        let output = command.args(options).output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, String::new()));
        stdout(&output)
    }

    /// Both sides hold the same, and that is given.
    pub fn same(&self) -> Mail {
        let (here, there) = (mail(&self.place.mail()), mail(&self.there()));
        assert_eq!(here, there);
        self.place.check();
        here
    }
}

pub fn mail(path: &std::path::Path) -> Mail {
    let mailbox = Mailbox::open(path).unwrap();
    let mut mail = Mail::new();
    for name in mailbox.names().unwrap() {
        let folder = mailbox.folder(&name).unwrap().unwrap();
        let messages = folder.live(None).unwrap().unwrap();
        let flags = |message: &ima_mailbox::Message| {
            let flags = message.flags.iter();
            flags.map(|flag| flag.as_str().to_owned()).collect()
        };
        let messages = messages.iter().map(|(d, m)| (d.to_string(), flags(m)));
        mail.insert(name.to_string(), messages.collect());
    }
    mail
}

pub fn act(path: &std::path::Path, folder: &str, act: Act) {
    let mailbox = Mailbox::open(path).unwrap();
    let folder = mailbox.folder(&folder.parse().unwrap()).unwrap().unwrap();
    let applied = folder.apply(&[act]).unwrap();
    assert!(applied.missing.is_empty());
}

pub fn flag(path: &std::path::Path, folder: &str, digest: MessageDigest, change: &str) {
    let changes = vec![FlagChange {
        flag: change[1..].parse().unwrap(),
        set: change.starts_with('+'),
    }];
    act(path, folder, Act::Flag { digest, changes });
}

pub fn delete(path: &std::path::Path, folder: &str, digest: MessageDigest) {
    act(path, folder, Act::Delete { digest });
}

pub fn relocate(path: &std::path::Path, from: &str, digest: MessageDigest, to: &str) {
    let mailbox = Mailbox::open(path).unwrap();
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    mailbox.move_message(&from, digest, &to).unwrap();
}

pub fn flags(mail: &Mail, folder: &str, digest: MessageDigest) -> Option<Vec<String>> {
    mail[folder].get(&digest.to_string()).cloned()
}

#[test]
fn what_changed_on_one_side_is_done_on_the_other() {
    let both = Both::new(&["archive"]);
    let (here, there) = (both.place.mail(), both.there());
    let digests: Vec<_> = (0..6)
        .map(|n| both.deliver(&format!("{n}\n"), &[b"attached"]))
        .collect();
    both.fetch();
    flag(&here, "inbox", digests[0], "+seen");
    flag(&there, "inbox", digests[1], "+flagged");
    delete(&here, "inbox", digests[2]);
    delete(&there, "inbox", digests[3]);
    relocate(&here, "inbox", digests[4], "archive");
    relocate(&there, "inbox", digests[5], "archive");
    both.fetch();
    let mail = both.same();
    assert_eq!(flags(&mail, "inbox", digests[0]), Some(vec!["seen".into()]));
    assert_eq!(
        flags(&mail, "inbox", digests[1]),
        Some(vec!["flagged".into()])
    );
    assert_eq!((mail["inbox"].len(), mail["archive"].len()), (2, 2));
    // And back again.
    flag(&there, "inbox", digests[0], "-seen");
    relocate(&here, "archive", digests[5], "inbox");
    both.fetch();
    let mail = both.same();
    assert_eq!(flags(&mail, "inbox", digests[0]), Some(vec![]));
    assert_eq!((mail["inbox"].len(), mail["archive"].len()), (3, 1));
    // And that is all: nothing is written any more.
    let state = here.join(".fetch-mail/state");
    let before = fs::read_to_string(&state).unwrap();
    assert!(
        !before.contains("\nsent ") && !before.contains("\nown "),
        "{before}"
    );
    both.fetch();
    assert_eq!(fs::read_to_string(&state).unwrap(), before);
}

#[test]
fn where_both_changed_nothing_is_lost_and_what_was_set_is_set() {
    let both = Both::new(&["archive", "trash"]);
    let (here, there) = (both.place.mail(), both.there());
    let digests: Vec<_> = (0..6)
        .map(|n| both.deliver(&format!("{n}\n"), &[]))
        .collect();
    for digest in &digests {
        flag(&there, "inbox", *digest, "+junk");
    }
    both.fetch();
    // A flag.
    flag(&here, "inbox", digests[0], "-junk");
    flag(&there, "inbox", digests[0], "+seen");
    flag(&here, "inbox", digests[0], "-seen");
    // Deleted, and changed.
    delete(&here, "inbox", digests[1]);
    flag(&there, "inbox", digests[1], "+seen");
    delete(&there, "inbox", digests[2]);
    flag(&here, "inbox", digests[2], "+flagged");
    // Moved to two places.
    relocate(&here, "inbox", digests[3], "archive");
    relocate(&there, "inbox", digests[3], "trash");
    // Moved, and changed.
    relocate(&there, "inbox", digests[4], "archive");
    flag(&here, "inbox", digests[4], "-junk");
    // Moved, and deleted.
    relocate(&here, "inbox", digests[5], "archive");
    delete(&there, "inbox", digests[5]);
    both.fetch();
    let mail = both.same();
    let of = |folder, number: usize| {
        let flags = flags(&mail, folder, digests[number]);
        flags.map(|flags| flags.join(" "))
    };
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(of("inbox", 0), is("seen"));
    assert_eq!(of("inbox", 1), is("junk seen"));
    assert_eq!(of("inbox", 2), is("flagged junk"));
    assert_eq!(
        (of("inbox", 3), of("archive", 3), of("trash", 3)),
        (None, is("junk"), is("junk"))
    );
    assert_eq!((of("inbox", 4), of("archive", 4)), (None, is("")));
    assert_eq!((of("inbox", 5), of("archive", 5)), (None, is("junk")));
}

/// The server does not have it where it was, nor where it had been meanwhile. Once
/// it stayed here alone, since the server's word of it was dealt with by then.
#[test]
fn what_was_moved_away_and_back_here_and_deleted_there_is_put_back() {
    for options in [&[][..], &["--download-only"], &["--folder", "archive"]] {
        let both = Both::new(&["archive"]);
        let (here, there) = (both.place.mail(), both.there());
        let digest = both.deliver("one\n", &[b"attached"]);
        flag(&there, "inbox", digest, "+seen");
        both.fetch();
        relocate(&here, "inbox", digest, "archive");
        relocate(&here, "archive", digest, "inbox");
        delete(&there, "inbox", digest);
        both.fetch_with(options);
        both.fetch();
        let mail = both.same();
        let seen = Some(vec!["seen".to_owned()]);
        assert_eq!(flags(&mail, "inbox", digest), seen, "{options:?}");
        assert_eq!(mail["archive"].len(), 0, "{options:?}");
    }
}

#[test]
fn folders_are_made_and_removed_on_both_sides() {
    let both = Both::new(&["there"]);
    let digest = both.deliver("one\n", &[]);
    both.fetch();
    let (here, there) = (both.place.mail(), both.there());
    let mailbox = Mailbox::open(&here).unwrap();
    mailbox.create_folder(&"here".parse().unwrap()).unwrap();
    relocate(&here, "inbox", digest, "here");
    both.fetch();
    let mail = both.same();
    assert_eq!(mail.keys().collect::<Vec<_>>(), ["here", "inbox", "there"]);
    assert_eq!(mail["here"].len(), 1);
    // Removed where nothing is in them.
    fs::remove_dir_all(here.join("there")).unwrap();
    both.fetch();
    assert!(!there.join("there").exists());
    both.same();
    // With mail in it, it is made again.
    fs::remove_dir_all(there.join("here")).unwrap();
    both.fetch();
    assert_eq!(both.same()["here"].len(), 1);
    fs::remove_dir_all(here.join("here")).unwrap();
    both.fetch();
    assert_eq!(both.same()["here"].len(), 1);
    relocate(&there, "here", digest, "inbox");
    both.fetch();
    fs::remove_dir_all(there.join("here")).unwrap();
    both.fetch();
    assert_eq!(both.same().keys().collect::<Vec<_>>(), ["inbox"]);
}

#[test]
fn what_is_only_downloaded_is_sent_by_a_later_run() {
    let both = Both::new(&["archive"]);
    let (here, there) = (both.place.mail(), both.there());
    let digests: Vec<_> = (0..4)
        .map(|n| both.deliver(&format!("{n}\n"), &[]))
        .collect();
    both.fetch_with(&["--download-only"]);
    flag(&here, "inbox", digests[0], "+seen");
    delete(&here, "inbox", digests[1]);
    relocate(&here, "inbox", digests[2], "archive");
    let before = mail(&there);
    flag(&there, "inbox", digests[3], "+junk");
    for _ in 0..2 {
        both.fetch_with(&["--download-only"]);
        let now = mail(&here);
        assert_eq!(flags(&now, "inbox", digests[3]), Some(vec!["junk".into()]));
        assert_eq!((now["inbox"].len(), now["archive"].len()), (2, 1));
    }
    flag(&there, "inbox", digests[3], "-junk");
    assert_eq!(mail(&there), before);
    // Deleted there meanwhile, and changed here.
    delete(&there, "inbox", digests[0]);
    both.fetch_with(&["--download-only"]);
    both.fetch();
    let now = both.same();
    assert_eq!(flags(&now, "inbox", digests[0]), Some(vec!["seen".into()]));
    assert_eq!(flags(&now, "inbox", digests[1]), None);
    assert_eq!(now["archive"].len(), 1);
}

#[test]
fn what_is_here_is_deleted_there_and_stays_here() {
    let both = Both::new(&[]);
    let (here, there) = (both.place.mail(), both.there());
    let first = both.deliver("one\n", &[]);
    both.fetch();
    both.deliver("two\n", &[b"attached"]);
    for _ in 0..2 {
        both.fetch_with(&["--delete-after-fetch"]);
        assert_eq!(mail(&here)["inbox"].len(), 2);
        assert_eq!(mail(&there)["inbox"].len(), 0);
    }
    // Nor does it go when the server tells of it again, or anything else is done.
    let folder = ima_mailbox::Folder::open(&there.join("inbox")).unwrap();
    folder.compact().unwrap();
    both.deliver("three\n", &[]);
    flag(&here, "inbox", first, "+seen");
    both.fetch();
    assert_eq!(mail(&here)["inbox"].len(), 3);
    assert_eq!(mail(&there)["inbox"].len(), 1);
    both.fetch_with(&["--delete-after-fetch"]);
    assert_eq!(mail(&here)["inbox"].len(), 3);
    assert_eq!(mail(&there)["inbox"].len(), 0);
    both.place.check();
}

#[test]
fn only_the_folders_that_are_named() {
    let both = Both::new(&["archive"]);
    let digest = both.deliver("one\n", &[]);
    both.fetch_with(&["--folder", "archive"]);
    assert!(!both.place.mail().join("inbox").exists());
    both.fetch_with(&["--folder", "archive", "--folder", "inbox"]);
    assert_eq!(both.same()["inbox"].len(), 1);
    // What was moved out of sight is not taken to be deleted.
    relocate(&both.place.mail(), "inbox", digest, "archive");
    both.fetch_with(&["--folder", "inbox"]);
    assert_eq!(mail(&both.there())["inbox"].len(), 1);
    both.fetch();
    assert_eq!(both.same()["archive"].len(), 1);
    let mut command = both.place.command(both.server.address);
    let output = command.args(["--folder", "nowhere"]).output().unwrap();
    assert_eq!(code(&output), 2);
    assert_eq!(
        stderr(&output),
        "fetch-mail: nowhere: there is no such folder, here or on the server\n"
    );
}

#[test]
fn what_came_before_a_day_comes_when_it_is_asked_for() {
    let both = Both::new(&[]);
    let inbox = both.there().join("inbox");
    let folder = ima_mailbox::Folder::open(&inbox).unwrap();
    let mut digests = Vec::new();
    for (day, text) in [("2025-01-01", "old\n"), ("2026-01-01", "new\n")] {
        let letter = both.place.letter(text, &[]);
        let mut rest = letter.as_slice();
        let header = ima_message::HeaderBlock::read(&mut rest).unwrap();
        let time = ima_message::DateTime::parse(&format!("{day}T00:00:00Z")).unwrap();
        let mut batch = folder.batch().unwrap();
        batch.stage(&header, &mut rest, time).unwrap();
        batch.commit().unwrap();
        digests.push(header.digest());
    }
    let here = both.place.mail();
    for _ in 0..2 {
        both.fetch_with(&["--since", "2026-01-01"]);
        assert_eq!(mail(&here)["inbox"].len(), 1);
        assert_eq!(mail(&both.there())["inbox"].len(), 2);
    }
    flag(&both.there(), "inbox", digests[0], "+seen");
    both.fetch_with(&["--since", "2026-01-01T00:00:00Z"]);
    both.fetch_with(&["--since", "2025-06-01"]);
    assert_eq!(mail(&here)["inbox"].len(), 1);
    both.fetch();
    let now = both.same();
    assert_eq!(flags(&now, "inbox", digests[0]), Some(vec!["seen".into()]));
}

#[test]
fn the_header_blocks_say_what_would_come() {
    let both = Both::new(&[]);
    let one = both.deliver("one\n", &[]);
    both.fetch();
    let two = both.deliver("two\n", &[&[7; 100_000]]);
    let state = both.place.mail().join(".fetch-mail/state");
    let before = fs::read(&state).unwrap();
    for _ in 0..2 {
        let said = both.fetch_with(&["--headers-only"]);
        assert!(said.starts_with(&format!("inbox {two} 20")), "{said}");
        assert!(said.ends_with(" alice@a.test Lunch?\n"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains(&one.to_string()));
    }
    assert_eq!(fs::read(&state).unwrap(), before);
    let headers = both.place.mail().join(".fetch-mail/headers");
    let kept = fs::read(headers.join("inbox").join(two.to_string())).unwrap();
    assert!(kept.starts_with(b"ima: 1\n"));
    both.fetch();
    assert_eq!(both.same()["inbox"].len(), 2);
    assert!(!headers.exists());
    assert_eq!(both.fetch_with(&["--headers-only"]), "");
}

/// Once a compaction could make a flag that was removed come back.
#[test]
fn a_journal_that_was_written_anew_changes_nothing() {
    let both = Both::new(&["archive"]);
    let (here, there) = (both.place.mail(), both.there());
    let digests: Vec<_> = (0..4)
        .map(|n| both.deliver(&format!("{n}\n"), &[]))
        .collect();
    both.fetch();
    flag(&there, "inbox", digests[0], "+seen");
    flag(&there, "inbox", digests[0], "-seen");
    flag(&there, "inbox", digests[0], "+junk");
    delete(&there, "inbox", digests[1]);
    delete(&here, "inbox", digests[2]);
    flag(&here, "inbox", digests[3], "+seen");
    let folder = ima_mailbox::Folder::open(&there.join("inbox")).unwrap();
    folder.compact().unwrap();
    both.fetch();
    let now = both.same();
    assert_eq!(now["inbox"].len(), 2);
    assert_eq!(flags(&now, "inbox", digests[0]), Some(vec!["junk".into()]));
    assert_eq!(flags(&now, "inbox", digests[3]), Some(vec!["seen".into()]));
    // Here nothing is known then of what was not sent: all of both sides is kept.
    flag(&here, "inbox", digests[3], "+flagged");
    let folder = ima_mailbox::Folder::open(&here.join("inbox")).unwrap();
    folder.compact().unwrap();
    both.fetch();
    let now = both.same();
    assert_eq!(
        flags(&now, "inbox", digests[3]),
        Some(vec!["flagged".into(), "seen".into()])
    );
}

/// Once such a line was passed over, and nobody was told.
#[test]
fn a_folder_here_with_a_line_that_is_none_is_left_alone_and_deletes_nothing_there() {
    let both = Both::new(&["archive"]);
    let (here, there) = (both.place.mail(), both.there());
    let one = both.deliver("one\n", &[]);
    let two = both.deliver("two\n", &[]);
    both.fetch();
    relocate(&here, "inbox", one, "archive");
    flag(&here, "inbox", two, "+seen");
    let journal = here.join("archive/journal");
    let well = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, well.clone() + "nonsense\n").unwrap();
    let output = both.place.fetch(both.server.address);
    let error = stderr(&output);
    assert_eq!(code(&output), 2, "{error}");
    let begin = "fetch-mail: archive: nothing is fetched into this folder: ";
    assert!(error.starts_with(begin), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    // What may have gone there has not gone on the server.
    let now = mail(&there);
    assert_eq!(flags(&now, "inbox", one), Some(vec![]));
    assert_eq!(flags(&now, "inbox", two), Some(vec!["seen".into()]));
    fs::write(&journal, well).unwrap();
    both.fetch();
    assert_eq!(both.same()["archive"].len(), 1);
}

/// The server's inbox is full: what it does not take is told in each run, and all
/// else travels.
#[test]
fn what_the_server_does_not_take_waits_and_holds_up_nothing_else() {
    let both = Both::new(&["drafts"]);
    let (here, there) = (both.place.mail(), both.there());
    let one = both.deliver("one\n", &[]);
    both.fetch();
    let large = both.place.letter("large\n", &[&[7; 100_000]]);
    both.place.deliver("elsewhere", &large);
    let digest = Letter::new(&large).digest;
    fs::rename(there.join("elsewhere"), here.join("elsewhere")).unwrap();
    fs::write(there.join("mailbox.toml"), "quota = \"50KiB\"\n").unwrap();
    flag(&here, "inbox", one, "+seen");
    for _ in 0..2 {
        let output = both.place.fetch(both.server.address);
        let error = stderr(&output);
        assert_eq!(code(&output), 2, "{error}");
        let said = format!("elsewhere, message {digest}: not sent: the server does not take it");
        assert!(error.contains(&said) && error.contains("quota"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let now = mail(&there);
        assert_eq!(flags(&now, "inbox", one), Some(vec!["seen".into()]));
    }
    // Somebody else removes the flag: it is not set again.
    flag(&there, "inbox", one, "-seen");
    assert_eq!(code(&both.place.fetch(both.server.address)), 2);
    assert_eq!(flags(&mail(&here), "inbox", one), Some(vec![]));
    fs::remove_file(there.join("mailbox.toml")).unwrap();
    both.fetch();
    let now = both.same();
    assert_eq!(now["elsewhere"].len(), 1);
    assert_eq!(flags(&now, "inbox", one), Some(vec![]));
}
