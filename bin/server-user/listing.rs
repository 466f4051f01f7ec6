//! Who may log in, and with what.

use std::fs;
use std::path::{Path, PathBuf};

use ima_message::Address;
use ima_program::escape::visible;
use ima_proto::users::{Entry, entries};
use serde_json::json;

use crate::failure::Failure;

/// One line a user, in the order of their addresses.
///
/// # Errors
/// Where the users are not there or wrong.
pub(crate) fn list(users: &Path, json: bool) -> Result<String, Failure> {
    let line = if json { object } else { fields };
    Ok(entries(users)?.iter().map(line).collect())
}

/// `ADDRESS passwords=N certificates=DIGEST,… mailbox=PATH`, with `-` for no
/// certificates.
fn fields(entry: &Entry) -> String {
    let user = &entry.user;
    let keys: Vec<_> = user
        .certificates()
        .iter()
        .map(ToString::to_string)
        .collect();
    let keys = if keys.is_empty() {
        "-".to_owned()
    } else {
        keys.join(",")
    };
    let mailbox = mailbox_of(entry).display().to_string();
    format!(
        "{} passwords={} certificates={keys} mailbox={}\n",
        user.address().canonical(),
        user.passwords().len(),
        visible(&mailbox)
    )
}

/// Without links and `..` where it is there, else as it is written.
fn mailbox_of(entry: &Entry) -> PathBuf {
    let mailbox = entry.user.mailbox();
    fs::canonicalize(mailbox).unwrap_or_else(|_| mailbox.to_owned())
}

fn object(entry: &Entry) -> String {
    let user = &entry.user;
    let texts = |list: &mut dyn Iterator<Item = String>| list.collect::<Vec<_>>();
    let object = json!({
        "address": user.address().canonical(),
        "mailbox": mailbox_of(entry).to_string_lossy(),
        "passwords": user.passwords().len(),
        "certificates": texts(&mut user.certificates().iter().map(ToString::to_string)),
        "senders": texts(&mut user.senders().iter().map(Address::canonical)),
        "file": entry.file.to_string_lossy(),
        "line": entry.line,
    });
    format!("{object}\n")
}
