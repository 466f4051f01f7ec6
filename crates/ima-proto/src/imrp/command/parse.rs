//! Reading a command.

use ima_message::text::parse_decimal;
use ima_message::{Address, Entry, FolderName};

use super::{Command, CommandError, MAX_FLAG_CHANGES, SyncMode};
use crate::imrp::MAX_PASSWORD;

/// What each word takes, as its error says it.
const TAKES: [(&str, &str); 13] = [
    (
        "LOGIN",
        "an address and PASSWORD with a count of octets from 1 to 1024, or CERTIFICATE",
    ),
    ("FOLDERS", "nothing"),
    (
        "SYNC",
        "a folder, a token or -, and list, headers or messages",
    ),
    ("FETCH", "a folder and a message digest"),
    ("PART", "a folder, a part digest and an offset"),
    (
        "FLAG",
        "a folder, a message digest and 1 to 64 flags, each with + or - before it",
    ),
    ("MOVE", "a folder, a message digest and a folder"),
    ("DELETE", "a folder and a message digest"),
    ("STORE", "a folder and a count of octets"),
    ("CREATE", "a folder"),
    ("REMOVE", "a folder"),
    ("WATCH", "folders, each with a token behind it"),
    ("DONE", "nothing"),
];

impl Command {
    /// Reads a line without its LF.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let (word, takes) = TAKES
            .into_iter()
            .find(|(known, _)| *known == word)
            .ok_or(CommandError::Word)?;
        let rest: Vec<&str> = words.collect();
        let command = match word {
            "LOGIN" => login(&rest),
            "SYNC" => sync(&rest),
            "FETCH" | "PART" => octets(word, &rest),
            "FLAG" | "MOVE" | "DELETE" => change(word, &rest),
            "STORE" | "CREATE" | "REMOVE" => folder_command(word, &rest),
            "WATCH" => watch(&rest),
            "FOLDERS" if rest.is_empty() => Some(Self::Folders),
            "DONE" if rest.is_empty() => Some(Self::Done),
            _ => None,
        };
        command.ok_or(CommandError::Arguments(word, takes))
    }
}

/// A folder's name; `Some(None)` is a word that can be none, `None` no word.
#[allow(clippy::option_option, reason = "two questions, two answers")]
fn folder(word: &str) -> Option<Option<FolderName>> {
    (!word.is_empty()).then(|| word.parse().ok())
}

fn login(rest: &[&str]) -> Option<Command> {
    match rest {
        [address, "PASSWORD", octets] => Some(Command::LoginByPassword {
            address: Address::parse(address).ok()?,
            octets: parse_decimal(octets).filter(|n| (1..=MAX_PASSWORD).contains(n))?,
        }),
        [address, "CERTIFICATE"] => Some(Command::LoginByCertificate {
            address: Address::parse(address).ok()?,
        }),
        _ => None,
    }
}

fn sync(rest: &[&str]) -> Option<Command> {
    let [name, since, mode] = rest else {
        return None;
    };
    Some(Command::Sync {
        folder: folder(name)?,
        since: match *since {
            "-" => None,
            token => Some(token.parse().ok()?),
        },
        mode: [SyncMode::List, SyncMode::Headers, SyncMode::Messages]
            .into_iter()
            .find(|known| known.word() == *mode)?,
    })
}

fn octets(word: &str, rest: &[&str]) -> Option<Command> {
    match (word, rest) {
        ("FETCH", [name, digest]) => Some(Command::Fetch {
            folder: folder(name)?,
            digest: digest.parse().ok()?,
        }),
        ("PART", [name, digest, from]) => Some(Command::Part {
            folder: folder(name)?,
            digest: digest.parse().ok()?,
            from: parse_decimal(from)?,
        }),
        _ => None,
    }
}

fn change(word: &str, rest: &[&str]) -> Option<Command> {
    match (word, rest) {
        ("FLAG", [name, entry @ ..]) => {
            // Written as in a journal.
            let entry = format!("flag {}", entry.join(" "));
            match Entry::parse(entry.as_bytes()) {
                Ok(Entry::Flag { digest, changes }) if changes.len() <= MAX_FLAG_CHANGES => {
                    let folder = folder(name)?;
                    Some(Command::Flag {
                        folder,
                        digest,
                        changes,
                    })
                }
                _ => None,
            }
        }
        ("MOVE", [from, digest, to]) => Some(Command::Move {
            from: folder(from)?,
            digest: digest.parse().ok()?,
            to: folder(to)?,
        }),
        ("DELETE", [name, digest]) => Some(Command::Delete {
            folder: folder(name)?,
            digest: digest.parse().ok()?,
        }),
        _ => None,
    }
}

fn folder_command(word: &str, rest: &[&str]) -> Option<Command> {
    match (word, rest) {
        ("STORE", [name, octets]) => Some(Command::Store {
            folder: folder(name)?,
            octets: parse_decimal(octets)?,
        }),
        ("CREATE", [name]) => Some(Command::Create {
            folder: folder(name)?,
        }),
        ("REMOVE", [name]) => Some(Command::Remove {
            folder: folder(name)?,
        }),
        _ => None,
    }
}

fn watch(rest: &[&str]) -> Option<Command> {
    let (pairs, odd) = rest.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return None;
    }
    let folders = pairs
        .iter()
        .map(|[name, token]| Some((folder(name)?, token.parse().ok()?)))
        .collect::<Option<_>>()?;
    Some(Command::Watch { folders })
}
