//! Who gets no further than the handshake, whatever the certificate.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustls::{AlertDescription, ClientConfig};

use super::Place;
use crate::peer::{Ending, Peer, client_config};
use crate::site::{Server, letter};

/// How a client of this kind ends that wants to deliver a message.
fn end(server: &Server, config: ClientConfig) -> Ending {
    let socket = TcpStream::connect(server.address).unwrap();
    match Peer::over(socket, config) {
        Err(ending) => ending,
        Ok(mut peer) => {
            // It may be closed already.
            let _ = peer.try_send(b"KEYS b.test\n");
            let (said, ending) = peer.rest();
            assert_eq!(said, "");
            ending
        }
    }
}

#[test]
fn who_asks_for_nobody() {
    let place = Place::taking();
    let server = place.b.start();
    let mut config = client_config(Some(&place.a));
    config.enable_sni = false;
    assert_eq!(
        end(&server, config),
        Ending::Alert(AlertDescription::AccessDenied)
    );
    server.log.wait_for("did not say which domain it wants");
    assert_eq!(
        place
            .dial(&server)
            .deliver(&letter(&["bob@b.test"], "Hello\n")),
        "OK"
    );
}

#[test]
fn what_is_no_tls() {
    let place = Place::taking();
    let server = place.b.start();
    for said in [
        &b"HEADERS 5\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 4096],
        b"\x16\x03\x01\xff\xff",
    ] {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket.write_all(said).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // At the most an alert.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() <= 7, "{answer:?}");
    }
    assert_eq!(
        place
            .dial(&server)
            .deliver(&letter(&["bob@b.test"], "Hello\n")),
        "OK"
    );
}
