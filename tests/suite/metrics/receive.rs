//! What server-receive counts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::ServerName;

use super::Place;
use crate::peer::old_tls::end_of_client;
use crate::peer::{Identity, Peer, client_config, provider, split};
use crate::site::{letter, wait_until};

const NAME: &str = "server-receive";

fn seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

#[test]
fn connections_and_messages_are_counted_by_what_became_of_them() {
    let place = Place::new();
    let before = seconds();
    let server = place.start(NAME);
    let first = place.read_first(NAME);
    let at_first = |series: &str| first.get(&format!("ememo_receive_{series}"));
    assert_eq!(at_first("data_total{answer=\"OK\"}"), 0.0);
    assert!(at_first("start_time_seconds") >= before.floor());
    assert!(at_first("start_time_seconds") <= seconds());

    let good = letter(&["bob@b.test"], "Hello\n");
    let text = String::from_utf8(good.clone()).unwrap();
    let nobody = letter(&["nobody@b.test"], "Hello\n");
    let forged = text.replace("alice@a.test", "eve@x.test").into_bytes();
    let broken = text.replacen("ima: 1", "ima: 2", 1).into_bytes();
    let passed_on = text.replacen("\n\n", "\nmailer: alice@list.test\n\n", 1);
    let mut peer = Peer::dial(server.address, &place.a);
    assert_eq!(peer.deliver(&good), "OK");
    let answer = peer.headers(&nobody);
    assert!(answer[1].starts_with("REJECT recipient "), "{answer:?}");
    let mut wrong = letter(&["bob@b.test"], "Hallo\n");
    assert_eq!(peer.headers(&wrong), ["ACCEPT"]);
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(peer.data(&wrong).pop().unwrap(), "FAIL");
    for refused in [&forged, &broken, &broken] {
        assert!(peer.headers(refused)[0].starts_with("REJECT "));
    }
    peer.say("DONE");
    peer.close();
    // By a certificate of another host's; then what is no command.
    let list = Identity::made(&place.site, "list.test");
    let mut peer = Peer::dial(server.address, &list);
    assert!(peer.headers(passed_on.as_bytes())[0].starts_with("DEFER "));
    peer.say("NONSENSE");
    assert!(peer.answer()[0].starts_with("ERROR "));
    peer.close();
    // No TLS; no certificate.
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain
        .write_all(b"HELO a.test\r\n\r\n\r\n\r\n\r\n\r\n")
        .unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    let socket = TcpStream::connect(server.address).unwrap();
    if let Ok(mut peer) = Peer::over(socket, client_config(None)) {
        peer.rest();
    }
    for reason in ["does not keep to TLS", "sent no certificate"] {
        server.log.wait_for(reason);
    }

    let end = place.end(NAME, server);
    let blocks = [&good, &nobody, &wrong, &forged, &broken, &broken];
    let blocks = blocks.iter().map(|letter| split(letter).0.len());
    let octets = blocks.sum::<usize>() + split(passed_on.as_bytes()).0.len();
    for (series, count) in [
        ("connections_total", 4),
        ("connections_open", 0),
        ("sessions_open", 0),
        ("handshake_seconds_count", 2),
        ("handshakes_failed_total{reason=\"protocol\"}", 1),
        ("handshakes_failed_total{reason=\"no_certificate\"}", 1),
        ("connections_ended_total{reason=\"done\"}", 1),
        ("connections_ended_total{reason=\"error\"}", 1),
        ("headers_total{answer=\"ACCEPT\",keyword=\"\"}", 2),
        ("headers_total{answer=\"REJECT\",keyword=\"recipient\"}", 1),
        ("headers_total{answer=\"REJECT\",keyword=\"identity\"}", 1),
        ("headers_total{answer=\"REJECT\",keyword=\"format\"}", 2),
        ("headers_total{answer=\"DEFER\",keyword=\"\"}", 1),
        ("header_bytes_total", octets),
        ("header_handler_seconds_count", 3),
        ("data_total{answer=\"OK\"}", 1),
        ("data_total{answer=\"FAIL\"}", 1),
        ("data_bytes_total", 12),
        ("data_handler_seconds_count", 1),
        ("unknown_recipients_total", 1),
    ] {
        let counted = end.get(&format!("ememo_receive_{series}"));
        assert_eq!(counted, count as f64, "{series}: {end:#?}");
    }
    // And nothing else was.
    let sum: f64 = end
        .samples
        .iter()
        .map(|(series, value)| {
            let is_by = series.contains("_total{");
            if is_by { *value } else { 0.0 }
        })
        .sum();
    assert_eq!(sum, 13.0, "{end:#?}");
    // A handler was started for them.
    assert!(end.get("ememo_receive_data_handler_seconds_sum") > 0.0);
}

/// A client that believes no certificate of the server's, and says so.
fn refuse_the_server(mut socket: TcpStream) {
    let builder = rustls::ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let none = rustls::RootCertStore::empty();
    let mut config = builder.with_root_certificates(none).with_no_client_auth();
    config.alpn_protocols = client_config(None).alpn_protocols;
    let name = ServerName::try_from("b.test").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    assert!(client.complete_io(&mut socket).is_err());
    let _ = socket.read_to_end(&mut Vec::new());
}

#[test]
fn failed_handshakes_are_counted_by_the_reason() {
    let place = Place::new();
    let server = place.start(NAME);
    let dial = || TcpStream::connect(server.address).unwrap();
    let mut failed = 0;
    let mut has_failed = || {
        failed += 1;
        wait_until("it is logged", || {
            server.log.text().matches("handshake-failed").count() == failed
        });
    };
    // What the server says to a certificate is heard after the handshake.
    let judged = |socket, config| {
        if let Ok(mut peer) = Peer::over(socket, config) {
            peer.rest();
        }
    };
    judged(
        dial(),
        client_config(Some(&Identity::self_signed("a.test"))),
    );
    has_failed();
    judged(dial(), client_config(None));
    has_failed();
    let mut other = client_config(Some(&place.a));
    other.alpn_protocols = vec![b"imrp/1".to_vec()];
    judged(dial(), other);
    has_failed();
    assert!(Peer::dial_for("x.test", server.address, &place.a).is_err());
    has_failed();
    end_of_client(dial());
    has_failed();
    refuse_the_server(dial());
    has_failed();
    drop(dial());
    has_failed();
    // More than there can be before they have proved anything.
    let silent: Vec<TcpStream> = (0..257).map(|_| dial()).collect();
    has_failed();
    let log = server.log.text();
    let last = log.lines().rfind(|line| line.contains("handshake-failed"));
    let says = "error=\"it gave way to a newer one: there were too many\" limit=max-handshakes";
    assert!(last.unwrap().ends_with(says), "{log}");
    let end = place.end(NAME, server);
    drop(silent);
    for (reason, count) in [
        ("certificate", 1.0),
        ("no_certificate", 1.0),
        ("alpn", 1.0),
        ("server_name", 1.0),
        ("old_tls", 1.0),
        ("alert", 1.0),
        ("closed", 2.0),
        ("timeout", 0.0),
        ("io", 0.0),
        ("protocol", 0.0),
    ] {
        let series = format!("ememo_receive_handshakes_failed_total{{reason=\"{reason}\"}}");
        assert_eq!(end.get(&series), count, "{reason}: {end:#?}");
    }
    let gave_way = "ememo_receive_connections_refused_total{reason=\"handshakes\"}";
    assert_eq!(end.get(gave_way), 1.0);
    assert_eq!(end.get("ememo_receive_connections_open"), 256.0);
}

#[test]
fn who_is_refused_at_the_gate_is_counted_by_the_limit() {
    let place = Place::new();
    place.b.set("server-receive.toml", "max-connections", "3");
    place
        .b
        .set("server-receive.toml", "max-connections-per-address", "2");
    let server = place.start(NAME);
    let another = [127, 0, 0, 2].into();
    let mut inside: Vec<Peer> = (0..2)
        .map(|_| Peer::dial(server.address, &place.a))
        .collect();
    // They are inside when they are answered.
    for peer in &mut inside {
        peer.say("KEYS a.test");
        assert_eq!(peer.answer(), ["OK"]);
    }
    Peer::dial(server.address, &place.a).rest();
    let mut third = Peer::dial_from(another, server.address, &place.a);
    third.say("KEYS a.test");
    assert_eq!(third.answer(), ["OK"]);
    Peer::dial_from(another, server.address, &place.a).rest();
    let end = place.end(NAME, server);
    let refused = |reason: &str| {
        end.get(&format!(
            "ememo_receive_connections_refused_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(refused("max_connections_per_address"), 1.0);
    assert_eq!(refused("max_connections"), 1.0);
    assert_eq!(refused("handshakes"), 0.0);
    let stopped = "ememo_receive_connections_ended_total{reason=\"stopping\"}";
    assert_eq!(end.get(stopped), 3.0);
    assert_eq!(end.get("ememo_receive_sessions_open"), 0.0);
}

/// An honest sender that has many messages breaks no rule, and a handler that is not
/// asked takes no time.
#[test]
fn limits_of_a_connection_and_of_a_domain_are_no_faults() {
    let place = Place::new();
    let key = "max-messages-per-connection";
    place.b.set("server-receive.toml", key, "3");
    let server = place.start(NAME);
    let many: Vec<String> = (0..20).map(|i| format!("nobody{i}@b.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut peer = Peer::dial(server.address, &place.a);
    assert!(peer.headers(&letter(&many, "Hello\n"))[20].starts_with("REJECT recipient "));
    for _ in 0..2 {
        let answer = peer.headers(&letter(&["bob@b.test"], "Hello\n"));
        assert!(answer[0].starts_with("DEFER 3600 "), "{answer:?}");
    }
    peer.say("KEYS b.test");
    assert!(peer.answer()[0].starts_with("ERROR 3 messages are the most"));
    peer.rest();
    let line = server.log.wait_for("event=too-many-unknown-recipients");
    let says = " domain=a.test address=127.0.0.1 limit=20 ";
    assert!(
        line.contains(" level=warn ") && line.contains(says),
        "{line}"
    );
    let log = Arc::clone(&server.log);
    let end = place.end(NAME, server);
    assert_eq!(log.text().matches("too-many-unknown-recipients").count(), 1);
    for (series, count) in [
        ("header_handler_seconds_count", 1.0),
        ("headers_total{answer=\"DEFER\",keyword=\"\"}", 2.0),
        (
            "connections_ended_total{reason=\"max_messages_per_connection\"}",
            1.0,
        ),
        ("connections_ended_total{reason=\"error\"}", 0.0),
    ] {
        let counted = end.get(&format!("ememo_receive_{series}"));
        assert_eq!(counted, count, "{series}: {end:#?}");
    }
}

/// Whatever a peer says, the names in the file are those that were there before.
#[test]
fn nobody_puts_anything_into_the_file() {
    let forged = "ememo_receive_forged_total 1";
    let place = Place::new();
    let hostile = Identity::adjusted(&place.site, "a.test", |params| {
        let name = format!("a\"}} 1\n{forged}\n");
        let name = rcgen::string::Ia5String::try_from(name).unwrap();
        params.subject_alt_names.push(rcgen::SanType::DnsName(name));
    });
    let server = place.start(NAME);
    let first = place.read_first(NAME);
    for (identity, is_taken) in [(&place.a, true), (&hostile, false)] {
        let socket = TcpStream::connect(server.address).unwrap();
        let Ok(mut peer) = Peer::over(socket, client_config(Some(identity))) else {
            continue;
        };
        let text = String::from_utf8(letter(&["bob@b.test"], forged)).unwrap();
        let letter = text
            .replace("Lunch?", &format!("x\"}} 1 {forged}"))
            .into_bytes();
        peer.send_headers(&letter);
        if is_taken {
            assert_eq!(peer.answer(), ["ACCEPT"]);
            peer.data(&letter);
        }
        let _ = peer.try_send(format!("x\"}} 1\n{forged}\n").as_bytes());
        peer.rest();
    }
    let end = place.end(NAME, server);
    assert_eq!(end.series(), first.series());
    assert_eq!(end.get("ememo_receive_connections_total"), 2.0);
    let text = std::fs::read_to_string(place.file(NAME)).unwrap();
    assert!(!text.contains("forged"), "{text}");
}
