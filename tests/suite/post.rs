//! The post office of a host: its configuration, and users who may log in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use ima_proto::tls::KeyDigest;
use ima_proto::users::PasswordHash;

use super::peer::Identity;
use super::site::{Host, Server};

/// The password of every user.
pub const PASSWORD: &str = "open sesame";

/// A user's entry in a users file.
pub struct Entry {
    pub user: &'static str,
    pub certificates: Vec<KeyDigest>,
}

impl Entry {
    /// Who logs in by [`PASSWORD`].
    pub fn new(user: &'static str) -> Entry {
        Entry {
            user,
            certificates: Vec::new(),
        }
    }

    /// And by this certificate.
    pub fn with(mut self, identity: &Identity) -> Entry {
        let digest = KeyDigest::of_certificate(&identity.chain()[0]).unwrap();
        self.certificates.push(digest);
        self
    }
}

impl Host {
    /// Lets these users in, and no others; their mailboxes are where server-setup
    /// made them, with nothing but an inbox.
    pub fn open_office(&self, users: &[Entry]) {
        self.set("server-post-office.toml", "users", "\"users.toml\"");
        for Entry { user, .. } in users {
            for folder in ["archive", "drafts", "junk", "sent", "trash"] {
                fs::remove_dir_all(self.mailbox(user).join(folder)).unwrap();
            }
        }
        self.write_users(users);
    }

    /// Writes the users file anew.
    pub fn write_users(&self, users: &[Entry]) {
        let hash = PasswordHash::make(PASSWORD.as_bytes()).unwrap();
        let mut text = String::new();
        for Entry { user, certificates } in users {
            let certificates: Vec<String> = certificates.iter().map(ToString::to_string).collect();
            text += &format!(
                "[\"{user}@{0}\"]\nmailbox = \"mail/{0}/{user}\"\npassword = \"{hash}\"\n\
                 certificates = {certificates:?}\n\n",
                self.name
            );
        }
        // Whole or not at all, as an administrator's program does it.
        let new = self.dir.join("users.new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.dir.join("users.toml")).unwrap();
    }

    /// A user's mailbox, with all folders.
    pub fn mailbox(&self, user: &str) -> PathBuf {
        self.dir.join("mail").join(&self.name).join(user)
    }

    /// Starts server-post-office and waits until it listens.
    pub fn start_office(&self) -> Server {
        self.start_with(self.command("server-post-office"))
    }
}
