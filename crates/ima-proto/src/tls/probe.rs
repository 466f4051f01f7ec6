//! A handshake that looks at everything, and believes nothing.
//!
//! For finding out why a connection would fail: the server's certificate is
//! taken whatever it is, and judged afterwards, piece by piece, by the same code
//! that judges it where mail is sent. Nothing may be sent over a connection that
//! was made so but its end.

mod judged;
mod witness;

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use ima_message::Hostpart;
use rustls::client::Resumption;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, ClientConnection, Connection};
use rustls_pki_types::ServerName;

pub use judged::{About, ChainFault, Judged};

use super::fault::{TlsError, is_about_certificate};
use super::identity::Identities;
use super::lifetime;
use super::secure::{Asked, Interrupted, Secure, Shown, say_last_words, shake_hands, tls_error};
use super::verifier::PeerVerifier;
use crate::framing::Channel as _;
use witness::Witness;

/// Looks at servers.
#[derive(Debug, Clone)]
pub struct Probe {
    verifier: Arc<PeerVerifier>,
    ours: Option<(Hostpart, Arc<CertifiedKey>)>,
    protocol: &'static str,
}

/// What was seen of a server.
#[derive(Debug)]
pub struct Seen {
    /// Why there was no handshake, if so.
    pub fault: Option<TlsError>,
    /// Its certificate, if it showed one.
    pub certificate: Option<Judged>,
    /// What was agreed, where the handshake came to its end.
    pub agreed: Option<Agreed>,
}

/// What two ends of TLS 1.3 have agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Encryption and digest, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The key exchange, such as `X25519MLKEM768`.
    pub key_exchange: String,
    /// The protocol that the server chose by ALPN, if any.
    pub protocol: Option<String>,
    /// Whether the server asked for our certificate.
    pub asks_certificate: bool,
    /// What the server said of our certificate, or of its absence.
    pub verdict: Verdict,
}

/// What a server says of our certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It had one, and closed as it should.
    Accepted,
    /// It had none, and closed as it should.
    NotWanted,
    /// It had none, and demands one.
    Demanded,
    /// It had one, and refused it, in these words.
    Refused {
        /// The whole sentence.
        text: String,
        /// Whether it is for the certificate's dates.
        is_for_dates: bool,
    },
    /// It ended the connection in another way.
    Unclear(String),
}

impl Probe {
    /// With the eyes of `verifier`, by `protocol` (its name in ALPN).
    #[must_use]
    pub fn new(verifier: Arc<PeerVerifier>, protocol: &'static str) -> Probe {
        Probe {
            verifier,
            ours: None,
            protocol,
        }
    }

    /// Shows our certificate for `host`; false where there is none.
    pub fn show(&mut self, identities: &Identities, host: &Hostpart) -> bool {
        self.ours = identities.for_host(host).map(|pair| (host.clone(), pair));
        self.ours.is_some()
    }

    /// The host whose certificate is shown.
    #[must_use]
    pub fn shown(&self) -> Option<&Hostpart> {
        self.ours.as_ref().map(|(host, _)| host)
    }

    /// Looks at the server of `host`: a handshake until `deadline`, and then 3 s
    /// at most. `offers_protocol` says whether the protocol is named by ALPN; without,
    /// some servers show at least their certificate.
    ///
    /// After the handshake the probe ends the connection, and hears by that what
    /// the server makes of our certificate.
    #[must_use]
    pub fn look(
        &self,
        socket: TcpStream,
        host: &Hostpart,
        offers_protocol: bool,
        deadline: Instant,
    ) -> Seen {
        let peer = host.as_written().to_owned();
        let witness = Arc::new(Witness::new(
            Arc::clone(&self.verifier),
            self.ours.as_ref().map(|(_, pair)| Arc::clone(pair)),
        ));
        let agreed = self.shake(socket.into(), host, offers_protocol, deadline, &witness);
        let certificate = Judged::of(&witness.chain(), host, &self.verifier);
        let (fault, agreed) = match agreed {
            Ok(agreed) => (None, Some(agreed)),
            Err(error) => (Some(explained(error, &peer, host, self.protocol)), None),
        };
        Seen {
            fault,
            certificate,
            agreed,
        }
    }

    fn shake(
        &self,
        socket: Arc<TcpStream>,
        host: &Hostpart,
        offers_protocol: bool,
        deadline: Instant,
        witness: &Arc<Witness>,
    ) -> Result<Agreed, Interrupted> {
        let mut config = ClientConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(Interrupted::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(witness.clone())
            .with_client_cert_resolver(witness.clone());
        if offers_protocol {
            config.alpn_protocols = vec![self.protocol.into()];
        }
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(host.ascii().to_owned())
            .map_err(|_| Interrupted::Tls(rustls::Error::UnsupportedNameType))?;
        socket.set_nodelay(true).map_err(Interrupted::Io)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(Interrupted::Tls)?;
        let mut connection = Connection::Client(connection);
        shake_hands(&mut connection, &socket, deadline)?;
        let cipher = connection
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()));
        let key_exchange = connection
            .negotiated_key_exchange_group()
            .map(|group| format!("{:?}", group.name()));
        let protocol = connection
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let asks_certificate = witness.was_asked();
        let is_ours = protocol.as_deref() == Some(self.protocol);
        let verdict = match is_ours {
            true => self.verdict(connection, socket, host),
            // With whom one shares no protocol there is nothing to talk about.
            false => {
                connection.send_close_notify();
                say_last_words(&mut connection, &socket);
                Verdict::Unclear("no protocol was agreed on".to_owned())
            }
        };
        Ok(Agreed {
            cipher: cipher.unwrap_or_default(),
            key_exchange: key_exchange.unwrap_or_default(),
            protocol,
            asks_certificate,
            verdict,
        })
    }

    /// In TLS 1.3 the server judges our certificate after our handshake is over:
    /// it says so when we first read.
    fn verdict(&self, connection: Connection, socket: Arc<TcpStream>, host: &Hostpart) -> Verdict {
        let ours = self.ours.as_ref().map(|(host, _)| host);
        let asked = Asked {
            by: host.clone(),
            shown: ours.cloned().map_or(Shown::Nothing, Shown::Host),
        };
        let peer = host.as_written().to_owned();
        let Err(error) = Secure::new(connection, socket, peer, Some(asked)).close() else {
            return ours.map_or(Verdict::NotWanted, |_| Verdict::Accepted);
        };
        match tls_error(&error) {
            Some(TlsError::CertificateWanted { .. }) => Verdict::Demanded,
            Some(refused @ TlsError::Refused { alert, .. }) => Verdict::Refused {
                text: refused.to_string(),
                is_for_dates: *alert == AlertDescription::CertificateExpired,
            },
            Some(other) => Verdict::Unclear(other.to_string()),
            None => Verdict::Unclear(error.to_string()),
        }
    }
}

/// A moment, in seconds since 1970, as RFC 3339 has it, in UTC.
#[must_use]
pub fn date(seconds: i64) -> String {
    super::fault::date(seconds)
}

/// Seconds since 1970, by the clock of this machine.
#[must_use]
pub fn now() -> i64 {
    lifetime::now()
}

/// As [`connect`](super::connect) would say it.
fn explained(error: Interrupted, peer: &str, host: &Hostpart, wanted: &'static str) -> TlsError {
    use AlertDescription as A;
    match error {
        Interrupted::Io(error) => TlsError::from_io(peer, error),
        Interrupted::Tls(rustls::Error::AlertReceived(A::AccessDenied | A::UnrecognisedName)) => {
            TlsError::NotServed { by: host.clone() }
        }
        Interrupted::Tls(rustls::Error::AlertReceived(A::NoApplicationProtocol)) => {
            let peer = peer.to_owned();
            TlsError::Alpn { peer, wanted }
        }
        Interrupted::Tls(rustls::Error::AlertReceived(alert)) if is_about_certificate(alert) => {
            let peer = peer.to_owned();
            TlsError::Alert { peer, alert }
        }
        Interrupted::Tls(error) => TlsError::from_rustls(peer, error),
    }
}
