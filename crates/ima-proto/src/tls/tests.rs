#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

pub mod authority;
mod connections;
mod identities;
mod others;
mod remote;
mod trust;
mod users;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use ima_message::Hostpart;
use rustls::sign::CertifiedKey;

use super::*;
use authority::{Authority, Leaf};

const PROTOCOL: &str = "imdp/1";

fn host(name: &str) -> Hostpart {
    Hostpart::parse(name).unwrap()
}

/// The two ends of a TCP connection over loopback.
fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, dialled)
}

fn pair(leaf: &Leaf) -> Arc<CertifiedKey> {
    let key = leaf.key.clone_key();
    Arc::new(CertifiedKey::from_der(leaf.chain.clone(), key, &provider()).unwrap())
}

/// An identity that is used for a host whether its certificate names it or not.
fn identities(name: &str, leaf: &Leaf) -> Arc<Identities> {
    Identities::unchecked(host(name), pair(leaf))
}

/// A verifier that trusts this authority alone.
fn trusting(authority: &Authority) -> Arc<PeerVerifier> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.pem"), authority.pem()).unwrap();
    PeerVerifier::load(&[RootSource::File("root.pem".into())], &[], dir.path()).unwrap()
}

/// Both sides of one handshake: a server of `b.test` and a client as `a.test`.
struct Ends {
    server: ServerSide,
    client: ClientSide,
}

type Accepted = Result<(Secure, PeerInfo), TlsError>;

impl Ends {
    /// With good certificates from one authority.
    fn good() -> Ends {
        let root = Authority::root("root");
        let server = root.issue(Authority::leaf(&["b.test"]));
        let client = root.issue(Authority::leaf(&["a.test"]));
        Ends {
            server: ServerSide::new(identities("b.test", &server), trusting(&root), PROTOCOL)
                .unwrap(),
            client: ClientSide::new(identities("a.test", &client), trusting(&root), PROTOCOL)
                .unwrap(),
        }
    }

    fn shake(&self) -> (Accepted, Result<Secure, TlsError>) {
        self.shake_for("b.test")
    }

    fn shake_for(&self, domain: &str) -> (Accepted, Result<Secure, TlsError>) {
        self.shake_and(domain, |client| client)
    }

    /// The client does `then` before the server's outcome is awaited.
    fn shake_and<T>(
        &self,
        domain: &str,
        then: impl FnOnce(Result<Secure, TlsError>) -> T,
    ) -> (Accepted, T) {
        let (accepted, dialled) = tcp();
        thread::scope(|scope| {
            let server = scope.spawn(|| accept(accepted, &self.server));
            let client = connect(dialled, &self.client, &host(domain), &host("a.test"));
            let done = then(client);
            (server.join().unwrap(), done)
        })
    }

    /// A connection that must come about.
    fn joined(&self) -> (Secure, Secure) {
        let (server, client) = self.shake();
        (server.unwrap().0, client.unwrap())
    }
}

/// Writes a file of PEM, and gives its name.
fn write(dir: &Path, name: &str, pem: &str) -> ima_program::config::ConfigPath {
    std::fs::write(dir.join(name), pem).unwrap();
    ima_program::config::ConfigPath::new(name)
}
