//! A mailbox in a temporary directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ima_mailbox::check::{self, Finding, Severity};
use ima_mailbox::{Delivered, Folder, Mailbox, MailboxError, Message, Shared};
use ima_message::{FlagChange, FolderName, MessageDigest};
use tempfile::TempDir;

use crate::letter::Letter;

pub struct Place {
    pub dir: TempDir,
    pub inbox: PathBuf,
}

impl Place {
    /// A mailbox with an empty inbox.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inbox = dir.path().join("bob/inbox");
        Folder::create(&inbox).unwrap();
        Self { dir, inbox }
    }

    pub fn open(&self) -> Folder {
        Folder::open(&self.inbox).unwrap()
    }

    /// The mailbox that the inbox lies in.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::open(&self.dir.path().join("bob")).unwrap()
    }

    /// Another folder of it, new.
    pub fn folder(&self, name: &str) -> (FolderName, PathBuf) {
        let name: FolderName = name.parse().unwrap();
        self.mailbox().create_folder(&name).unwrap();
        let path = self.dir.path().join("bob").join(name.as_str());
        (name, path)
    }

    pub fn deliver(&self, letter: &Letter) -> Result<Delivered, MailboxError> {
        deliver(&self.inbox, letter, None)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.inbox.join(name)
    }

    pub fn journal(&self) -> String {
        fs::read_to_string(self.path("journal")).unwrap()
    }

    /// The names in one of the folder's directories.
    pub fn names(&self, directory: &str) -> Vec<String> {
        names(&self.path(directory))
    }

    /// Everything that is there: names and octets, and where links lead.
    pub fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(self.dir.path())
    }

    pub fn findings(&self) -> Vec<String> {
        findings(&self.inbox)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// The folder is in order and holds these messages, octet for octet.
    pub fn holds_exactly(&self, letters: &[&Letter]) {
        assert_eq!(self.findings(), Vec::<String>::new());
        let mut messages = 0;
        for name in self.names("messages") {
            messages += usize::from(!name.contains('.'));
        }
        assert_eq!(messages, letters.len());
        for letter in letters {
            assert_eq!(self.read(letter), letter.whole(), "{}", letter.name());
        }
    }

    /// What the folder holds of a message, put together again.
    pub fn read(&self, letter: &Letter) -> Vec<u8> {
        let message = self.path("messages").join(letter.name());
        let mut octets = fs::read(&message).unwrap();
        for (number, _) in letter.header.attachments() {
            octets.extend(fs::read(message.with_extension(number.to_string())).unwrap());
        }
        octets
    }
}

pub fn deliver(
    inbox: &Path,
    letter: &Letter,
    shared: Option<&Shared>,
) -> Result<Delivered, MailboxError> {
    Folder::open(inbox)?.deliver(&letter.header, &mut &*letter.data, shared)
}

pub fn inbox() -> FolderName {
    "inbox".parse().unwrap()
}

/// Changes of flags, as a journal has them: `+seen -flagged`.
pub fn flags(text: &str) -> Vec<FlagChange> {
    let change = |word: &str| FlagChange {
        set: word.starts_with('+'),
        flag: word[1..].parse().unwrap(),
    };
    text.split_whitespace().map(change).collect()
}

/// What a folder holds.
pub fn live(path: &Path) -> BTreeMap<MessageDigest, Message> {
    Folder::open(path).unwrap().live(None).unwrap().unwrap()
}

/// The flags of a message in a folder; `None` where it is not there.
pub fn flags_of(path: &Path, letter: &Letter) -> Option<String> {
    let message = live(path).remove(&letter.header.digest())?;
    let flags: Vec<&str> = message.flags.iter().map(|flag| flag.as_str()).collect();
    Some(flags.join(" "))
}

pub fn findings(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    check::directory(path, &mut |finding| findings.push(finding)).unwrap();
    findings
}

pub fn damage(path: &Path) -> usize {
    findings(path)
        .iter()
        .filter(|finding| finding.severity() == Severity::Damage)
        .count()
}

pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in names(root) {
        let path = root.join(name);
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(tree(&path));
            found.insert(path, Vec::new());
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.insert(path, target.into_os_string().into_encoded_bytes());
        } else if kind.is_file() {
            let octets = fs::read(&path).unwrap();
            found.insert(path, octets);
        } else {
            found.insert(path, b"special".to_vec());
        }
    }
    found
}

pub fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Every file and directory of a folder has its mode.
pub fn assert_modes(inbox: &Path) {
    assert_eq!(mode(inbox), 0o700, "{}", inbox.display());
    for path in tree(inbox).keys() {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), expected, "{}", path.display());
    }
}
