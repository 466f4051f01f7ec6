//! What must not lose mail: Maildirs that are wiped, restored, mixed up, or changed
//! while they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Home;
use crate::post::Entry;
use crate::site::{code, stderr};

#[test]
fn a_maildir_that_is_gone_deletes_nothing() {
    let home = Home::new();
    let mail = home.delivered(3);
    home.fetch_well();
    home.set("inbox", &mail[0], "S");
    home.fetch_well();
    let all = [(&*mail[0], "seen"), (&*mail[1], "-"), (&*mail[2], "-")];
    fs::remove_dir_all(home.maildir("inbox")).unwrap();
    home.fetch_well();
    home.holds("inbox", &all);
    fs::remove_dir_all(home.maildir("")).unwrap();
    home.fetch_well();
    home.holds("inbox", &all);
    fs::remove_file(home.maildir("inbox").join(".fetch-mail")).unwrap();
    fs::remove_file(home.file("inbox", &mail[1])).unwrap();
    home.fetch_well();
    home.holds("inbox", &all);
    fs::remove_dir_all(home.maildir("inbox").join("cur")).unwrap();
    home.fetch_well();
    home.holds("inbox", &all);
    // The same with its mark there, as an interrupted run or restore leaves it.
    for digest in &mail {
        fs::remove_file(home.file("inbox", digest)).unwrap();
    }
    home.fetch_well();
    home.came_back("inbox", &all);
    let mark = home.maildir("inbox").join(".fetch-mail");
    let old = fs::read(&mark).unwrap();
    fs::remove_dir_all(home.maildir("inbox")).unwrap();
    for part in ["", "cur", "new", "tmp"] {
        fs::create_dir(home.maildir("inbox").join(part)).unwrap();
    }
    fs::write(&mark, old).unwrap();
    home.fetch_well();
    home.came_back("inbox", &all);
    // What is a link or not UTF-8 is no mail, and deletes none.
    let file = home.file("inbox", &mail[0]);
    fs::rename(&file, home.place.file("elsewhere")).unwrap();
    symlink(home.place.file("elsewhere"), &file).unwrap();
    let file = home.file("inbox", &mail[1]);
    let mut name = file.clone().into_os_string();
    name.push(OsStr::from_bytes(b":2,\xff"));
    fs::rename(&file, &name).unwrap();
    home.fetch_well();
    fs::remove_file(name).unwrap();
    home.came_back("inbox", &all);
}

#[test]
fn a_mark_of_the_old_format_counts_as_none() {
    let home = Home::new();
    let mail = home.delivered(2);
    home.fetch_well();
    home.set("inbox", &mail[0], "T");
    fs::remove_file(home.file("inbox", &mail[1])).unwrap();
    let mark = home.maildir("inbox").join(".fetch-mail");
    let text = fs::read_to_string(&mark).unwrap();
    let old = text
        .replace("maildir 2 ", "maildir 1 ")
        .replace("account bob@b.test\n", "");
    assert_ne!(old, text);
    fs::write(&mark, old).unwrap();
    home.fetch_well();
    home.holds("inbox", &[(&mail[0], "-"), (&mail[1], "-")]);
    assert!(
        fs::read_to_string(mark)
            .unwrap()
            .contains("\naccount bob@b.test\n")
    );
}

#[test]
fn a_maildir_of_another_account_is_refused() {
    let home = Home::new();
    let mail = home.delivered(1);
    home.fetch_well();
    home.set("inbox", &mail[0], "ST");
    let mark = home.maildir("inbox").join(".fetch-mail");
    let bobs = fs::read_to_string(&mark).unwrap();
    let c = home.place.site.host("c.test", &["carol"]);
    c.open_office(&[Entry::new("carol").with(&home.place.bob)]);
    let office = c.start_office();
    // Carol's mailbox here is new.
    fs::rename(home.place.mail(), home.place.file("bobs")).unwrap();
    for _ in 0..2 {
        let output = home
            .place
            .configured(&format!(
                "address = \"carol@c.test\"\ncertificate = \"bob.pem\"\nkey = \"bob.key\"\n\
                 [hosts]\n\"c.test\" = \"{}\"\n",
                office.address
            ))
            .arg("--maildir")
            .arg(home.place.file("Maildir"))
            .output()
            .unwrap();
        assert_eq!(code(&output), 2);
        let wanted = "holds the mail of bob@b.test, and the mail here is carol@c.test's; name a \
                      directory";
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(&mark).unwrap(), bobs);
        assert_eq!(home.files("inbox")[&mail[0]], "cur:2,ST");
        assert_eq!(c.messages("carol"), [""; 0]);
    }
    fs::remove_dir_all(home.place.mail()).unwrap();
    fs::rename(home.place.file("bobs"), home.place.mail()).unwrap();
    assert_eq!(home.there("inbox")[&mail[0]], "-");
    home.fetch_well();
    assert_eq!(home.there("inbox"), BTreeMap::new());
}

/// A mailbox here that is lost, of mail that the server has no more, is there again
/// from the files.
#[test]
fn the_last_copy_is_kept() {
    let home = Home::new();
    let mail = home.delivered(3);
    home.fetch_well();
    home.set("inbox", &mail[0], "S");
    home.fetch_well();
    fs::remove_dir_all(home.place.mail()).unwrap();
    home.on_server("delete", &["inbox"], &[&mail[0]]);
    home.on_server("delete", &["inbox"], &[&mail[1]]);
    let file = home.file("inbox", &mail[1]);
    fs::write(&file, "From: x\n\nx\n").unwrap();
    let output = home.fetch();
    assert_eq!(code(&output), 2);
    let wanted = format!("{}: its message is in no folder any more", file.display());
    assert!(stderr(&output).contains(&wanted), "{}", stderr(&output));
    assert!(file.exists());
    for _ in 0..2 {
        home.fetch_well();
        assert_eq!(home.there("inbox"), home.here("inbox"));
        assert_eq!(home.here("inbox").get(&mail[0]).unwrap(), "seen");
        assert_eq!(home.here("inbox").len(), 2);
        assert_eq!(home.files("inbox").len(), 3);
    }
}

#[test]
fn a_move_that_two_runs_see_loses_nothing() {
    let home = Home::new();
    let mail = home.delivered(2);
    home.fetch_well();
    let away = home.place.file("away");
    // Gone first.
    let file = home.file("inbox", &mail[0]);
    fs::rename(&file, &away).unwrap();
    home.fetch_well();
    home.came_back("inbox", &[(&mail[0], "-"), (&mail[1], "-")]);
    fs::rename(&away, home.maildir("archive").join("cur/1.2.host:2,S")).unwrap();
    // There first.
    let file = home.file("inbox", &mail[1]);
    fs::copy(&file, home.maildir("trash").join("cur/1.3.host:2,")).unwrap();
    home.fetch_well();
    fs::remove_file(file).unwrap();
    home.fetch_well();
    home.came_back("inbox", &[(&mail[0], "-"), (&mail[1], "-")]);
    home.holds("archive", &[(&mail[0], "seen")]);
    home.holds("trash", &[(&mail[1], "-")]);
    home.place.check();
}

/// A directory that is changed while it is read may be listed without what is in it.
#[test]
fn files_that_are_renamed_meanwhile_are_not_lost() {
    let home = Home::new();
    let mail = home.delivered(40);
    home.fetch_well();
    let is_done = AtomicBool::new(false);
    let renamed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut letters = ["S", "FS", "F", ""].into_iter().cycle();
            while !is_done.load(Ordering::Relaxed) {
                let to = letters.next().unwrap();
                for place in ["new", "cur"] {
                    for entry in fs::read_dir(home.maildir("inbox").join(place)).unwrap() {
                        let file = entry.unwrap().path();
                        let name = file.file_name().unwrap().to_str().unwrap();
                        let stem = name.split(':').next().unwrap();
                        let named = home.maildir("inbox/cur").join(format!("{stem}:2,{to}"));
                        // fetch-mail may have been quicker.
                        let done = fs::rename(&file, named).is_ok();
                        renamed.fetch_add(u64::from(done), Ordering::Relaxed);
                    }
                }
            }
        });
        let outputs: Vec<Output> = (0..8).map(|_| home.fetch()).collect();
        is_done.store(true, Ordering::Relaxed);
        for output in outputs {
            assert_eq!(code(&output), 0, "{}", stderr(&output));
        }
    });
    assert!(renamed.load(Ordering::Relaxed) > 0);
    // What was missed has its file again, and once.
    home.fetch_well();
    home.fetch_well();
    home.fetch_well();
    let wanted: BTreeSet<String> = mail.into_iter().collect();
    assert!(home.there("inbox").keys().eq(&wanted));
    assert!(home.here("inbox").keys().eq(&wanted));
    assert!(home.files("inbox").keys().eq(&wanted));
    home.place.check();
}
