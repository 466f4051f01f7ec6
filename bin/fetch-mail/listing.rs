//! What a folder of the server holds and the folder here does not.

use std::collections::HashSet;

use ima_mailbox::{Changes, Folder};
use ima_message::{DateTime, Entry, FolderName, MessageDigest, Token};
use ima_proto::imrp::{Change, Synced};

use crate::failure::Failure;
use crate::transfer::Run;

/// A message that is to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Its place in the listing.
    pub index: usize,
    /// Which.
    pub digest: MessageDigest,
    /// Its octets, attachments included.
    pub octets: u64,
    /// When it came to the server, in seconds since 1970.
    seconds: i64,
    /// The token behind it, of the listing's generation.
    behind: u64,
}

impl Wanted {
    /// When it came to the server.
    pub fn time(&self) -> Option<DateTime> {
        DateTime::utc(self.seconds)
    }
}

/// The messages of a folder that are to be fetched, in the order of its journal.
#[derive(Debug)]
pub struct Listing {
    /// The messages.
    pub wanted: Vec<Wanted>,
    /// Whether there may be more of them behind the last.
    pub is_cut: bool,
    /// Where the list was begun.
    since: Option<Token>,
    /// How far it goes; `None` where nothing is known of it.
    upto: Option<Token>,
}

impl Listing {
    /// Asks what came into a folder since a token. Of what is missing here at
    /// most `most` messages are held. A folder that the server has no more holds
    /// nothing.
    ///
    /// # Errors
    /// Where the server breaks the rules; a fault.
    pub fn ask(
        run: &mut Run<'_>,
        name: &FolderName,
        folder: &Folder,
        since: Option<Token>,
        most: usize,
    ) -> Result<Self, Failure> {
        let mut here = Here::new(folder);
        let mut list = List {
            name,
            most,
            listing: Self {
                wanted: Vec::new(),
                is_cut: false,
                since,
                upto: since,
            },
            fault: None,
        };
        let synced = run.session.client.sync(name, since, &mut |change| {
            // What came before a fault is of no use, and what comes after neither.
            if list.fault.is_none() {
                list.fault = list.take(change, &mut here).err();
            }
        })?;
        if let Some(fault) = list.fault {
            return Err(fault);
        }
        match synced {
            Synced::Upto(token) => {
                list.ends(token)?;
                here.announce()?;
                Ok(list.listing)
            }
            // What is missing then deletes nothing here.
            Synced::Reset(_) if since.is_some() => Self::ask(run, name, folder, None, most),
            Synced::Reset(_) => Err(Failure::List(name.clone())),
            Synced::Refused(text) => {
                run.tally
                    .miss(format!("{name}: the server does not list it: {text}"));
                Ok(list.listing)
            }
        }
    }

    /// A token before which everything is here, where the first `settled` of the
    /// wanted messages are.
    pub fn token(&self, settled: usize) -> Option<Token> {
        if settled >= self.wanted.len() {
            return self.upto;
        }
        match settled
            .checked_sub(1)
            .and_then(|last| self.wanted.get(last))
        {
            None => self.since,
            Some(last) => self.upto.map(|upto| Token {
                generation: upto.generation,
                offset: last.behind,
            }),
        }
    }
}

/// A list that is being told.
struct List<'a> {
    name: &'a FolderName,
    most: usize,
    listing: Listing,
    fault: Option<Failure>,
}

impl List<'_> {
    fn take(&mut self, change: Change, here: &mut Here<'_>) -> Result<(), Failure> {
        let listing = &mut self.listing;
        if listing.is_cut {
            return Ok(());
        }
        let grows = listing.upto.is_none_or(|before| {
            before.generation == change.token.generation && before.offset < change.token.offset
        });
        if !grows {
            return Err(Failure::List(self.name.clone()));
        }
        if let Entry::Add {
            digest,
            time,
            octets,
        } = change.entry
            && !here.has(digest, &time, octets)?
        {
            if listing.wanted.len() >= self.most {
                listing.is_cut = true;
                return Ok(());
            }
            listing.wanted.push(Wanted {
                index: listing.wanted.len(),
                digest,
                octets,
                seconds: time.unix_seconds(),
                behind: change.token.offset,
            });
        }
        listing.upto = Some(change.token);
        Ok(())
    }

    /// The list ends at this token.
    fn ends(&mut self, token: Token) -> Result<(), Failure> {
        let listing = &mut self.listing;
        let follows = listing
            .upto
            .is_none_or(|last| last.generation == token.generation && last.offset <= token.offset);
        if !follows {
            return Err(Failure::List(self.name.clone()));
        }
        if !listing.is_cut {
            listing.upto = Some(token);
        }
        Ok(())
    }
}

/// What the folder here holds.
struct Here<'a> {
    folder: &'a Folder,
    /// The messages of its journal: read when one is asked for whose file is
    /// there.
    known: Option<HashSet<MessageDigest>>,
    /// Messages whose files are there, and that the journal does not know:
    /// whoever stored them was killed in between.
    unknown: Vec<(MessageDigest, DateTime, u64)>,
}

impl<'a> Here<'a> {
    fn new(folder: &'a Folder) -> Self {
        Self {
            folder,
            known: None,
            unknown: Vec::new(),
        }
    }

    /// Whether a message is here, or was deleted here.
    fn has(
        &mut self,
        digest: MessageDigest,
        time: &DateTime,
        octets: u64,
    ) -> Result<bool, Failure> {
        if self.folder.message(digest)?.is_none() {
            return Ok(self.folder.was_removed(digest)?);
        }
        let known = match self.known.take() {
            Some(known) => known,
            None => known(self.folder)?,
        };
        if !known.contains(&digest) {
            self.unknown.push((digest, time.clone(), octets));
        }
        self.known = Some(known);
        Ok(true)
    }

    /// Tells the journal of what it does not know.
    fn announce(self) -> Result<(), Failure> {
        let mut batch = self.folder.batch()?;
        for (digest, time, octets) in self.unknown {
            batch.add_again(digest, time, octets);
        }
        batch.commit()?;
        Ok(())
    }
}

/// The messages of a folder's journal.
fn known(folder: &Folder) -> Result<HashSet<MessageDigest>, Failure> {
    let mut known = HashSet::new();
    if let Changes::Since(entries, _) = folder.changes(None)? {
        for change in entries {
            match change?.entry {
                Entry::Add { digest, .. } => {
                    known.insert(digest);
                }
                Entry::Del { digest } => {
                    known.remove(&digest);
                }
                _ => {}
            }
        }
    }
    Ok(known)
}
