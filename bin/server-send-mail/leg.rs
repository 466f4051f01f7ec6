//! One message's way to one host.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write as _};
use std::time::Instant;

use ima_message::{
    Address, Author, DataVerifier, HandlerLine, HeaderBlock, Hostpart, Part, Received,
};
use ima_proto::dial::DialError;
use ima_proto::framing::WireError;
use ima_proto::handlers::now;
use ima_proto::imdp::{
    DataAnswer, Drop, HeadersAnswer, PartList, Say, SendError, Sender, message_time,
};
use ima_proto::tls::{self, TlsError};

use crate::config::Office;
use crate::outgoing::Outgoing;
use crate::upcoming::Upcoming;
use crate::way::{Ahead, Connection, Way};

/// What a recipient's line says of a host that answers PARTIAL and not why.
const NO_REASON: &str = "the host does not say why";

/// A host, its recipients, and how far it is.
pub struct Leg<'m> {
    /// The recipients' hostpart.
    pub host: Hostpart,
    /// Who answers for the message: the return path's hostpart.
    pub from: Hostpart,
    /// Who is there, in the order of the message.
    pub recipients: Vec<&'m Address>,
    /// Of these, for whom the host would not take it, and why.
    pub said: HashMap<Address, String>,
    expected: HashSet<&'m Address>,
    /// What the host is told.
    block: HeaderBlock,
    way: Way,
}

/// What a host says to a header block.
pub enum Verdict {
    /// It takes the message, or these parts of it.
    Accepts(Option<PartList>),
    /// A final no.
    Refuses(String),
    /// Not now; in so many seconds, where it said so.
    Defers(Option<u64>, String),
}

/// Why there is no answer from a host.
#[derive(Debug, thiserror::Error)]
enum LegError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(
        "it closed the connection before it answered, as a server does that has as many as it takes"
    )]
    ClosedAtOnce,
    #[error("the clock of this machine is wrong: set it")]
    NoTime,
    #[error("there is no room in the header block for a received field")]
    NoRoom,
    #[error("the local command wants the message dropped")]
    Dropped,
}

impl From<Drop> for LegError {
    fn from(_: Drop) -> Self {
        Self::Dropped
    }
}

impl<'m> Leg<'m> {
    pub fn new(
        message: &'m Outgoing,
        host: Hostpart,
        recipients: Vec<&'m Address>,
        way: Way,
    ) -> Self {
        let header = message.header();
        let block = header.for_host(&host);
        let from = header.return_path().hostpart().clone();
        Self {
            host,
            from,
            expected: recipients.iter().copied().collect(),
            recipients,
            said: HashMap::new(),
            block,
            way,
        }
    }

    /// The way, for the next message.
    pub fn into_way(self) -> Way {
        self.way
    }

    /// Asks whether the host takes the message.
    pub fn ask(&mut self, office: &Office) -> Verdict {
        let answer = match self.way {
            Way::Local => self.ask_commands(office),
            Way::Remote(_) => self.ask_server(office),
        };
        match answer {
            Ok(HeadersAnswer::Accept) => Verdict::Accepts(None),
            Ok(HeadersAnswer::AcceptParts(parts)) => Verdict::Accepts(Some(parts)),
            Ok(HeadersAnswer::Reject(keyword, text)) => {
                Verdict::Refuses(format!("{keyword} {text}"))
            }
            Ok(HeadersAnswer::Defer(seconds, text)) => Verdict::Defers(Some(seconds), text.into()),
            Ok(answer @ HeadersAnswer::Redirect(_)) => Verdict::Defers(None, answer.to_string()),
            Err(error) => {
                self.way.break_off();
                Verdict::Defers(None, ima_program::report::chain(&error))
            }
        }
    }

    fn ask_server(&mut self, office: &Office) -> Result<HeadersAnswer, LegError> {
        let Way::Remote(connection) = &mut self.way else {
            return Err(LegError::Dropped);
        };
        let said = &mut self.said;
        let mut listen = |line: &str| note(line, &self.expected, said);
        if let Some(old) = connection {
            // A connection of an earlier message may have been closed meanwhile.
            match old.ask(&self.block, &mut listen) {
                Err(SendError::Wire(_) | SendError::Refused(_)) => *connection = None,
                answer => return Ok(answer?),
            }
        }
        let socket = office.dialler.dial(&self.host)?;
        let secure = tls::connect(socket, &office.tls, &self.host, &self.from)?;
        let new = Connection::new(Sender::new(secure, office.times));
        let connection = connection.insert(Box::new(new));
        match connection.ask(&self.block, &mut listen) {
            Err(SendError::Wire(WireError::Closed)) => Err(LegError::ClosedAtOnce),
            answer => Ok(answer?),
        }
    }

    fn ask_commands(&mut self, office: &Office) -> Result<HeadersAnswer, LegError> {
        let received = Received {
            host: self.host.clone(),
            time: now().ok_or(LegError::NoTime)?,
            from: self.from.clone(),
            address: "local".into(),
            tls: "none".into(),
            author: Author::Local,
        };
        self.block = self
            .block
            .with_received(&received)
            .ok_or(LegError::NoRoom)?;
        let mut listen = Listener(|line: &str| note(line, &self.expected, &mut self.said));
        Ok(office.handlers.check(&self.block, &mut listen)?)
    }

    /// Sends the data, and asks the host about the next message behind them, if
    /// that is for it; `progress` is told of the octets, and `answered` of each
    /// recipient's line as it is known. Everyone gets exactly one. Gives why there are
    /// some to whom the host does not deliver it now and of whom it says nothing.
    pub fn deliver(
        &mut self,
        office: &Office,
        message: &Outgoing,
        parts: Option<&PartList>,
        upcoming: &Upcoming,
        progress: &dyn Fn(u64),
        answered: &mut dyn FnMut(&HandlerLine),
    ) -> Option<String> {
        let mut waiting = self.expected.clone();
        let mut last_text = String::new();
        let mut information = |line: &str| match HandlerLine::parse(line) {
            Some(line) if waiting.remove(line.address()) => answered(&as_outcome(line)),
            Some(_) => {}
            None if line != "alive" => line.clone_into(&mut last_text),
            None => {}
        };
        let numbers = parts.map(PartList::numbers);
        let wanted = message.wanted(numbers);
        let octets = wanted.iter().map(Part::length).sum();
        let mut data = Checked {
            data: message.data(numbers),
            verifier: DataVerifier::new(&wanted),
            progress,
        };
        let ahead = Ahead {
            upcoming,
            from: &self.from,
            host: &self.host,
        };
        let answer = match &mut self.way {
            Way::Local => deliver_locally(office, &self.block, &mut data, &mut information),
            Way::Remote(None) => Err(LegError::Dropped),
            Way::Remote(Some(connection)) => connection
                .deliver(octets, &mut data, &ahead, &mut information)
                .map_err(LegError::from),
        };
        let reason = match &answer {
            Ok(DataAnswer::Partial) if last_text.is_empty() => NO_REASON.to_owned(),
            Ok(_) => last_text,
            Err(error) => {
                self.way.break_off();
                ima_program::report::chain(error)
            }
        };
        for &address in &self.recipients {
            if !waiting.contains(address) {
                continue;
            }
            let address = address.clone();
            answered(&match answer {
                Ok(DataAnswer::Ok) => HandlerLine::Ok(address),
                Ok(DataAnswer::Fail) => HandlerLine::Fail {
                    address,
                    text: reason.as_str().into(),
                },
                Ok(DataAnswer::Partial) | Err(_) => deferred(address, None, &reason),
            });
        }
        let is_deferred = matches!(answer, Ok(DataAnswer::Partial) | Err(_));
        (is_deferred && !waiting.is_empty()).then_some(reason)
    }

    /// Takes an accepted header block back, and asks about the next message.
    pub fn abort(&mut self, upcoming: &Upcoming) {
        let ahead = Ahead {
            upcoming,
            from: &self.from,
            host: &self.host,
        };
        if let Way::Remote(Some(connection)) = &mut self.way
            && connection.abort(&ahead).is_err()
        {
            self.way.break_off();
        }
    }
}

/// A line by which a recipient is deferred: to be sent again, nothing is held.
pub fn deferred(address: Address, seconds: Option<u64>, text: &str) -> HandlerLine {
    let min = seconds.unwrap_or(60);
    HandlerLine::Defer {
        address,
        cookie: None,
        min,
        max: min.max(86_400),
        text: text.into(),
    }
}

/// A recipient's line as it is printed: OK, FAIL or DEFER.
fn as_outcome(line: HandlerLine) -> HandlerLine {
    match line {
        HandlerLine::NoRecipient(address) => HandlerLine::Fail {
            address,
            text: "no such recipient".into(),
        },
        line => line,
    }
}

/// Remembers what a host says of a recipient before it has the message.
fn note(line: &str, expected: &HashSet<&Address>, said: &mut HashMap<Address, String>) {
    let Some(line) = HandlerLine::parse(line).filter(|line| expected.contains(line.address()))
    else {
        return;
    };
    let address = line.address().clone();
    let text = match as_outcome(line) {
        HandlerLine::Fail { text, .. } | HandlerLine::Defer { text, .. } if !text.is_empty() => {
            text.into()
        }
        _ => return,
    };
    said.entry(address).or_insert(text);
}

fn deliver_locally(
    office: &Office,
    header: &HeaderBlock,
    mut data: impl Read,
    information: &mut dyn FnMut(&str),
) -> Result<DataAnswer, LegError> {
    let mut writer = office.handlers.message_file(header)?;
    io::copy(&mut data, &mut writer)?;
    writer.flush()?;
    let deadline = Instant::now() + message_time(office.times.message, header.size());
    Ok(office.handlers.deliver(
        header,
        writer.finish()?,
        deadline,
        &mut Listener(information),
    )?)
}

/// Hands a command's lines on.
struct Listener<F>(F);

impl<F: FnMut(&str)> Say for Listener<F> {
    fn line(&mut self, line: &str) {
        (self.0)(line);
    }
}

/// Digests once more what is sent, and tells of its octets. A file that changed
/// since it was verified is an error before the last octets of the part are
/// given: the receiver never has the whole of what is wrong, and cannot refuse
/// it for good.
struct Checked<'a, R> {
    data: R,
    verifier: DataVerifier<'a>,
    progress: &'a dyn Fn(u64),
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.data.read(buffer)?;
        let octets = buffer.get(..count).unwrap_or_default();
        self.verifier.update(octets).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it changed meanwhile: {error}"),
            )
        })?;
        (self.progress)(count as u64);
        Ok(count)
    }
}
