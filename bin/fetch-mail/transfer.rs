//! The messages of one folder, from the server into the mailbox here.
//!
//! Up to 128 questions are asked ahead, so that the distance to the server costs
//! its time once and not for each message, and half of them at a time, since each
//! packet costs too. What is whole and right is staged;
//! from time to time, and however it ends, what is staged is committed.

use std::collections::{BTreeSet, HashSet, VecDeque};

use ima_mailbox::{Folder, MailboxError};
use ima_message::{FolderName, HeaderBlock, MessageDigest, Part};
use ima_proto::imrp::{Answer, SinkError};

use crate::attachment::{Came, Coming};
use crate::body::{self, Body};
use crate::failure::Failure;
use crate::intake::Intake;
use crate::mirror::find;
use crate::room::Room;
use crate::round::Run;
use crate::waiting::Waiting;
use crate::wanted::Wanted;

/// Questions that wait for their answers.
const AHEAD: usize = 128;
/// As many as are left when more are asked.
const ENOUGH: usize = AHEAD / 2;
/// Messages that wait for their attachments.
const WAITING: usize = 64;
/// Octets that a message may have without its attachments, even where its folder's
/// list names fewer: whether they are right, its digest says.
const BODY: u64 = 4 << 20;
/// Wrong messages after which a server is asked no more.
const MAX_WRONG: usize = 16;

/// The transfer of one folder.
pub struct Transfer<'a, 'r> {
    run: &'a mut Run<'r>,
    name: &'a FolderName,
    folder: &'a Folder,
    /// The other folders here.
    others: Vec<Folder>,
    wanted: &'a [Wanted],
    intake: Intake<'a>,
    /// The first message that was not asked for yet.
    next: usize,
    asked: VecDeque<Asked>,
    /// Attachments that are to be asked for.
    to_ask: VecDeque<Part>,
    waiting: Waiting,
    room: Room,
    /// The places of the messages that are not in the mailbox yet, durably.
    missing: BTreeSet<usize>,
}

/// A question.
enum Asked {
    Message(Wanted),
    Part(Part, Coming),
}

impl<'a, 'r> Transfer<'a, 'r> {
    /// Of messages that a folder lacks, or does not have whole.
    pub fn new(
        run: &'a mut Run<'r>,
        name: &'a FolderName,
        folder: &'a Folder,
        wanted: &'a [Wanted],
    ) -> Self {
        let mut others = run.mirror.others(name);
        others.retain(|folder| !folder.status().is_ok_and(|status| status.messages == 0));
        Self {
            run,
            name,
            folder,
            others,
            wanted,
            intake: Intake::new(folder),
            next: 0,
            asked: VecDeque::new(),
            to_ask: VecDeque::new(),
            waiting: Waiting::default(),
            room: Room::default(),
            missing: (0..wanted.len()).collect(),
        }
    }

    /// Fetches all of them. Gives the places of those that did not come.
    ///
    /// # Errors
    /// What ended it; what had come whole is stored all the same.
    pub fn fetch(mut self) -> Result<BTreeSet<usize>, Failure> {
        let outcome = self.exchange();
        let committed = self.commit();
        outcome.and(committed)?;
        Ok(self.missing)
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
                Asked::Message(wanted) => (wanted.added.octets, wanted.added.octets),
                Asked::Part(part, coming) => {
                    let missing = coming.missing();
                    (missing, missing.saturating_add(part.length()))
                }
            };
            if self.intake.is_due(octets) {
                self.commit()?;
            }
            // What came since that was asked for may have filled the disk.
            self.room.take(self.folder, room)?;
            match self.asked.pop_front() {
                Some(Asked::Message(wanted)) => self.take_message(wanted)?,
                Some(Asked::Part(part, coming)) => self.take_part(&part, coming)?,
                None => {}
            }
        }
    }

    /// Asks for as much as may be asked for.
    fn ask(&mut self) -> Result<(), Failure> {
        if self.asked.len() > ENOUGH {
            return Ok(());
        }
        while self.asked.len() < AHEAD {
            if let Some(part) = self.to_ask.pop_front() {
                self.ask_part(part)?;
            } else if self.waiting.len() < WAITING
                && let Some(wanted) = self.wanted.get(self.next)
            {
                self.next = self.next.saturating_add(1);
                self.ask_message(wanted.clone())?;
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
        let octets = wanted.added.octets;
        let needs = self.run.mirror.desk.needs(octets, 0);
        if let Some(full) = self.lacks_room(needs)? {
            return self.miss(wanted, &full);
        }
        let desk = &self.run.mirror.desk;
        if let Some(kept) = Body::kept(desk, digest)? {
            if let Ok(header) = kept.verify(digest) {
                self.run.progress.octets(header.as_bytes().len() as u64);
                return self.complete(wanted, &header, kept);
            }
            desk.remove_partial(&body::name(digest))?;
        }
        if let Some(file) = find(&self.others, digest)? {
            let body = Body::Disk(file);
            if let Ok(header) = body.verify(digest)
                && self.has_all(&header)?
            {
                self.run.progress.octets(octets);
                return self.stage(wanted, &header, &body);
            }
        }
        let client = &mut self.run.session.client;
        client.ask_message(self.name, digest, octets.max(BODY))?;
        self.asked.push_back(Asked::Message(wanted));
        Ok(())
    }

    /// Why there is no room for so many octets.
    fn lacks_room(&mut self, octets: u64) -> Result<Option<String>, Failure> {
        match self.room.take(self.folder, octets) {
            Err(error @ (MailboxError::Full { .. } | MailboxError::NoInodes { .. })) => {
                Ok(Some(format!("there is no room for it: {error}")))
            }
            taken => Ok(taken.map(|()| None)?),
        }
    }

    /// Whether all attachments of a message are here.
    fn has_all(&self, header: &HeaderBlock) -> Result<bool, Failure> {
        for (_, part) in header.attachments() {
            if !self.intake.has(self.run.mirror, part)? {
                return Ok(false);
            }
        }
        Ok(true)
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
        let needs = self.run.mirror.desk.needs(octets, octets);
        if let Some(full) = self.lacks_room(needs)? {
            self.to_ask.truncate(to_ask);
            return self.miss(wanted, &full);
        }
        body.keep(&self.run.mirror.desk, header.digest())?;
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

    /// Makes visible and durable what is staged.
    fn commit(&mut self) -> Result<(), Failure> {
        let stored = self.intake.commit(self.run.mirror, self.name)?;
        self.run.tally.stored(&stored);
        for (index, _) in &stored.messages {
            self.missing.remove(index);
        }
        Ok(())
    }

    /// A message does not come.
    fn miss(&mut self, wanted: Wanted, why: &str) -> Result<(), Failure> {
        let text = format!("{}, message {}: {why}", self.name, wanted.digest);
        self.run.tally.miss(text);
        Ok(())
    }

    /// Messages came wrong, for one reason.
    fn wrong(&mut self, messages: &[Wanted], why: &str) -> Result<(), Failure> {
        messages
            .iter()
            .try_for_each(|wanted| self.run.wrong(self.name, wanted.digest, why))
    }
}

impl Run<'_> {
    /// A message came wrong.
    ///
    /// # Errors
    /// [`Failure::TooMuchDamage`], where that were too many.
    pub fn wrong(
        &mut self,
        name: &FolderName,
        digest: MessageDigest,
        why: &str,
    ) -> Result<(), Failure> {
        self.tally.wrong(name, digest, why);
        match self.tally.wrongs() > MAX_WRONG {
            true => Err(Failure::TooMuchDamage),
            false => Ok(()),
        }
    }
}

/// Why octets were not taken.
pub fn unsunk(error: SinkError<Failure>) -> Failure {
    match error {
        SinkError::Client(error) => error.into(),
        SinkError::Sink(failure) => failure,
    }
}
