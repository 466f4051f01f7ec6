//! The accepting side of a handshake.

use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use ima_message::Hostpart;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{ConfigBuilder, Connection, ServerConfig, ServerConnection, WantsVerifier};

use super::any_key::AnyKey;
use super::fault::TlsError;
use super::key_proof::KeyProof;
use super::names::VerifiedNames;
use super::peer_check::PeerCheck;
use super::secure::{Interrupted, Secure, say_last_words, shake_hands};
use super::verifier::PeerVerifier;
use super::{HANDSHAKE_TIME, SetupError};

/// What it takes to accept TLS connections for one protocol. `P` says from whom,
/// so that a user is never taken for a server: from [`Servers`], who prove
/// their domains, by [`accept`]; or from [`Users`], by [`accept_user`].
#[derive(Debug, Clone)]
pub struct ServerSide<P = Servers> {
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    identities: Arc<dyn ResolvesServerCert>,
    protocol: &'static str,
    peers: P,
}

/// Servers of other domains, who must show a certificate that is believed.
#[derive(Debug, Clone)]
pub struct Servers(Arc<PeerVerifier>);

/// Users, who may show a certificate. Only the key in it counts.
#[derive(Debug, Clone, Copy)]
pub struct Users(());

impl ServerSide<Servers> {
    /// For the hosts of `identities`, with clients that `verifier` believes,
    /// speaking `protocol` (its name in ALPN, such as `imdp/1`).
    ///
    /// # Errors
    /// [`SetupError`], where the cryptography does not work at all.
    pub fn new(
        identities: Arc<dyn ResolvesServerCert>,
        verifier: Arc<PeerVerifier>,
        protocol: &'static str,
    ) -> Result<ServerSide<Servers>, SetupError> {
        ServerSide::with(identities, protocol, Servers(verifier))
    }

    #[cfg(test)]
    pub(super) fn config_for_tests(&self) -> Arc<ServerConfig> {
        Arc::new(self.config(Arc::new(PeerCheck::by(self.peers.0.clone()))))
    }
}

impl ServerSide<Users> {
    /// For the hosts of `identities`, with any client, speaking `protocol` (such
    /// as `imrp/1`). A certificate is asked for, without a list of acceptable
    /// authorities; a client may have none. Whichever it shows counts by its key
    /// alone: chain, dates, names and usage are not looked at.
    ///
    /// # Errors
    /// [`SetupError`], where the cryptography does not work at all.
    pub fn for_users(
        identities: Arc<dyn ResolvesServerCert>,
        protocol: &'static str,
    ) -> Result<ServerSide<Users>, SetupError> {
        ServerSide::with(identities, protocol, Users(()))
    }
}

impl<P> ServerSide<P> {
    fn with(
        identities: Arc<dyn ResolvesServerCert>,
        protocol: &'static str,
        peers: P,
    ) -> Result<ServerSide<P>, SetupError> {
        let builder = ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        Ok(ServerSide {
            builder,
            identities,
            protocol,
            peers,
        })
    }

    /// For one connection, whose client `verifier` examines.
    fn config(&self, verifier: Arc<dyn ClientCertVerifier>) -> ServerConfig {
        let mut config = self
            .builder
            .clone()
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.identities.clone());
        config.alpn_protocols = vec![self.protocol.into()];
        // A resumed session would skip the check of the certificate, and unread
        // tickets would turn the client's close into a reset.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config
    }
}

/// Which server dialled us, once the handshake has proved it.
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

/// A user's program that dialled us.
#[derive(Debug, Clone)]
pub struct UserPeer {
    /// Which of our hosts it asked for.
    pub sni: Hostpart,
    /// Where it comes from; an IPv4 address as such, also on an IPv6 socket.
    pub address: IpAddr,
    /// The version of TLS: `TLSv1.3`.
    pub tls: &'static str,
    /// The proof that it holds the key of its certificate, if it showed one.
    pub key: Option<KeyProof>,
}

/// The handshake with another server, within [`HANDSHAKE_TIME`] in all. The
/// socket may be shared, so that another can shut it down meanwhile
/// ([`Handshakes`](crate::listen::Handshakes)).
///
/// # Errors
/// A [`TlsError`]; the client has been sent the fitting alert, and the
/// connection is shut down.
pub fn accept(
    tcp: impl Into<Arc<TcpStream>>,
    side: &ServerSide<Servers>,
) -> Result<(Secure, PeerInfo), TlsError> {
    let check = Arc::new(PeerCheck::by(side.peers.0.clone()));
    let client = Client::shake(tcp.into(), side.config(check.clone()), side.protocol)
        .map_err(|error| check.explain(error))?;
    let Some(names) = check.names(&client.connection) else {
        return Err(TlsError::NoCertificate { peer: client.peer });
    };
    let info = PeerInfo {
        names,
        sni: client.sni.clone(),
        address: client.address,
        tls: "TLSv1.3",
    };
    Ok((client.secure(), info))
}

/// The handshake with a user's program, as [`accept`] does it.
///
/// # Errors
/// A [`TlsError`], as from [`accept`]; no certificate at all is none.
pub fn accept_user(
    tcp: impl Into<Arc<TcpStream>>,
    side: &ServerSide<Users>,
) -> Result<(Secure, UserPeer), TlsError> {
    let check = Arc::new(AnyKey::new());
    let client = Client::shake(tcp.into(), side.config(check.clone()), side.protocol)?;
    let user = UserPeer {
        sni: client.sni.clone(),
        address: client.address,
        tls: "TLSv1.3",
        key: check.proof(),
    };
    Ok((client.secure(), user))
}

/// A client whose handshake is over: it speaks our protocol and asked for a
/// host of ours.
struct Client {
    connection: Connection,
    socket: Arc<TcpStream>,
    address: IpAddr,
    peer: String,
    sni: Hostpart,
}

impl Client {
    fn shake(
        socket: Arc<TcpStream>,
        config: ServerConfig,
        protocol: &'static str,
    ) -> Result<Client, TlsError> {
        let deadline = Instant::now() + HANDSHAKE_TIME;
        let nobody = || "a client that is gone".to_owned();
        let address = socket
            .peer_addr()
            .map_err(|error| TlsError::from_io(&nobody(), error))?
            .ip()
            .to_canonical();
        let peer = address.to_string();
        let io = |error| TlsError::from_io(&peer, error);
        socket.set_nodelay(true).map_err(io)?;
        let connection = ServerConnection::new(Arc::new(config))
            .map_err(|error| TlsError::from_rustls(&peer, error))?;
        let mut connection = Connection::Server(connection);
        let shaken = shake_hands(&mut connection, &socket, deadline);
        let name = match &connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        let sni = name.as_deref().and_then(|name| Hostpart::parse(name).ok());
        let wanted = protocol;
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
                return Err(TlsError::Alpn { peer, wanted });
            }
            Err(Interrupted::Tls(error)) => return Err(TlsError::from_rustls(&peer, error)),
        }
        // rustls lets a client pass that offers no protocol at all.
        if connection.alpn_protocol() != Some(protocol.as_bytes()) {
            connection.send_close_notify();
            say_last_words(&mut connection, &socket);
            return Err(TlsError::Alpn { peer, wanted });
        }
        let Some(sni) = sni else {
            return Err(TlsError::NoServerName { peer });
        };
        Ok(Client {
            connection,
            socket,
            address,
            peer,
            sni,
        })
    }

    fn secure(self) -> Secure {
        Secure::new(self.connection, self.socket, self.peer, None)
    }
}
