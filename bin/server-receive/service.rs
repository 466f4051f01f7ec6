//! What stands behind one connection: the commands, and the log.

use std::io::{self, Write};
use std::mem;
use std::time::Instant;

use ima_message::{HandlerLine, HeaderBlock, Received};
use ima_program::log;
use ima_program::spool::SpoolWriter;
use ima_proto::handlers::{Exchange, now};
use ima_proto::imdp::{
    Accepted, DataAnswer, Drop, HeadersAnswer, NotDelivered, Outcome, Refused, Say, Service,
};
use ima_proto::listen::Connection;
use ima_proto::tls::PeerInfo;

use crate::counts::Counts;
use crate::server::{Behind, Receiving};
use crate::strangers::Strangers;

/// The seconds that a domain which asked for too many unknown recipients waits.
const TOO_MANY_UNKNOWN: u64 = 3600;
/// And a sender, where our clock is wrong.
const NO_TIME: u64 = 300;

/// Serves the messages of one connection.
pub struct Session<'a> {
    server: &'a Receiving,
    peer: &'a PeerInfo,
    connection: &'a Connection,
    /// That of the last message.
    received: Option<Received>,
    /// The header block in hand, with its `received`, where a handler is started
    /// for it.
    header: Option<HeaderBlock>,
    /// The handler that has accepted it, where it is one that stays.
    exchange: Option<Exchange<'a>>,
    /// Those of its recipients of whom the peer was told that they are not there.
    unknown: String,
    /// What is written into the log once the answer is out.
    event: Option<log::Entry>,
}

/// Where the data of a message go.
pub enum Store<'a> {
    /// Into a file, until they are whole.
    Spool(SpoolWriter),
    /// To the handler.
    Handler(Exchange<'a>),
}

impl Write for Store<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Spool(spool) => spool.write(octets),
            Self::Handler(exchange) => exchange.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Spool(spool) => spool.flush(),
            Self::Handler(exchange) => exchange.flush(),
        }
    }
}

impl<'a> Session<'a> {
    pub fn new(server: &'a Receiving, peer: &'a PeerInfo, connection: &'a Connection) -> Self {
        Self {
            server,
            peer,
            connection,
            received: None,
            header: None,
            exchange: None,
            unknown: String::new(),
            event: None,
        }
    }

    /// None where the clock is out of its mind.
    fn received(&mut self, message: &Accepted) -> Option<Received> {
        let time = now()?;
        let from = message.peer();
        let is_from = |received: &Received| received.from.as_written() == from.as_written();
        let received = match self.received.take().filter(is_from) {
            Some(last) => Received {
                time,
                author: message.author(),
                ..last
            },
            None => Received {
                host: self.peer.sni.clone(),
                time,
                from: from.clone(),
                address: self.peer.address.to_string().into(),
                tls: self.peer.tls.into(),
                author: message.author(),
            },
        };
        Some(received)
    }

    fn decide(&mut self, message: &Accepted, say: &mut dyn Say) -> Result<HeadersAnswer, Drop> {
        // However many hosts and names it has.
        let stranger = self.peer.names.domain();
        if self.server.strangers.is_over(stranger, Instant::now()) {
            return Ok(too_many_unknown());
        }
        let Some(received) = self.received(message) else {
            return Ok(clock_is_wrong());
        };
        let begin = Instant::now();
        let mut counting = Counting::new(self.server, self.peer, say);
        let answer = match &self.server.behind {
            Behind::EachOnce(handlers) => match message.header().with_received(&received) {
                Some(header) => {
                    let answer = handlers.check(&header, &mut counting);
                    self.header = Some(header);
                    answer.map(|answer| (answer, None))
                }
                // There is always room: the limit of a header block leaves it.
                None => Ok((clock_is_wrong(), None)),
            },
            Behind::Staying(stream) => {
                let (header, deadline) = (message.header(), message.deadline());
                stream.check(header, &received, deadline, &mut counting)
            }
        };
        self.server.counts.header_times.add(begin.elapsed());
        self.received = Some(received);
        self.unknown = counting.unknown;
        if counting.over {
            return Ok(too_many_unknown());
        }
        let (answer, exchange) = answer?;
        self.exchange = exchange;
        Ok(answer)
    }

    fn hand_over(&mut self, message: &Accepted, data: Store<'a>, say: &mut dyn Say) -> Outcome {
        let mut counting = Counting::new(self.server, self.peer, say);
        let outcome = match (data, &self.server.behind) {
            (Store::Handler(exchange), _) => exchange.deliver(&mut counting),
            (Store::Spool(spool), Behind::EachOnce(handlers)) => match spool.finish() {
                Ok(file) => {
                    let header = self.header.as_ref().unwrap_or_else(|| message.header());
                    handlers.deliver(header, file, message.deadline(), &mut counting)
                }
                Err(error) => {
                    log::error("cannot-store")
                        .field("digest", message.header().digest())
                        .field("error", error)
                        .emit();
                    Ok(DataAnswer::Partial)
                }
            },
            // Who stays has said that it takes the message, or it is not accepted.
            (Store::Spool(_), Behind::Staying(_)) => Ok(DataAnswer::Partial),
        };
        let Counting { over, unknown, .. } = counting;
        self.unknown = unknown;
        match (over, outcome) {
            // Who was not named may be there or not.
            (true, Ok(_)) => Ok(DataAnswer::Partial),
            (_, outcome) => outcome,
        }
    }

    fn data_answered(&mut self, message: &Accepted, outcome: Outcome) {
        self.server.counts.data(message.header().size(), outcome);
        let answer = outcome.map_or("drop", DataAnswer::as_str);
        let event = self.event("data", message).field("answer", answer);
        self.log_with_unknown(event);
    }

    fn event(&self, event: &'static str, message: &Accepted) -> log::Entry {
        log::info(event)
            .field("digest", message.header().digest())
            .field("peer", message.peer())
            .field("address", self.peer.address)
            .field("host", &self.peer.sni)
    }

    /// Has an event written into the log once the answer is out, or when it turns
    /// out that none is given.
    fn log_soon(&mut self, event: log::Entry) {
        self.log_now();
        self.event = Some(event);
    }

    /// The same, with the recipients who are not there.
    fn log_with_unknown(&mut self, event: log::Entry) {
        let unknown = mem::take(&mut self.unknown);
        self.log_soon(match unknown.is_empty() {
            true => event,
            false => event.field("unknown", unknown),
        });
    }

    fn log_now(&mut self) {
        if let Some(event) = self.event.take() {
            event.emit();
        }
    }
}

/// A connection that ends without an answer has its event in the log as well.
impl std::ops::Drop for Session<'_> {
    fn drop(&mut self) {
        self.log_now();
    }
}

impl<'a> Service for Session<'a> {
    type Store = Store<'a>;

    fn check(&mut self, message: &Accepted, say: &mut dyn Say) -> Result<HeadersAnswer, Drop> {
        self.connection.begin();
        let answer = self.decide(message, say);
        let counts = &self.server.counts;
        counts.headers(message.header().as_bytes().len() as u64, answer.as_ref());
        let event = self
            .event("headers", message)
            .field("octets", message.header().size());
        let event = match &answer {
            Ok(HeadersAnswer::Accept) => event.field("answer", "ACCEPT"),
            Ok(answer) => event.field("answer", answer),
            Err(Drop) => event.field("answer", "drop"),
        };
        self.log_with_unknown(event);
        answer
    }

    fn refused(&mut self, refused: &Refused<'_>) {
        let octets = refused.block.len() as u64;
        self.server.counts.headers(octets, Ok(refused.answer));
        let event = match refused.header {
            Some(header) => log::info("refused")
                .field("digest", header.digest())
                .field("sender", header.return_path()),
            None => log::info("refused"),
        };
        event
            .field("address", self.peer.address)
            .field("host", &self.peer.sni)
            .field("names", &self.peer.names)
            .field("answer", refused.answer)
            .emit();
    }

    fn store(&mut self, message: &Accepted) -> io::Result<Store<'a>> {
        if let Some(exchange) = self.exchange.take() {
            return Ok(Store::Handler(exchange));
        }
        let header = self.header.as_ref().unwrap_or_else(|| message.header());
        match &self.server.behind {
            Behind::EachOnce(handlers) => handlers.message_file(header).map(Store::Spool),
            // Who stays has said that it takes the message, or it is not accepted.
            Behind::Staying(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn deliver(&mut self, message: &Accepted, data: Store<'a>, say: &mut dyn Say) -> Outcome {
        let begin = Instant::now();
        let outcome = self.hand_over(message, data, say);
        self.server.counts.data_times.add(begin.elapsed());
        self.data_answered(message, outcome);
        outcome
    }

    fn not_delivered(&mut self, message: &Accepted, why: &NotDelivered) {
        let answer = match why {
            NotDelivered::Data(_) => Some(DataAnswer::Fail),
            NotDelivered::Store(_) => Some(DataAnswer::Partial),
            NotDelivered::Abort | NotDelivered::Broken(_) => None,
        };
        if let Some(answer) = answer {
            self.server.counts.data(message.header().size(), Ok(answer));
        }
        let event = self.event("data", message);
        self.log_soon(event.field("answer", why.answer()).field("reason", why));
    }

    fn answered(&mut self) {
        self.log_now();
    }

    fn goes_on(&mut self) -> bool {
        self.header = None;
        self.exchange = None;
        self.connection.goes_on()
    }
}

fn clock_is_wrong() -> HeadersAnswer {
    log::error("clock-is-wrong").emit();
    HeadersAnswer::Defer(NO_TIME, "a fault here; try again later".into())
}

fn too_many_unknown() -> HeadersAnswer {
    let text = "too many unknown recipients within an hour";
    HeadersAnswer::Defer(TOO_MANY_UNKNOWN, text.into())
}

/// Passes lines on and counts the recipients that are not there; once there are
/// too many, no more of them are named.
struct Counting<'s> {
    say: &'s mut dyn Say,
    strangers: &'s Strangers,
    counts: &'s Counts,
    peer: &'s PeerInfo,
    stranger: &'s str,
    over: bool,
    /// Those that were named, with spaces between them, as far as a log line takes them.
    unknown: String,
}

impl<'s> Counting<'s> {
    fn new(server: &'s Receiving, peer: &'s PeerInfo, say: &'s mut dyn Say) -> Self {
        Self {
            say,
            strangers: &server.strangers,
            counts: &server.counts,
            peer,
            stranger: peer.names.domain(),
            over: false,
            unknown: String::new(),
        }
    }

    fn warn(&self) {
        log::warn("too-many-unknown-recipients")
            .field("domain", self.stranger)
            .field("address", self.peer.address)
            .field("limit", self.strangers.most())
            .field(
                "consequence",
                "all of its mail is deferred until the hour is over",
            )
            .emit();
    }

    /// Whether a line is passed on.
    fn passes(&mut self, line: &str) -> bool {
        if let Some(HandlerLine::NoRecipient(address)) = HandlerLine::parse(line) {
            let now = Instant::now();
            self.over |= self.strangers.is_over(self.stranger, now);
            if self.over {
                return false;
            }
            self.counts.unknown_recipients.inc();
            if self.unknown.len() < log::MAX_VALUE {
                let space = if self.unknown.is_empty() { "" } else { " " };
                self.unknown.push_str(&format!("{space}{address}"));
            }
            if self.strangers.count(self.stranger, now) {
                self.warn();
            }
        }
        true
    }
}

impl Say for Counting<'_> {
    fn line(&mut self, line: &str) {
        if self.passes(line) {
            self.say.line(line);
        }
    }

    fn line_before_another(&mut self, line: &str) {
        if self.passes(line) {
            self.say.line_before_another(line);
        }
    }
}
