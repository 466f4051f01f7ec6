//! The receiving side: one connection, as a state machine over a [`Channel`].

use std::io::{self, Write};
use std::time::{Duration, Instant};

use ima_message::limits::MAX_BLOCK;
use ima_message::{Author, DataVerifier, HeaderBlock, Hostpart};

use super::answer::{DataAnswer, HeadersAnswer, Keyword};
use super::command::Command;
use super::end::{End, NotDelivered, ProtocolError};
use super::refusal::{Refused, SpeaksFor, refusal};
use super::{INFORMATION, message_time};
use crate::framing::{BlockError, Channel, Wire, WireError};

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

    /// Is told of a header block that was refused before it was asked: it breaks the
    /// format, or the peer has not proved to be its return path.
    fn refused(&mut self, _refused: &Refused<'_>) {}

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

    /// Is told of an accepted message that it does not get to deliver.
    fn not_delivered(&mut self, _message: &Accepted, _why: &NotDelivered) {}

    /// The answer to a header block or to data has gone out, or the peer is gone:
    /// the time for what need not be done before.
    fn answered(&mut self) {}

    /// A message is over, or none has come yet: whether another may come on
    /// this connection.
    fn goes_on(&mut self) -> bool {
        true
    }
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
impl Stop {
    fn reason(&self) -> Box<str> {
        match self {
            Self::Drop => "dropped".into(),
            Self::Wire(error) => error.to_string().into(),
            Self::Protocol(error) => error.to_string().into(),
        }
    }
}

/// What came after ACCEPT.
enum Came<S> {
    /// The data, whole and right.
    Data(S),
    /// No message that could be delivered.
    Nothing(NotDelivered),
    /// The end.
    Done,
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
            Err((answer, header)) => {
                self.service.refused(&Refused {
                    block: &block,
                    header: header.as_deref(),
                    answer: &answer,
                });
                drop((block, header));
                self.answer(&answer.to_string())?;
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
        if answer != HeadersAnswer::Accept {
            sent?;
            return Ok(Continue(()));
        }
        let came = sent.map_err(Stop::from);
        match came.and_then(|()| self.data(&message)) {
            Ok(Came::Data(store)) => self.deliver(&message, store)?,
            Ok(Came::Nothing(why)) => self.do_not_deliver(&message, &why)?,
            Ok(Came::Done) => {
                let why = NotDelivered::Broken("the sender was done".into());
                self.service.not_delivered(&message, &why);
                return Ok(Break(()));
            }
            Err(stop) => {
                let why = NotDelivered::Broken(stop.reason());
                self.service.not_delivered(&message, &why);
                return Err(stop);
            }
        }
        Ok(Continue(()))
    }

    /// Form, identity, signature and size of a header block: the message, or what to
    /// answer and, where it keeps to the form, what it says.
    fn examine(
        &self,
        block: &[u8],
        started: Instant,
    ) -> Result<Accepted, (HeadersAnswer, Option<Box<HeaderBlock>>)> {
        let header = HeaderBlock::parse(block).map_err(|error| {
            let keyword = if error.is_signature() {
                Keyword::Signature
            } else {
                Keyword::Format
            };
            let answer = HeadersAnswer::Reject(keyword, error.to_string().into());
            (answer, None)
        })?;
        match refusal(&header, self.peer, self.limits.data) {
            Some(answer) => Err((answer, Some(Box::new(header)))),
            None => Ok(Accepted {
                deadline: started + message_time(self.limits.message, header.size()),
                header,
                author: Author::Host,
            }),
        }
    }

    /// The data of an accepted message, verified and kept.
    fn data(&mut self, message: &Accepted) -> Result<Came<S::Store>, Stop> {
        match Command::parse(&self.wire.read_line(self.limits.decision)?)? {
            Command::Data { octets } if octets == message.header.size() => {}
            Command::Data { .. } => {
                return Err(ProtocolError::DataLength(message.header.size()).into());
            }
            Command::Abort => return Ok(Came::Nothing(NotDelivered::Abort)),
            Command::Done => return Ok(Came::Done),
            _ => return Err(ProtocolError::OutOfOrder("DATA or ABORT comes after ACCEPT").into()),
        }
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
        let wrong = wrong.or_else(|| verifier.finish().err());
        Ok(match (wrong, store) {
            (Some(error), _) => Came::Nothing(error.into()),
            (None, Ok(store)) => Came::Data(store),
            (None, Err(error)) => Came::Nothing(NotDelivered::Store(error)),
        })
    }

    fn do_not_deliver(&mut self, message: &Accepted, why: &NotDelivered) -> Result<(), Stop> {
        self.service.not_delivered(message, why);
        let mut speaker = Speaker::new(&mut self.wire, self.limits.idle);
        let answer = match why {
            NotDelivered::Data(error) => {
                speaker.line(&error.to_string());
                why.answer()
            }
            NotDelivered::Store(error) => {
                ima_program::log::error("cannot-store")
                    .field("digest", message.header.digest())
                    .field("error", error)
                    .emit();
                speaker.line("a fault here; send it again later");
                why.answer()
            }
            NotDelivered::Abort | NotDelivered::Broken(_) => "OK",
        };
        self.wire.set_message_deadline(None);
        let sent = self.answer(answer);
        self.service.answered();
        Ok(sent?)
    }

    fn deliver(&mut self, message: &Accepted, store: S::Store) -> Result<(), Stop> {
        // The handler is ended at the deadline; its last lines go after it.
        self.wire
            .set_message_deadline(Some(message.deadline + self.limits.idle));
        let mut speaker = Speaker::new(&mut self.wire, self.limits.idle);
        let answer = self.service.deliver(message, store, &mut speaker)?;
        // A final line would speak for recipients whose own was lost.
        if let Some(error) = speaker.lost {
            return Err(error.into());
        }
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
