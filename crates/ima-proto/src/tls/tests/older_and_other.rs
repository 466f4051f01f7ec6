//! Peers that speak something older, or something else.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{AlertDescription, ClientConfig, ClientConnection, Connection, ServerConnection};

use super::secure::shake_hands;
use super::*;

fn ends_of(server: &'static str, client: &'static str) -> Ends {
    let root = Authority::root("root");
    let [b, a] = ["b.test", "a.test"].map(|name| root.issue(Authority::leaf(&[name])));
    Ends {
        server: ServerSide::new(identities("b.test", &b), trusting(&root), server).unwrap(),
        client: ClientSide::new(identities("a.test", &a), trusting(&root), client).unwrap(),
    }
}

#[test]
fn another_protocol_is_dropped_by_both() {
    let (server, client) = ends_of("imdp/1", "imsp/1").shake();
    let server = server.unwrap_err().to_string();
    assert_eq!(
        server,
        "127.0.0.1 does not offer the protocol imdp/1 by ALPN"
    );
    let client = client.unwrap_err().to_string();
    assert_eq!(client, "b.test does not offer the protocol imsp/1 by ALPN");
}

/// A handshake of `accept` with any client that rustls can be.
fn accept_from(ends: &Ends, config: ClientConfig, name: &'static str) -> Accepted {
    let (accepted, dialled) = tcp();
    thread::scope(|scope| {
        let server = scope.spawn(|| accept(accepted, &ends.server));
        let name = name.try_into().unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut client = Connection::Client(client);
        let deadline = Instant::now() + Duration::from_secs(20);
        let _ = shake_hands(&mut client, &dialled, deadline);
        drop(dialled);
        server.join().unwrap()
    })
}

#[test]
fn a_client_without_a_protocol_is_dropped() {
    let ends = Ends::good();
    let mut config = ends.client.config_for_tests();
    config.alpn_protocols.clear();
    let outcome = accept_from(&ends, config, "b.test");
    assert!(matches!(outcome, Err(TlsError::Alpn { .. })), "{outcome:?}");
}

#[test]
fn a_server_without_a_protocol_is_dropped() {
    let ends = Ends::good();
    let (accepted, dialled) = tcp();
    let mut config = (*ends.server.config_for_tests()).clone();
    config.alpn_protocols.clear();
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            let server = ServerConnection::new(Arc::new(config)).unwrap();
            let mut server = Connection::Server(server);
            let deadline = Instant::now() + Duration::from_secs(20);
            let _ = shake_hands(&mut server, &accepted, deadline);
            drop(accepted);
        });
        connect(dialled, &ends.client, &host("b.test"), &host("a.test"))
    });
    assert!(matches!(outcome, Err(TlsError::Alpn { .. })), "{outcome:?}");
}

#[test]
fn a_client_without_a_certificate_is_dropped() {
    let ends = Ends::good();
    let mut config = ends.client.config_for_tests();
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    let outcome = accept_from(&ends, config, "b.test");
    match outcome {
        Err(error @ TlsError::NoCertificate { .. }) => assert_eq!(
            error.to_string(),
            "127.0.0.1 sent no certificate, and a sending server must have one"
        ),
        other => panic!("{other:?}"),
    }
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn a_client_that_asks_for_nobody_is_dropped() {
    let ends = Ends::good();
    let outcome = accept_from(&ends, ends.client.config_for_tests(), "192.0.2.7");
    assert!(
        matches!(outcome, Err(TlsError::NoServerName { .. })),
        "{outcome:?}"
    );
}

/// A TLS 1.2 client's hello (RFC 5246, 7.4.1.2): ECDHE-ECDSA-AES128-GCM-SHA256
/// on P-256 with ECDSA and SHA-256, and without supported_versions.
fn tls12_client_hello() -> Vec<u8> {
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ]
    .concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0, 2, 0xc0, 0x2b, 1, 0],
        &[0, u8::try_from(extensions.len()).unwrap()],
        &extensions,
    ]
    .concat();
    handshake_record(1, &body)
}

fn handshake_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 3, 0, length + 4, kind, 0, 0, length], body].concat()
}

#[test]
fn a_tls_1_2_client_is_dropped() {
    let ends = Ends::good();
    let (accepted, mut dialled) = tcp();
    thread::scope(|scope| {
        let server = scope.spawn(|| accept(accepted, &ends.server));
        dialled.write_all(&tls12_client_hello()).unwrap();
        let mut answer = [0; 7];
        dialled.read_exact(&mut answer).unwrap();
        let protocol_version = u8::from(AlertDescription::ProtocolVersion);
        assert_eq!((answer[0], answer[6]), (21, protocol_version));
        drop(dialled);
        let error = server.join().unwrap().unwrap_err();
        assert!(matches!(error, TlsError::OldTls { .. }), "{error:?}");
    });
}

#[test]
fn a_tls_1_2_server_is_dropped() {
    let ends = Ends::good();
    let (mut accepted, dialled) = tcp();
    let hello = [&[3, 3][..], &[9; 32], &[0, 0xc0, 0x2b, 0]].concat();
    accepted.write_all(&handshake_record(2, &hello)).unwrap();
    let server = thread::spawn(move || {
        let mut seen = Vec::new();
        accepted.read_to_end(&mut seen)
    });
    let error = connect(dialled, &ends.client, &host("b.test"), &host("a.test")).unwrap_err();
    assert!(matches!(error, TlsError::OldTls { .. }), "{error:?}");
    server.join().unwrap().unwrap();
}

#[test]
fn who_speaks_no_tls_at_all_is_dropped() {
    let ends = Ends::good();
    let (accepted, mut dialled) = tcp();
    dialled.write_all(b"HEADERS 301\n").unwrap();
    dialled.shutdown(std::net::Shutdown::Write).unwrap();
    let error = accept(accepted, &ends.server).unwrap_err();
    assert!(matches!(error, TlsError::Broken { .. }), "{error:?}");
    // Or says nothing and leaves.
    let (accepted, dialled) = tcp();
    drop(dialled);
    let error = accept(accepted, &ends.server).unwrap_err();
    assert!(matches!(error, TlsError::Ended { .. }), "{error:?}");
}
