//! The accepting side of a handshake.

use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use ima_message::Hostpart;
use rustls::server::NoServerSessionStorage;
use rustls::{Connection, ServerConfig, ServerConnection};

use super::fault::TlsError;
use super::identity::Identities;
use super::names::VerifiedNames;
use super::secure::{Interrupted, Secure, say_last_words, shake_hands};
use super::verifier::PeerVerifier;
use super::{HANDSHAKE_TIME, SetupError};

/// What it takes to accept TLS connections for one protocol.
#[derive(Debug, Clone)]
pub struct ServerSide {
    config: Arc<ServerConfig>,
    protocol: &'static str,
}

impl ServerSide {
    /// For the hosts of `identities`, with clients that `verifier` believes,
    /// speaking `protocol` (its name in ALPN, such as `imdp/1`).
    ///
    /// # Errors
    /// [`SetupError`], where the cryptography does not work at all.
    pub fn new(
        identities: Arc<Identities>,
        verifier: Arc<PeerVerifier>,
        protocol: &'static str,
    ) -> Result<ServerSide, SetupError> {
        let mut config = ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(identities);
        config.alpn_protocols = vec![protocol.into()];
        // A resumed session would skip the check of the certificate, and unread
        // tickets would turn the client's close into a reset.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(ServerSide {
            config: Arc::new(config),
            protocol,
        })
    }

    #[cfg(test)]
    pub(super) fn config_for_tests(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

/// Who dialled us, once the handshake has proved it.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// The domains that the peer speaks for.
    pub names: VerifiedNames,
    /// Which of our hosts it asked for.
    pub sni: Hostpart,
    /// Where it comes from; an IPv4 address as such, also on an IPv6 socket.
    pub address: IpAddr,
    /// The version of TLS: `TLSv1.3`.
    pub tls: &'static str,
}

/// The handshake with a client, within [`HANDSHAKE_TIME`] in all. The socket
/// may be shared, so that another can shut it down meanwhile
/// ([`Handshakes`](crate::listen::Handshakes)).
///
/// # Errors
/// A [`TlsError`]; the client has been sent the fitting alert, and the
/// connection is shut down.
pub fn accept(
    tcp: impl Into<Arc<TcpStream>>,
    side: &ServerSide,
) -> Result<(Secure, PeerInfo), TlsError> {
    let deadline = Instant::now() + HANDSHAKE_TIME;
    let socket: Arc<TcpStream> = tcp.into();
    let nobody = || "a client that is gone".to_owned();
    let address = socket
        .peer_addr()
        .map_err(|error| TlsError::from_io(&nobody(), error))?
        .ip()
        .to_canonical();
    let peer = address.to_string();
    let io = |error| TlsError::from_io(&peer, error);
    socket.set_nodelay(true).map_err(io)?;
    let connection = ServerConnection::new(side.config.clone())
        .map_err(|error| TlsError::from_rustls(&peer, error))?;
    let mut connection = Connection::Server(connection);
    let shaken = shake_hands(&mut connection, &socket, deadline);
    let name = match &connection {
        Connection::Server(server) => server.server_name().map(str::to_owned),
        Connection::Client(_) => None,
    };
    let sni = name.as_deref().and_then(|name| Hostpart::parse(name).ok());
    match shaken {
        Ok(()) => {}
        Err(Interrupted::Io(error)) => return Err(io(error)),
        // The only error of rustls that has no kind: no certificate was found.
        Err(Interrupted::Tls(rustls::Error::General(_))) => {
            return Err(match name {
                Some(name) => TlsError::UnknownServerName { peer, name },
                None => TlsError::NoServerName { peer },
            });
        }
        Err(Interrupted::Tls(rustls::Error::NoApplicationProtocol)) => {
            let wanted = side.protocol;
            return Err(TlsError::Alpn { peer, wanted });
        }
        Err(Interrupted::Tls(error)) => return Err(TlsError::from_rustls(&peer, error)),
    }
    // rustls lets a client pass that offers no protocol at all.
    if connection.alpn_protocol() != Some(side.protocol.as_bytes()) {
        connection.send_close_notify();
        say_last_words(&mut connection, &socket);
        let wanted = side.protocol;
        return Err(TlsError::Alpn { peer, wanted });
    }
    let (Some(sni), Some(names)) = (sni, VerifiedNames::of_peer(&connection)) else {
        return Err(TlsError::NoServerName { peer });
    };
    let info = PeerInfo {
        names: names.clone(),
        sni,
        address,
        tls: "TLSv1.3",
    };
    Ok((Secure::new(connection, socket, names, peer, None), info))
}
