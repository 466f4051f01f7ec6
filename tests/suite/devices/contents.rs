//! What a mailbox holds.

use std::collections::{BTreeMap, BTreeSet};

use ima_mailbox::Mailbox;
use ima_message::MessageDigest;

/// By folder and message, the flags.
pub type Contents = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// By folder, the flags of one message.
pub type Copies = BTreeMap<String, BTreeSet<String>>;

/// Where a message is.
pub fn copies(contents: &Contents, digest: MessageDigest) -> Copies {
    let digest = digest.to_string();
    let copies = contents
        .iter()
        .filter_map(|(folder, messages)| Some((folder.clone(), messages.get(&digest)?.clone())));
    copies.collect()
}

/// All of it.
pub fn contents(mailbox: &Mailbox) -> Contents {
    let mut contents = Contents::new();
    for name in mailbox.names().unwrap() {
        let folder = mailbox.folder(&name).unwrap().unwrap();
        let messages = folder.live(None).unwrap().unwrap();
        let messages = messages.into_iter().map(|(digest, message)| {
            let flags = message.flags.iter();
            (
                digest.to_string(),
                flags.map(|flag| flag.as_str().to_owned()).collect(),
            )
        });
        contents.insert(name.to_string(), messages.collect());
    }
    contents
}

/// The same, in short.
pub fn brief(mailbox: &Mailbox) -> String {
    let folders = contents(mailbox).into_iter().map(|(name, messages)| {
        let messages = messages.iter().map(|(digest, flags)| {
            let flags: String = flags.iter().map(|flag| format!(" +{flag}")).collect();
            format!("{digest:.6}{flags}")
        });
        format!("{name} [{}]", messages.collect::<Vec<_>>().join(", "))
    });
    folders.collect::<Vec<_>>().join(" ")
}
