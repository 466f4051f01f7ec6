//! A Maildir: file names here, and its directories.
//!
//! ```text
//! name    = seconds "." digest ".ima" [suffix]
//! suffix  = ":2," *letter
//! ```
//!
//! `seconds` is when the message arrived; mail programs sort by it. What stands
//! behind the `:` is theirs to change: the letters are flags.

mod directory;

use std::collections::BTreeSet;

use ima_message::{DateTime, Flag, MessageDigest};

pub use directory::{Mail, Maildir, MaildirError, Place};

/// Letters and the flags that they stand for. `junk` and what users chose have none.
const LETTERS: [(char, &str); 6] = [
    ('D', "draft"),
    ('F', "flagged"),
    ('P', "passed"),
    ('R', "answered"),
    ('S', "seen"),
    ('T', "trashed"),
];
const SUFFIX: &str = ":2,";
const OURS: &str = ".ima";

/// The flag that a letter stands for.
#[must_use]
pub fn flag_of(letter: char) -> Option<Flag> {
    let (_, name) = LETTERS.iter().find(|(known, _)| *known == letter)?;
    name.parse().ok()
}

/// The letter that stands for a flag.
#[must_use]
pub fn letter_of(flag: &Flag) -> Option<char> {
    let known = LETTERS.iter().find(|(_, name)| *name == flag.as_str());
    known.map(|(letter, _)| *letter)
}

/// The name of a message's file up to the `:`.
#[must_use]
pub fn stem(arrived: &DateTime, digest: MessageDigest) -> String {
    format!("{}.{digest}{OURS}", arrived.unix_seconds().max(0))
}

/// The part of a name before the `:`, which mail programs keep.
#[must_use]
pub fn stem_of(name: &str) -> &str {
    name.split_once(SUFFIX).map_or(name, |(stem, _)| stem)
}

/// The message that a file holds, by its name; `None` where the name is none of
/// [`stem`]'s, whatever its suffix.
#[must_use]
pub fn digest_of(name: &str) -> Option<MessageDigest> {
    let (seconds, digest) = stem_of(name).strip_suffix(OURS)?.split_once('.')?;
    let is_number = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digest.parse().ok())?
}

/// The flags that a name's suffix sets.
#[must_use]
pub fn flags_of(name: &str) -> BTreeSet<Flag> {
    letters_of(name).chars().filter_map(flag_of).collect()
}

/// The letters of flags, in the order of the alphabet.
#[must_use]
pub fn letters(flags: &BTreeSet<Flag>) -> String {
    let letters: BTreeSet<char> = flags.iter().filter_map(letter_of).collect();
    letters.into_iter().collect()
}

/// The suffix for flags: letters in the order of the alphabet. Letters of the
/// name that stand for no flag here are kept, since others know what they mean.
#[must_use]
pub fn suffix(flags: &BTreeSet<Flag>, name: &str) -> String {
    let mut letters: BTreeSet<char> = flags.iter().filter_map(letter_of).collect();
    letters.extend(
        letters_of(name)
            .chars()
            .filter(|letter| letter.is_ascii_alphabetic() && flag_of(*letter).is_none()),
    );
    SUFFIX.chars().chain(letters).collect()
}

fn letters_of(name: &str) -> &str {
    name.split_once(SUFFIX).map_or("", |(_, letters)| letters)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn flags(names: &[&str]) -> BTreeSet<Flag> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn names_say_digest_and_flags() {
        let digest: MessageDigest = "ab".repeat(32).parse().unwrap();
        let stem = stem(&DateTime::parse("2026-11-22T09:30:02Z").unwrap(), digest);
        assert_eq!(stem, format!("1795339802.{digest}.ima"));
        assert_eq!(digest_of(&stem), Some(digest));
        assert_eq!(flags_of(&stem), flags(&[]));
        let name = format!("{stem}:2,FSa");
        assert_eq!(digest_of(&name), Some(digest));
        assert_eq!(stem_of(&name), stem);
        assert_eq!(flags_of(&name), flags(&["seen", "flagged"]));
        assert_eq!(suffix(&flags(&["answered", "junk"]), &name), ":2,Ra");
        assert_eq!(suffix(&flags(&[]), &stem), ":2,");
    }

    #[test]
    fn names_of_others_are_not_ours() {
        for name in [
            "",
            "1.M2P3.host",
            "1.ab.ima",
            "x.ima:2,S",
            ".ima",
            "1700000000.V1.host:2,S",
        ] {
            assert_eq!(digest_of(name), None, "{name:?}");
        }
    }
}
