//! The dialling side of a handshake.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ima_message::Hostpart;
use rustls::client::Resumption;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, ClientConnection, Connection};
use rustls_pki_types::ServerName;

use super::fault::TlsError;
use super::identity::{Identities, IdentityError, pair};
use super::peer_check::PeerCheck;
use super::secure::{Asked, Interrupted, Secure, Shown, say_last_words, shake_hands};
use super::verifier::PeerVerifier;
use super::{HANDSHAKE_TIME, SetupError, pem};

/// What it takes to dial TLS connections for one protocol. `A` says as whom: as
/// one of our hosts, by [`connect`]; or as a user, who may have a certificate,
/// by [`connect_as_user`].
#[derive(Debug, Clone)]
pub struct ClientSide<A = Arc<Identities>> {
    config: ClientConfig,
    verifier: Arc<PeerVerifier>,
    ours: A,
    protocol: &'static str,
}

/// A user's certificate and its key. A server knows the user by the key.
#[derive(Debug, Clone)]
pub struct UserCertificate(Arc<CertifiedKey>);

impl UserCertificate {
    /// Reads a PEM file with the certificate and one with its private key.
    ///
    /// # Errors
    /// [`IdentityError::Pem`] or [`IdentityError::NoPair`], with the files.
    pub fn load(certificate: &Path, key: &Path) -> Result<UserCertificate, IdentityError> {
        let chain = pem::certificates(certificate)?;
        pair(chain, certificate, key).map(UserCertificate)
    }
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
        Ok(ClientSide {
            config: config(verifier.clone(), protocol)?,
            verifier,
            ours: identities,
            protocol,
        })
    }

    /// The configuration of a connection as `a.test`.
    #[cfg(test)]
    pub(super) fn config_for_tests(&self) -> ClientConfig {
        let host = Hostpart::parse("a.test").ok();
        let identity = host.and_then(|host| self.ours.for_host(&host));
        let mut config = self.config.clone();
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
        }
        config
    }
}

impl ClientSide<Option<UserCertificate>> {
    /// As a user, to servers that `verifier` believes, speaking `protocol` (such
    /// as `imrp/1`). The certificate is shown to a server that asks for one.
    ///
    /// # Errors
    /// [`SetupError`], where the cryptography does not work at all.
    pub fn for_user(
        certificate: Option<UserCertificate>,
        verifier: Arc<PeerVerifier>,
        protocol: &'static str,
    ) -> Result<ClientSide<Option<UserCertificate>>, SetupError> {
        Ok(ClientSide {
            config: config(verifier.clone(), protocol)?,
            verifier,
            ours: certificate,
            protocol,
        })
    }
}

/// Of a client without a certificate.
fn config(
    verifier: Arc<PeerVerifier>,
    protocol: &'static str,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    // A resumed session would skip the check of the certificate.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
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
    let identity = side.ours.for_host(identity_host);
    let identity = identity.ok_or_else(|| TlsError::NoIdentity {
        host: identity_host.clone(),
    })?;
    let asked = Asked {
        by: mail_domain.clone(),
        shown: Shown::Host(identity_host.clone()),
    };
    shake(tcp.into(), side, Some(identity), asked)
}

/// The handshake of a user's program with the server of `mail_domain`, the
/// hostpart of the user's address, as [`connect`] does it.
///
/// # Errors
/// A [`TlsError`], as from [`connect`].
pub fn connect_as_user(
    tcp: impl Into<Arc<TcpStream>>,
    side: &ClientSide<Option<UserCertificate>>,
    mail_domain: &Hostpart,
) -> Result<Secure, TlsError> {
    let certificate = side.ours.as_ref().map(|ours| ours.0.clone());
    let asked = Asked {
        by: mail_domain.clone(),
        shown: match certificate {
            Some(_) => Shown::User,
            None => Shown::Nothing,
        },
    };
    shake(tcp.into(), side, certificate, asked)
}

fn shake<A>(
    socket: Arc<TcpStream>,
    side: &ClientSide<A>,
    certificate: Option<Arc<CertifiedKey>>,
    asked: Asked,
) -> Result<Secure, TlsError> {
    let check = Arc::new(PeerCheck::by(side.verifier.clone()));
    let mut config = side.config.clone();
    config.dangerous().set_certificate_verifier(check.clone());
    if let Some(certificate) = certificate {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certificate));
    }
    secure(socket, config, side.protocol, asked).map_err(|error| check.explain(error))
}

fn secure(
    socket: Arc<TcpStream>,
    config: ClientConfig,
    protocol: &'static str,
    asked: Asked,
) -> Result<Secure, TlsError> {
    let deadline = Instant::now() + HANDSHAKE_TIME;
    let peer = asked.by.as_written().to_owned();
    let name = ServerName::try_from(asked.by.ascii().to_owned()).map_err(|_| {
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
    let wanted = protocol;
    match shake_hands(&mut connection, &socket, deadline) {
        Ok(()) => {}
        Err(Interrupted::Io(error)) => return Err(io(error)),
        // Before it has seen our certificate, a server can only mean its own.
        Err(Interrupted::Tls(rustls::Error::AlertReceived(
            AlertDescription::AccessDenied | AlertDescription::UnrecognisedName,
        ))) => return Err(TlsError::NotServed { by: asked.by }),
        Err(Interrupted::Tls(rustls::Error::AlertReceived(
            AlertDescription::NoApplicationProtocol,
        ))) => return Err(TlsError::Alpn { peer, wanted }),
        Err(Interrupted::Tls(error)) => return Err(TlsError::from_rustls(&peer, error)),
    }
    if connection.alpn_protocol() != Some(protocol.as_bytes()) {
        connection.send_close_notify();
        say_last_words(&mut connection, &socket);
        return Err(TlsError::Alpn { peer, wanted });
    }
    Ok(Secure::new(connection, socket, peer, Some(asked)))
}
