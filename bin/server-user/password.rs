//! Passwords: reading them from people and programs, and setting them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;

use ima_message::Address;
use ima_proto::users::{MAX_PASSWORD, PasswordHash};

use crate::failure::Failure;
use crate::register::Register;
use crate::table;

/// What becomes of the passwords that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The new one takes their place.
    Replace,
    /// They stay beside the new one.
    Add,
    /// They go, and there is no new one.
    Remove,
}

impl How {
    /// By the two options, of which one at most is given.
    pub(crate) fn new(add: bool, remove: bool) -> Self {
        match (add, remove) {
            (_, true) => Self::Remove,
            (true, _) => Self::Add,
            _ => Self::Replace,
        }
    }
}

/// A password in memory, wiped when it is dropped.
struct Password(Vec<u8>);

impl Drop for Password {
    fn drop(&mut self) {
        self.0.fill(0);
        // Or the compiler may leave the wiping out.
        std::hint::black_box(&self.0);
    }
}

/// Sets the password of a user. It is read before anything is locked.
///
/// # Errors
/// Where nobody has this address, no password is given, or a fault.
pub(crate) fn set(users: &Path, address: &Address, how: How) -> Result<String, Failure> {
    // Nobody types a password twice for somebody who is not there.
    Register::open(users)?.entry(address)?;
    let mut hashes = Vec::new();
    if how != How::Remove {
        let password = ask(address)?;
        hashes.push(PasswordHash::make(&password.0)?);
    }
    let register = Register::open(users)?;
    let entry = register.entry(address)?;
    if how == How::Add {
        hashes.splice(..0, entry.user.passwords().iter().cloned());
    }
    register.change(entry, |user| table::set_passwords(user, &hashes))?;
    let user = address.canonical();
    Ok(match how {
        How::Replace => format!("The password of {user} is set.\n"),
        How::Add => format!("{user} has {} passwords now.\n", hashes.len()),
        How::Remove => format!("{user} has no password any more.\n"),
    })
}

fn ask(address: &Address) -> Result<Password, Failure> {
    let password = if io::stdin().is_terminal() {
        let prompt = |text: &str| {
            let typed = rpassword::prompt_password(format!("{text} for {}: ", address.canonical()));
            typed
                .map(|typed| Password(typed.into_bytes()))
                .map_err(Failure::Terminal)
        };
        let password = prompt("Password")?;
        check(&password)?;
        if prompt("The same again")?.0 != password.0 {
            return Err(Failure::Differ);
        }
        password
    } else {
        line()?
    };
    check(&password)?;
    Ok(password)
}

/// One line, without its end.
fn line() -> Result<Password, Failure> {
    // One more than may be, and the line's end.
    let most = u64::try_from(MAX_PASSWORD)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    let mut password = Password(Vec::with_capacity(MAX_PASSWORD.saturating_add(2)));
    let read = io::stdin()
        .lock()
        .take(most)
        .read_until(b'\n', &mut password.0);
    read.map_err(Failure::Stdin)?;
    if password.0.last() == Some(&b'\n') {
        password.0.pop();
    }
    Ok(password)
}

fn check(password: &Password) -> Result<(), Failure> {
    if password.0.is_empty() {
        return Err(Failure::NoPassword);
    }
    if password.0.len() > MAX_PASSWORD {
        return Err(Failure::LongPassword);
    }
    let fits = str::from_utf8(&password.0).is_ok_and(|text| !text.contains(char::is_control));
    fits.then_some(()).ok_or(Failure::UnfitPassword)
}
