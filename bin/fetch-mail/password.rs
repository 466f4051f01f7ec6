//! Where the password comes from.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ima_message::Address;
use ima_program::Exit;
use ima_program::child::{Command, Event, Group, Limits};
use ima_proto::users::MAX_PASSWORD;

use crate::config::Proof;
use crate::failure::Failure;

/// How long a command may take: somebody may have to open a keyring for it.
const COMMAND_TIME: Duration = Duration::from_secs(120);
/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The password; none where a certificate takes its place.
///
/// # Errors
/// Where there is none to be had.
pub fn password(proof: &Proof, address: &Address) -> Result<Option<Vec<u8>>, Failure> {
    let (from, password) = match proof {
        Proof::Certificate(..) => return Ok(None),
        Proof::Command(argv, dir) => ("password-command", of_command(argv, dir)?),
        Proof::File(path) => ("the password's file", of_file(path)?),
        Proof::Terminal => ("the terminal", of_terminal(address)?),
    };
    let is_one = (1..=MAX_PASSWORD).contains(&password.len());
    is_one
        .then_some(Some(password))
        .ok_or(Failure::NoPassword(from))
}

/// The first line that a command prints.
fn of_command(argv: &[String], dir: &Path) -> Result<Vec<u8>, Failure> {
    let command = Command {
        argv: argv.iter().map(OsString::from).collect(),
        config_dir: dir.to_owned(),
        env: Vec::new(),
        stdin: File::open("/dev/null").map_err(Failure::CommandInput)?,
        // A command that asks for a passphrase does so at our terminal.
        group: Group::Ours,
    };
    let mut running = command.start_as_user(Limits::until(Instant::now() + COMMAND_TIME))?;
    let mut first = None;
    loop {
        match running.next(COMMAND_TIME) {
            Event::Line(line) => {
                first.get_or_insert(line);
            }
            Event::Tick => {}
            Event::Exited(Exit::Done) => break,
            Event::Exited(exit) => return Err(Failure::CommandFailed(exit.code())),
        }
    }
    // What is not text was replaced, so that it is not the password any more.
    let first = first.filter(|line| !line.contains(char::REPLACEMENT_CHARACTER));
    Ok(first.unwrap_or_default().into_bytes())
}

/// The first line of a file that nobody else may read.
fn of_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| Failure::PasswordFile {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.mode() & OTHERS != 0 {
        return Err(Failure::OpenToOthers(path.to_owned()));
    }
    let mut line = Vec::new();
    // One octet over the limit shows that it is passed, beside the LF.
    BufReader::new(file.take(MAX_PASSWORD as u64 + 2))
        .read_until(b'\n', &mut line)
        .map_err(unreadable)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}

/// What the user types, unseen.
fn of_terminal(address: &Address) -> Result<Vec<u8>, Failure> {
    let typed = rpassword::prompt_password(format!("Password of {address}: "));
    typed
        .map(String::into_bytes)
        .map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Failure::Stopped,
            _ => Failure::NoTerminal(error),
        })
}
