//! The receiving side: one connection, as a state machine over a [`Channel`].

use std::io::{self, Write};
use std::time::{Duration, Instant};

use ima_message::limits::MAX_BLOCK;
use ima_message::{Author, DataVerifier, HeaderBlock, Hostpart};

use super::answer::{DataAnswer, HeadersAnswer, Keyword};
use super::command::{Command, CommandError};
use super::{INFORMATION, message_time};
use crate::framing::{BlockError, Channel, Wire, WireError};
use crate::tls::VerifiedNames;

/// Whom a peer may act for.
pub trait SpeaksFor {
    /// Whether it has proved to be this host.
    fn speaks_for(&self, host: &Hostpart) -> bool;
}

impl SpeaksFor for VerifiedNames {
    fn speaks_for(&self, host: &Hostpart) -> bool {
        VerifiedNames::speaks_for(self, host)
    }
}

/// What a receiver allows a sender.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of a header block. More is an ERROR.
    pub header_block: u64,
    /// Octets of data. More is REJECT size.
    pub data: u64,
    /// For a command line, and for a read in which nothing comes.
    pub idle: Duration,
    /// From ACCEPT to DATA.
    pub decision: Duration,
    /// For one message, and as long again as it takes at 16 KiB/s.
    pub message: Duration,
    /// Messages and other questions on one connection.
    pub messages: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Room for what a server adds.
            header_block: MAX_BLOCK as u64 - (8 << 10),
            data: 64 << 20,
            idle: Duration::from_secs(60),
            decision: Duration::from_secs(120),
            message: Duration::from_secs(600),
            messages: 1000,
        }
    }
}

/// A header block whose return path the peer has proved to be.
#[derive(Clone, Debug)]
pub struct Accepted {
    header: HeaderBlock,
    author: Author,
    deadline: Instant,
}

impl Accepted {
    /// The header block, as the sender wrote it.
    #[must_use]
    pub fn header(&self) -> &HeaderBlock {
        &self.header
    }

    /// Who vouches for `from`.
    #[must_use]
    pub fn author(&self) -> Author {
        self.author
    }

    /// The domain that the sender proved to be: the return path's.
    #[must_use]
    pub fn peer(&self) -> &Hostpart {
        self.header.return_path().hostpart()
    }

    /// When all must be over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// Close the connection at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop;

/// What became of data that were handed on.
pub type Outcome = Result<DataAnswer, Drop>;

/// Where a service says its information lines; each goes out when it is said.
/// A peer that is gone is no reason for a service to stop: what it does is
/// durable all the same.
pub trait Say {
    /// An information line, without its `+ ` and LF.
    fn line(&mut self, line: &str);

    /// The same, where another line or the answer follows at once: it may go out
    /// with that.
    fn line_before_another(&mut self, line: &str) {
        self.line(line);
    }

    /// That the service is at work: `+ alive`.
    fn alive(&mut self) {
        self.line("alive");
    }
}

/// What stands behind a receiver: decides, keeps and delivers. Plain messages
/// go in and out, so that a process boundary fits in between.
pub trait Service {
    /// Takes the data of one message.
    type Store: Write;

    /// What to answer to a header block.
    ///
    /// # Errors
    /// [`Drop`]: close at once.
    fn check(&mut self, message: &Accepted, say: &mut dyn Say) -> Result<HeadersAnswer, Drop>;

    /// Is told of a header block, of so many octets, that was refused before it
    /// was asked: it breaks the format, or the peer has not proved to be its
    /// return path.
    fn refused(&mut self, _octets: u64, _answer: &HeadersAnswer) {}

    /// Where the data of an accepted message go.
    ///
    /// # Errors
    /// A fault here, such as a full disk.
    fn store(&mut self, message: &Accepted) -> io::Result<Self::Store>;

    /// Delivers a message whose data are whole and match their digests.
    ///
    /// # Errors
    /// [`Drop`]: close at once.
    fn deliver(&mut self, message: &Accepted, data: Self::Store, say: &mut dyn Say) -> Outcome;

    /// Is told of data that it is not given to deliver: they do not match their
    /// digests, or could not be stored.
    fn not_delivered(&mut self, _message: &Accepted, _answer: DataAnswer) {}

    /// The answer to a header block or to data has gone out, or the peer is gone:
    /// the time for what need not be done before.
    fn answered(&mut self) {}

    /// A message is over, or none has come yet: whether another may come on
    /// this connection.
    fn goes_on(&mut self) -> bool {
        true
    }
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// The sender was done, or closed between two messages.
    Done,
    /// The sender broke the grammar; it was told, and the connection closed.
    Error(ProtocolError),
    /// The service wanted it dropped.
    Dropped,
    /// The service finishes.
    Stopped,
    /// The connection failed or a time was up.
    Broken(WireError),
}

/// What a sender did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line that is no command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A command where it has no place.
    #[error("out of order: {0}")]
    OutOfOrder(&'static str),
    /// A header block over the limit.
    #[error("a header block has at most {0} octets here")]
    HeaderBlock(u64),
    /// DATA of another length than the parts have.
    #[error("DATA must announce {0} octets, the sum of the accepted parts")]
    DataLength(u64),
    /// More messages than allowed.
    #[error("{0} messages are the most on one connection; open another")]
    Messages(u64),
    /// A line too long, or not text.
    #[error("a command is a line of text of at most 4,096 octets")]
    Line,
}

/// One connection from a sender.
#[derive(Debug)]
pub struct Receiver<'a, C: Channel, P, S> {
    wire: Wire<C>,
    limits: &'a Limits,
    peer: &'a P,
    service: &'a mut S,
}

/// Ends a session early.
enum Stop {
    Drop,
    Wire(WireError),
    Protocol(ProtocolError),
}
impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TooLong { .. } | WireError::NotText => Self::Protocol(ProtocolError::Line),
            error => Self::Wire(error),
        }
    }
}
impl From<Drop> for Stop {
    fn from(_: Drop) -> Self {
        Self::Drop
    }
}
impl<E: Into<ProtocolError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Protocol(error.into())
    }
}

impl<'a, C: Channel, P: SpeaksFor, S: Service> Receiver<'a, C, P, S> {
    /// A receiver on a channel whose handshake is over.
    pub fn new(channel: C, peer: &'a P, limits: &'a Limits, service: &'a mut S) -> Self {
        Self {
            wire: Wire::new(channel, limits.idle),
            limits,
            peer,
            service,
        }
    }

    /// Serves the connection to its end.
    pub fn run(mut self) -> End {
        let end = match self.session() {
            Ok(end) => end,
            Err(Stop::Drop) => return End::Dropped,
            Err(Stop::Wire(WireError::Closed)) => End::Done,
            Err(Stop::Wire(error)) => End::Broken(error),
            Err(Stop::Protocol(error)) => {
                // Best effort: the sender may be gone.
                let _ = self.answer(&format!("ERROR {error}"));
                End::Error(error)
            }
        };
        let end = match end {
            // What broke off was the wait for the next message.
            End::Broken(_) if !self.service.goes_on() => End::Stopped,
            end => end,
        };
        if !matches!(end, End::Broken(_)) {
            let _ = self.wire.close();
        }
        end
    }

    fn session(&mut self) -> Result<End, Stop> {
        let mut questions = 0;
        loop {
            self.wire.set_message_deadline(None);
            if !self.service.goes_on() {
                return Ok(End::Stopped);
            }
            let command = Command::parse(&self.wire.read_line(self.limits.idle)?)?;
            if questions == self.limits.messages && command != Command::Done {
                return Err(ProtocolError::Messages(questions).into());
            }
            questions += 1;
            match command {
                Command::Headers { octets, direct: _ } => {
                    if self.message(octets)?.is_break() {
                        return Ok(End::Done);
                    }
                }
                Command::Data { .. } => {
                    return Err(ProtocolError::OutOfOrder("no header block was accepted").into());
                }
                Command::Abort => {
                    return Err(ProtocolError::OutOfOrder("there is nothing to abort").into());
                }
                // Nothing is held here, and no keys are published.
                Command::Status(_) => self.answer("UNKNOWN")?,
                Command::GiveUp(_) | Command::Keys(_) => self.answer("OK")?,
                Command::Done => return Ok(End::Done),
            }
        }
    }

    /// One message, from its header block on.
    fn message(&mut self, octets: u64) -> Result<std::ops::ControlFlow<()>, Stop> {
        use std::ops::ControlFlow::{Break, Continue};
        let limits = *self.limits;
        if octets > limits.header_block {
            return Err(ProtocolError::HeaderBlock(limits.header_block).into());
        }
        let started = Instant::now();
        self.wire
            .set_message_deadline(Some(started + limits.message));
        let block = self
            .wire
            .read_block(octets, limits.header_block, limits.idle)?;
        let message = match self.examine(&block, started) {
            Ok(message) => message,
            Err(refusal) => {
                self.service.refused(octets, &refusal);
                self.answer(&refusal.to_string())?;
                return Ok(Continue(()));
            }
        };
        drop(block);
        self.wire.set_message_deadline(Some(message.deadline));
        let answer = self
            .service
            .check(&message, &mut Speaker::new(&mut self.wire, limits.idle))?;
        let sent = self.answer(&answer.to_string());
        self.service.answered();
        sent?;
        if answer != HeadersAnswer::Accept {
            return Ok(Continue(()));
        }
        match Command::parse(&self.wire.read_line(limits.decision)?)? {
            Command::Data { octets } if octets == message.header.size() => self.data(&message)?,
            Command::Data { .. } => {
                return Err(ProtocolError::DataLength(message.header.size()).into());
            }
            Command::Abort => self.answer("OK")?,
            Command::Done => return Ok(Break(())),
            _ => return Err(ProtocolError::OutOfOrder("DATA or ABORT comes after ACCEPT").into()),
        }
        Ok(Continue(()))
    }

    /// Form, identity, signature and size of a header block.
    fn examine(&self, block: &[u8], started: Instant) -> Result<Accepted, HeadersAnswer> {
        let header = HeaderBlock::parse(block).map_err(|error| {
            let keyword = if error.is_signature() {
                Keyword::Signature
            } else {
                Keyword::Format
            };
            HeadersAnswer::Reject(keyword, error.to_string().into())
        })?;
        if header.received().is_some() {
            let text = "a message that was received already is not passed on by IMDP; remove its received field";
            return Err(HeadersAnswer::Reject(Keyword::Format, text.into()));
        }
        let host = header.return_path().hostpart();
        if !self.peer.speaks_for(host) {
            let text = format!("your certificate does not speak for {host}");
            return Err(HeadersAnswer::Reject(Keyword::Identity, text.into()));
        }
        let limit = self.limits.data;
        if header.size() > limit {
            let text = format!(
                "{limit} octets are the most, and the message has {}",
                header.size()
            );
            return Err(HeadersAnswer::Reject(Keyword::Size, text.into()));
        }
        let from = header.from().address().hostpart();
        if header.mailers().any(|mailer| mailer.hostpart() != from) {
            let text = format!(
                "the author's signature cannot be checked here yet: {from} did not send this itself"
            );
            return Err(HeadersAnswer::Defer(3600, text.into()));
        }
        let deadline = started + message_time(self.limits.message, header.size());
        Ok(Accepted {
            header,
            author: Author::Host,
            deadline,
        })
    }

    fn data(&mut self, message: &Accepted) -> Result<(), Stop> {
        let mut store = self.service.store(message);
        let mut verifier = DataVerifier::new(message.header.parts());
        let mut wrong = None;
        let mut take = |octets: &[u8]| {
            if wrong.is_none() {
                wrong = verifier.update(octets).err();
            }
            // A fault is remembered, and the rest of the data taken.
            if let (None, Ok(writer)) = (wrong, &mut store)
                && let Err(error) = writer.write_all(octets)
            {
                store = Err(error);
            }
            Ok::<(), std::convert::Infallible>(())
        };
        match self
            .wire
            .read_exact_into(message.header.size(), self.limits.idle, &mut take)
        {
            Ok(()) => {}
            Err(BlockError::Wire(error)) => return Err(error.into()),
            Err(BlockError::Sink(never)) => match never {},
        }
        if let Some(error) = wrong.or_else(|| verifier.finish().err()) {
            Speaker::new(&mut self.wire, self.limits.idle).line(&error.to_string());
            self.service.not_delivered(message, DataAnswer::Fail);
            let sent = self.answer(DataAnswer::Fail.as_str());
            self.service.answered();
            return Ok(sent?);
        }
        let answer = match store {
            Ok(store) => {
                // The handler is ended at the deadline; its last lines go after it.
                self.wire
                    .set_message_deadline(Some(message.deadline + self.limits.idle));
                let mut speaker = Speaker::new(&mut self.wire, self.limits.idle);
                let outcome = self.service.deliver(message, store, &mut speaker)?;
                // A final line would speak for recipients whose own was lost.
                if let Some(error) = speaker.lost {
                    return Err(error.into());
                }
                outcome
            }
            Err(error) => {
                ima_program::log::error("cannot-store")
                    .field("digest", message.header.digest())
                    .field("error", error)
                    .emit();
                Speaker::new(&mut self.wire, self.limits.idle)
                    .line("a fault here; send it again later");
                self.service.not_delivered(message, DataAnswer::Partial);
                DataAnswer::Partial
            }
        };
        // What the handler decided may have taken all the message's time.
        self.wire.set_message_deadline(None);
        let sent = self.answer(answer.as_str());
        self.service.answered();
        Ok(sent?)
    }

    fn answer(&mut self, line: &str) -> Result<(), WireError> {
        self.wire.write_line(line)?;
        self.wire.flush(self.limits.idle)
    }
}

/// Says information lines, until the peer is gone.
struct Speaker<'w, C: Channel> {
    wire: &'w mut Wire<C>,
    within: Duration,
    /// Why lines are lost: the peer is gone.
    lost: Option<WireError>,
}

impl<'w, C: Channel> Speaker<'w, C> {
    fn new(wire: &'w mut Wire<C>, within: Duration) -> Self {
        Self {
            wire,
            within,
            lost: None,
        }
    }
}

impl<C: Channel> Say for Speaker<'_, C> {
    fn line(&mut self, line: &str) {
        self.line_before_another(line);
        if self.lost.is_none() {
            self.lost = self.wire.flush(self.within).err();
        }
    }

    fn line_before_another(&mut self, line: &str) {
        if self.lost.is_none() {
            let said = self.wire.write_line(&format!("{INFORMATION}{line}"));
            self.lost = said.err();
        }
    }
}
