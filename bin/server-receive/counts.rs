//! What is counted of messages, for Prometheus.

use ima_program::metrics::{Counter, Metrics, MetricsError, Times};
use ima_proto::imdp::{DataAnswer, Drop, End, HeadersAnswer, Keyword, Outcome, ProtocolError};

/// What the names of all that is counted begin with.
pub const PREFIX: &str = "ememo_receive";

/// Numbers of messages, and how long their handlers took.
#[derive(Debug)]
pub struct Counts {
    headers: Headers,
    header_bytes: Counter,
    pub header_times: Times,
    data: Data,
    data_bytes: Counter,
    pub data_times: Times,
    pub unknown_recipients: Counter,
    ended: Ended,
}

/// Header blocks by the answer.
#[derive(Debug)]
struct Headers {
    accept: Counter,
    redirect: Counter,
    defer: Counter,
    drop: Counter,
    format: Counter,
    identity: Counter,
    size: Counter,
    recipient: Counter,
    signature: Counter,
    policy: Counter,
}

/// Data by the answer.
#[derive(Debug)]
struct Data {
    ok: Counter,
    fail: Counter,
    partial: Counter,
    drop: Counter,
}

/// Connections by how they ended.
#[derive(Debug)]
struct Ended {
    done: Counter,
    stopping: Counter,
    dropped: Counter,
    /// More messages than one connection may bring: that is no breach of the rules.
    messages: Counter,
    error: Counter,
    broken: Counter,
}

impl Counts {
    /// Nothing is counted yet; the numbers are among `metrics`.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let headers = metrics.counters(
            "headers_total",
            "Header blocks by the answer to them.",
            ["answer", "keyword"],
        )?;
        let data = metrics.counters(
            "data_total",
            "Messages whose data arrived whole, by the answer to them.",
            ["answer"],
        )?;
        let ended = metrics.counters(
            "connections_ended_total",
            "Connections that ended after their handshake.",
            ["reason"],
        )?;
        let reject = |keyword| headers.with(["REJECT", keyword]);
        Ok(Self {
            headers: Headers {
                accept: headers.with(["ACCEPT", ""])?,
                redirect: headers.with(["REDIRECT", ""])?,
                defer: headers.with(["DEFER", ""])?,
                drop: headers.with(["drop", ""])?,
                format: reject("format")?,
                identity: reject("identity")?,
                size: reject("size")?,
                recipient: reject("recipient")?,
                signature: reject("signature")?,
                policy: reject("policy")?,
            },
            header_bytes: metrics.counter(
                "header_bytes_total",
                "Octets of header blocks that arrived whole.",
            )?,
            header_times: metrics.times(
                "header_handler_seconds",
                "From a whole header block to the answer of the handler.",
            )?,
            data: Data {
                ok: data.with(["OK"])?,
                fail: data.with(["FAIL"])?,
                partial: data.with(["PARTIAL"])?,
                drop: data.with(["drop"])?,
            },
            data_bytes: metrics.counter(
                "data_bytes_total",
                "Octets of data of messages whose data arrived whole.",
            )?,
            data_times: metrics.times(
                "data_handler_seconds",
                "From the last octet of a message to the answer of the handler.",
            )?,
            unknown_recipients: metrics.counter(
                "unknown_recipients_total",
                "Recipients of whom a peer was told that they are not there.",
            )?,
            ended: Ended {
                done: ended.with(["done"])?,
                stopping: ended.with(["stopping"])?,
                dropped: ended.with(["dropped"])?,
                messages: ended.with(["max_messages_per_connection"])?,
                error: ended.with(["error"])?,
                broken: ended.with(["broken"])?,
            },
        })
    }

    /// A header block of so many octets was answered.
    pub fn headers(&self, octets: u64, answer: Result<&HeadersAnswer, &Drop>) {
        let by = &self.headers;
        let counter = match answer {
            Ok(HeadersAnswer::Accept | HeadersAnswer::AcceptParts(_)) => &by.accept,
            Ok(HeadersAnswer::Redirect(_)) => &by.redirect,
            Ok(HeadersAnswer::Defer(..)) => &by.defer,
            Ok(HeadersAnswer::Reject(keyword, _)) => match keyword {
                Keyword::Format => &by.format,
                Keyword::Identity => &by.identity,
                Keyword::Size => &by.size,
                Keyword::Recipient => &by.recipient,
                Keyword::Signature => &by.signature,
                Keyword::Policy => &by.policy,
            },
            Err(Drop) => &by.drop,
        };
        counter.inc();
        self.header_bytes.inc_by(octets);
    }

    /// So many octets of data were answered.
    pub fn data(&self, octets: u64, outcome: Outcome) {
        let counter = match outcome {
            Ok(DataAnswer::Ok) => &self.data.ok,
            Ok(DataAnswer::Fail) => &self.data.fail,
            Ok(DataAnswer::Partial) => &self.data.partial,
            Err(Drop) => &self.data.drop,
        };
        counter.inc();
        self.data_bytes.inc_by(octets);
    }

    /// A connection ended.
    pub fn ended(&self, end: &End) {
        let counter = match end {
            End::Done => &self.ended.done,
            End::Stopped => &self.ended.stopping,
            End::Dropped => &self.ended.dropped,
            End::Error(ProtocolError::Messages(_)) => &self.ended.messages,
            End::Error(_) => &self.ended.error,
            End::Broken(_) => &self.ended.broken,
        };
        counter.inc();
    }
}
