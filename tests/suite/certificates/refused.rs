//! A sender whose certificate is refused is told so, whenever the alert comes.

use std::fs;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::authority::{Authority, leaf, leaf_with};
use crate::peer::{Identity, provider};
use crate::site::{Host, PATIENCE, Site, code, letter, letter_with, stderr, stdout};

/// Octets of a header block that certainly went out where they have come in.
const MANY: usize = 20_000;

/// Believes those whom one authority certified; and waits before it says so.
#[derive(Debug)]
struct Demanding {
    inner: Arc<dyn ClientCertVerifier>,
    socket: Mutex<Option<TcpStream>>,
}

impl Demanding {
    fn new(authority: &Authority) -> Demanding {
        let mut roots = RootCertStore::empty();
        let identity = Identity::new(authority.pem.clone(), String::new());
        roots.add(identity.chain().remove(0)).unwrap();
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        Demanding {
            inner: builder.build().unwrap(),
            socket: Mutex::new(None),
        }
    }
}

impl ClientCertVerifier for Demanding {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(socket) = self.socket.lock().unwrap().take() {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut unread = vec![0; MANY];
            while socket.peek(&mut unread).unwrap() < MANY {
                thread::yield_now();
            }
        }
        self.inner
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// When the alert goes out, and how the connection ends then.
#[derive(Debug, Clone, Copy)]
enum Timing {
    /// At once, and the sender may read it in peace.
    AtOnce,
    /// Only when the whole header block has come in.
    AfterHeaders,
    /// At once, and a reset follows: whatever the sender writes fails.
    ThenReset,
}

/// A server for one connection.
fn server(identity: &Identity, wants: &Authority, timing: Timing) -> SocketAddr {
    let demanding = Arc::new(Demanding::new(wants));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(demanding.clone())
        .with_single_cert(identity.chain(), identity.key())
        .unwrap();
    config.alpn_protocols = vec![b"imdp/1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        if let Timing::AfterHeaders = timing {
            *demanding.socket.lock().unwrap() = Some(socket.try_clone().unwrap());
        }
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let refused = loop {
            while connection.wants_write() {
                connection.write_tls(&mut socket).unwrap();
            }
            // In small pieces: what the verifier waits for stays in the socket.
            let read = connection.read_tls(&mut (&socket).take(16));
            assert!(read.unwrap() > 0, "the sender closed");
            if let Err(error) = connection.process_new_packets() {
                break error;
            }
        };
        assert!(matches!(refused, Error::InvalidCertificate(_)), "{refused}");
        while connection.wants_write() {
            connection.write_tls(&mut socket).unwrap();
        }
        match timing {
            Timing::ThenReset => {
                set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
            }
            Timing::AtOnce | Timing::AfterHeaders => {
                socket.shutdown(Shutdown::Write).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                let _ = io::copy(&mut socket, &mut io::sink());
            }
        }
    });
    address
}

/// What a.test is told, for each recipient; it believes the site's authority.
#[track_caller]
fn told(a: &Host, message: &[u8], wanted: &str) {
    let output = a.send(message, &[]);
    let (said, lines) = (stderr(&output), stdout(&output));
    assert_eq!(code(&output), 2, "{lines}{said}");
    assert!(said.contains(wanted), "{said}");
    assert!(lines.contains("DEFER bob@b.test - 60 86400 "), "{lines}");
    for line in lines.lines() {
        assert!(line.contains(wanted), "{line}");
    }
}

#[test]
fn whenever_the_alert_comes() {
    let site = Site::new();
    let a = site.host("a.test", &[]);
    // Without a usage: this server wants another.
    Identity::made(&site, "a.test").install(&a);
    let identity = Identity::made(&site, "b.test");
    let elsewhere = Authority::root("Elsewhere");
    let message = large_header_block();
    let timings = [Timing::AtOnce, Timing::AfterHeaders];
    for timing in timings.into_iter().chain([Timing::ThenReset; 10]) {
        a.knows("b.test", server(&identity, &elsewhere, timing));
        told(
            &a,
            &message,
            "b.test refused our certificate for a.test: its issuer is not known there",
        );
    }
}

#[test]
fn by_our_own_server() {
    let site = Site::new();
    let (a, b) = (site.host("a.test", &[]), site.host("b.test", &["bob"]));
    let letter = letter(&["bob@b.test"], "Hello\n");
    let root = Authority::root("Root");
    let file = site.path().join("root.pem");
    fs::write(
        &file,
        format!("{}{}", root.pem, read(&site.ca().join("ca.pem"))),
    )
    .unwrap();
    let list = site.path().join("crl.pem");
    fs::write(&list, root.revoking(&[7])).unwrap();
    b.set("server-receive.toml", "roots", &format!("[{file:?}]"));
    b.set("server-receive.toml", "crls", &format!("[{list:?}]"));
    let server = b.start();
    a.knows("b.test", server.address);
    let expired = leaf_with(&["a.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let for_clients = leaf_with(&["a.test"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let revoked = leaf_with(&["a.test"], |params| params.serial_number = Some(7.into()));
    let unknown = Authority::root("Elsewhere").issue(&leaf(&["a.test"]));
    for (identity, words) in [
        (unknown, "its issuer is not known there"),
        (root.issue(&expired), "it has expired, or is not valid yet"),
        (root.issue(&revoked), "it was revoked"),
        (
            root.issue(&for_clients),
            "it is not for the use that is wanted there (a server of IMA wants serverAuth)",
        ),
    ] {
        identity.install(&a);
        let wanted = format!("b.test refused our certificate for a.test: {words}");
        told(&a, &letter, &wanted);
    }
    root.issue(&leaf(&["a.test"])).install(&a);
    assert_eq!(stdout(&a.send(&letter, &[])), "OK bob@b.test\n");
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

/// A letter to many, so that its header block is long.
fn large_header_block() -> Vec<u8> {
    let many: Vec<String> = (0..MANY / 20)
        .map(|number| format!("someone-{number:05}@b.test"))
        .collect();
    let mut options = Vec::new();
    for address in &many {
        options.extend(["--cc", address]);
    }
    letter_with(&["bob@b.test"], "Hello\n", &options)
}
