//! What came of it all, and what is said of it.

use std::collections::HashSet;
use std::io::{self, Write as _};

use ima_mailbox::MailboxError;
use ima_message::{FolderName, MessageDigest};
use ima_program::Exit;
use ima_program::escape::visible;
use ima_program::report::chain;

use crate::PROGRAM;

/// Sentences that are said; the rest is counted.
const SAID: usize = 20;

/// What came of it all.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages that are new in the mailbox here.
    pub stored: usize,
    /// Their octets, attachments included.
    pub octets: u64,
    /// Why messages did not come. What was deleted on the server since it was
    /// listed is among them until it is listed again.
    missing: Notes,
    /// Why messages came wrong.
    wrong: Notes,
    /// Those: they are asked for once in a run.
    wrong_digests: HashSet<MessageDigest>,
}

/// Some sentences, and how many there were.
#[derive(Debug, Default)]
struct Notes {
    said: Vec<String>,
    count: usize,
}

impl Notes {
    fn add(&mut self, text: String) {
        self.count = self.count.saturating_add(1);
        if self.said.len() < SAID {
            self.said.push(text);
        }
    }

    fn say(&self) {
        for text in &self.said {
            say(text);
        }
        match self.count.saturating_sub(self.said.len()) {
            0 => {}
            more => say(&format!("and {more} more like this")),
        }
    }
}

impl Tally {
    /// Something did not come, and may come later.
    pub fn miss(&mut self, text: String) {
        self.missing.add(text);
    }

    /// Nothing can be stored in a folder here.
    pub fn spoiled(&mut self, folder: &FolderName, fault: &MailboxError) {
        let why = chain(fault);
        self.miss(format!(
            "{folder}: nothing is fetched into this folder: {why}: `ima-mailbox check` says more, and a folder that is moved out of the mailbox is fetched anew"
        ));
    }

    /// Of what did not come nothing is known any more: it is listed again.
    pub fn begin_again(&mut self) {
        self.missing = Notes::default();
    }

    /// A message came wrong.
    pub fn wrong(&mut self, folder: &FolderName, digest: MessageDigest, why: &str) {
        if self.wrong_digests.insert(digest) {
            let text = format!("{folder}, message {digest}: the server sent it wrong: {why}");
            self.wrong.add(text);
        }
    }

    /// Whether a message came wrong.
    pub fn is_wrong(&self, digest: MessageDigest) -> bool {
        self.wrong_digests.contains(&digest)
    }

    /// How many messages came wrong.
    pub fn wrongs(&self) -> usize {
        self.wrong.count
    }

    /// Whether something did not come.
    pub fn is_missing(&self) -> bool {
        self.missing.count > 0
    }

    /// Says what went wrong, to the person at the terminal or to the log behind
    /// stderr.
    pub fn say(&self) {
        self.wrong.say();
        self.missing.say();
    }

    /// What the program exits with.
    pub fn exit(&self) -> Exit {
        match (self.wrongs(), self.is_missing()) {
            (1.., _) => Exit::Drop,
            (0, true) => Exit::Unfinished,
            (0, false) => Exit::Done,
        }
    }
}

/// Says a sentence.
pub fn say(text: &str) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr().lock(), "{PROGRAM}: {}", visible(text));
}
