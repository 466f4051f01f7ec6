//! What is kept from one run to the next: whose mailbox is fetched, and how far
//! each folder has come on both sides.

mod text;

use std::collections::BTreeMap;
use std::path::Path;

use ima_mailbox::Written;
use ima_message::{Address, Entry, Flag, FlagChange, FolderName, MessageDigest, Token};

use crate::desk::Desk;
use crate::failure::Failure;
use crate::touch::{Added, Said};

/// Messages that did not come and are kept in mind, of all folders.
pub const MAX_MISSING: usize = 100_000;

/// The state, as it is on the disk or is to come there.
#[derive(Debug)]
pub struct State {
    address: String,
    places: BTreeMap<FolderName, Place>,
}

/// How far a folder has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// All that changed on the server before this token is done here, durably, or
    /// is among the missing.
    pub server: Option<Token>,
    /// All that changed here before this token is done on the server.
    pub here: Option<Token>,
    /// Lines of the journal here behind that token that fetch-mail wrote: from a
    /// token to an offset.
    pub own: Vec<(Token, u64)>,
    /// What fetch-mail is about to write here.
    pub coming: Facts,
    /// What it has told the server, or is about to, and the server's token is not
    /// behind yet.
    pub sent: Facts,
    /// What it has told the server of changes behind the token here, while others
    /// behind it wait still.
    pub done: Facts,
    /// Messages that the server listed and did not give.
    pub missing: BTreeMap<MessageDigest, Missing>,
    /// Messages that came to the server before this time, in seconds since 1970,
    /// were left there.
    pub since: Option<i64>,
    /// Up to this token of the server, what is here was deleted there. What such a
    /// server does not have says nothing any more.
    pub drained: Option<Token>,
}

/// A message that is still to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// When it came to the server, and its size.
    pub added: Added,
    /// The flags that are set there.
    pub flags: Vec<Flag>,
}

/// What is said of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<MessageDigest, Fact>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fact {
    presence: Option<bool>,
    flags: BTreeMap<Flag, bool>,
}

impl Facts {
    /// That there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That a message is there, or not.
    pub fn presence(&mut self, digest: MessageDigest, is_there: bool) {
        self.0.entry(digest).or_default().presence = Some(is_there);
    }

    /// That flags of a message are set or removed.
    pub fn flags<'a>(
        &mut self,
        digest: MessageDigest,
        changes: impl IntoIterator<Item = &'a FlagChange>,
    ) {
        let fact = self.0.entry(digest).or_default();
        for change in changes {
            fact.flags.insert(change.flag.clone(), change.set);
        }
    }

    /// Whether they hold what somebody says of a message.
    pub fn hold(&self, digest: MessageDigest, said: Said<'_>) -> bool {
        self.0.get(&digest).is_some_and(|fact| match said {
            Said::Presence(is_there) => fact.presence == Some(is_there),
            Said::Flag(change) => fact.flags.get(&change.flag) == Some(&change.set),
        })
    }

    /// Says what others say too; what they say stands.
    pub fn take_over(&mut self, others: &Self) {
        for (digest, other) in &others.0 {
            let fact = self.0.entry(*digest).or_default();
            fact.presence = other.presence.or(fact.presence);
            let flags = other.flags.iter();
            fact.flags
                .extend(flags.map(|(flag, is_set)| (flag.clone(), *is_set)));
        }
    }

    /// Takes back all that is said of a message.
    pub fn forget(&mut self, digest: MessageDigest) {
        self.0.remove(&digest);
    }
}

impl Place {
    /// Whether all that is known of the folder is in its two tokens.
    pub fn is_quiet(&self) -> bool {
        self.own.is_empty()
            && self.coming.is_empty()
            && self.sent.is_empty()
            && self.done.is_empty()
            && self.missing.is_empty()
    }

    /// Whether a line here is no news: it ends at a token and says this, and
    /// fetch-mail wrote it, or has told the server.
    pub fn is_own(&self, behind: Token, entry: &Entry, said: Said<'_>) -> bool {
        let is_in = |(from, to): &(Token, u64)| {
            from.generation == behind.generation
                && from.offset < behind.offset
                && behind.offset <= *to
        };
        let digest = entry.digest();
        self.own.iter().any(is_in) || self.coming.hold(digest, said) || self.done.hold(digest, said)
    }

    /// Fetch-mail wrote these lines here.
    pub fn wrote(&mut self, written: Option<Written>) {
        let Some(Written { from, to }) = written else {
            return;
        };
        match self.own.last_mut() {
            Some((first, last)) if first.generation == from.generation && *last == from.offset => {
                *last = to.offset;
            }
            _ => self.own.push((from, to.offset)),
        }
    }

    /// All that was written here before a token is done on the server; what
    /// fetch-mail wrote right behind it is nothing to be done.
    pub fn is_sent(&mut self, read: Token) {
        let mut here = read;
        for (from, to) in &self.own {
            if from.generation == here.generation && from.offset <= here.offset {
                here.offset = here.offset.max(*to);
            }
        }
        self.own
            .retain(|(from, to)| from.generation == here.generation && *to > here.offset);
        self.here = Some(here);
        self.done = Facts::default();
    }
}

impl State {
    /// Reads the state, or begins one for this address.
    ///
    /// # Errors
    /// [`Failure::OtherAccount`], [`Failure::State`], or a fault.
    pub fn open(desk: &mut Desk, mailbox: &Path, address: &Address) -> Result<Self, Failure> {
        let Some(octets) = desk.state()? else {
            return Ok(Self {
                address: address.to_string(),
                places: BTreeMap::new(),
            });
        };
        let state = Self::parse(&octets).map_err(|line| Failure::State {
            path: desk.state_path(),
            line,
        })?;
        if Address::parse(&state.address).is_ok_and(|of| of == *address) {
            Ok(state)
        } else {
            Err(Failure::OtherAccount {
                dir: mailbox.to_owned(),
                of: state.address,
                wanted: address.clone(),
            })
        }
    }

    /// How far a folder has come; `None` where nothing is known of it.
    pub fn place(&self, folder: &FolderName) -> Option<&Place> {
        self.places.get(folder)
    }

    /// The same, to be changed; where nothing is known, that is begun.
    pub fn place_mut(&mut self, folder: &FolderName) -> &mut Place {
        self.places.entry(folder.clone()).or_default()
    }

    /// The folders of which something is known.
    pub fn names(&self) -> impl Iterator<Item = &FolderName> {
        self.places.keys()
    }

    /// Whether so many messages of a folder that did not come can be kept in mind,
    /// beside those of the others.
    pub fn has_room(&self, folder: &FolderName, missing: usize) -> bool {
        let others = self.places.iter().filter(|(name, _)| *name != folder);
        let others = others.map(|(_, place)| place.missing.len());
        others.fold(missing, usize::saturating_add) <= MAX_MISSING || missing == 0
    }

    /// Nothing is known of a folder any more.
    pub fn forget(&mut self, folder: &FolderName) {
        self.places.remove(folder);
    }

    /// Brings it onto the disk, where it is not as it is there.
    ///
    /// # Errors
    /// A fault.
    pub fn write(&self, desk: &mut Desk) -> Result<(), Failure> {
        desk.write_state(self.to_text().as_bytes())
    }
}
