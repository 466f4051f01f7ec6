//! fetch-mail, as its users and its servers meet it.

mod both_ways;
mod confined;
mod cuts;
mod documents;
mod first;
mod hostile;
mod keeping;
mod logins;
mod mirroring;
mod places;
mod removed;
mod runs;
mod sending;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::peer::Identity;
use crate::peer::office::{Folder, Letter, Office};
use crate::post::Entry;
use crate::site::{Host, Site, code, letter_with, program, run, stderr, stdout};

/// b.test with bob, his certificate, and his computer.
pub struct Place {
    pub site: Site,
    pub b: Host,
    pub bob: Identity,
}

impl Place {
    pub fn new() -> Place {
        let site = Site::new();
        let b = site.host("b.test", &["bob"]);
        let bob = Identity::self_signed("bob");
        b.open_office(&[Entry::new("bob").with(&bob)]);
        let place = Place { site, b, bob };
        fs::write(place.file("bob.pem"), place.bob.certificate_pem()).unwrap();
        place.write_key("bob.key", &place.bob);
        place
    }

    /// Writes the key of an identity, for its owner alone.
    pub fn write_key(&self, name: &str, identity: &Identity) {
        fs::write(self.file(name), identity.key_pem()).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    /// The mailbox here.
    pub fn mail(&self) -> PathBuf {
        self.file("mail")
    }

    /// A letter with this text and these attachments.
    pub fn letter(&self, text: &str, attachments: &[&[u8]]) -> Vec<u8> {
        let mut options = Vec::new();
        for (number, octets) in attachments.iter().enumerate() {
            let file = self.file(&format!("attached-{number}"));
            fs::write(&file, octets).unwrap();
            options.extend(["--attach".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        letter_with(&["bob@b.test"], text, &options)
    }

    /// Puts a letter into a folder of the server, which is made where it is not
    /// there.
    pub fn deliver(&self, folder: &str, letter: &[u8]) {
        let folder = self.b.mailbox("bob").join(folder);
        if !folder.exists() {
            let made = run("ima-mailbox", &["create".as_ref(), folder.as_os_str()], b"");
            assert_eq!(code(&made), 0, "{}", stderr(&made));
        }
        let given = run("server-give-recipient", &[&folder], letter);
        assert_eq!(code(&given), 0, "{}", stderr(&given));
    }

    /// fetch-mail with a configuration file of these lines.
    pub fn configured(&self, lines: &str) -> Command {
        let config = self.file("fetch-mail.toml");
        fs::write(&config, format!("roots = [\"ca/ca.pem\"]\n{lines}")).unwrap();
        let mut command = Command::new(program("fetch-mail"));
        command.arg("--config").arg(config).arg(self.mail());
        command.env_remove("EMEMO_CONFIG_DIR").stdin(Stdio::null());
        command
    }

    /// fetch-mail for bob, by his certificate, from this server.
    pub fn command(&self, server: SocketAddr) -> Command {
        self.configured(&format!(
            "address = \"bob@b.test\"\ncertificate = \"bob.pem\"\nkey = \"bob.key\"\n\
             [hosts]\n\"b.test\" = \"{server}\"\n"
        ))
    }

    pub fn fetch(&self, server: SocketAddr) -> Output {
        self.command(server).output().unwrap()
    }

    /// The same, and all is well: nothing is said.
    pub fn fetch_well(&self, server: SocketAddr) {
        let output = self.fetch(server);
        assert_eq!(
            (code(&output), stdout(&output), stderr(&output)),
            (0, String::new(), String::new())
        );
    }

    /// Fetches the first letter of the first folder alone, from a server that has no
    /// other yet: what is fetched later is asked for message by message.
    pub fn begin(&self, folders: &[Folder]) {
        let mut folders = folders.to_vec();
        for (number, folder) in folders.iter_mut().enumerate() {
            folder.letters.truncate(usize::from(number == 0));
        }
        let office = Office::start(&self.identity(), &folders, |_, said| said);
        self.fetch_well(office.address);
    }

    /// The mailbox here is sound.
    pub fn check(&self) {
        if !self.mail().exists() {
            return;
        }
        for folder in fs::read_dir(self.mail()).unwrap() {
            let folder = folder.unwrap().path();
            if folder.join("journal").exists() {
                let output = run("ima-mailbox", &["check".as_ref(), folder.as_os_str()], b"");
                assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
            }
        }
    }

    /// Where a post office of the test's own proves to be b.test.
    pub fn identity(&self) -> Identity {
        Identity::made(&self.site, "b.test")
    }

    /// What lies in `.fetch-mail/partial`; nothing where no login has succeeded yet.
    pub fn partials(&self) -> Vec<String> {
        let partial = self.mail().join(".fetch-mail/partial");
        if !partial.exists() {
            return Vec::new();
        }
        let entries = fs::read_dir(partial).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

/// Letters as a folder of a server of the test's own.
pub fn folder(name: &'static str, letters: &[Vec<u8>]) -> Folder {
    Folder {
        name,
        letters: letters.iter().map(|letter| Letter::new(letter)).collect(),
    }
}

/// Files by their names, and the lines of a journal in no order of time.
pub type Contents = (BTreeMap<String, Vec<u8>>, Vec<String>);

/// The files of a folder of a mailbox that a reader of mail sees: messages,
/// attachments, and of the journal the messages that it knows.
pub fn contents(folder: &Path) -> Contents {
    let mut files = BTreeMap::new();
    for part in ["messages", "attachments"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            files.insert(format!("{part}/{name}"), fs::read(&path).unwrap());
        }
    }
    let journal = fs::read_to_string(folder.join("journal")).unwrap();
    let mut lines: Vec<String> = journal.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    (files, lines)
}
