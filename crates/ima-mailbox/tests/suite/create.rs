//! Making a folder.

use std::fs;
use std::os::unix::fs::symlink;

use ima_mailbox::{Folder, MailboxError};
use ima_message::FolderNameError;
use rustix::fs::Mode;

use crate::place::{assert_modes, findings, mode, names};

#[test]
fn a_new_folder_is_whole_and_sound_and_its_mailbox_is_made() {
    // The umask is the process's; nothing here may depend on it.
    rustix::process::umask(Mode::empty());
    let place = tempfile::tempdir().unwrap();
    let mailbox = place.path().join("bob");
    let inbox = mailbox.join("inbox");
    Folder::create(&inbox).unwrap();
    assert_eq!(names(&mailbox), ["inbox"]);
    assert_eq!(
        names(&inbox),
        ["attachments", "gone", "journal", "lock", "messages", "tmp"]
    );
    assert_eq!(mode(&mailbox), 0o700);
    assert_modes(&inbox);
    assert!(findings(&mailbox).is_empty());
    Folder::create(&mailbox.join("Entwürfe")).unwrap();
    assert_eq!(names(&mailbox), ["Entwürfe", "inbox"]);
    let first = |folder: &str| fs::read_to_string(mailbox.join(folder).join("journal")).unwrap();
    assert_ne!(first("inbox"), first("Entwürfe"), "a generation is random");
}

#[test]
fn what_is_there_already_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    for (name, make) in [("dir", 0), ("file", 1), ("link", 2)] {
        let path = place.path().join(name);
        match make {
            0 => fs::create_dir(&path).unwrap(),
            1 => fs::write(&path, "x").unwrap(),
            _ => symlink("nowhere", &path).unwrap(),
        }
        let error = Folder::create(&path).unwrap_err();
        assert!(
            matches!(&error, MailboxError::Exists(at) if *at == path),
            "{error}"
        );
    }
    assert_eq!(names(place.path()), ["dir", "file", "link"]);
    assert!(names(&place.path().join("dir")).is_empty());
}

#[test]
fn only_the_mailbox_itself_is_made() {
    let place = tempfile::tempdir().unwrap();
    let error = Folder::create(&place.path().join("b.test/bob/inbox")).unwrap_err();
    assert!(matches!(error, MailboxError::Io { .. }), "{error}");
    assert!(names(place.path()).is_empty());
}

#[test]
fn a_path_to_the_mailbox_may_lead_through_a_symbolic_link() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("real")).unwrap();
    symlink("real", place.path().join("bob")).unwrap();
    Folder::create(&place.path().join("bob/inbox")).unwrap();
    assert_eq!(names(&place.path().join("real")), ["inbox"]);
}

#[test]
fn names_that_are_no_folders_are_refused() {
    let place = tempfile::tempdir().unwrap();
    for (name, rule) in [
        ("in box", FolderNameError::Character(' ')),
        ("-inbox", FolderNameError::Hyphen),
        (".inbox", FolderNameError::Character('.')),
        ("..", FolderNameError::Character('.')),
    ] {
        let error = Folder::create(&place.path().join(name)).unwrap_err();
        let MailboxError::FolderName { source, .. } = error else {
            panic!("{name:?}: {error}")
        };
        assert_eq!(source, rule, "{name:?}");
    }
    assert!(names(place.path()).is_empty());
}
