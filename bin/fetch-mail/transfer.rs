//! The messages of one folder, from the server into the mailbox here.
//!
//! Up to 64 questions are asked ahead, so that the distance to the server costs
//! its time once and not for each message. What is whole and right is staged;
//! from time to time, and however it ends, what is staged is committed, and only
//! then the folder's token goes on.

use std::collections::{BTreeSet, HashSet, VecDeque};

use ima_mailbox::{Folder, MailboxError};
use ima_message::{FolderName, HeaderBlock, MessageDigest, Part};
use ima_proto::imrp::{Answer, SinkError};

use crate::attachment::{Came, Coming};
use crate::body::{self, Body};
use crate::failure::Failure;
use crate::intake::Intake;
use crate::listing::{Listing, Wanted};
use crate::mirror::Mirror;
use crate::progress::Progress;
use crate::session::Session;
use crate::tally::Tally;
use crate::waiting::Waiting;

/// Questions that wait for their answers.
const AHEAD: usize = 64;
/// Messages that wait for their attachments.
const WAITING: usize = 64;
/// Wrong messages after which a server is asked no more.
const MAX_WRONG: usize = 16;

/// What all folders of a run share.
pub struct Run<'a> {
    /// The server.
    pub session: &'a mut Session,
    /// The mailbox here.
    pub mirror: &'a mut Mirror,
    /// What a person sees.
    pub progress: &'a mut Progress,
    /// What came of it so far.
    pub tally: &'a mut Tally,
}

/// The transfer of one folder.
pub struct Transfer<'a, 'r> {
    run: &'a mut Run<'r>,
    name: &'a FolderName,
    folder: &'a Folder,
    listing: &'a Listing,
    intake: Intake<'a>,
    /// The first message that was not asked for yet.
    next: usize,
    asked: VecDeque<Asked>,
    /// Attachments that are to be asked for.
    to_ask: VecDeque<Part>,
    waiting: Waiting,
    /// How many messages from the first on are in the mailbox, durably,
    settled: usize,
    /// and which beyond.
    settled_beyond: BTreeSet<usize>,
}

/// A question.
enum Asked {
    Message(Wanted),
    Part(Part, Coming),
}

impl<'a, 'r> Transfer<'a, 'r> {
    /// Of a folder, what was listed.
    pub fn new(
        run: &'a mut Run<'r>,
        name: &'a FolderName,
        folder: &'a Folder,
        listing: &'a Listing,
    ) -> Self {
        Self {
            run,
            name,
            folder,
            listing,
            intake: Intake::new(folder),
            next: 0,
            asked: VecDeque::new(),
            to_ask: VecDeque::new(),
            waiting: Waiting::default(),
            settled: 0,
            settled_beyond: BTreeSet::new(),
        }
    }

    /// Fetches all of it.
    ///
    /// # Errors
    /// What ended it; what had come whole is stored all the same.
    pub fn fetch(mut self) -> Result<(), Failure> {
        let outcome = self.exchange();
        let committed = self.commit();
        outcome.and(committed)
    }

    fn exchange(&mut self) -> Result<(), Failure> {
        loop {
            self.ask()?;
            if self.run.session.is_stopped() {
                return Err(Failure::Stopped);
            }
            let Some(asked) = self.asked.front() else {
                return Ok(());
            };
            let (octets, room) = match asked {
                Asked::Message(wanted) => (wanted.octets, 0),
                Asked::Part(part, coming) => {
                    let missing = coming.missing();
                    (missing, missing.saturating_add(part.length()))
                }
            };
            if self.intake.is_due(octets) {
                self.commit()?;
            }
            // What came since that was asked for may have filled the disk.
            self.folder.can_take(room)?;
            match self.asked.pop_front() {
                Some(Asked::Message(wanted)) => self.take_message(wanted)?,
                Some(Asked::Part(part, coming)) => self.take_part(&part, coming)?,
                None => {}
            }
        }
    }

    /// Asks for as much as may be asked for.
    fn ask(&mut self) -> Result<(), Failure> {
        while self.asked.len() < AHEAD {
            if let Some(part) = self.to_ask.pop_front() {
                self.ask_part(part)?;
            } else if self.waiting.len() < WAITING
                && let Some(wanted) = self.listing.wanted.get(self.next)
            {
                self.next = self.next.saturating_add(1);
                self.ask_message(*wanted)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn ask_message(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let digest = wanted.digest;
        if self.run.tally.is_wrong(digest) {
            return Ok(());
        }
        // A list may name a message twice.
        if self.is_asked(digest) || self.folder.message(digest)?.is_some() {
            self.run.progress.octets(wanted.octets);
            self.settle(wanted.index);
            return Ok(());
        }
        let desk = &self.run.mirror.desk;
        if let Some(full) = self.lacks_room(desk.needs(wanted.octets, 0))? {
            return self.miss(wanted, &full);
        }
        if let Some(kept) = Body::kept(desk, digest)? {
            if let Ok(header) = kept.verify(digest) {
                self.run.progress.octets(header.as_bytes().len() as u64);
                return self.complete(wanted, &header, kept);
            }
            desk.remove_partial(&body::name(digest))?;
        }
        let client = &mut self.run.session.client;
        client.ask_message(self.name, digest, wanted.octets)?;
        self.asked.push_back(Asked::Message(wanted));
        Ok(())
    }

    /// Why there is no room for so many octets.
    fn lacks_room(&self, octets: u64) -> Result<Option<String>, Failure> {
        match self.folder.can_take(octets) {
            Err(error @ (MailboxError::Full { .. } | MailboxError::NoInodes { .. })) => {
                Ok(Some(format!("there is no room for it: {error}")))
            }
            taken => Ok(taken.map(|()| None)?),
        }
    }

    /// Whether a message was asked for before, and is not committed yet.
    fn is_asked(&self, digest: MessageDigest) -> bool {
        let mut open = self.unsettled();
        self.intake.holds(digest) || open.any(|wanted| wanted.digest == digest)
    }

    fn take_message(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let Run {
            session,
            mirror,
            progress,
            ..
        } = &mut *self.run;
        let mut body = Body::new();
        let answer = session.client.answer(&mut |octets: &[u8]| {
            progress.octets(octets.len() as u64);
            body.take(&mirror.desk, wanted.digest, octets)
        });
        match answer {
            Ok(Answer::Whole) => {}
            Ok(Answer::Refused(text)) => {
                return self.miss(wanted, &format!("the server does not give it: {text}"));
            }
            Err(error) => {
                // It may have come whole before the connection broke.
                if body.verify(wanted.digest).is_ok() {
                    body.keep(&mirror.desk, wanted.digest)?;
                }
                return Err(unsunk(error));
            }
        }
        match body.verify(wanted.digest) {
            Ok(header) => self.complete(wanted, &header, body),
            Err(wrong) => {
                let desk = &self.run.mirror.desk;
                desk.remove_partial(&body::name(wanted.digest))?;
                self.wrong(&[wanted], &wrong.to_string())
            }
        }
    }

    /// A message is here, but for its attachments or some of them.
    fn complete(
        &mut self,
        wanted: Wanted,
        header: &HeaderBlock,
        mut body: Body,
    ) -> Result<(), Failure> {
        let mut lacks = HashSet::new();
        let mut octets: u64 = 0;
        let to_ask = self.to_ask.len();
        for (_, part) in header.attachments() {
            let digest = part.digest();
            let is_coming = lacks.contains(&digest) || self.waiting.awaits(digest);
            let is_here = !is_coming && self.intake.has(self.run.mirror, part)?;
            if is_coming || is_here {
                self.run.progress.octets(part.length());
            } else {
                self.to_ask.push_back(part.clone());
                octets = octets.saturating_add(part.length());
            }
            if !is_here {
                lacks.insert(digest);
            }
        }
        if lacks.is_empty() {
            return self.stage(wanted, header, &body);
        }
        // Attachments are copied from where they come to.
        let desk = &self.run.mirror.desk;
        if let Some(full) = self.lacks_room(desk.needs(octets, octets))? {
            self.to_ask.truncate(to_ask);
            return self.miss(wanted, &full);
        }
        body.keep(desk, header.digest())?;
        self.waiting.add(wanted, lacks);
        Ok(())
    }

    fn ask_part(&mut self, part: Part) -> Result<(), Failure> {
        let coming = Coming::begin(&self.run.mirror.desk, &part)?;
        self.run.progress.octets(coming.here());
        if coming.missing() == 0 {
            return self.end_part(&part, coming);
        }
        let (from, rest) = (coming.here(), coming.missing());
        let client = &mut self.run.session.client;
        client.ask_part(self.name, part.digest(), from, rest)?;
        self.asked.push_back(Asked::Part(part, coming));
        Ok(())
    }

    fn take_part(&mut self, part: &Part, mut coming: Coming) -> Result<(), Failure> {
        let Run {
            session,
            mirror,
            progress,
            ..
        } = &mut *self.run;
        let answer = session.client.answer(&mut |octets: &[u8]| {
            progress.octets(octets.len() as u64);
            coming.take(&mirror.desk, octets)
        });
        match answer.map_err(unsunk)? {
            Answer::Whole => self.end_part(part, coming),
            Answer::Refused(text) => {
                let why = format!("the server does not give an attachment of it: {text}");
                let waiters = self.waiting.give_up(part.digest());
                waiters
                    .into_iter()
                    .try_for_each(|wanted| self.miss(wanted, &why))
            }
        }
    }

    fn end_part(&mut self, part: &Part, coming: Coming) -> Result<(), Failure> {
        let digest = part.digest();
        match coming.end(&self.run.mirror.desk)? {
            Came::Right => {}
            Came::Again => {
                self.to_ask.push_front(part.clone());
                return Ok(());
            }
            Came::Wrong => {
                let waiters = self.waiting.give_up(digest);
                return self.wrong(&waiters, "an attachment of it is not what was announced");
            }
        }
        self.intake.is_whole(digest);
        let complete = self.waiting.came(digest);
        complete
            .into_iter()
            .try_for_each(|wanted| self.stage_kept(wanted))
    }

    /// Stages a message that has waited in `partial/`.
    fn stage_kept(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let kept = Body::kept(&self.run.mirror.desk, wanted.digest)?;
        match kept.map(|body| (body.verify(wanted.digest), body)) {
            Some((Ok(header), body)) => self.stage(wanted, &header, &body),
            _ => self.miss(wanted, "what was kept of it is damaged"),
        }
    }

    fn stage(&mut self, wanted: Wanted, header: &HeaderBlock, body: &Body) -> Result<(), Failure> {
        match self.intake.stage(self.run.mirror, &wanted, header, body)? {
            Ok(()) => {
                self.run.progress.message();
                Ok(())
            }
            Err(damage) => self.miss(wanted, &damage.to_string()),
        }
    }

    /// Makes visible and durable what is staged; then the token goes on.
    fn commit(&mut self) -> Result<(), Failure> {
        let committed = self.intake.commit(self.run.mirror)?;
        let tally = &mut *self.run.tally;
        tally.stored = tally.stored.saturating_add(committed.new);
        tally.octets = tally.octets.saturating_add(committed.octets);
        committed
            .places
            .into_iter()
            .for_each(|index| self.settle(index));
        match self.listing.token(self.settled) {
            Some(token) => self.run.mirror.advance(self.name, token),
            None => Ok(()),
        }
    }

    fn settle(&mut self, index: usize) {
        self.settled_beyond.insert(index);
        while self.settled_beyond.remove(&self.settled) {
            self.settled = self.settled.saturating_add(1);
        }
    }

    /// The messages that were asked for and are not staged.
    fn unsettled(&self) -> impl Iterator<Item = &Wanted> {
        let asked = self.asked.iter().filter_map(|asked| match asked {
            Asked::Message(wanted) => Some(wanted),
            Asked::Part(..) => None,
        });
        asked.chain(self.waiting.messages())
    }

    /// A message does not come.
    fn miss(&mut self, wanted: Wanted, why: &str) -> Result<(), Failure> {
        let text = format!("{}, message {}: {why}", self.name, wanted.digest);
        self.run.tally.miss(text);
        Ok(())
    }

    /// Messages came wrong, for one reason.
    fn wrong(&mut self, messages: &[Wanted], why: &str) -> Result<(), Failure> {
        for wanted in messages {
            self.run.tally.wrong(self.name, wanted.digest, why);
        }
        match self.run.tally.wrongs() > MAX_WRONG {
            true => Err(Failure::TooMuchDamage),
            false => Ok(()),
        }
    }
}

fn unsunk(error: SinkError<Failure>) -> Failure {
    match error {
        SinkError::Client(error) => error.into(),
        SinkError::Sink(failure) => failure,
    }
}
