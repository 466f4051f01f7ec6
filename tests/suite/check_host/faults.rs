//! Hosts with every fault, and what is said of each.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{Place, zone};
use crate::peer::{Identity, Receiver, nowhere, server_config};
use crate::site::Site;

/// A server that does this with each connection, on a port of its own.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            serve(socket.unwrap());
        }
    });
    address
}

#[test]
fn faults_of_a_certificate_are_all_told() {
    let place = Place::new();
    let looked = |identity: &Identity| place.look_at(Receiver::taking(identity).address.port());

    let expired = place.adjusted(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    looked(&expired)
        .ends(1)
        .finds(
            "wrong",
            "dates",
            "expired at 2020-01-01T00:00:00Z: renew it",
        )
        .finds("good", "name", "b.test")
        .finds("good", "chain", "");

    let early = place.adjusted(|params| params.not_before = rcgen::date_time_ymd(2100, 1, 1));
    looked(&early)
        .ends(1)
        .finds("wrong", "dates", "valid only from 2100-01-01T00:00:00Z on")
        .finds("unknown", "clock", "set the clock here");

    looked(&Identity::made(&place.site, "mail.b.test"))
        .ends(1)
        .finds("wrong", "name", "is for mail.b.test, and not for b.test")
        .finds("good", "dates", "")
        .finds("good", "chain", "");

    looked(&Identity::self_signed("b.test"))
        .ends(1)
        .finds("wrong", "chain", "is signed by itself")
        .finds("good", "name", "b.test");

    let client = place.adjusted(|params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    looked(&client)
        .ends(1)
        .finds("wrong", "usage", "not for use by a server")
        .finds("unknown", "chain", "");

    // Three at once: none hides another.
    let mut params = rcgen::CertificateParams::new(["x.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    looked(&Identity::self_signed_with(&params))
        .ends(1)
        .finds("wrong", "dates", "expired")
        .finds("wrong", "name", "is for x.test, and not for b.test")
        .finds("wrong", "chain", "is signed by itself");
}

#[test]
fn a_revoked_certificate_is_told() {
    let place = Place::new();
    let serial = rcgen::SerialNumber::from(vec![1, 2, 3]);
    let revoked = place.adjusted(|params| params.serial_number = Some(serial.clone()));
    let read = |file: &str| fs::read_to_string(place.site.ca().join(file)).unwrap();
    let key = rcgen::KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2030, 1, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: serial,
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&issuer).unwrap().pem().unwrap();
    fs::write(place.a.dir.join("list.pem"), list).unwrap();
    place
        .a
        .set("server-send-mail.toml", "crls", "[\"list.pem\"]");
    place
        .look_at(Receiver::taking(&revoked).address.port())
        .ends(1)
        .finds("wrong", "revocation", "was revoked");
}

#[test]
fn a_server_of_another_protocol_is_told_with_its_certificate() {
    let place = Place::new();
    let identity = Identity::made(&place.site, "mail.b.test");
    // It names none.
    let mut config = server_config(&identity);
    config.alpn_protocols.clear();
    let mute = Receiver::start_with(config, |_, mut peer| drop(peer.close()));
    place
        .look_at(mute.address.port())
        .ends(1)
        .finds("wrong", "protocol", "it chose no protocol by ALPN")
        .finds("wrong", "name", "is for mail.b.test");
    // It refuses ours: its certificate is seen nevertheless.
    let mut config = server_config(&identity);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let web = Receiver::start_with(config, |_, mut peer| drop(peer.close()));
    place
        .look_at(web.address.port())
        .ends(1)
        .finds("wrong", "protocol", "it refuses imdp/1 by ALPN")
        .finds("wrong", "name", "is for mail.b.test");
}

#[test]
fn a_server_that_knows_another_name_only_is_told() {
    let place = Place::new();
    let c = place.site.host("c.test", &[]);
    let server = c.start();
    place.look_at(server.address.port()).ends(1).finds(
        "wrong",
        "name",
        "has no certificate for that name",
    );
}

#[test]
fn one_that_asks_nobody_for_a_certificate_is_told() {
    let place = Place::new();
    let identity = Identity::made(&place.site, "b.test");
    let mut config =
        rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(identity.chain(), identity.key())
            .unwrap();
    config.alpn_protocols = vec![b"imdp/1".to_vec()];
    let open = Receiver::start_with(config, |_, mut peer| drop(peer.close()));
    place.look_at(open.address.port()).ends(1).finds(
        "wrong",
        "demand",
        "does not ask for the sender's certificate",
    );
}

#[test]
fn a_port_at_which_nobody_is_or_nothing_is_said_is_told_in_time() {
    let place = Place::new();
    place
        .look_at(nowhere().port())
        .ends(1)
        .finds("wrong", "connection", "nobody listens");
    // All silent ones together take as long as one.
    let silent = server(|socket| {
        thread::spawn(move || drop((&socket).read_to_end(&mut Vec::new())));
    });
    let drop_by_drop = server(|mut socket| {
        thread::spawn(move || {
            let _ = (&socket).read(&mut [0; 64]);
            // A TLS record of 16 KiB that never comes to its end.
            while socket.write_all(b"\x16\x03\x03\x40\x00").is_ok() {
                thread::park_timeout(Duration::from_millis(500));
            }
        });
    });
    let dns = zone(&[silent.port(), drop_by_drop.port()], "127.0.0.1");
    place.asks(&dns);
    let began = Instant::now();
    let looked = place.look(&[]);
    assert!(began.elapsed() < Duration::from_secs(14), "{looked:#?}");
    looked
        .ends(1)
        .finds("wrong", "tls", "silent in the TLS handshake");
    assert_eq!(looked.printed.matches("wrong ").count(), 2, "{looked:#?}");
}

#[test]
fn what_speaks_no_tls_1_3_is_told() {
    let place = Place::new();
    // The alert protocol_version, as servers of TLS 1.2 send it.
    let old = server(|mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(&[0x15, 3, 3, 0, 2, 2, 70]);
        let _ = socket.read_to_end(&mut Vec::new());
    });
    place
        .look_at(old.port())
        .ends(1)
        .finds("wrong", "tls", "does not speak TLS 1.3")
        .finds("wrong", "tls", "switch TLS 1.3 on there");
    let post = server(|mut socket| {
        let _ = socket.write_all(b"220 mail.b.test ESMTP\r\n");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    place
        .look_at(post.port())
        .ends(1)
        .finds("wrong", "tls", "is another service at this port?");
    let closing = server(drop);
    place
        .look_at(closing.port())
        .ends(1)
        .finds("wrong", "tls", "");
}

#[test]
fn our_own_faults_are_ours() {
    let place = Place::new();
    // b.test believes another authority.
    let elsewhere = Site::new();
    let b = place.site.host("b.test", &["bob"]);
    elsewhere.host("c.test", &[]);
    let other = elsewhere.ca().join("ca.pem").display().to_string();
    b.set("server-receive.toml", "roots", &format!("[\"{other}\"]"));
    let server = b.start();
    let port = server.address.port();
    place
        .look_at(port)
        .ends(2)
        .finds("good", "demand", "it demands a certificate")
        .finds(
            "ours",
            "identity",
            "b.test refused our certificate for a.test",
        );
    // The key cannot be read.
    fs::remove_file(place.a.dir.join("tls/a.test.key")).unwrap();
    place
        .look_at(port)
        .ends(2)
        .finds("good", "demand", "it demands a certificate")
        .finds("ours", "identity", "a.test.key");
}

#[test]
fn a_certificate_of_ours_that_is_called_expired_puts_the_clocks_in_question() {
    let place = Place::new();
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    let expired = Identity::adjusted(&place.site, "a.test", |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    expired.install(&place.a);
    place
        .look_at(server.address.port())
        .ends(2)
        .finds("ours", "identity", "it has expired, or is not valid yet")
        .finds("ours", "clock", "one of the two clocks is wrong");
}

#[test]
fn words_of_strangers_move_no_terminal() {
    let place = Place::new();
    let mut params = rcgen::CertificateParams::new(["b.test".to_owned()]).unwrap();
    params.distinguished_name.push(
        rcgen::DnType::CommonName,
        "\u{1b}[31mred\ngood imdp b.test chain: \u{202e}trusted",
    );
    let mut config = server_config(&Identity::self_signed_with(&params));
    config.alpn_protocols.clear();
    let evil = Receiver::start_with(config, |_, mut peer| drop(peer.close()));
    let dns = zone(&[evil.address.port()], "127.0.0.1");
    place.asks(&dns);
    // Each line is looked at where it is taken in.
    place.look(&[]).ends(1);
    let looked = place.look(&["--json"]);
    let issuer = looked.json()["services"][0]["addresses"][0]["certificate"]["issuer"].clone();
    let issuer = issuer.as_str().unwrap();
    assert!(issuer.contains("\\e[31mred\\ngood"), "{issuer}");
    assert!(!issuer.contains(['\u{1b}', '\n', '\u{202e}']), "{issuer:?}");
}

#[test]
fn a_certificate_with_very_many_names_stays_readable() {
    let place = Place::new();
    let many = place.adjusted(|params| {
        let names = (0..500).map(|number| format!("h{number}.x.test"));
        params.subject_alt_names = names
            .map(|name| rcgen::SanType::DnsName(name.try_into().unwrap()))
            .collect();
    });
    let looked = place.look_at(Receiver::taking(&many).address.port());
    looked.ends(1).finds(
        "wrong",
        "name",
        "h9.x.test and 490 more, and not for b.test",
    );
    assert!(looked.printed.len() < 4000, "{}", looked.printed.len());
}
