//! What is counted of sessions, for Prometheus.

use std::time::Duration;

use ima_program::metrics::{Counter, Counters, Metrics, MetricsError, Times, TimesBy};
use ima_proto::imrp::{Busy, End, Login};

/// What the names of all that is counted begin with.
pub const PREFIX: &str = "ememo_post_office";

/// Numbers of logins, of messages, and how long logins took.
#[derive(Debug)]
pub struct Counts {
    pub by_password: Logins,
    pub by_certificate: Logins,
    pub messages: Counter,
    pub octets: Counter,
    pub stored: Counter,
    pub moved: Counter,
    pub deleted: Counter,
    pub flagged: Counter,
    ended: Ended,
}

/// Logins of one kind, by what came of them.
#[derive(Debug)]
pub struct Logins {
    granted: Counter,
    wrong: Counter,
    failures: Counter,
    waiting: Counter,
    connections: Counter,
    fault: Counter,
    /// Of those that were granted.
    times: Times,
}

/// Connections by how they ended.
#[derive(Debug)]
struct Ended {
    done: Counter,
    stopping: Counter,
    no_login: Counter,
    full: Counter,
    error: Counter,
    fault: Counter,
    broken: Counter,
}

impl Counts {
    /// Nothing is counted yet; the numbers are among `metrics`.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let logins = metrics.counters(
            "logins_total",
            "Logins by what came of them.",
            ["by", "outcome"],
        )?;
        let times = metrics.times_by(
            "login_seconds",
            "How long logins took that were granted.",
            ["by"],
        )?;
        let ended = metrics.counters(
            "connections_ended_total",
            "Connections that ended after their handshake.",
            ["reason"],
        )?;
        Ok(Self {
            by_password: Logins::new(&logins, &times, "password")?,
            by_certificate: Logins::new(&logins, &times, "certificate")?,
            messages: metrics.counter(
                "messages_sent_total",
                "Messages that clients fetched, whole or their header blocks.",
            )?,
            octets: metrics.counter(
                "sent_bytes_total",
                "Octets that clients were sent, as they are inside TLS.",
            )?,
            stored: metrics.counter("messages_stored_total", "Messages that clients stored.")?,
            moved: metrics.counter("messages_moved_total", "Messages that clients moved.")?,
            deleted: metrics.counter("messages_deleted_total", "Messages that clients deleted.")?,
            flagged: metrics.counter(
                "messages_flagged_total",
                "Times that clients changed flags of a message.",
            )?,
            ended: Ended {
                done: ended.with(["done"])?,
                stopping: ended.with(["stopping"])?,
                no_login: ended.with(["no_login"])?,
                full: ended.with(["too_many_connections"])?,
                error: ended.with(["error"])?,
                fault: ended.with(["fault"])?,
                broken: ended.with(["broken"])?,
            },
        })
    }

    /// A connection ended.
    pub fn ended(&self, end: &End) {
        let counter = match end {
            End::Done => &self.ended.done,
            End::Stopped => &self.ended.stopping,
            End::NoLogin => &self.ended.no_login,
            End::Full => &self.ended.full,
            End::Error(_) => &self.ended.error,
            End::Fault => &self.ended.fault,
            End::Broken(_) => &self.ended.broken,
        };
        counter.inc();
    }
}

impl Logins {
    fn new(all: &Counters<2>, times: &TimesBy<1>, by: &'static str) -> Result<Self, MetricsError> {
        Ok(Self {
            granted: all.with([by, "granted"])?,
            wrong: all.with([by, "wrong"])?,
            failures: all.with([by, "too_many_failures"])?,
            waiting: all.with([by, "too_many_waiting"])?,
            connections: all.with([by, "too_many_connections"])?,
            fault: all.with([by, "fault"])?,
            times: times.with([by])?,
        })
    }

    /// A login is over, after so long.
    pub fn add<M>(&self, login: &Login<M>, took: Duration) {
        let counter = match login {
            Login::Granted(_) => {
                self.times.add(took);
                &self.granted
            }
            Login::Refused => &self.wrong,
            Login::Later(Busy::Failed, _) => &self.failures,
            Login::Later(Busy::Waiting, _) => &self.waiting,
            Login::Later(Busy::Connections, _) => &self.connections,
            Login::Fault => &self.fault,
        };
        counter.inc();
    }
}
