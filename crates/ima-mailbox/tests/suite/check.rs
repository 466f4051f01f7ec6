//! What a check finds, and what it does not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use ima_mailbox::check::{self, Severity};
use ima_mailbox::{Folder, MailboxError};

use crate::letter::{Letter, sha256};
use crate::place::{Place, findings};

/// One thing done to a sound folder that holds `Letter::full`, and the sentence
/// that says so.
struct Case {
    name: &'static str,
    does: fn(&Place, &Letter),
    at: fn(&Letter) -> String,
    says: &'static str,
    severity: Severity,
}

fn message(letter: &Letter) -> String {
    format!("messages/{}", letter.name())
}

fn large(letter: &Letter) -> String {
    format!(
        "attachments/{}",
        letter.header.attachments().next().unwrap().1.digest()
    )
}

fn change_journal(place: &Place, change: impl Fn(String) -> String) {
    fs::write(place.path("journal"), change(place.journal())).unwrap();
}

/// Changes an octet and keeps the file's mode and names.
fn flip(place: &Place, name: &str, at: usize) {
    let mut octets = fs::read(place.path(name)).unwrap();
    octets[at] ^= 1;
    fs::write(place.path(name), octets).unwrap();
}

fn write(place: &Place, name: &str, text: &str) {
    fs::write(place.path(name), text).unwrap();
    fs::set_permissions(place.path(name), Permissions::from_mode(0o600)).unwrap();
}

const CASES: &[Case] = &[
    Case {
        name: "a line of the journal makes no sense",
        does: |place, _| change_journal(place, |text| text + "nonsense\n"),
        at: |_| "journal".into(),
        says: "a line begins with",
        severity: Severity::Damage,
    },
    Case {
        name: "the journal's first line is gone",
        does: |place, _| change_journal(place, |text| text.split_once('\n').unwrap().1.to_owned()),
        at: |_| "journal".into(),
        says: "octet 0: a journal begins with",
        severity: Severity::Damage,
    },
    Case {
        name: "the journal ends in the middle of a line",
        does: |place, _| change_journal(place, |text| text + "add 01"),
        at: |_| "journal".into(),
        says: "6 octets of a line",
        severity: Severity::Note,
    },
    Case {
        name: "the journal has other octets",
        does: |place, _| {
            change_journal(place, |text| {
                text.replace('\n', "1\n").replacen("1\n", "\n", 1)
            })
        },
        at: message,
        says: "correct it with `ima-mailbox repair`",
        severity: Severity::Damage,
    },
    Case {
        name: "the journal adds a message that is not there",
        does: |place, _| {
            change_journal(place, |text| {
                format!("{text}add {} 2026-11-22T09:30:02Z 1\n", "ab".repeat(32))
            });
        },
        at: |_| format!("messages/{}", "ab".repeat(32)),
        says: "is missing",
        severity: Severity::Damage,
    },
    Case {
        name: "a message without add",
        does: |place, _| {
            change_journal(place, |text| format!("{}\n", text.lines().next().unwrap()))
        },
        at: message,
        says: "was never acknowledged",
        severity: Severity::Note,
    },
    Case {
        name: "a message that is deleted",
        does: |place, letter| {
            change_journal(place, |text| format!("{text}del {}\n", letter.name()))
        },
        at: message,
        says: "is deleted by the journal",
        severity: Severity::Note,
    },
    Case {
        name: "an attachment without its message",
        does: |place, _| write(place, &format!("messages/{}.3", "ab".repeat(32)), "x"),
        at: |_| format!("messages/{}.3", "ab".repeat(32)),
        says: "belongs to no message",
        severity: Severity::Note,
    },
    Case {
        name: "an attachment that its message does not have",
        does: |place, letter| write(place, &format!("{}.5", message(letter)), "x"),
        at: |letter| format!("{}.5", message(letter)),
        says: "does not belong",
        severity: Severity::Damage,
    },
    Case {
        name: "the header block is changed",
        does: |place, letter| {
            let text = fs::read_to_string(place.path(&message(letter))).unwrap();
            write(place, &message(letter), &text.replace("alice@", "malice@"));
        },
        at: message,
        says: "holds the message",
        severity: Severity::Damage,
    },
    Case {
        name: "the header block is broken",
        does: |place, letter| flip(place, &message(letter), 0),
        at: message,
        says: "line 1",
        severity: Severity::Damage,
    },
    Case {
        name: "a message is empty",
        does: |place, letter| write(place, &message(letter), ""),
        at: message,
        says: "is empty",
        severity: Severity::Damage,
    },
    Case {
        name: "inline data are changed",
        does: |place, letter| flip(place, &message(letter), letter.header.as_bytes().len()),
        at: message,
        says: "part 1",
        severity: Severity::Damage,
    },
    Case {
        name: "inline data are cut",
        does: |place, letter| {
            let text = fs::read_to_string(place.path(&message(letter))).unwrap();
            write(place, &message(letter), text.strip_suffix(">\n").unwrap());
        },
        at: message,
        says: "end 2 octets too early",
        severity: Severity::Damage,
    },
    Case {
        name: "an attachment is missing",
        does: |place, letter| {
            fs::remove_file(place.path(&format!("{}.3", message(letter)))).unwrap()
        },
        at: |letter| format!("{}.3", message(letter)),
        says: "is missing",
        severity: Severity::Damage,
    },
    Case {
        name: "a kept attachment is missing",
        does: |place, letter| fs::remove_file(place.path(&large(letter))).unwrap(),
        at: large,
        says: "links it from messages/",
        severity: Severity::Damage,
    },
    Case {
        name: "a kept attachment that nothing holds",
        does: |place, _| write(place, &format!("attachments/{}", sha256(b"x")), "x"),
        at: |_| format!("attachments/{}", sha256(b"x")),
        says: "is held by no message",
        severity: Severity::Note,
    },
    Case {
        name: "a name that is none",
        does: |place, _| write(place, "messages/a%0a", "x"),
        at: |_| "messages/a%0a".into(),
        says: "does not belong",
        severity: Severity::Damage,
    },
    Case {
        name: "another name in the folder",
        does: |place, _| write(place, "README", "x"),
        at: |_| "README".into(),
        says: "does not belong",
        severity: Severity::Damage,
    },
    Case {
        name: "a link in gone",
        does: |place, _| symlink("/etc/passwd", place.path("gone").join("ab".repeat(32))).unwrap(),
        at: |_| format!("gone/{}", "ab".repeat(32)),
        says: "is a symbolic link where a regular file belongs",
        severity: Severity::Damage,
    },
    Case {
        name: "octets in gone",
        does: |place, _| write(place, &format!("gone/{}", "ab".repeat(32)), "x"),
        at: |_| format!("gone/{}", "ab".repeat(32)),
        says: "is not empty",
        severity: Severity::Damage,
    },
    Case {
        name: "no lock",
        does: |place, _| fs::remove_file(place.path("lock")).unwrap(),
        at: |_| "lock".into(),
        says: "made anew by `ima-mailbox repair`",
        severity: Severity::Damage,
    },
    Case {
        name: "no gone",
        does: |place, _| fs::remove_dir(place.path("gone")).unwrap(),
        at: |_| "gone".into(),
        says: "made anew by `ima-mailbox repair`",
        severity: Severity::Damage,
    },
    Case {
        name: "a file that others can read",
        does: |place, letter| {
            fs::set_permissions(place.path(&message(letter)), Permissions::from_mode(0o644))
                .unwrap();
        },
        at: message,
        says: "has mode 0644: change it with `chmod 0600`",
        severity: Severity::Damage,
    },
    Case {
        name: "a directory that others can read",
        does: |place, _| {
            fs::set_permissions(place.path("tmp"), Permissions::from_mode(0o755)).unwrap()
        },
        at: |_| "tmp".into(),
        says: "has mode 0755: change it with `chmod 0700`",
        severity: Severity::Damage,
    },
    Case {
        name: "a leftover",
        does: |place, _| write(place, "tmp/0123456789abcdef", "x"),
        at: |_| "tmp/0123456789abcdef".into(),
        says: "it may go when it is a day old",
        severity: Severity::Note,
    },
];

#[test]
fn each_kind_of_damage_is_found_where_it_is() {
    for case in CASES {
        let place = Place::new();
        let letter = Letter::full("1");
        place.deliver(&letter).unwrap();
        assert_eq!(place.findings(), Vec::<String>::new());
        (case.does)(&place, &letter);
        let path = place.path(&(case.at)(&letter));
        let found = findings(&place.inbox);
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        let [finding] = &*found
            .iter()
            .filter(|f| f.path() == path)
            .collect::<Vec<_>>()
        else {
            panic!("{}: {said:?}", case.name)
        };
        assert!(
            finding.to_string().contains(case.says),
            "{}: {finding}",
            case.name
        );
        assert_eq!(finding.severity(), case.severity, "{}", case.name);
        let worse = found
            .iter()
            .filter(|f| f.path() != path && f.severity() != Severity::Note);
        assert_eq!(worse.count(), 0, "{}: {said:?}", case.name);
    }
}

#[test]
fn a_broken_attachment_is_found_under_each_of_its_names() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    flip(&place, &large(&letter), 299_999);
    let found = findings(&place.inbox);
    let paths: Vec<_> = found
        .iter()
        .map(|finding| finding.path().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            place.path(&format!("{}.3", message(&letter))),
            place.path(&large(&letter))
        ]
    );
    assert!(
        found
            .iter()
            .all(|finding| finding.to_string().contains("has the SHA-256 "))
    );
}

#[test]
fn an_attachment_of_another_length_is_found() {
    let place = Place::new();
    let letter = Letter::full("1");
    place.deliver(&letter).unwrap();
    write(&place, &large(&letter), "short");
    let said = place.findings();
    assert!(
        said[0].ends_with("has 5 octets, and its message says 300000: bring it back from a backup"),
        "{said:?}"
    );
}

#[test]
fn a_mailbox_is_all_its_folders() {
    let place = Place::new();
    let mailbox = place.inbox.parent().unwrap();
    Folder::create(&mailbox.join("sent")).unwrap();
    fs::create_dir(mailbox.join("lost+found")).unwrap();
    fs::write(mailbox.join("mailbox.toml"), "").unwrap();
    assert!(findings(mailbox).is_empty());
    fs::remove_file(mailbox.join("sent/lock")).unwrap();
    fs::create_dir(mailbox.join("empty")).unwrap();
    fs::write(mailbox.join("in box"), "").unwrap();
    symlink("sent", mailbox.join("outbox")).unwrap();
    fs::create_dir(mailbox.join(".new-0123456789abcdef")).unwrap();
    let said: Vec<_> = findings(mailbox)
        .iter()
        .map(|finding| {
            finding
                .path()
                .strip_prefix(mailbox)
                .unwrap()
                .display()
                .to_string()
        })
        .filter(|path| !path.starts_with("empty/"))
        .collect();
    assert_eq!(said[0], ".new-0123456789abcdef");
    for path in ["in box", "outbox", "sent/lock"] {
        assert!(said.contains(&path.to_owned()), "{path}: {said:?}");
    }
}

#[test]
fn what_is_no_mailbox_cannot_be_checked() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    for path in [place.path().join("missing"), place.path().join("file")] {
        assert!(check::directory(&path, &mut |_| ()).is_err());
    }
    fs::remove_file(place.path().join("file")).unwrap();
    let error = check::directory(place.path(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, MailboxError::NoFolder(_)), "{error}");
}
