//! What stays where it is, since it is not known to have been deleted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ima_mailbox::Mailbox;
use rustix::fs::{FlockOperation, flock};

use super::both_ways::{Both, delete, flags, mail, relocate};
use crate::site::{code, stderr};

/// Once the deletions that fetch-mail itself had made on the server were taken for
/// those of others, and all that had come back from the backup was deleted.
#[test]
fn what_a_backup_brings_back_is_not_deleted_since_the_server_was_emptied() {
    for is_compared in [false, true] {
        let both = Both::new(&[]);
        let (here, backup) = (both.place.mail(), both.place.site.path().join("backup"));
        both.deliver("one\n", &[b"attached"]);
        both.deliver("two\n", &[]);
        both.fetch();
        let copied = Command::new("cp").arg("-a").args([&here, &backup]).status();
        assert!(copied.unwrap().success());
        both.fetch_with(&["--delete-after-fetch"]);
        assert_eq!(mail(&both.there())["inbox"].len(), 0);
        let before = mail(&here);
        assert_eq!(before["inbox"].len(), 2);

        fs::remove_dir_all(&here).unwrap();
        fs::rename(&backup, &here).unwrap();
        if is_compared {
            let folder = ima_mailbox::Folder::open(&both.there().join("inbox")).unwrap();
            folder.compact().unwrap();
        }
        for options in [
            &["--delete-after-fetch"][..],
            &[],
            &["--delete-after-fetch"],
        ] {
            both.fetch_with(options);
            assert_eq!(mail(&here), before, "{options:?}, {is_compared}");
        }
        assert_eq!(mail(&both.there())["inbox"].len(), 0);
        both.place.check();
    }
}

/// Once `messages/DIGEST` alone counted as the message, and what had lost its
/// attachment here was deleted on the server.
#[test]
fn what_is_not_whole_here_is_brought_again_before_it_is_deleted_on_the_server() {
    for lost in ["journal and attachment", "octets", "attachment", "message"] {
        let both = Both::new(&[]);
        let inbox = both.place.mail().join("inbox");
        let digest = both.deliver("one\n", &[b"attached"]);
        both.fetch();
        let part = inbox.join(format!("messages/{digest}.2"));
        match lost {
            "journal and attachment" => {
                let journal = fs::read_to_string(inbox.join("journal")).unwrap();
                let first = journal.split_inclusive('\n').next().unwrap();
                fs::write(inbox.join("journal"), first).unwrap();
                for entry in fs::read_dir(inbox.join("attachments")).unwrap() {
                    fs::remove_file(entry.unwrap().path()).unwrap();
                }
                fs::remove_file(&part).unwrap();
            }
            // It is one file with that in `attachments/`.
            "octets" => fs::write(&part, "").unwrap(),
            "attachment" => fs::remove_file(&part).unwrap(),
            _ => fs::remove_file(inbox.join(format!("messages/{digest}"))).unwrap(),
        }
        both.fetch_with(&["--delete-after-fetch"]);
        assert_eq!(fs::read(&part).unwrap(), b"attached", "{lost}");
        assert!(flags(&mail(&both.place.mail()), "inbox", digest).is_some());
        assert_eq!(mail(&both.there())["inbox"].len(), 0, "{lost}");
        both.place.check();
    }
}

/// The same where the server has lost it as well: it is said, and nothing is deleted.
#[test]
fn what_is_not_whole_anywhere_is_not_deleted_on_the_server() {
    let both = Both::new(&[]);
    let inbox = both.place.mail().join("inbox");
    let digest = both.deliver("one\n", &[b"attached"]);
    both.fetch();
    fs::remove_file(inbox.join(format!("messages/{digest}.2"))).unwrap();
    for entry in fs::read_dir(inbox.join("attachments")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for entry in fs::read_dir(both.there().join("inbox/attachments")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut command = both.place.command(both.server.address);
    let output = command.arg("--delete-after-fetch").output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("it is not whole here"),
        "{}",
        stderr(&output)
    );
    assert_eq!(mail(&both.there())["inbox"].len(), 1);
}

#[test]
fn where_the_server_was_emptied_nothing_is_deleted_here_by_later_runs() {
    let both = Both::new(&[]);
    let here = both.place.mail();
    let digest = both.deliver("one\n", &[]);
    both.fetch_with(&["--delete-after-fetch"]);
    let late = both.deliver("two\n", &[]);
    both.fetch();
    delete(&both.there(), "inbox", late);
    for _ in 0..2 {
        both.fetch();
        let now = mail(&here);
        assert!(flags(&now, "inbox", digest).is_some());
        assert!(flags(&now, "inbox", late).is_some());
    }
    // The other way it travels still.
    let last = both.deliver("three\n", &[]);
    both.fetch();
    delete(&here, "inbox", last);
    both.fetch();
    assert_eq!(mail(&both.there())["inbox"].len(), 0);
}

/// Once 32 folders were looked at, and what lay in the next was deleted on the
/// server.
#[test]
fn what_lies_in_another_folder_here_stays_on_the_server_however_many_there_are() {
    let both = Both::new(&["a"]);
    let here = both.place.mail();
    let digest = both.deliver("one\n", &[]);
    both.fetch();
    let mailbox = Mailbox::open(&here).unwrap();
    for number in 0..40 {
        let name = format!("f{number:02}").parse().unwrap();
        mailbox.create_folder(&name).unwrap();
    }
    relocate(&here, "inbox", digest, "f39");
    both.fetch_with(&["--folder", "inbox"]);
    assert_eq!(mail(&both.there())["inbox"].len(), 1);
    both.fetch();
    assert_eq!(both.same()["f39"].len(), 1);
}

#[test]
fn where_a_folder_here_cannot_be_opened_nothing_is_deleted_on_the_server() {
    let both = Both::new(&["archive"]);
    let here = both.place.mail();
    let (moved, gone) = (both.deliver("one\n", &[]), both.deliver("two\n", &[]));
    both.fetch();
    relocate(&here, "inbox", moved, "archive");
    delete(&here, "inbox", gone);
    let (messages, aside) = (here.join("archive/messages"), here.join("archive/aside"));
    fs::rename(&messages, &aside).unwrap();
    fs::write(&messages, "").unwrap();
    let mut command = both.place.command(both.server.address);
    let output = command.args(["--folder", "inbox"]).output().unwrap();
    let error = stderr(&output);
    assert_eq!(code(&output), 2, "{error}");
    let begin = "fetch-mail: archive: as long as this folder cannot be opened, nothing is deleted";
    assert!(error.starts_with(begin), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_eq!(mail(&both.there())["inbox"].len(), 2);
    fs::remove_file(&messages).unwrap();
    fs::rename(&aside, &messages).unwrap();
    // What is nowhere here is deleted then, and what was moved waits.
    both.fetch_with(&["--folder", "inbox"]);
    let now = mail(&both.there());
    assert_eq!(flags(&now, "inbox", gone), None);
    assert!(flags(&now, "inbox", moved).is_some());
    both.fetch();
    assert_eq!(both.same()["archive"].len(), 1);
}

/// Once it was taken for removed, and the server's, which was empty, was removed as well.
#[test]
fn a_folder_here_that_is_none_any_more_is_said_and_left_alone_on_both_sides() {
    let damages: [fn(&Path); 2] = [
        |folder| {
            fs::rename(folder, folder.parent().unwrap().with_file_name("moved")).unwrap();
            symlink("../moved", folder).unwrap();
        },
        |folder| fs::remove_file(folder.join("journal")).unwrap(),
    ];
    for damage in damages {
        let both = Both::new(&["archive"]);
        let digest = both.deliver("one\n", &[]);
        both.fetch();
        delete(&both.place.mail(), "inbox", digest);
        let folder = both.place.mail().join("archive");
        damage(&folder);
        both.deliver("two\n", &[]);
        let output = both.place.fetch(both.server.address);
        let error = stderr(&output);
        assert_eq!(code(&output), 2, "{error}");
        assert!(
            error.starts_with("fetch-mail: archive: nothing is fetched into this folder: ")
                && error.lines().count() == 1,
            "{error}"
        );
        // What is new has come, nothing is deleted, and the folder is there.
        let messages = both.place.mail().join("inbox/messages");
        assert_eq!(fs::read_dir(messages).unwrap().count(), 1);
        let there = mail(&both.there());
        assert_eq!((there["inbox"].len(), there["archive"].len()), (2, 0));
    }
}

/// Once it was waited for without end, and no cron job came after it.
#[test]
fn a_folder_here_that_another_program_keeps_locked_is_said_after_half_a_minute() {
    let both = Both::new(&["archive"]);
    both.deliver("one\n", &[]);
    both.fetch();
    let held = fs::File::open(both.place.mail().join("archive/lock")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    both.deliver("two\n", &[]);
    let begin = Instant::now();
    let output = both.place.fetch(both.server.address);
    let took = begin.elapsed();
    let error = stderr(&output);
    assert_eq!(code(&output), 2, "{error}");
    assert!((29..35).contains(&took.as_secs()), "{took:?}");
    assert!(
        error.starts_with("fetch-mail: archive: nothing is fetched into this folder: ")
            && error.contains("mail/archive is locked: another program holds the lock")
            && error.lines().count() == 1,
        "{error}"
    );
    assert_eq!(
        fs::read_dir(both.place.mail().join("inbox/messages"))
            .unwrap()
            .count(),
        2
    );
    drop(held);
    both.fetch();
    both.same();
}
