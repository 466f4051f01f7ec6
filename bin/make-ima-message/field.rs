//! `--header NAME=VALUE`.

use ima_message::Rule;

use crate::failure::Wrong;

/// Splits a field that has no option of its own into its name, which is a good
/// one, and its value.
///
/// # Errors
/// No `=`, a name that is none, or one that only another option or program may
/// write.
pub(crate) fn parse(given: &str) -> Result<(&str, &str), Wrong> {
    let (name, value) = given.split_once('=').ok_or(Wrong::NoEquals)?;
    let is_name = (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !is_name {
        return Err(Rule::Name.into());
    }
    match reserved(name) {
        Some(wrong) => Err(wrong),
        None => Ok((name, value)),
    }
}

fn reserved(name: &str) -> Option<Wrong> {
    Some(match name {
        "from" => Wrong::HasOption("from", "--from"),
        "to" => Wrong::HasOption("to", "--to"),
        "cc" => Wrong::HasOption("cc", "--cc"),
        "bcc" => Wrong::HasOption("bcc", "--bcc"),
        "reply-to" => Wrong::HasOption("reply-to", "--reply-to"),
        "subject" => Wrong::HasOption("subject", "--subject"),
        "date" => Wrong::HasOption("date", "--date"),
        "id" => Wrong::HasOption("id", "--id"),
        "in-reply-to" => Wrong::HasOption("in-reply-to", "--in-reply-to"),
        "references" => Wrong::HasOption("references", "--references"),
        "signature" => Wrong::HasOption("signature", "--sign"),
        "part" => Wrong::HasOption("part", "--text, --html or --attach"),
        "ima" => Wrong::Computed("ima"),
        "size" => Wrong::Computed("size"),
        "deliver" => Wrong::Transport("deliver"),
        "mailer" => Wrong::Transport("mailer"),
        "received" => Wrong::Transport("received"),
        _ => return None,
    })
}
