//! fetch-mail --maildir: what a mail program does to the files reaches the server,
//! and what happens there reaches the files.

mod losses;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use crate::fetch::Place;
use crate::site::{code, run, stderr, stdout};

/// bob, his mailbox on a server, and Maildirs at home.
pub struct Home {
    pub place: Place,
    pub server: SocketAddr,
    _office: crate::site::Server,
}

impl Home {
    pub fn new() -> Self {
        let place = Place::new();
        let office = place.b.start_office();
        for name in ["archive", "trash"] {
            let folder = place.b.mailbox("bob").join(name);
            if !folder.exists() {
                let output = run("ima-mailbox", &["create".as_ref(), folder.as_os_str()], b"");
                assert_eq!(code(&output), 0, "{}", stderr(&output));
            }
        }
        Self {
            server: office.address,
            place,
            _office: office,
        }
    }

    /// A Maildir.
    pub fn maildir(&self, folder: &str) -> PathBuf {
        self.place.file("Maildir").join(folder)
    }

    pub fn fetch(&self) -> Output {
        let mut command = self.place.command(self.server);
        command.arg("--maildir").arg(self.place.file("Maildir"));
        command.output().unwrap()
    }

    pub fn fetch_well(&self) {
        let output = self.fetch();
        let said = (code(&output), stdout(&output), stderr(&output));
        assert_eq!(said, (0, String::new(), String::new()));
    }

    /// Delivers messages on the server, and gives their digests.
    pub fn delivered(&self, count: usize) -> Vec<String> {
        let mut known: BTreeSet<String> = self.there("inbox").into_keys().collect();
        let mut digests = Vec::new();
        for number in 0..count {
            let letter = self
                .place
                .letter(&format!("Letter {number} of {}\n", known.len()), &[]);
            self.place.deliver("inbox", &letter);
            let new = self
                .there("inbox")
                .into_keys()
                .find(|digest| !known.contains(digest));
            let new = new.unwrap();
            known.insert(new.clone());
            digests.push(new);
        }
        digests
    }

    /// The messages of a folder on the server with their flags.
    pub fn there(&self, folder: &str) -> BTreeMap<String, String> {
        listed(&self.place.b.mailbox("bob").join(folder))
    }

    /// The same here.
    pub fn here(&self, folder: &str) -> BTreeMap<String, String> {
        listed(&self.place.mail().join(folder))
    }

    /// Messages of a Maildir, each with where it lies and its suffix.
    pub fn files(&self, folder: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for place in ["new", "cur"] {
            let path = self.maildir(folder).join(place);
            for entry in fs::read_dir(&path).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let (stem, suffix) = name.split_once(':').unwrap_or((&name, ""));
                let digest = stem.split('.').nth(1).unwrap_or(stem).to_owned();
                assert!(
                    found.insert(digest, format!("{place}:{suffix}")).is_none(),
                    "{name} is there twice"
                );
            }
        }
        found
    }

    /// The file of a message.
    pub fn file(&self, folder: &str, digest: &str) -> PathBuf {
        let find = |place: &str| {
            let mut entries = fs::read_dir(self.maildir(folder).join(place)).unwrap();
            entries.find_map(|entry| {
                let path = entry.unwrap().path();
                path.to_str().unwrap().contains(digest).then_some(path)
            })
        };
        find("new").or_else(|| find("cur")).unwrap()
    }

    /// As a mail program sets flags.
    pub fn set(&self, folder: &str, digest: &str, letters: &str) {
        let file = self.file(folder, digest);
        let name = file.file_name().unwrap().to_str().unwrap();
        let stem = name.split(':').next().unwrap();
        let to = self
            .maildir(folder)
            .join("cur")
            .join(format!("{stem}:2,{letters}"));
        fs::rename(file, to).unwrap();
    }

    /// Something that is done to the server's mailbox.
    pub fn on_server(&self, command: &str, folders: &[&str], words: &[&str]) {
        let folders = folders
            .iter()
            .map(|name| self.place.b.mailbox("bob").join(name));
        let folders: Vec<String> = folders
            .map(|path| path.to_str().unwrap().to_owned())
            .collect();
        let arguments: Vec<&str> = [command]
            .into_iter()
            .chain(folders.iter().map(String::as_str))
            .chain(words.iter().copied())
            .collect();
        let output = run("ima-mailbox", &arguments, b"");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }

    /// What is gone of the files is there again, if not yet then after another run.
    pub fn came_back(&self, folder: &str, wanted: &[(&str, &str)]) {
        self.fetch_well();
        self.holds(folder, wanted);
    }

    /// All sides hold these messages in a folder, with these flags.
    pub fn holds(&self, folder: &str, wanted: &[(&str, &str)]) {
        let wanted: BTreeMap<String, String> = wanted
            .iter()
            .map(|(digest, flags)| ((*digest).to_owned(), (*flags).to_owned()))
            .collect();
        assert_eq!(self.there(folder), wanted, "{folder} on the server");
        assert_eq!(self.here(folder), wanted, "{folder} here");
        let files = self.files(folder);
        assert!(files.keys().eq(wanted.keys()), "{folder}: {files:?}");
        for (digest, flags) in wanted {
            let letters = files[&digest]
                .split_once(":2,")
                .map_or("", |(_, letters)| letters);
            let known = [
                ('D', "draft"),
                ('F', "flagged"),
                ('P', "passed"),
                ('R', "answered"),
                ('S', "seen"),
            ];
            let found: Vec<&str> = known
                .iter()
                .filter(|(letter, _)| letters.contains(*letter))
                .map(|(_, name)| *name)
                .collect();
            let mut lettered: Vec<&str> = flags
                .split(',')
                .filter(|flag| known.iter().any(|(_, name)| name == flag))
                .collect();
            let mut found = found;
            found.sort_unstable();
            lettered.sort_unstable();
            assert_eq!(found, lettered, "{folder}: {files:?}");
        }
    }
}

fn listed(folder: &Path) -> BTreeMap<String, String> {
    let output = run("ima-mailbox", &["list".as_ref(), folder.as_os_str()], b"");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let listed = stdout(&output);
    let lines = listed
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    lines
        .map(|words| (words[0].to_owned(), words[3].to_owned()))
        .collect()
}

#[test]
fn mail_is_fetched_into_a_maildir() {
    let home = Home::new();
    let attachment = vec![7; 100_000];
    let letter = home.place.letter("Grüße\n", &[&attachment]);
    home.place.deliver("inbox", &letter);
    home.fetch_well();
    let digest = home.there("inbox").into_keys().next().unwrap();
    assert_eq!(home.files("inbox")[&digest], "new:");
    let mail = fs::read_to_string(home.file("inbox", &digest)).unwrap();
    assert!(
        mail.contains("\nSubject: Lunch?\n") && mail.contains("\nGrüße\n"),
        "{mail}"
    );
    // Nothing happens twice, also where the files are not looked at again.
    for _ in 0..2 {
        home.fetch_well();
        home.holds("inbox", &[(&digest, "-")]);
    }
}

#[test]
fn what_a_mail_program_does_reaches_the_server() {
    let home = Home::new();
    let mail = home.delivered(6);
    home.fetch_well();
    home.set("inbox", &mail[0], "FRS");
    home.set("inbox", &mail[1], "ST");
    // Moved under its name, and marked on the way.
    let file = home.file("inbox", &mail[2]);
    let name = format!("{}:2,S", file.file_name().unwrap().to_str().unwrap());
    fs::rename(file, home.maildir("trash").join("cur").join(name)).unwrap();
    // Saved into a folder that the mail program made, under another name.
    for part in ["", "cur", "new", "tmp"] {
        fs::create_dir(home.maildir("projects").join(part)).unwrap();
    }
    fs::rename(
        home.file("inbox", &mail[3]),
        home.maildir("projects").join("cur/1.2.host:2,"),
    )
    .unwrap();
    // Copied.
    fs::copy(
        home.file("inbox", &mail[4]),
        home.maildir("archive").join("new/1.3.host"),
    )
    .unwrap();
    home.fetch_well();
    for _ in 0..2 {
        home.holds(
            "inbox",
            &[
                (&mail[0], "answered,flagged,seen"),
                (&mail[4], "-"),
                (&mail[5], "-"),
            ],
        );
        home.holds("trash", &[(&mail[2], "seen")]);
        home.holds("projects", &[(&mail[3], "-")]);
        home.holds("archive", &[(&mail[4], "-")]);
        home.fetch_well();
    }
    // And off again.
    home.set("inbox", &mail[0], "S");
    home.fetch_well();
    home.holds(
        "inbox",
        &[(&mail[0], "seen"), (&mail[4], "-"), (&mail[5], "-")],
    );
    home.place.check();
}

#[test]
fn what_happens_on_the_server_reaches_the_files() {
    let home = Home::new();
    let mail = home.delivered(3);
    home.fetch_well();
    // A letter that is none of ours stays.
    home.set("inbox", &mail[0], "Sa");
    home.fetch_well();
    home.on_server("flag", &["inbox"], &["+answered", "+junk", &mail[0]]);
    home.on_server("delete", &["inbox"], &[&mail[1]]);
    home.on_server("move", &["inbox", "archive"], &[&mail[2]]);
    home.fetch_well();
    assert_eq!(home.files("inbox")[&mail[0]], "cur:2,RSa");
    home.holds("inbox", &[(&mail[0], "answered,junk,seen")]);
    home.holds("archive", &[(&mail[2], "-")]);
    home.on_server("flag", &["inbox"], &["-seen", &mail[0]]);
    home.fetch_well();
    assert_eq!(home.files("inbox")[&mail[0]], "cur:2,Ra");
}

#[test]
fn changed_on_both_sides() {
    let home = Home::new();
    let mail = home.delivered(4);
    home.fetch_well();
    home.set("inbox", &mail[0], "F");
    home.on_server("flag", &["inbox"], &["+seen", &mail[0]]);
    // Deleted on one side and changed on the other: it is kept.
    home.set("inbox", &mail[1], "T");
    home.on_server("flag", &["inbox"], &["+answered", &mail[1]]);
    home.set("inbox", &mail[2], "F");
    home.on_server("delete", &["inbox"], &[&mail[2]]);
    // Deleted on both.
    home.set("inbox", &mail[3], "T");
    home.on_server("delete", &["inbox"], &[&mail[3]]);
    home.fetch_well();
    for _ in 0..2 {
        home.holds(
            "inbox",
            &[
                (&mail[0], "flagged,seen"),
                (&mail[1], "answered"),
                (&mail[2], "flagged"),
            ],
        );
        home.fetch_well();
    }
}

/// A change here, made with another tool, and one of the files.
#[test]
fn changed_here_and_in_the_files() {
    let home = Home::new();
    let mail = home.delivered(2);
    home.fetch_well();
    let inbox = home.place.mail().join("inbox");
    let inbox = inbox.to_str().unwrap();
    home.set("inbox", &mail[0], "F");
    let output = run("ima-mailbox", &["delete", inbox, &mail[0]], b"");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    home.set("inbox", &mail[1], "T");
    let output = run("ima-mailbox", &["flag", inbox, "+seen", &mail[1]], b"");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    home.fetch_well();
    home.holds("inbox", &[(&mail[0], "flagged"), (&mail[1], "seen")]);
    // The journal is written anew, and the files are what they were.
    let output = run(
        "ima-mailbox",
        &["compact", home.place.mail().to_str().unwrap()],
        b"",
    );
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    home.set("inbox", &mail[0], "FS");
    home.fetch_well();
    home.holds("inbox", &[(&mail[0], "flagged,seen"), (&mail[1], "seen")]);
}

#[test]
fn files_of_others_are_left_alone() {
    let home = Home::new();
    let mail = home.delivered(1);
    home.fetch_well();
    let nobodys = format!("1.{}.ima:2,S", "ab".repeat(32));
    let names = ["1.host:2,S", ".hidden", &nobodys];
    for name in names {
        fs::write(
            home.maildir("inbox").join("cur").join(name),
            "From: x\n\nx\n",
        )
        .unwrap();
    }
    for _ in 0..2 {
        home.fetch_well();
        for name in names {
            assert!(
                home.maildir("inbox").join("cur").join(name).exists(),
                "{name}"
            );
        }
        assert_eq!(home.there("inbox").len(), 1);
    }
    // A flag of that name, from elsewhere, deletes nothing.
    home.on_server("flag", &["inbox"], &["+trashed", &mail[0]]);
    home.fetch_well();
    home.set("inbox", &mail[0], "S");
    home.fetch_well();
    assert_eq!(home.there("inbox")[&mail[0]], "seen,trashed");
    home.set("inbox", &mail[0], "ST");
    home.fetch_well();
    assert_eq!(home.there("inbox"), BTreeMap::new());
    assert!(!home.files("inbox").contains_key(&mail[0]));
}

/// So an unchanged Maildir of many files costs nothing.
#[test]
fn unchanged_directories_are_not_read() {
    let home = Home::new();
    let mail = home.delivered(2);
    home.fetch_well();
    let long_ago = FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(3600));
    let settle = || {
        for place in ["new", "cur"] {
            let directory = File::open(home.maildir("inbox").join(place)).unwrap();
            directory.set_times(long_ago).unwrap();
        }
    };
    settle();
    home.fetch_well();
    let mark = || fs::read_to_string(home.maildir("inbox").join(".fetch-mail")).unwrap();
    assert!(mark().contains("\ntimes "), "{}", mark());
    // What cannot be seen by the time of its directory is not seen.
    home.set("inbox", &mail[0], "S");
    settle();
    home.fetch_well();
    assert_eq!(home.there("inbox")[&mail[0]], "-");
    home.set("inbox", &mail[1], "F");
    home.fetch_well();
    home.holds("inbox", &[(&mail[0], "seen"), (&mail[1], "flagged")]);
}

#[test]
fn a_message_that_is_damaged_here_is_named_and_not_deleted() {
    let home = Home::new();
    let mail = home.delivered(2);
    home.place.fetch_well(home.server);
    let file = home.place.mail().join("inbox/messages").join(&mail[0]);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    for _ in 0..2 {
        let output = home.fetch();
        assert_eq!(code(&output), 2);
        let wanted = format!("{} cannot be written into the Maildir", mail[0]);
        assert!(stderr(&output).contains(&wanted), "{}", stderr(&output));
        assert_eq!(
            home.files("inbox").into_keys().collect::<Vec<_>>(),
            [mail[1].clone()]
        );
    }
    fs::write(&file, whole).unwrap();
    // It is tried again as soon as something changes.
    let more = home.delivered(1);
    home.fetch_well();
    home.holds(
        "inbox",
        &[(&mail[0], "-"), (&mail[1], "-"), (&more[0], "-")],
    );
}

#[test]
fn a_place_that_cannot_be_a_maildir_is_refused() {
    let home = Home::new();
    home.delivered(1);
    home.place.fetch_well(home.server);
    for (inside, wanted) in [
        (home.place.mail(), "the mailbox itself or lies in it"),
        (
            home.place.mail().join("inbox"),
            "the mailbox itself or lies in it",
        ),
        (home.place.b.mailbox("bob"), "is a folder of a mailbox"),
        (home.place.file("no/such"), "cannot make"),
    ] {
        let mut command = home.place.command(home.server);
        let output = command.arg("--maildir").arg(&inside).output().unwrap();
        assert_eq!(code(&output), 2, "{}", inside.display());
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
    home.place.check();
    assert!(!home.place.mail().join("inbox/cur").exists());
}
