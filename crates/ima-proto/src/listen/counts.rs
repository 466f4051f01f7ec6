//! What is counted of connections, whatever is spoken on them.

use std::time::Duration;

use ima_program::metrics::{Counter, Gauge, Metrics, MetricsError, Present, Times};

use super::gate::Full;
use crate::tls::TlsError;

/// Numbers of connections; `PREFIX_connections_total` and so on.
#[derive(Debug)]
pub struct Counts {
    accepted: Counter,
    open: Gauge,
    inside: Gauge,
    refused: Refused,
    handshakes: Times,
    failed: Failed,
}

/// Connections that were not let in, or not any longer, by the reason.
#[derive(Debug)]
struct Refused {
    all: Counter,
    per_address: Counter,
    per_domain: Counter,
    handshakes: Counter,
    threads: Counter,
}

/// Handshakes that failed, by the reason.
#[derive(Debug)]
struct Failed {
    certificate: Counter,
    no_certificate: Counter,
    server_name: Counter,
    alpn: Counter,
    old_tls: Counter,
    alert: Counter,
    timeout: Counter,
    closed: Counter,
    io: Counter,
    protocol: Counter,
}

impl Counts {
    /// Nothing is counted yet; the numbers are among `metrics`.
    ///
    /// # Errors
    /// A name that is there already.
    pub fn new(metrics: &Metrics) -> Result<Counts, MetricsError> {
        let refused = metrics.counters(
            "connections_refused_total",
            "Connections that were closed because there were too many.",
            ["reason"],
        )?;
        let failed = metrics.counters(
            "handshakes_failed_total",
            "TLS handshakes that failed.",
            ["reason"],
        )?;
        Ok(Counts {
            accepted: metrics.counter("connections_total", "Connections that were accepted.")?,
            open: metrics.gauge(
                "connections_open",
                "Connections that are open, handshakes included.",
            )?,
            inside: metrics.gauge(
                "sessions_open",
                "Connections that count for max-connections.",
            )?,
            refused: Refused {
                all: refused.with(["max_connections"])?,
                per_address: refused.with(["max_connections_per_address"])?,
                per_domain: refused.with(["max_connections_per_domain"])?,
                handshakes: refused.with(["handshakes"])?,
                threads: refused.with(["threads"])?,
            },
            handshakes: metrics.times(
                "handshake_seconds",
                "How long TLS handshakes took that did not fail.",
            )?,
            failed: Failed {
                certificate: failed.with(["certificate"])?,
                no_certificate: failed.with(["no_certificate"])?,
                server_name: failed.with(["server_name"])?,
                alpn: failed.with(["alpn"])?,
                old_tls: failed.with(["old_tls"])?,
                alert: failed.with(["alert"])?,
                timeout: failed.with(["timeout"])?,
                closed: failed.with(["closed"])?,
                io: failed.with(["io"])?,
                protocol: failed.with(["protocol"])?,
            },
        })
    }

    /// A connection was accepted; it is open until what this gives is dropped.
    pub(super) fn accepted(&self) -> Present {
        self.accepted.inc();
        Present::in_gauge(&self.open)
    }

    /// A connection is one of those that the gate counts, until what this gives is
    /// dropped.
    pub(super) fn inside(&self) -> Present {
        Present::in_gauge(&self.inside)
    }

    /// The gate did not let a connection in.
    pub(super) fn refused(&self, full: Full) {
        match full {
            Full::All => self.refused.all.inc(),
            Full::Address => self.refused.per_address.inc(),
            Full::Domain => self.refused.per_domain.inc(),
        }
    }

    /// So many connections that had proved nothing gave way to newer ones.
    pub(super) fn gave_way(&self, count: usize) {
        self.refused.handshakes.inc_by(count as u64);
    }

    /// There was no thread for a connection.
    pub(super) fn no_thread(&self) {
        self.refused.threads.inc();
    }

    /// A handshake is over.
    pub(super) fn shaken<T>(&self, outcome: &Result<T, TlsError>, took: Duration) {
        match outcome {
            Ok(_) => self.handshakes.add(took),
            Err(error) => self.failed.of(error).inc(),
        }
    }
}

impl Failed {
    fn of(&self, error: &TlsError) -> &Counter {
        match error {
            TlsError::Certificate { .. } | TlsError::Stray { .. } => &self.certificate,
            TlsError::NoCertificate { .. } => &self.no_certificate,
            TlsError::NoServerName { .. }
            | TlsError::UnknownServerName { .. }
            | TlsError::NoIdentity { .. } => &self.server_name,
            TlsError::Alpn { .. } => &self.alpn,
            TlsError::OldTls { .. } => &self.old_tls,
            TlsError::TimedOut { .. } => &self.timeout,
            TlsError::Ended { .. } => &self.closed,
            TlsError::Io { .. } => &self.io,
            TlsError::TooMuch { .. } | TlsError::Broken { .. } => &self.protocol,
            // What only a client meets is an alert as well.
            TlsError::Alert { .. }
            | TlsError::Refused { .. }
            | TlsError::CertificateWanted { .. }
            | TlsError::NotServed { .. } => &self.alert,
        }
    }
}
