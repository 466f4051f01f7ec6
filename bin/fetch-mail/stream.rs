//! A first fetch: what changed in a folder and its messages, in one answer.
//!
//! Where nothing is here yet, nothing of what the server has can be here already:
//! then its list and its messages come together, without a question for each. They
//! are stored as they come: some are brought onto the disk while the next are on
//! their way. Those that have attachments are kept, and their attachments are asked
//! for afterwards, by [`crate::transfer`].

use std::collections::HashSet;
use std::sync::mpsc::{self, RecvError};
use std::thread::{self, Scope, ScopedJoinHandle};

use ima_mailbox::{Folder, MailboxError};
use ima_message::{Entry, FolderName, MessageDigest};
use ima_proto::imrp::{FolderStatus, Next, Synced, Syncing};

use crate::body::{self, Body};
use crate::failure::Failure;
use crate::intake::{Arrived, Damage, Intake, Leaving};
use crate::pairs::Pair;
use crate::room::Room;
use crate::round::Run;
use crate::there::List;
use crate::touch::Added;
use crate::transfer::unsunk;
use crate::wanted::Wanted;

/// The messages of one folder, on their way.
pub struct Stream<'a, 'r> {
    run: &'a mut Run<'r>,
    name: &'a FolderName,
    folder: &'a Folder,
    there: &'a FolderStatus,
    intake: Intake<'a>,
    room: Room,
    brought: HashSet<MessageDigest>,
    told: u64,
}

/// What is brought onto the disk meanwhile.
struct Aside<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    leaving: Option<ScopedJoinHandle<'scope, Result<Result<Arrived, MailboxError>, RecvError>>>,
}

/// What came of it.
pub struct Streamed {
    /// The end of the answer.
    pub synced: Synced,
    /// The messages of the list that are in the mailbox here, durably, but for
    /// their flags.
    pub brought: HashSet<MessageDigest>,
    /// All came of which the server had told before that it has them.
    pub is_whole: bool,
}

impl Run<'_> {
    /// Whether this is a first fetch: no earlier run has seen any of the folders, none
    /// here holds anything, nothing has begun to come, there is room for all, and all
    /// is to come. Whatever ends it, the next run lists: what was deleted here
    /// meanwhile stays so, and where one message is in the way the others come.
    ///
    /// # Errors
    /// A fault.
    pub fn is_first(&self, pairs: &[Pair]) -> Result<bool, Failure> {
        if self.scope.since.is_some()
            || pairs.iter().any(|pair| pair.is_known)
            || self.mirror.desk.has_partials()
        {
            return Ok(false);
        }
        for name in self.mirror.mailbox.names()? {
            let folder = self.mirror.mailbox.folder(&name);
            let status = folder.and_then(|folder| folder.map(|f| f.status()).transpose());
            if !status.is_ok_and(|status| status.is_none_or(|status| status.messages == 0)) {
                return Ok(false);
            }
        }
        let octets = pairs.iter().map(|pair| pair.there.octets);
        let octets = octets.fold(0, u64::saturating_add);
        Ok(pairs
            .iter()
            .all(|pair| pair.folder.can_take(octets).is_ok()))
    }
}

impl<'a, 'r> Stream<'a, 'r> {
    /// Of a folder that was asked for by [`ima_proto::imrp::SyncMode::Messages`].
    pub fn new(
        run: &'a mut Run<'r>,
        name: &'a FolderName,
        folder: &'a Folder,
        there: &'a FolderStatus,
    ) -> Self {
        Self {
            run,
            name,
            folder,
            there,
            intake: Intake::new(folder),
            room: Room::default(),
            brought: HashSet::new(),
            told: 0,
        }
    }

    /// Takes the answer, and tells the list what it says.
    ///
    /// # Errors
    /// What ended it; what had come whole is stored all the same.
    pub fn take(mut self, list: &mut List<'_>) -> Result<Streamed, Failure> {
        let synced = thread::scope(|scope| {
            let mut aside = Aside {
                scope,
                leaving: None,
            };
            let outcome = self.exchange(list, &mut aside);
            let left = self.leave(list, &mut aside);
            let arrived = self.arrive(list, &mut aside);
            let synced = outcome?;
            left.and(arrived)?;
            Ok::<_, Failure>(synced)
        })?;
        Ok(Streamed {
            synced,
            brought: self.brought,
            is_whole: self.told >= self.there.messages,
        })
    }

    fn exchange<'scope>(
        &mut self,
        list: &mut List<'_>,
        aside: &mut Aside<'scope, '_>,
    ) -> Result<Synced, Failure>
    where
        'a: 'scope,
    {
        let mut syncing = self.run.session.client.begin_sync()?;
        loop {
            if self.run.session.is_stopped() {
                return Err(Failure::Stopped);
            }
            let (change, length) = match self.run.session.client.next_change(&mut syncing)? {
                Next::Change(change, length) => (change, length),
                Next::End(synced) => return Ok(synced),
            };
            let before = list.touches.get(&change.entry.digest());
            let is_again = before.is_some_and(|touch| touch.added.is_some());
            list.take(&change);
            list.is_sound()?;
            let (
                Entry::Add {
                    digest,
                    time,
                    octets,
                },
                Some(length),
            ) = (&change.entry, length)
            else {
                continue;
            };
            let (token, upto) = (change.token, self.there.token);
            let is_told = token.generation == upto.generation && token.offset <= upto.offset;
            if is_told && !is_again {
                self.told = self.told.saturating_add(1);
            }
            let added = Added {
                seconds: time.unix_seconds(),
                octets: *octets,
            };
            let wanted = Wanted::new(0, *digest, added, Default::default());
            if self.intake.is_due(length) {
                self.leave(list, aside)?;
            }
            self.room.take(self.folder, length)?;
            self.take_message(&mut syncing, &wanted)?;
        }
    }

    fn take_message(&mut self, syncing: &mut Syncing, wanted: &Wanted) -> Result<(), Failure> {
        let Run {
            session,
            mirror,
            progress,
            ..
        } = &mut *self.run;
        let digest = wanted.digest;
        let mut body = Body::new();
        let taken = session.client.sync_octets(syncing, &mut |octets: &[u8]| {
            progress.octets(octets.len() as u64);
            body.take(&mirror.desk, digest, octets)
        });
        taken.map_err(unsunk)?;
        let why = match body.header(digest) {
            Ok(header) if header.attachments().next().is_none() => {
                match self.intake.stage(mirror, wanted, &header, &body)? {
                    Ok(()) => {
                        progress.message();
                        return Ok(());
                    }
                    Err(Damage::Data(error)) => body::Wrong::Data(error.into()).to_string(),
                    // It is wanted still, and then it is said what is wrong with it.
                    Err(_) => return Ok(()),
                }
            }
            Ok(_) => match body.verify(digest) {
                Ok(_) => return body.keep(&mirror.desk, digest),
                Err(wrong) => wrong.to_string(),
            },
            Err(wrong) => wrong.to_string(),
        };
        mirror.desk.remove_partial(&body::name(digest))?;
        self.run.wrong(self.name, digest, &why)
    }

    /// Lets what is staged be made visible and durable, once what went before is.
    fn leave<'scope>(
        &mut self,
        list: &List<'_>,
        aside: &mut Aside<'scope, '_>,
    ) -> Result<(), Failure>
    where
        'a: 'scope,
    {
        self.arrive(list, aside)?;
        let Some(leaving) = self.intake.leave(self.run.mirror, self.name)? else {
            return Ok(());
        };
        let (give, given) = mpsc::channel::<Leaving<'a>>();
        let thread = thread::Builder::new();
        match thread.spawn_scoped(aside.scope, move || given.recv().map(Leaving::commit)) {
            Ok(thread) => {
                aside.leaving = Some(thread);
                give.send(leaving).or_else(|unsent| {
                    let arrived = unsent.0.commit()?;
                    self.arrived(list, arrived)
                })
            }
            // Then it takes its time.
            Err(_) => self.arrived(list, leaving.commit()?),
        }
    }

    /// Waits until what was to be stored is.
    fn arrive(&mut self, list: &List<'_>, aside: &mut Aside<'_, '_>) -> Result<(), Failure> {
        let Some(leaving) = aside.leaving.take() else {
            return Ok(());
        };
        match leaving.join() {
            Ok(Ok(arrived)) => self.arrived(list, arrived?),
            Ok(Err(_)) => Ok(()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn arrived(&mut self, list: &List<'_>, arrived: Arrived) -> Result<(), Failure> {
        let mirror = &mut *self.run.mirror;
        let stored = self.intake.arrive(mirror, self.name, arrived)?;
        self.run.tally.stored(&stored);
        // What the list does not hold is told again.
        let digests = stored.messages.iter().map(|(_, digest)| *digest);
        self.brought
            .extend(digests.filter(|digest| list.touches.contains_key(digest)));
        Ok(())
    }
}
