//! What came of it all, and what is said of it.

use std::collections::HashSet;

use ima_mailbox::MailboxError;
use ima_message::{FolderName, MessageDigest};
use ima_program::Exit;
use ima_program::report::{self, chain};

use crate::PROGRAM;
use crate::intake::Stored;

/// Sentences that are said; the rest is counted.
const SAID: usize = 20;

/// What came of it all.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages that are new in the mailbox here.
    pub stored: usize,
    /// Their octets, attachments included.
    pub octets: u64,
    /// Changes that were carried from one side to the other.
    pub changed: usize,
    /// Why messages did not come. What was deleted on the server since it was
    /// listed is among them until it is listed again.
    missing: Notes,
    /// Why messages came wrong.
    wrong: Notes,
    /// Those: they are asked for once in a run.
    wrong_digests: HashSet<MessageDigest>,
    /// How often one did, each time counted.
    wrongs: usize,
}

/// What was said when both sides were last brought together: whoever stays says it
/// once, and again only after it was otherwise.
#[derive(Debug, Default)]
pub struct Spoken {
    sentences: HashSet<String>,
    is_nothing_new: bool,
}

impl Spoken {
    /// Says those of the sentences that were not said the last time. `is_whole`: they
    /// are all that there is to say now.
    fn say(&mut self, sentences: Vec<String>, is_whole: bool) {
        let before = match is_whole {
            true => std::mem::take(&mut self.sentences),
            false => self.sentences.clone(),
        };
        for text in sentences {
            if !before.contains(&text) && !self.sentences.contains(&text) {
                say(&text);
            }
            self.sentences.insert(text);
        }
    }

    /// Says that there is nothing new, where that is the first to be said.
    pub fn nothing_new(&mut self) {
        if !self.is_nothing_new {
            say("nothing new");
        }
        self.something_new();
    }

    /// It was said what is new.
    pub fn something_new(&mut self) {
        self.is_nothing_new = true;
    }
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

    fn sentences(self) -> impl Iterator<Item = String> {
        let more = match self.count.saturating_sub(self.said.len()) {
            0 => None,
            more => Some(format!("and {more} more like this")),
        };
        self.said.into_iter().chain(more)
    }
}

impl Tally {
    /// Messages are in the mailbox here.
    pub fn stored(&mut self, stored: &Stored) {
        self.stored = self.stored.saturating_add(stored.new);
        self.octets = self.octets.saturating_add(stored.octets);
    }

    /// How much was done.
    pub fn done(&self) -> usize {
        self.stored.saturating_add(self.changed)
    }

    /// Something did not come, and may come later.
    pub fn miss(&mut self, text: String) {
        self.missing.add(text);
    }

    /// Nothing can be stored in a folder here.
    pub fn spoiled(&mut self, folder: &FolderName, fault: &MailboxError) {
        let why = chain(fault);
        if let MailboxError::Locked { .. } = fault {
            return self.miss(format!(
                "{folder}: nothing is fetched into this folder: {why}"
            ));
        }
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
        self.wrongs = self.wrongs.saturating_add(1);
        if self.wrong_digests.insert(digest) {
            let text = format!("{folder}, message {digest}: the server sent it wrong: {why}");
            self.wrong.add(text);
        }
    }

    /// Whether a message came wrong.
    pub fn is_wrong(&self, digest: MessageDigest) -> bool {
        self.wrong_digests.contains(&digest)
    }

    /// How often a message came wrong.
    pub fn wrongs(&self) -> usize {
        self.wrongs
    }

    /// Whether something did not come.
    pub fn is_missing(&self) -> bool {
        self.missing.count > 0
    }

    /// Says what went wrong and was not said before, to the person at the terminal
    /// or to the log behind stderr. `is_whole`: nothing broke it off.
    pub fn say(self, spoken: &mut Spoken, is_whole: bool) {
        let sentences = self.wrong.sentences().chain(self.missing.sentences());
        spoken.say(sentences.collect(), is_whole);
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
    report::say(PROGRAM, text);
}
