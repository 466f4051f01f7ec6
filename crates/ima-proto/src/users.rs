//! Who may log in: the users file, passwords and certificates.
//!
//! | file | what it fixes |
//! |---|---|
//! | `entry.rs` | the grammar of a users file, and what it says of one user |
//! | `source.rs` | the file, or the folder of files, and when to read it again |
//! | `certificate.rs` | the key of a certificate that is to be enrolled |
//! | `password.rs` | Argon2id hashes: reading, making, and what is refused as absurd |
//! | `turns.rs` | how many passwords are checked at once |
//! | `guesses.rs` | what a guesser meets, and others do not |
//! | `moment.rs` | when a failed login is answered |
//!
//! ```toml
//! ["bob@b.test"]
//! mailbox = "/var/lib/ememo/mail/b.test/bob"
//! password = "$argon2id$v=19$…"            # one, or a list
//! certificates = ["sha256:…"]
//! senders = ["bob@b.test", "info@b.test"]
//! ```

mod certificate;
mod entry;
mod error;
mod guesses;
mod moment;
mod password;
mod source;
mod turns;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ima_message::Address;
use ima_program::log;

pub use certificate::{CertificateError, key_of_file};
pub use entry::{Entry, User, parse};
pub use error::UsersError;
pub use guesses::{Guesses, Permit};
pub use moment::{QUANTUM, moment_of_failure};
pub use password::{PasswordError, PasswordHash};
pub use source::entries;

use crate::tls::KeyDigest;
use source::Source;
use turns::Turns;

/// A password longer than this is none (octets), nor is an empty one.
pub const MAX_PASSWORD: usize = 1024;

/// The users of a file or folder. It is read again when it changes, at most once
/// a second; a file that is wrong then is logged once, and what it said before
/// holds.
///
/// One password a core is checked at once, by all threads that share this value.
#[derive(Debug)]
pub struct Users {
    source: Source,
    turns: Turns,
}

/// All users, and what a failed login costs.
#[derive(Debug, Default)]
struct Table {
    by_address: HashMap<Address, Arc<User>>,
    /// The passwords of the user whose check takes the longest.
    costliest: Vec<PasswordHash>,
}

impl Users {
    /// Reads the users of a file, or of the `*.toml` in a folder.
    ///
    /// # Errors
    /// Where it is not there or wrong; the message names the place and what would
    /// be right.
    pub fn load(path: &Path) -> Result<Self, UsersError> {
        Ok(Self {
            source: Source::open(path)?,
            turns: Turns::one_a_core(),
        })
    }

    /// The user of this address, where this is one of their passwords.
    ///
    /// It waits its turn, then works for some 30 ms. A wrong password costs the
    /// same time as an address that is no user's, or a user's without a password:
    /// that of the user with the costliest passwords. Where too many wait already
    /// it is None at once, and logged.
    #[must_use]
    pub fn by_password(&self, address: &Address, password: &[u8]) -> Option<Arc<User>> {
        let table = self.source.current();
        let Some(_turn) = self.turns.take() else {
            log::warn("too-many-logins")
                .field("user", address.canonical())
                .field("consequence", "refused without a look at the password")
                .emit();
            return None;
        };
        let user = table.by_address.get(address);
        let (is_right, _work) = table.check(user.map(|user| &**user), password);
        user.filter(|_| is_right).cloned()
    }

    /// The user of this address, where this is the key of one of their
    /// certificates. The caller has seen the key proved.
    #[must_use]
    pub fn by_certificate(&self, address: &Address, key: &KeyDigest) -> Option<Arc<User>> {
        let table = self.source.current();
        let user = table.by_address.get(address)?;
        user.certificates().contains(key).then(|| user.clone())
    }

    /// Who there is, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<User>> {
        self.source.current().by_address.values().cloned().collect()
    }

    #[cfg(test)]
    fn looking_always(mut self) -> Self {
        self.source = self.source.looking_always();
        self
    }
}

impl Table {
    /// A table of these entries.
    ///
    /// # Errors
    /// [`UsersError::Twice`].
    fn new<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, UsersError> {
        let mut seen: HashMap<&Address, &Entry> = HashMap::new();
        let mut table = Self::default();
        let mut most = 0;
        for entry in entries {
            let user = &entry.user;
            if let Some(first) = seen.insert(user.address(), entry) {
                return Err(UsersError::Twice {
                    address: user.address().canonical(),
                    first: first.place(),
                    second: entry.place(),
                });
            }
            let work = user.passwords().iter().map(PasswordHash::work).sum();
            if work > most {
                most = work;
                table.costliest = user.passwords().to_vec();
            }
            table
                .by_address
                .insert(user.address().clone(), Arc::clone(user));
        }
        if table.costliest.is_empty() {
            table.costliest.extend(PasswordHash::of_nobody());
        }
        Ok(table)
    }

    /// Whether it is a password of this user, and the work that was done for it.
    /// That of every wrong one is the same.
    fn check(&self, user: Option<&User>, password: &[u8]) -> (bool, u64) {
        let mut done: u64 = 0;
        for hash in user.map(User::passwords).unwrap_or_default() {
            done = done.saturating_add(hash.work());
            if hash.is_of(password) {
                return (true, done);
            }
        }
        let all: u64 = self.costliest.iter().map(PasswordHash::work).sum();
        for hash in &self.costliest {
            if done.saturating_add(hash.work()) <= all {
                std::hint::black_box(hash.is_of(password));
                done = done.saturating_add(hash.work());
            }
        }
        (false, done)
    }
}

#[cfg(test)]
mod tests;
