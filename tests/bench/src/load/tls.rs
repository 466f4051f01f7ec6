//! TLS without the suite's client side: below SMTP, and with one key exchange.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ima_proto::tls::{PeerVerifier, RootSource};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::Fault;
use crate::args::{Group, Peer};

/// How long a server may be silent.
const IDLE: Duration = Duration::from_secs(120);

/// A TLS connection that this file made.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Those whom the roots vouch for.
///
/// # Errors
/// What is wrong with the file.
pub fn verifier(roots: &Path) -> Result<Arc<PeerVerifier>, Fault> {
    let source = RootSource::File(std::path::absolute(roots)?);
    Ok(PeerVerifier::load(&[source], &[], Path::new("/"))?)
}

/// TLS 1.3 with the certificate of `peer`, no resumption, and one key exchange.
///
/// # Errors
/// What is wrong with the files.
pub fn config(peer: &Peer, group: Group, alpn: &[&str]) -> Result<Arc<ClientConfig>, Fault> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = match group {
        Group::X25519 => vec![kx_group::X25519],
        Group::X25519MlKem768 => vec![kx_group::X25519MLKEM768, kx_group::X25519],
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier(&peer.roots)?);
    let mut config = match (&peer.certificate, &peer.key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)?;
            config.with_client_auth_cert(chain.collect::<Result<_, _>>()?, key)?
        }
        _ => config.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A TCP connection on which nobody waits for ever.
///
/// # Errors
/// Where nobody listens.
pub fn dial(peer: &Peer, turn: usize) -> Result<TcpStream, Fault> {
    let address = peer
        .address
        .iter()
        .cycle()
        .nth(turn % peer.address.len().max(1));
    let tcp = TcpStream::connect(address.ok_or("no address")?)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(IDLE))?;
    tcp.set_write_timeout(Some(IDLE))?;
    Ok(tcp)
}

/// The handshake with the server of `host`.
///
/// # Errors
/// Whatever went wrong.
pub fn shake_hands(
    tcp: TcpStream,
    config: &Arc<ClientConfig>,
    host: &str,
) -> Result<Stream, Fault> {
    let name = ServerName::try_from(host.to_owned())?;
    let mut stream = StreamOwned::new(ClientConnection::new(config.clone(), name)?, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Says close_notify and awaits the server's: so it has believed our certificate.
///
/// # Errors
/// Any other end.
pub fn close(mut stream: Stream) -> Result<(), Fault> {
    stream.conn.send_close_notify();
    stream.flush()?;
    io::copy(&mut Read::take(stream, 1 << 20), &mut io::sink())?;
    Ok(())
}
