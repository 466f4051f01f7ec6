//! Who may log in: the users file, passwords and certificates.
//!
//! | file | what it fixes |
//! |---|---|
//! | `entry.rs` | the grammar of a users file, and what it says of one user |
//! | `source.rs` | the file, or the folder of files, and when to read it again |
//! | `certificate.rs` | the key of a certificate that is to be enrolled |
//! | `password.rs` | Argon2id hashes: reading, making, and what is refused as absurd |
//! | `memory.rs` | the memory in which passwords are checked |
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
mod memory;
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
use memory::Memory;
use source::Source;
use turns::Turns;

/// A password longer than this is none (octets), nor is an empty one.
pub const MAX_PASSWORD: usize = 1024;

/// The users of a file or folder. It is read again when it changes, within a
/// second or when somebody is refused; a file that is wrong then is logged once, and what it said before
/// holds.
///
/// One password a core is checked at once, by all threads that share this value.
#[derive(Debug)]
pub struct Users {
    source: Source,
    turns: Turns,
}

/// Why a password lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLogin {
    /// No such user, or not their password.
    Wrong,
    /// Too many passwords wait to be checked: this one was not looked at.
    TooMany,
}

/// All users, and what a failed login costs.
#[derive(Debug, Default)]
struct Table {
    by_address: HashMap<Address, Arc<User>>,
    /// What it takes to check all passwords of the user with whom that is most, in
    /// KiB that are filled.
    work: u64,
    /// The most memory that one of them needs, in KiB.
    memory: u32,
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
    /// that of the user with the costliest passwords.
    ///
    /// # Errors
    /// [`NoLogin`]; that too many wait is known at once, and logged.
    pub fn by_password(&self, address: &Address, password: &[u8]) -> Result<Arc<User>, NoLogin> {
        let table = self.source.current();
        let Some(mut turn) = self.turns.take() else {
            log::warn("too-many-logins")
                .field("user", address.canonical())
                .field("consequence", "refused without a look at the password")
                .emit();
            return Err(NoLogin::TooMany);
        };
        let mut find = |table: &Table| {
            let user = table.by_address.get(address);
            let (is_right, _work) = table.check(user.map(|user| &**user), password, turn.memory());
            user.filter(|_| is_right).cloned()
        };
        let newer = || self.source.other_than(&table);
        let found = find(&table).or_else(|| find(&*newer()?));
        found.ok_or(NoLogin::Wrong)
    }

    /// The user of this address, where this is the key of one of their
    /// certificates. The caller has seen the key proved.
    #[must_use]
    pub fn by_certificate(&self, address: &Address, key: &KeyDigest) -> Option<Arc<User>> {
        let find = |table: &Table| {
            let user = table.by_address.get(address)?;
            user.certificates().contains(key).then(|| user.clone())
        };
        let table = self.source.current();
        find(&table).or_else(|| find(&*self.source.other_than(&table)?))
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
        for entry in entries {
            let user = &entry.user;
            if let Some(first) = seen.insert(user.address(), entry) {
                return Err(UsersError::Twice {
                    address: user.address().canonical(),
                    first: first.place(),
                    second: entry.place(),
                });
            }
            table.costs(user.passwords());
            table
                .by_address
                .insert(user.address().clone(), Arc::clone(user));
        }
        if table.work == 0 {
            table.costs(PasswordHash::of_nobody().as_slice());
        }
        Ok(table)
    }

    /// Takes note of what it costs to check these passwords of one user.
    fn costs(&mut self, passwords: &[PasswordHash]) {
        let work = passwords.iter().map(PasswordHash::work).sum();
        if work > self.work {
            self.work = work;
            let memory = passwords.iter().map(PasswordHash::memory).max();
            self.memory = memory.unwrap_or_default();
        }
    }

    /// Whether it is a password of this user, and the work that was done for it.
    /// That of every wrong one is the same, but for less than 8 KiB.
    fn check(&self, user: Option<&User>, password: &[u8], memory: &mut Memory) -> (bool, u64) {
        let mut done: u64 = 0;
        for hash in user.map(User::passwords).unwrap_or_default() {
            done = done.saturating_add(hash.work());
            if hash.is_of_in(password, memory) {
                return (true, done);
            }
        }
        let missing = self.work.saturating_sub(done);
        let left = password::fill(missing, self.memory, password, memory);
        (false, done.saturating_add(missing.saturating_sub(left)))
    }
}

#[cfg(test)]
mod tests;
