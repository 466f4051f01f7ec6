//! All folders of a mailbox.

use ima_mailbox::Folder;
use ima_message::{FolderName, Token};
use ima_program::Exit;

use crate::failure::Failure;
use crate::listing::Listing;
use crate::mirror::Mirror;
use crate::progress::Progress;
use crate::session::Session;
use crate::tally::Tally;
use crate::transfer::{Run, Transfer};

/// Folders that are taken from one server.
pub const MAX_FOLDERS: usize = 1000;
/// Messages to be fetched that are held in memory: 64 MiB of them.
const MAX_WANTED: usize = 1 << 20;

/// Fetches what is new in all folders, and says what went wrong with single
/// messages.
///
/// # Errors
/// What ended it; what had come whole is stored all the same.
pub fn fetch(session: &mut Session, mirror: &mut Mirror) -> Result<Exit, Failure> {
    let mut progress = Progress::new();
    let mut tally = Tally::default();
    let outcome = Run {
        session,
        mirror,
        progress: &mut progress,
        tally: &mut tally,
    }
    .fetch();
    let is_all = outcome.is_ok() && tally.exit() == Exit::Done;
    progress.end(tally.stored, tally.octets, is_all);
    tally.say();
    outcome.map_err(|failure| session.cause(failure))?;
    Ok(tally.exit())
}

/// A folder in which something changed.
struct Changed {
    name: FolderName,
    folder: Folder,
    /// From where on it is listed.
    since: Option<Token>,
}

impl Run<'_> {
    /// Lists first what is new in all folders, which gives the totals, and then
    /// fetches it. Where a list was cut, or a message did not come, perhaps since
    /// it was deleted on the server meanwhile, that is done once more: as long as
    /// something comes of it.
    fn fetch(&mut self) -> Result<(), Failure> {
        let mut is_first = true;
        loop {
            let before = self.tally.stored;
            self.tally.begin_again();
            let changed = self.changed()?;
            let listings = self.list(&changed)?;
            let mut is_cut = false;
            for (Changed { name, folder, .. }, listing) in changed.iter().zip(&listings) {
                is_cut |= listing.is_cut;
                Transfer::new(self, name, folder, listing).fetch()?;
            }
            if !is_cut && !self.tally.is_missing() {
                break;
            }
            if !is_first && self.tally.stored == before {
                return Ok(());
            }
            is_first = false;
        }
        self.mirror.desk.clear_partials()
    }

    /// The folders in which something changed, opened here.
    fn changed(&mut self) -> Result<Vec<Changed>, Failure> {
        let folders = self.session.client.folders()?;
        if folders.len() > MAX_FOLDERS {
            return Err(Failure::TooManyFolders(folders.len()));
        }
        let is_there = |name: &_| folders.iter().any(|status| status.name == *name);
        self.mirror.state.keep(is_there);
        let mut changed = Vec::new();
        for status in folders {
            let (folder, since) = self.mirror.folder(&status.name)?;
            // What the state says holds of a folder whose journal is there.
            if let Err(fault) = folder.token() {
                self.tally.spoiled(&status.name, &fault);
                continue;
            }
            if since != Some(status.token) {
                let name = status.name;
                changed.push(Changed {
                    name,
                    folder,
                    since,
                });
            }
        }
        Ok(changed)
    }

    /// What is new in each folder.
    fn list(&mut self, changed: &[Changed]) -> Result<Vec<Listing>, Failure> {
        let mut left = MAX_WANTED;
        let mut listings = Vec::with_capacity(changed.len());
        for Changed {
            name,
            folder,
            since,
        } in changed
        {
            let listing = Listing::ask(self, name, folder, *since, left)?;
            left = left.saturating_sub(listing.wanted.len());
            let octets = listing.wanted.iter().map(|wanted| wanted.octets);
            let octets = octets.fold(0, u64::saturating_add);
            self.progress.expect(listing.wanted.len(), octets);
            listings.push(listing);
        }
        Ok(listings)
    }
}
