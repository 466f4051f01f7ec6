//! The mailboxes of bob and others on some disk, and what their journals say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ima_mailbox::check::{self, Severity};
use tempfile::TempDir;

use super::Build;
use super::letter::Letter;
use crate::site::{code, feed, stderr, stdout};

/// What is in bob's inbox from the start; each act has letters of its own.
pub const THERE: [&str; 8] = [
    "delivered",
    "flagged",
    "deleted",
    "moved",
    "copied",
    "refused",
    "kept",
    "stored",
];

pub struct Place {
    /// Where the mailboxes are.
    pub root: PathBuf,
    /// Where the configuration of server-handle-incoming-mail is.
    pub config: TempDir,
    pub build: Build,
}

/// The messages of a folder by its journal, with their flags.
pub type State = BTreeMap<String, BTreeSet<String>>;

impl Place {
    /// Mailboxes that are there.
    pub fn at(root: &Path, build: &Build) -> Place {
        let config = TempDir::new().unwrap();
        let inbox = root.join("{localpart}/inbox");
        let text = format!(
            "hosts = [\"b.test\"]\n[routes]\n\"*@b.test\" = {{ inbox = \"{}\" }}\n",
            inbox.display()
        );
        fs::write(config.path().join("server-handle-incoming-mail.toml"), text).unwrap();
        Place {
            root: root.to_owned(),
            config,
            build: build.clone(),
        }
    }

    /// Makes them, with letters in bob's inbox, by programs that keep promises.
    pub fn furnished(root: &Path, build: &Build) -> Place {
        let sound = Build {
            mutant: None,
            ..build.clone()
        };
        let place = Place::at(root, &sound);
        let others = ["eve/inbox", "carol/inbox", "dan/inbox"];
        for folder in ["bob/inbox", "bob/archive"].into_iter().chain(others) {
            let user = place.folder(folder);
            fs::create_dir_all(user.parent().unwrap()).unwrap();
            let made = sound.command("ima-mailbox", &["create".as_ref(), user.as_os_str()]);
            expect(0, &feed(made, b""));
        }
        for letter in THERE.map(Letter::full) {
            let (command, octets) = place.delivery("bob/inbox", &letter);
            expect(0, &feed(command, &octets));
        }
        Place::at(root, build)
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// server-give-recipient for a folder, and what it reads.
    pub fn delivery(&self, folder: &str, letter: &Letter) -> (Command, Vec<u8>) {
        let folder = [self.folder(folder)];
        (
            self.build.command("server-give-recipient", &folder),
            letter.octets.clone(),
        )
    }

    /// `ima-mailbox`, with folders made paths.
    pub fn tool(&self, command: &str, folders: &[&str], rest: &[&str]) -> Command {
        let folders = folders.iter().map(|folder| self.folder(folder));
        let mut tool = self.build.command("ima-mailbox", &[command]);
        tool.args(folders).args(rest);
        tool
    }

    /// What is damaged, as `ima-mailbox check` says it.
    pub fn damage(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for folder in folders(&self.root) {
            let checked = check::directory(&folder, &mut |finding| {
                if finding.severity() != Severity::Note {
                    problems.push(finding.to_string());
                }
            });
            if let Err(error) = checked {
                problems.push(error.to_string());
            }
        }
        problems
    }

    /// The journals of all folders.
    pub fn journals(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let folders = folders(&self.root).into_iter();
        folders
            .map(|folder| (folder.clone(), fs::read(folder.join("journal")).unwrap()))
            .collect()
    }
}

/// The folders of all mailboxes below a path, whole ones.
pub fn folders(root: &Path) -> Vec<PathBuf> {
    let names = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.retain(|path| path.is_dir());
        names.sort();
        names
    };
    let mailboxes = names(root).into_iter();
    let mut folders: Vec<_> = mailboxes
        .filter(|path| !path.ends_with("lost+found"))
        .flat_map(|mailbox| names(&mailbox))
        .collect();
    folders.retain(|folder| folder.join("journal").exists());
    folders
}

/// What a journal says. A line that it cannot have is passed over: whoever looks
/// for damage names it.
pub fn state(folder: &Path) -> State {
    let journal = fs::read(folder.join("journal")).unwrap();
    let journal = String::from_utf8_lossy(&journal);
    let mut state = State::new();
    for line in journal.lines().skip(1) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["add", digest, ..] => {
                state.entry(digest.to_owned()).or_default();
            }
            ["del", digest] => {
                state.remove(digest);
            }
            ["flag", digest, ..] => {
                let Some(flags) = state.get_mut(digest) else {
                    continue;
                };
                for change in &words[2..] {
                    match change.split_at(1) {
                        ("+", flag) => flags.insert(flag.to_owned()),
                        (_, flag) => flags.remove(flag),
                    };
                }
            }
            _ => {}
        }
    }
    state
}

/// A message of a folder put together again; `None` where it is not there.
pub fn stored(folder: &Path, digest: &str) -> Option<Vec<u8>> {
    let messages = folder.join("messages");
    let mut octets = fs::read(messages.join(digest)).ok()?;
    // The first part is inline.
    for number in 2.. {
        match fs::read(messages.join(format!("{digest}.{number}"))) {
            Ok(part) => octets.extend(part),
            Err(_) => return Some(octets),
        }
    }
    None
}

#[track_caller]
pub fn expect(wanted: i32, output: &Output) {
    let said = format!("{}{}", stdout(output), stderr(output));
    assert_eq!(code(output), wanted, "{said}");
}
