//! Where the password comes from.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ima_message::Address;
use ima_program::Exit;
use ima_program::child::{Command, Event, Group, Limits};
use ima_proto::users::MAX_PASSWORD;
use rustix::fs::{Mode, OFlags, open};

use crate::config::Proof;
use crate::failure::Failure;

/// How long a command may take: somebody may have to open a keyring for it.
const COMMAND_TIME: Duration = Duration::from_secs(120);
/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
/// The key of a command.
const COMMAND: &str = "password-command";

/// The password; none where a certificate takes its place.
///
/// # Errors
/// Where there is none to be had.
pub fn password(proof: &Proof, address: &Address) -> Result<Option<Vec<u8>>, Failure> {
    let (from, password) = match proof {
        Proof::Certificate(..) => return Ok(None),
        Proof::Command(argv, dir) => (COMMAND.to_owned(), of_command(argv, dir)?),
        Proof::File(path) => (path.display().to_string(), of_file(path)?),
        Proof::Terminal => ("the terminal".to_owned(), of_terminal(address)?),
    };
    if !(1..=MAX_PASSWORD).contains(&password.len()) {
        return Err(Failure::NoPassword(from));
    }
    match str::from_utf8(&password) {
        Ok(text) if !text.contains(char::is_control) => Ok(Some(password)),
        _ => Err(Failure::NotText(from)),
    }
}

/// A file with a secret in it must be its owner's alone.
///
/// # Errors
/// [`Failure::OpenToOthers`].
pub fn refuse_open(path: &Path, metadata: &Metadata, what: &'static str) -> Result<(), Failure> {
    match metadata.mode() & OTHERS {
        0 => Ok(()),
        _ => Err(Failure::OpenToOthers {
            path: path.to_owned(),
            what,
        }),
    }
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
    match first {
        // What is not text was replaced, so that it is not the password any more.
        Some(line) if line.contains(char::REPLACEMENT_CHARACTER) => {
            Err(Failure::NotText(COMMAND.to_owned()))
        }
        line => Ok(line.unwrap_or_default().into_bytes()),
    }
}

/// The first line of a file that nobody else may read.
fn of_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| Failure::PasswordFile {
        path: path.to_owned(),
        source,
    };
    // A pipe that nobody writes to would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Failure::NoRegularFile(path.to_owned()));
    }
    refuse_open(path, &metadata, "password")?;
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
    match typed {
        Ok(typed) if typed.is_empty() => Err(Failure::NothingTyped),
        Ok(typed) => Ok(typed.into_bytes()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::Interrupted => Failure::Stopped,
            io::ErrorKind::UnexpectedEof => Failure::NothingTyped,
            _ => Failure::NoTerminal(error),
        }),
    }
}
