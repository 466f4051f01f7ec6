//! The mailbox of the user who has logged in, which the monitor has opened.

use std::cell::RefCell;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write as _};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use ima_message::{FolderName, HeaderBlock, MessageDigest, PartDigest, Token};
use ima_proto::imrp::{self, Act, Changes, Fault, FolderStatus, Octets, Outcome, Watching};

use super::counted::Tally;
use super::journal::Journal;
use super::line::Line;
use super::stored::Stored;
use super::watcher::Watcher;
use crate::packets::{Reply, Request};

/// Octets of a message that are passed on at a time: what a pipe holds.
const BUFFER: usize = 64 << 10;
/// Octets of the acts that are asked for at a time, so that a packet has room for them.
const MAX_ACTS: usize = 32 << 10;
/// What an act takes without its flags, and what each flag takes; more than that.
const ACT: usize = 64;
const FLAG: usize = 40;

/// An open mailbox.
pub struct Mailbox {
    line: Rc<RefCell<Line>>,
    user: String,
    tally: Rc<Tally>,
}

impl Mailbox {
    /// That at this desk, of a user.
    pub fn new(line: Line, user: String, tally: Rc<Tally>) -> Self {
        Self {
            line: Rc::new(RefCell::new(line)),
            user,
            tally,
        }
    }

    fn ask(&self, request: &Request) -> Result<(Reply, Option<OwnedFd>), Fault> {
        self.line.borrow_mut().ask(request)
    }

    fn octets(
        &self,
        answer: (Reply, Option<OwnedFd>),
        digest: impl Display,
    ) -> Result<Option<Octets>, Fault> {
        let length = match answer.0 {
            Reply::Octets(length) => length,
            Reply::Nothing => return Ok(None),
            _ => return Err(Fault),
        };
        let file = answer.1.ok_or_else(|| self.line.borrow().missing())?;
        let source = Box::new(Stored::new(File::from(file), &self.user, digest));
        Ok(Some(Octets { length, source }))
    }

    fn outcomes(&self, request: &Request, asked: usize) -> Result<Vec<Outcome<()>>, Fault> {
        match self.ask(request)?.0 {
            Reply::Outcomes(outcomes) if outcomes.len() == asked => Ok(outcomes),
            _ => Err(Fault),
        }
    }

    fn outcome(&self, request: &Request) -> Result<Outcome<()>, Fault> {
        match self.ask(request)?.0 {
            Reply::Outcome(outcome) => Ok(outcome),
            _ => Err(Fault),
        }
    }
}

fn is_done<T>(outcome: &Outcome<T>) -> bool {
    matches!(outcome, Outcome::Done(_))
}

/// What an act takes in a packet, at most.
fn weight(act: &Act) -> usize {
    match act {
        Act::Flag { changes, .. } => FLAG.saturating_mul(changes.len()).saturating_add(ACT),
        Act::Delete { .. } => ACT,
    }
}

/// As many acts from the first on as fit into a packet; one at least.
fn fitting(acts: &[Act]) -> usize {
    let mut sum = 0_usize;
    let fits = |act: &&Act| {
        sum = sum.saturating_add(weight(act));
        sum <= MAX_ACTS
    };
    acts.iter().take_while(fits).count().max(1)
}

/// Writes all that there is; false where nobody reads it any more.
fn pass_on(data: &mut dyn Read, pipe: &mut PipeWriter) -> Result<bool, Fault> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match data.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|_| Fault)?,
        };
        if count == 0 {
            return Ok(true);
        }
        if pipe
            .write_all(buffer.get(..count).unwrap_or_default())
            .is_err()
        {
            return Ok(false);
        }
    }
}

impl imrp::Mailbox for Mailbox {
    fn folders(&mut self) -> Result<Vec<FolderStatus>, Fault> {
        match self.ask(&Request::Folders)?.0 {
            Reply::Folders(folders) => Ok(folders),
            _ => Err(Fault),
        }
    }

    fn changes(&mut self, folder: &FolderName, since: Option<&Token>) -> Result<Changes, Fault> {
        let request = Request::Changes(folder.clone(), since.copied());
        Ok(match self.ask(&request)?.0 {
            Reply::NoFolder => Changes::NoFolder,
            Reply::Reset(token) => Changes::Reset(token),
            Reply::Changes(number, end) => {
                let journal = Journal::new(Rc::clone(&self.line), number);
                Changes::Since(Box::new(journal), end)
            }
            _ => return Err(Fault),
        })
    }

    fn message(
        &mut self,
        folder: &FolderName,
        digest: MessageDigest,
    ) -> Result<Option<Octets>, Fault> {
        let answer = self.ask(&Request::Message(folder.clone(), digest))?;
        let octets = self.octets(answer, digest)?;
        if octets.is_some() {
            self.tally.messages.add(1);
        }
        Ok(octets)
    }

    fn attachment(
        &mut self,
        folder: &FolderName,
        digest: PartDigest,
    ) -> Result<Option<Octets>, Fault> {
        let answer = self.ask(&Request::Attachment(folder.clone(), digest))?;
        self.octets(answer, digest)
    }

    fn damaged(&mut self, folder: &FolderName, digest: &dyn Display) {
        // Of a message or of an attachment: they are written alike.
        if let Ok(digest) = digest.to_string().parse() {
            let _ = self.ask(&Request::Damaged(folder.clone(), digest));
        }
    }

    fn apply(&mut self, folder: &FolderName, acts: &[Act]) -> Result<Vec<Outcome<()>>, Fault> {
        let (mut outcomes, mut rest) = (Vec::new(), acts);
        while !rest.is_empty() {
            let (some, others) = rest.split_at(fitting(rest).min(rest.len()));
            let request = Request::Apply(folder.clone(), some.to_vec());
            outcomes.extend(self.outcomes(&request, some.len())?);
            rest = others;
        }
        for (act, outcome) in acts.iter().zip(&outcomes) {
            match act {
                Act::Flag { .. } => self.tally.flagged.add(is_done(outcome).into()),
                Act::Delete { .. } => self.tally.deleted.add(is_done(outcome).into()),
            }
        }
        Ok(outcomes)
    }

    fn relocate(
        &mut self,
        from: &FolderName,
        digests: &[MessageDigest],
        to: &FolderName,
    ) -> Result<Vec<Outcome<()>>, Fault> {
        let request = Request::Move(from.clone(), digests.to_vec(), to.clone());
        let outcomes = self.outcomes(&request, digests.len())?;
        let moved = outcomes.iter().filter(|outcome| is_done(outcome)).count();
        self.tally.moved.add(moved as u64);
        Ok(outcomes)
    }

    fn store(
        &mut self,
        folder: &FolderName,
        header: &HeaderBlock,
        data: &mut dyn Read,
    ) -> Result<Outcome<MessageDigest>, Fault> {
        let mut line = self.line.borrow_mut();
        let (reply, pipe) = line.ask(&Request::Store(folder.clone()))?;
        if !matches!(reply, Reply::Write) {
            return Err(Fault);
        }
        let mut pipe = PipeWriter::from(pipe.ok_or_else(|| line.missing())?);
        // Whoever reads no more says why.
        let _ = pipe.write_all(header.as_bytes());
        let mut reply = line.answer()?.0;
        if let Reply::Go = reply {
            // Where the data do not come, the pipe's end tells the monitor so.
            let passed = pass_on(data, &mut pipe);
            drop(pipe);
            reply = line.answer()?.0;
            passed?;
        }
        let Reply::Stored(outcome) = reply else {
            return Err(Fault);
        };
        self.tally.stored.add(is_done(&outcome).into());
        Ok(outcome)
    }

    fn create(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault> {
        self.outcome(&Request::Create(folder.clone()))
    }

    fn remove(&mut self, folder: &FolderName) -> Result<Outcome<()>, Fault> {
        self.outcome(&Request::Remove(folder.clone()))
    }

    fn watch(&mut self, folders: &[(FolderName, Token)]) -> Result<Watching, Fault> {
        let (reply, bell) = self.ask(&Request::Watch(folders.to_vec()))?;
        Ok(match reply {
            Reply::NoFolder => Watching::NoFolder,
            Reply::Unable => Watching::Unable,
            Reply::Watching => {
                let bell = bell.ok_or_else(|| self.line.borrow().missing())?;
                Watching::On(Box::new(Watcher::new(Rc::clone(&self.line), bell)))
            }
            _ => return Err(Fault),
        })
    }

    fn ends(&mut self) {
        // Until that is done this connection takes its place.
        let _ = self.ask(&Request::End);
    }
}
