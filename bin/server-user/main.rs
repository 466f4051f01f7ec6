//! server-user: adds, lists and removes those who may log in, and sets what they
//! log in with. The manual page is server-user(8).

mod args;
mod certificate;
mod failure;
mod listing;
mod mailbox;
mod password;
mod register;
mod replacement;
mod table;
mod user;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use ima_message::Hostpart;
use ima_program::config::{ConfigPath, load};
use ima_program::{Exit, log, report};
use serde::Deserialize;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::register::Register;

const PROGRAM: &str = "server-user";
/// Whose configuration names the users.
const SERVER: &str = "server-post-office";

/// What is read of the server's configuration; the server looks at the rest.
#[derive(Deserialize)]
struct Config {
    users: ConfigPath,
    #[serde(default)]
    identity: Vec<Identity>,
}

/// A certificate of the server's.
#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    hosts: Vec<String>,
}

impl Config {
    /// Whether the server has certificates, and none for this mail domain.
    fn lacks(&self, host: &Hostpart) -> bool {
        let mut hosts = self.identity.iter().flat_map(|identity| &identity.hosts);
        !self.identity.is_empty()
            && !hosts.any(|ours| Hostpart::parse(ours).is_ok_and(|ours| ours == *host))
    }
}

fn main() -> ExitCode {
    log::init(PROGRAM);
    let exit = match run(ima_program::options::parse::<Args>()) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            report::report(PROGRAM, &failure);
            failure.exit()
        }
    };
    exit.into()
}

/// Finds the users by the server's configuration, does what is asked, and says
/// what was done.
fn run(args: Args) -> Result<(), Failure> {
    let loaded = load::<Config>(SERVER, args.config.as_deref())?;
    let users = loaded.value.users.under(&loaded.dir);
    let added = match &args.command {
        Command::Add { address, .. } => Some(address.hostpart().clone()),
        _ => None,
    };
    let mut said = perform(&users, args.command)?;
    if let Some(host) = added.filter(|host| loaded.value.lacks(host)) {
        said.push_str(&format!(
            "Note: no [[identity]] in {} lists {host}, so nobody there can log in: is it written\nas it should be?\n",
            loaded.file.display()
        ));
    }
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(said.as_bytes());
    printed
        .and_then(|()| stdout.flush())
        .map_err(Failure::Print)
}

fn perform(users: &Path, command: Command) -> Result<String, Failure> {
    match command {
        Command::List { json } => listing::list(users, json),
        Command::Add {
            address,
            mailbox,
            senders,
        } => user::add(
            &Register::open_or_make(users)?,
            &address,
            &mailbox,
            &senders,
        ),
        Command::Remove { address } => user::remove(&Register::open(users)?, &address),
        Command::Password {
            address,
            add,
            remove,
        } => password::set(users, &address, password::How::new(add, remove)),
        Command::Certificate {
            address,
            enrol,
            make,
            withdraw,
        } => certificate::change(&Register::open(users)?, &address, enrol, make, withdraw),
    }
}
