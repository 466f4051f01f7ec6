//! The names in a mailbox beside those of its folders. They are made of digests alone, so that nothing a
//! sender wrote becomes a path.
//!
//! ```text
//! message     = 64HEXLOWER
//! attachment  = 64HEXLOWER "." number               ; from 1
//! ```

use ima_message::{MessageDigest, PartDigest, text};

pub(crate) const JOURNAL: &str = "journal";
pub(crate) const LOCK: &str = "lock";
pub(crate) const MESSAGES: &str = "messages";
pub(crate) const ATTACHMENTS: &str = "attachments";
pub(crate) const GONE: &str = "gone";
pub(crate) const TMP: &str = "tmp";
pub(crate) const SUMMARY: &str = "summary";
/// What a repair set aside in a folder.
pub(crate) const DAMAGED: &str = "damaged";
/// The directories of a folder.
pub(crate) const DIRECTORIES: [&str; 4] = [MESSAGES, ATTACHMENTS, GONE, TMP];
/// What fetch-mail(1) keeps in the root of a mailbox that it fills.
pub(crate) const FETCH_STATE: &str = ".fetch-mail";
/// What there is to say of a mailbox, in its root.
pub(crate) const MAILBOX_TOML: &str = "mailbox.toml";
/// What a folder's name has before it while the folder is made.
pub(crate) const UNFINISHED: &str = ".new-";
/// What the name of a folder that was removed begins with, while it is emptied.
pub(crate) const REMOVED: &str = ".old-";

/// The name in `messages/` of a message's header block and inline parts.
pub(crate) fn message(digest: MessageDigest) -> String {
    digest.to_string()
}

/// The name in `messages/` of a message's attachment, by its part number.
pub(crate) fn attachment(digest: MessageDigest, number: usize) -> String {
    format!("{digest}.{number}")
}

/// The name in `attachments/` of an attachment.
pub(crate) fn kept(digest: PartDigest) -> String {
    digest.to_string()
}

/// What a name in `messages/` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoredName {
    Message(MessageDigest),
    Attachment(MessageDigest, usize),
}

impl StoredName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let Some((digest, number)) = name.split_once('.') else {
            return name.parse().ok().map(Self::Message);
        };
        let number = usize::try_from(text::parse_decimal(number)?).ok()?;
        (number > 0).then_some(Self::Attachment(digest.parse().ok()?, number))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_read_as_they_are_written() {
        let hex = "3b1f".repeat(16);
        let digest = hex.parse().unwrap();
        assert_eq!(
            StoredName::parse(&message(digest)),
            Some(StoredName::Message(digest))
        );
        assert_eq!(
            StoredName::parse(&attachment(digest, 12)),
            Some(StoredName::Attachment(digest, 12))
        );
        for name in [
            "",
            ".",
            "x",
            &hex.to_uppercase(),
            &format!("{hex}.0"),
            &format!("{hex}.01"),
            &format!("{hex}.1.1"),
        ] {
            assert_eq!(StoredName::parse(name), None, "{name:?}");
        }
    }
}
