//! The server's side: one connection, as a state machine over a [`Channel`].

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, SeekFrom};
use std::time::{Duration, Instant};

use ima_message::limits::MAX_BLOCK;
use ima_message::{Address, Entry, FolderName, MessageDigest, PartDigest, Token};

use super::answer::{Final, Information};
use super::command::{Command, SyncMode};
use super::office::{Busy, Changes, Fault, Login, Mailbox, Octets, Office};
use super::{INFORMATION, MAX_PASSWORD};
use crate::framing::{Channel, Wire, WireError};
use crate::tls::KeyDigest;
use crate::users::moment_of_failure;

/// Octets read from the disk at a time.
const BUFFER: usize = 64 << 10;

/// What a session allows a client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first octet to a login that succeeded.
    pub login: Duration,
    /// For the next command after that.
    pub idle: Duration,
    /// For a read or a write within a command in which nothing goes.
    pub stall: Duration,
    /// Logins that may fail before the connection is closed.
    pub failed_logins: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(30),
            idle: Duration::from_secs(30 * 60),
            stall: Duration::from_secs(60),
            failed_logins: 3,
        }
    }
}

/// How a session came to its end.
#[derive(Debug)]
pub enum End {
    /// The client said DONE, or closed between commands.
    Done,
    /// [`Office::goes_on`] said no.
    Stopped,
    /// Too many logins failed, none came in time, or the client is to come later.
    NoLogin,
    /// The client broke the rules.
    Error(Box<str>),
    /// A fault on our side.
    Fault,
    /// The connection broke, or the client took too long.
    Broken(WireError),
}

/// One connection.
pub struct Session<C: Channel, O: Office> {
    wire: Wire<C>,
    office: O,
    key: Option<KeyDigest>,
    limits: Limits,
    mailbox: Option<O::Mailbox>,
    failed: u32,
}

/// Why a session does not go on.
enum Stop {
    End(End),
    /// What the client is told before the end.
    Error(String),
    Later(Busy),
    Fault,
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::End(End::Broken(error))
    }
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Self {
        Self::Fault
    }
}

impl<C: Channel, O: Office> Session<C, O> {
    /// A session on a channel whose handshake is over. `key` is that of the
    /// client's certificate, where it showed one.
    pub fn new(channel: C, office: O, key: Option<KeyDigest>, limits: Limits) -> Self {
        Self {
            wire: Wire::new(channel, limits.stall),
            office,
            key,
            limits,
            mailbox: None,
            failed: 0,
        }
    }

    /// Serves the connection to its end, and closes it.
    pub fn run(mut self) -> End {
        // However many commands come, a login must be among them in time.
        self.wire
            .set_message_deadline(Instant::now().checked_add(self.limits.login));
        let stop = loop {
            if let Err(stop) = self.turn() {
                break stop;
            }
        };
        self.wire.set_message_deadline(None);
        let (end, text) = match stop {
            Stop::End(end @ (End::Done | End::Stopped | End::NoLogin)) => (end, None),
            Stop::End(End::Broken(WireError::TimedOut)) if self.mailbox.is_none() => {
                (End::NoLogin, Some("no login in time".to_owned()))
            }
            Stop::End(end @ End::Broken(WireError::TimedOut)) => {
                (end, Some("no command in time".to_owned()))
            }
            Stop::End(End::Broken(error @ (WireError::TooLong { .. } | WireError::NotText))) => {
                let text = error.to_string();
                (End::Error(text.as_str().into()), Some(text))
            }
            Stop::End(end) => return end,
            Stop::Error(text) => (End::Error(text.as_str().into()), Some(text)),
            Stop::Later(busy) => (End::NoLogin, Some(busy.to_string())),
            Stop::Fault => {
                let text = "a fault here; try again later".to_owned();
                (End::Fault, Some(text))
            }
        };
        // The end stands; whether the client hears of it changes nothing.
        if let Some(text) = text {
            let _ = self.say(&Final::Error(text.into()));
        }
        let _ = self.wire.close();
        end
    }

    /// One command and its answer.
    fn turn(&mut self) -> Result<(), Stop> {
        // Answers to commands that came together go out together.
        if !self.wire.has_line() {
            self.wire.flush(self.limits.stall)?;
        }
        if !self.office.goes_on() {
            return Err(Stop::End(End::Stopped));
        }
        let line = match self.wire.read_line(self.limits.idle) {
            Ok(line) => line,
            Err(_) if !self.office.goes_on() => return Err(Stop::End(End::Stopped)),
            Err(WireError::Closed) => return Err(Stop::End(End::Done)),
            Err(error) => return Err(error.into()),
        };
        self.office.begins();
        let command = Command::parse(&line).map_err(|error| Stop::Error(error.to_string()))?;
        match command {
            Command::Done => Err(Stop::End(End::Done)),
            Command::LoginByPassword { address, octets } => self.password(&address, octets),
            Command::LoginByCertificate { address } => {
                self.refuse_second()?;
                let begin = Instant::now();
                let login = self.office.by_certificate(&address, self.key.as_ref());
                self.login(login, begin)
            }
            Command::Folders => self.folders(),
            Command::Sync {
                folder,
                since,
                mode,
            } => self.sync(folder.as_ref(), since.as_ref(), mode),
            Command::Fetch { folder, digest } => self.fetch(folder.as_ref(), digest),
            Command::Part {
                folder,
                digest,
                from,
            } => self.part(folder.as_ref(), digest, from),
        }
    }

    fn refuse_second(&self) -> Result<(), Stop> {
        match self.mailbox {
            Some(_) => Err(Stop::Error("LOGIN comes once".into())),
            None => Ok(()),
        }
    }

    fn password(&mut self, address: &Address, octets: u64) -> Result<(), Stop> {
        self.refuse_second()?;
        let stall = self.limits.stall;
        self.wire.flush(stall)?;
        let password = self.wire.read_block(octets, MAX_PASSWORD, stall)?;
        let begin = Instant::now();
        let login = self.office.by_password(address, &password);
        self.login(login, begin)
    }

    fn login(&mut self, login: Login<O::Mailbox>, begin: Instant) -> Result<(), Stop> {
        match login {
            Login::Granted(mailbox) => {
                self.mailbox = Some(mailbox);
                self.wire.set_message_deadline(None);
                Ok(self.say(&Final::Ok)?)
            }
            Login::Fault => Err(Stop::Fault),
            Login::Later(busy, delay) => {
                wait(begin, delay);
                Err(Stop::Later(busy))
            }
            Login::Refused(delay) => {
                self.failed = self.failed.saturating_add(1);
                wait(begin, delay);
                self.say(&Final::Fail("".into()))?;
                match self.failed < self.limits.failed_logins {
                    true => Ok(()),
                    false => Err(Stop::End(End::NoLogin)),
                }
            }
        }
    }

    fn mailbox(&mut self) -> Result<&mut O::Mailbox, Stop> {
        self.mailbox
            .as_mut()
            .ok_or_else(|| Stop::Error("LOGIN comes first".into()))
    }

    fn folders(&mut self) -> Result<(), Stop> {
        for status in self.mailbox()?.folders()? {
            self.tell(&Information::Folder(status))?;
        }
        Ok(self.say(&Final::Ok)?)
    }

    fn sync(
        &mut self,
        folder: Option<&FolderName>,
        since: Option<&Token>,
        mode: SyncMode,
    ) -> Result<(), Stop> {
        let mailbox = self.mailbox()?;
        let Some(folder) = folder else {
            return self.no_folder();
        };
        // What was added and deleted since is left out: the first reading finds
        // out what was deleted, and where the second ends.
        let (changes, end) = match mailbox.changes(folder, since)? {
            Changes::NoFolder => return self.no_folder(),
            Changes::Reset(token) => return Ok(self.say(&Final::Reset(token))?),
            Changes::Since(changes, end) => (changes, end),
        };
        let mut deleted: HashMap<MessageDigest, u64> = HashMap::new();
        let mut any = false;
        for change in changes {
            let change = change?;
            any = true;
            if let Entry::Del { digest } = change.entry {
                deleted.insert(digest, change.token.offset);
            }
        }
        match any {
            true => self.tell_changes(folder, since, mode, end, &deleted),
            false => Ok(self.say(&Final::Upto(end))?),
        }
    }

    fn tell_changes(
        &mut self,
        folder: &FolderName,
        since: Option<&Token>,
        mode: SyncMode,
        end: Token,
        deleted: &HashMap<MessageDigest, u64>,
    ) -> Result<(), Stop> {
        // Between the two readings the journal may have been written anew.
        let changes = match self.mailbox()?.changes(folder, since)? {
            Changes::Since(changes, now) if now.generation == end.generation => changes,
            Changes::Since(..) | Changes::Reset(_) if since.is_none() => {
                return self.sync(Some(folder), since, mode);
            }
            Changes::Since(_, now) | Changes::Reset(now) => {
                return Ok(self.say(&Final::Reset(now))?);
            }
            Changes::NoFolder => return self.no_folder(),
        };
        // An `add` may stand in a journal twice.
        let mut told: HashSet<MessageDigest> = HashSet::new();
        for change in changes {
            let change = change?;
            let at = change.token.offset;
            if at > end.offset {
                break;
            }
            let mut block = None;
            match change.entry {
                Entry::Add { digest, .. } => {
                    if deleted.get(&digest).is_some_and(|gone| *gone > at) || !told.insert(digest) {
                        continue;
                    }
                    if mode != SyncMode::List {
                        block = self.mailbox()?.message(folder, digest)?;
                        // Deleted a moment ago: the next SYNC says so.
                        if block.is_none() {
                            continue;
                        }
                    }
                }
                Entry::Del { digest } => {
                    told.remove(&digest);
                }
                Entry::Flag { .. } => {}
            }
            self.tell(&Information::Change(change))?;
            match (mode, block) {
                (SyncMode::Headers, Some(block)) => self.tell_header(block)?,
                (SyncMode::Messages, Some(block)) => {
                    let octets = block.length;
                    self.tell_octets(&Information::Message { octets }, block, 0)?;
                }
                _ => {}
            }
        }
        Ok(self.say(&Final::Upto(end))?)
    }

    fn fetch(&mut self, folder: Option<&FolderName>, digest: MessageDigest) -> Result<(), Stop> {
        let mailbox = self.mailbox()?;
        let Some(folder) = folder else {
            return self.no_folder();
        };
        let Some(block) = mailbox.message(folder, digest)? else {
            return self.fail("no such message");
        };
        let octets = block.length;
        self.tell_octets(&Information::Message { octets }, block, 0)?;
        Ok(self.say(&Final::Ok)?)
    }

    fn part(
        &mut self,
        folder: Option<&FolderName>,
        digest: PartDigest,
        from: u64,
    ) -> Result<(), Stop> {
        let mailbox = self.mailbox()?;
        let Some(folder) = folder else {
            return self.no_folder();
        };
        let Some(block) = mailbox.attachment(folder, digest)? else {
            return self.fail("no such attachment");
        };
        let Some(octets) = block.length.checked_sub(from) else {
            return self.fail("the attachment is shorter than that");
        };
        self.tell_octets(&Information::Attachment { digest, octets }, block, from)?;
        Ok(self.say(&Final::Ok)?)
    }

    /// Sends the header block that a message begins with.
    fn tell_header(&mut self, message: Octets) -> Result<(), Stop> {
        let mut block = Vec::new();
        let mut source = message.source.take(MAX_BLOCK as u64);
        let mut buffer = vec![0; BUFFER];
        let end = loop {
            // The empty line may lie across two readings.
            let seen = block.len().saturating_sub(1);
            let count = read(&mut source, &mut buffer)?;
            block.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let fresh = block.get(seen..).unwrap_or_default();
            if let Some(at) = fresh.windows(2).position(|pair| pair == b"\n\n") {
                break seen + at + 2;
            }
            if count == 0 {
                return Err(Stop::Fault);
            }
        };
        block.truncate(end);
        let octets = block.len() as u64;
        self.tell(&Information::Header { octets })?;
        Ok(self.wire.write_octets(&block)?)
    }

    /// Announces octets and sends them.
    fn tell_octets(
        &mut self,
        information: &Information,
        octets: Octets,
        from: u64,
    ) -> Result<(), Stop> {
        let Octets { length, mut source } = octets;
        source.seek(SeekFrom::Start(from)).map_err(|_| Fault)?;
        self.tell(information)?;
        let mut missing = length.saturating_sub(from);
        let mut buffer = vec![0; BUFFER.min(usize::try_from(missing).unwrap_or(BUFFER))];
        while missing > 0 {
            let most = usize::try_from(missing).unwrap_or(usize::MAX);
            let most = most.min(buffer.len());
            let count = read(&mut source, buffer.get_mut(..most).unwrap_or_default())?;
            if count == 0 {
                // What was announced cannot be taken back: only the end says it.
                return Err(Stop::End(End::Fault));
            }
            let octets = buffer.get(..count).unwrap_or_default();
            self.wire.write_octets(octets)?;
            missing = missing.saturating_sub(count as u64);
        }
        Ok(())
    }

    fn no_folder(&mut self) -> Result<(), Stop> {
        self.fail("no such folder")
    }

    fn fail(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.say(&Final::Fail(text.into()))?)
    }

    fn tell(&mut self, information: &Information) -> Result<(), WireError> {
        self.wire.write_line(&format!("{INFORMATION}{information}"))
    }

    fn say(&mut self, line: &Final) -> Result<(), WireError> {
        self.wire.write_line(&line.to_string())
    }
}

/// Until a login that came at `begin` may be answered with no.
fn wait(begin: Instant, delay: Duration) {
    let now = Instant::now();
    let moment = moment_of_failure(begin, now, delay);
    std::thread::sleep(moment.saturating_duration_since(now));
}

/// Reads what there is; nothing at the end. A fault within a block ends the
/// connection without a word, since a word would be taken for octets.
fn read(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Stop> {
    loop {
        match source.read(buffer) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Stop::End(End::Fault)),
        }
    }
}
