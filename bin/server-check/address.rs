//! One address of a server: connection, TLS, protocol, certificates.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ima_message::Hostpart;
use ima_program::escape::visible;
use ima_proto::find::Target;
use ima_proto::tls::TlsError;
use ima_proto::tls::probe::{Agreed, Probe, Seen};
use serde::Serialize;

use crate::certificate::{self, Certificate};
use crate::config::{Eyes, Ours};
use crate::demand;
use crate::finding::{Finding, Outcome};

/// For the connection, and for the handshake with it; the server's word on our
/// certificate takes 3 s more at most.
const CONNECT: Duration = Duration::from_secs(4);
const HANDSHAKE: Duration = Duration::from_secs(7);

/// What was found at an address.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Address {
    /// The server's name, as DNS has it.
    pub target: String,
    pub priority: u16,
    pub weight: u16,
    pub address: SocketAddr,
    /// What was agreed on, where a handshake came to its end.
    pub tls: Option<Tls>,
    /// The server's own certificate, if it showed one.
    pub certificate: Option<Certificate>,
    pub findings: Vec<Finding>,
    /// False where this machine has no way there.
    #[serde(skip)]
    pub has_route: bool,
}

/// What was agreed on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tls {
    version: &'static str,
    cipher: String,
    key_exchange: String,
    protocol: Option<String>,
    asks_certificate: bool,
}

/// How addresses are looked at.
pub struct Look<'a> {
    pub host: &'a Hostpart,
    pub eyes: &'a Eyes,
    pub protocol: &'static str,
    pub is_imdp: bool,
}

impl Address {
    fn new(target: &Target, address: SocketAddr) -> Address {
        Address {
            target: target.name.clone(),
            priority: target.priority,
            weight: target.weight,
            address,
            tls: None,
            certificate: None,
            findings: Vec::new(),
            has_route: true,
        }
    }

    /// Where there was no thread for it.
    pub fn not_looked_at(target: &Target, address: SocketAddr) -> Address {
        let mut unseen = Address::new(target, address);
        let text = "this machine has no room for another thread: try again";
        unseen
            .findings
            .push(Finding::new("connection", Outcome::Unknown, text));
        unseen
    }
}

impl Look<'_> {
    /// Within 10 s, whatever the server does.
    pub fn at(&self, target: &Target, address: SocketAddr) -> Address {
        let deadline = Instant::now() + HANDSHAKE;
        let mut found = Address::new(target, address);
        let Some(socket) = connect(&mut found) else {
            return found;
        };
        let mut probe = Probe::new(self.eyes.verifier.clone(), self.protocol);
        if self.is_imdp
            && let Ours::Of(host, identities) = &self.eyes.ours
        {
            probe.show(identities, host);
        }
        let seen = probe.look(socket, self.host, true, deadline);
        self.explain(&seen, &mut found);
        // A server of another protocol may show its certificate all the same.
        if matches!(seen.fault, Some(TlsError::Alpn { .. }))
            && let left = deadline.saturating_duration_since(Instant::now())
            && !left.is_zero()
            && let Ok(socket) = TcpStream::connect_timeout(&address, left.min(CONNECT))
        {
            let seen = probe.look(socket, self.host, false, deadline);
            if let Some(judged) = &seen.certificate {
                certificate::judge(judged, self.host, &mut found);
            }
        }
        found
    }

    fn explain(&self, seen: &Seen, found: &mut Address) {
        let mut say = |finding| found.findings.push(finding);
        if let Some(fault) = &seen.fault {
            say(no_handshake(fault));
        }
        if let Some(agreed) = &seen.agreed {
            say(Finding::good(
                "tls",
                format!("TLS 1.3, {}, {}", agreed.cipher, agreed.key_exchange),
            ));
            say(self.protocol(agreed));
        }
        if let Some(judged) = &seen.certificate {
            certificate::judge(judged, self.host, found);
        }
        let Some(agreed) = &seen.agreed else {
            return;
        };
        if agreed.protocol.as_deref() == Some(self.protocol) {
            let ours = match self.is_imdp {
                true => demand::of_senders(agreed, &self.eyes.ours),
                false => demand::of_users(agreed),
            };
            found.findings.extend(ours);
        }
        found.tls = Some(Tls {
            version: "TLSv1.3",
            cipher: agreed.cipher.clone(),
            key_exchange: agreed.key_exchange.clone(),
            protocol: agreed
                .protocol
                .as_deref()
                .map(|name| visible(name).into_owned()),
            asks_certificate: agreed.asks_certificate,
        });
    }

    fn protocol(&self, agreed: &Agreed) -> Finding {
        let wanted = self.protocol;
        match agreed.protocol.as_deref() {
            Some(chosen) if chosen == wanted => {
                Finding::good("protocol", format!("it speaks {wanted}, by ALPN"))
            }
            chosen => Finding::wrong(
                "protocol",
                format!(
                    "it chose {} by ALPN, and not {wanted}: another service is at this port, or the server must name its protocol",
                    chosen.unwrap_or("no protocol")
                ),
            ),
        }
    }
}

fn connect(found: &mut Address) -> Option<TcpStream> {
    let began = Instant::now();
    let (result, text) = match TcpStream::connect_timeout(&found.address, CONNECT) {
        Ok(socket) => {
            let took = began.elapsed().as_millis();
            let text = format!("connected in {took} ms");
            found.findings.push(Finding::good("connection", text));
            return Some(socket);
        }
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => (
                Outcome::Wrong,
                "nobody listens: start the server there, or take the address out of DNS (or of [hosts] here)".to_owned(),
            ),
            ErrorKind::TimedOut => (
                Outcome::Wrong,
                format!(
                    "no answer within {} s: the machine is down, or a firewall drops connections; let the port through, or take the address out of DNS (or of [hosts] here)",
                    CONNECT.as_secs()
                ),
            ),
            ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::AddrNotAvailable => {
                found.has_route = false;
                (
                    Outcome::Unknown,
                    format!("this machine has no way there ({error}): look from another one"),
                )
            }
            _ => (
                Outcome::Unknown,
                format!("it cannot be connected to: {error}"),
            ),
        },
    };
    found
        .findings
        .push(Finding::new("connection", result, text));
    None
}

/// Why there was no handshake.
fn no_handshake(fault: &TlsError) -> Finding {
    let text = fault.to_string();
    match fault {
        TlsError::Alpn { wanted, .. } => Finding::wrong(
            "protocol",
            format!(
                "it refuses {wanted} by ALPN: another service is at this port, or the server must be told its protocol"
            ),
        ),
        TlsError::NotServed { .. } => Finding::wrong("name", text),
        TlsError::OldTls { .. } => {
            Finding::wrong("tls", format!("{text}: switch TLS 1.3 on there"))
        }
        TlsError::TimedOut { .. } => Finding::wrong(
            "tls",
            format!(
                "it is silent in the TLS handshake: {} s were not enough; is another service at this port, or is it overloaded?",
                HANDSHAKE.as_secs()
            ),
        ),
        TlsError::Ended { .. } | TlsError::Io { .. } => Finding::wrong(
            "tls",
            format!("{text}; its log says why, if it is a server of IMA at all"),
        ),
        TlsError::Broken { .. } => {
            Finding::wrong("tls", format!("{text}: is another service at this port?"))
        }
        _ => Finding::wrong("tls", text),
    }
}
