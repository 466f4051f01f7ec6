//! Who gets no further than the handshake.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::{AlertDescription, ClientConfig};

use super::Place;
use crate::peer::{Ending, Identity, Peer, client_config};
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
fn certificates_that_do_not_do() {
    let place = Place::taking();
    let server = place.b.start();
    let with = |adjust: fn(&mut rcgen::CertificateParams)| {
        Identity::adjusted(&place.site, "a.test", adjust)
    };
    let expired = with(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = with(|params| params.not_before = rcgen::date_time_ymd(2100, 1, 1));
    let client_only =
        with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let cases = [
        (
            None,
            AlertDescription::CertificateRequired,
            "sent no certificate",
        ),
        (
            Some(Identity::self_signed("a.test")),
            AlertDescription::UnknownCA,
            "no root that is trusted",
        ),
        (
            Some(expired),
            AlertDescription::CertificateExpired,
            "expired at 2020-01-01T00:00:00Z",
        ),
        (
            Some(early),
            AlertDescription::CertificateExpired,
            "is valid only from 2100-01-01T00:00:00Z",
        ),
        (
            Some(client_only),
            AlertDescription::UnsupportedCertificate,
            "not for use by a server",
        ),
    ];
    for (identity, alert, logged) in cases {
        assert_eq!(
            end(&server, client_config(identity.as_ref())),
            Ending::Alert(alert),
            "{logged}"
        );
        let line = server.log.wait_for(logged);
        assert!(line.contains("event=handshake-failed"), "{line}");
    }
    let both = with(|params| {
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
    });
    for identity in [place.a.clone(), both] {
        assert_eq!(
            Peer::dial(server.address, &identity).deliver(&letter(&["bob@b.test"], "Hello\n")),
            "OK"
        );
    }
}

#[test]
fn other_protocols_and_other_names() {
    let place = Place::taking();
    let server = place.b.start();
    let config = |protocols: &[&str]| {
        let mut config = client_config(Some(&place.a));
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    };
    let alert = Ending::Alert(AlertDescription::NoApplicationProtocol);
    assert_eq!(end(&server, config(&["h2", "imrp/1"])), alert);
    assert_eq!(end(&server, config(&[])), Ending::Proper);
    assert_eq!(
        end(&server, {
            let mut config = config(&["imdp/1"]);
            config.enable_sni = false;
            config
        }),
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
