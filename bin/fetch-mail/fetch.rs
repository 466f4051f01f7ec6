//! A run: rounds, until both sides hold the same.

use std::collections::{HashMap, HashSet};

use ima_program::Exit;
use ima_program::report::chain;

use crate::failure::Failure;
use crate::maildir;
use crate::mirror::Mirror;
use crate::progress::Progress;
use crate::round::Run;
use crate::session::Session;
use crate::tally::{Spoken, Tally};

/// Rounds after which the next run goes on: somebody changes more all the time.
const MAX_ROUNDS: usize = 10_000;

/// Brings the mailbox here and the one on the server to hold the same, as far as
/// the session's scope goes, and says what went wrong with single messages. How far
/// each folder has come then, the mirror's state says.
///
/// # Errors
/// What ended it; what had come whole is stored all the same.
pub fn fetch(
    session: &mut Session,
    mirror: &mut Mirror,
    spoken: &mut Spoken,
) -> Result<Exit, Failure> {
    let scope = session.scope.clone();
    let mut progress = Progress::new();
    let mut tally = Tally::default();
    let maildirs = match &scope.maildir {
        Some(root) => Some(maildir::take(root, &mirror.mailbox, &mirror.address)?),
        None => None,
    };
    let mut run = Run {
        session,
        mirror,
        progress: &mut progress,
        tally: &mut tally,
        scope: &scope,
        refused: HashSet::new(),
        undone: HashMap::new(),
        is_partly_read: false,
        is_partly_listed: false,
    };
    let outcome = run.rounds();
    // What is not there is not known: that is no harm.
    let written = mirror.write_state();
    let given = maildirs.map(|maildirs| maildirs.give(&mirror.mailbox));
    let given = given.transpose().map(|given| {
        let faults = given.iter().flat_map(|given| &given.faults);
        faults.for_each(|fault| tally.miss(chain(fault)));
    });
    let outcome = outcome.and(written).and(given.map_err(Failure::from));
    let exit = tally.exit();
    let is_all = outcome.is_ok() && exit == Exit::Done;
    progress.end(spoken, tally.stored, tally.octets, is_all);
    tally.say(spoken, outcome.is_ok());
    outcome.map_err(|failure| session.cause(failure))?;
    Ok(exit)
}

impl Run<'_> {
    /// One round and, where something came of it that there may be more of, or
    /// where a message did not come, perhaps since it was deleted on the server
    /// meanwhile, another: as long as something comes of it.
    fn rounds(&mut self) -> Result<(), Failure> {
        let mut is_first = true;
        let mut is_changed = false;
        for _ in 0..MAX_ROUNDS {
            let before = self.tally.done();
            self.tally.begin_again();
            self.is_partly_read = false;
            self.is_partly_listed = false;
            let folders = self.session.folders()?;
            let again = self.round(folders)?;
            is_changed |= self.tally.done() != before || again;
            if !again && !self.tally.is_missing() {
                break;
            }
            if !is_first && self.tally.done() == before {
                return Ok(());
            }
            is_first = false;
        }
        if is_changed {
            self.tidy()?;
            self.mirror.desk.clear_partials()?;
            self.mirror.desk.clear_headers()?;
        }
        Ok(())
    }

    /// Writes the journals here anew of which much is dead, and goes on behind
    /// what they hold.
    fn tidy(&mut self) -> Result<(), Failure> {
        let names: Vec<_> = self.mirror.state.names().cloned().collect();
        for name in names {
            let Some(folder) = self.mirror.mailbox.folder(&name)? else {
                continue;
            };
            let place = self.mirror.state.place_mut(&name);
            if !place.is_quiet() || folder.token().ok() != place.here {
                continue;
            }
            let tidied = folder.tidy()?;
            // Where somebody was quicker, all is compared the next time.
            if let Some(compacted) = tidied
                && place.here == Some(compacted.from)
            {
                place.here = Some(compacted.to);
            }
        }
        Ok(())
    }
}
