//! The dialling side of a handshake.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use ima_message::Hostpart;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ClientConfig, ClientConnection, Connection};
use rustls_pki_types::ServerName;

use super::fault::TlsError;
use super::identity::Identities;
use super::names::VerifiedNames;
use super::secure::{Interrupted, Secure, say_last_words, shake_hands};
use super::verifier::PeerVerifier;
use super::{HANDSHAKE_TIME, SetupError};

/// What it takes to dial TLS connections for one protocol.
#[derive(Debug, Clone)]
pub struct ClientSide {
    config: ClientConfig,
    identities: Arc<Identities>,
    protocol: &'static str,
}

impl ClientSide {
    /// As one of the hosts of `identities`, to servers that `verifier` believes,
    /// speaking `protocol` (its name in ALPN, such as `imdp/1`).
    ///
    /// # Errors
    /// [`SetupError`], where the cryptography does not work at all.
    pub fn new(
        identities: Arc<Identities>,
        verifier: Arc<PeerVerifier>,
        protocol: &'static str,
    ) -> Result<ClientSide, SetupError> {
        let mut config = ClientConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        // A resumed session would skip the check of the certificate.
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(ClientSide {
            config,
            identities,
            protocol,
        })
    }

    /// The configuration of a connection as `a.test`.
    #[cfg(test)]
    pub(super) fn config_for_tests(&self) -> ClientConfig {
        let host = Hostpart::parse("a.test").ok();
        let identity = host.and_then(|host| self.identities.for_host(&host));
        let mut config = self.config.clone();
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
        }
        config
    }
}

/// The handshake with the server of `mail_domain`, as `identity_host`, within
/// [`HANDSHAKE_TIME`] in all. The server's certificate must speak for the mail
/// domain itself, whatever host was dialled.
///
/// That the server refuses our certificate is not known yet when this returns:
/// the first read or write says it, as [`TlsError::Refused`].
///
/// # Errors
/// A [`TlsError`]; the server has been sent the fitting alert, and the
/// connection is shut down.
pub fn connect(
    tcp: impl Into<Arc<TcpStream>>,
    side: &ClientSide,
    mail_domain: &Hostpart,
    identity_host: &Hostpart,
) -> Result<Secure, TlsError> {
    let deadline = Instant::now() + HANDSHAKE_TIME;
    let socket: Arc<TcpStream> = tcp.into();
    let peer = mail_domain.as_written().to_owned();
    let identity = side.identities.for_host(identity_host);
    let identity = identity.ok_or_else(|| TlsError::NoIdentity {
        host: identity_host.clone(),
    })?;
    let mut config = side.config.clone();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
    let name = ServerName::try_from(mail_domain.ascii().to_owned()).map_err(|_| {
        let source = rustls::Error::UnsupportedNameType;
        TlsError::Broken {
            peer: peer.clone(),
            source,
        }
    })?;
    let io = |error| TlsError::from_io(&peer, error);
    socket.set_nodelay(true).map_err(io)?;
    let connection = ClientConnection::new(Arc::new(config), name)
        .map_err(|error| TlsError::from_rustls(&peer, error))?;
    let mut connection = Connection::Client(connection);
    match shake_hands(&mut connection, &socket, deadline) {
        Ok(()) => {}
        Err(Interrupted::Io(error)) => return Err(io(error)),
        // Before it has seen our certificate, a server can only mean its own.
        Err(Interrupted::Tls(rustls::Error::AlertReceived(
            AlertDescription::AccessDenied | AlertDescription::UnrecognisedName,
        ))) => {
            return Err(TlsError::NotServed {
                by: mail_domain.clone(),
            });
        }
        Err(Interrupted::Tls(rustls::Error::AlertReceived(
            AlertDescription::NoApplicationProtocol,
        ))) => return Err(alpn(peer, side)),
        Err(Interrupted::Tls(error)) => return Err(TlsError::from_rustls(&peer, error)),
    }
    if connection.alpn_protocol() != Some(side.protocol.as_bytes()) {
        connection.send_close_notify();
        say_last_words(&mut connection, &socket);
        return Err(alpn(peer, side));
    }
    let names = VerifiedNames::of_peer(&connection)
        .ok_or_else(|| TlsError::NoCertificate { peer: peer.clone() })?;
    let asked = Some((mail_domain.clone(), identity_host.clone()));
    Ok(Secure::new(connection, socket, names, peer, asked))
}

fn alpn(peer: String, side: &ClientSide) -> TlsError {
    let wanted = side.protocol;
    TlsError::Alpn { peer, wanted }
}
