//! Connections between our two sides.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustls::NamedGroup;
use rustls::client::Resumption;

use super::secure::{Interrupted, shake_hands};
use super::*;
use crate::framing::{Channel, Wire, WireError};

const LONG: Duration = Duration::from_secs(20);

fn wire(secure: Secure) -> Wire<Secure> {
    Wire::new(secure, LONG)
}

#[test]
fn a_peer_is_known_by_its_certificate() {
    let (server, client) = Ends::good().shake();
    let (_, peer) = server.unwrap();
    assert!(peer.names.speaks_for(&host("a.test")));
    assert_eq!(peer.names.to_string(), "a.test");
    assert_eq!(peer.sni, host("b.test"));
    assert_eq!(peer.address, std::net::Ipv4Addr::LOCALHOST);
    assert_eq!(peer.tls, "TLSv1.3");
    client.unwrap();
}

#[test]
fn the_first_key_exchange_is_post_quantum() {
    assert_eq!(provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
}

#[test]
fn lines_pass_in_both_directions() {
    let (server, client) = Ends::good().joined();
    let (mut server, mut client) = (wire(server), wire(client));
    client.write_line("HEADERS 3").unwrap();
    client.write_octets(b"abc").unwrap();
    client.flush(LONG).unwrap();
    assert_eq!(server.read_line(LONG).unwrap(), "HEADERS 3");
    assert_eq!(server.read_block(3, 3, LONG).unwrap(), b"abc");
    server.write_line("ACCEPT").unwrap();
    server.flush(LONG).unwrap();
    assert_eq!(client.read_line(LONG).unwrap(), "ACCEPT");
    let closing = thread::spawn(move || client.close());
    assert!(matches!(server.read_line(LONG), Err(WireError::Closed)));
    server.close().unwrap();
    closing.join().unwrap().unwrap();
}

#[test]
fn one_octet_a_record_is_the_same() {
    let (server, mut client) = Ends::good().joined();
    let writing = thread::spawn(move || {
        for octet in b"HEADERS 1\nxDONE\n" {
            client.write_all(&[*octet]).unwrap();
        }
        client
    });
    let mut server = wire(server);
    assert_eq!(server.read_line(LONG).unwrap(), "HEADERS 1");
    assert_eq!(server.read_block(1, 1, LONG).unwrap(), b"x");
    assert_eq!(server.read_line(LONG).unwrap(), "DONE");
    drop(writing.join().unwrap());
}

#[test]
fn much_data_arrives_whole() {
    let (server, mut client) = Ends::good().joined();
    let data: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    let sent = data.clone();
    let writing = thread::spawn(move || {
        client.set_deadline(Instant::now() + LONG);
        client.write_all(&sent).unwrap();
        wire(client).close()
    });
    let mut server = wire(server);
    assert_eq!(server.read_block(3_000_000, 3_000_000, LONG).unwrap(), data);
    assert!(matches!(server.read_line(LONG), Err(WireError::Closed)));
    server.close().unwrap();
    writing.join().unwrap().unwrap();
}

#[test]
fn what_was_written_before_closing_is_not_lost_to_unread_input() {
    let (server, client) = Ends::good().joined();
    let (mut server, mut client) = (wire(server), wire(client));
    // Nobody reads this.
    client.write_octets(&[b'x'; 200_000]).unwrap();
    client.flush(LONG).unwrap();
    server.write_line("ERROR I do not read you").unwrap();
    let closing = thread::spawn(move || server.close());
    assert_eq!(client.read_line(LONG).unwrap(), "ERROR I do not read you");
    assert!(matches!(client.read_line(LONG), Err(WireError::Closed)));
    client.close().unwrap();
    closing.join().unwrap().unwrap();
}

#[test]
fn a_cut_is_not_an_end() {
    let (server, client) = Ends::good().joined();
    drop(client);
    let error = wire(server).read_line(LONG).unwrap_err();
    assert!(matches!(error, WireError::Truncated), "{error:?}");
}

#[test]
fn a_silent_peer_times_out() {
    let (server, client) = Ends::good().joined();
    let short = Duration::from_millis(50);
    let mut server = wire(server);
    assert!(matches!(server.read_line(short), Err(WireError::TimedOut)));
    // And one that does not read, once the buffers on the way are full.
    server.set_message_deadline(Some(Instant::now() + short));
    let endless = vec![0; 1 << 20];
    let error = std::iter::repeat_with(|| server.write_octets(&endless))
        .find_map(Result::err)
        .unwrap();
    assert!(matches!(error, WireError::TimedOut), "{error:?}");
    drop(client);
}

#[test]
fn a_deadline_holds_against_an_octet_now_and_then() {
    let (server, mut client) = Ends::good().joined();
    let (over, is_over) = mpsc::channel::<()>();
    let dripping = thread::spawn(move || {
        let pause = Duration::from_millis(20);
        while is_over.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            client.write_all(b"x").unwrap();
        }
    });
    let began = Instant::now();
    let mut server = wire(server);
    let error = server.read_line(Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, WireError::TimedOut), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    over.send(()).unwrap();
    dripping.join().unwrap();
}

#[test]
fn input_that_is_here_already_is_seen() {
    let (mut server, mut client) = Ends::good().joined();
    client.write_all(b"early").unwrap();
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 1);
    assert!(server.has_buffered());
    assert_eq!(server.read(&mut [0; 9]).unwrap(), 4);
    assert!(!server.has_buffered());
}

#[test]
fn a_handshake_has_a_deadline() {
    let (accepted, dialled) = tcp();
    let server = Ends::good().server;
    let connection = rustls::ServerConnection::new(server.config_for_tests()).unwrap();
    let outcome = shake_hands(
        &mut connection.into(),
        &accepted,
        Instant::now() + Duration::from_millis(50),
    );
    match outcome {
        Err(Interrupted::Io(error)) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        _ => panic!("nobody spoke"),
    }
    drop(dialled);
}

#[test]
fn a_refusal_is_heard_by_who_writes_first() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let server = identities("b.test", &root.issue(Authority::leaf(&["b.test"])));
    let client = identities("a.test", &other.issue(Authority::leaf(&["a.test"])));
    let ends = Ends {
        server: ServerSide::new(server, trusting(&root), PROTOCOL).unwrap(),
        client: ClientSide::new(client, trusting(&root), PROTOCOL).unwrap(),
    };
    let (server, error) = ends.shake_and("b.test", |client| {
        let mut client = wire(client.unwrap());
        // The server has closed by then, or closes while we write.
        loop {
            let written = client.write_octets(&[b'x'; 100_000]);
            if let Err(error) = written.and_then(|()| client.flush(LONG)) {
                break error;
            }
        }
    });
    assert!(matches!(server, Err(TlsError::Stray { .. })));
    let sentence = error.to_string();
    assert!(
        sentence.starts_with("b.test refused our certificate for a.test: its issuer is not known"),
        "{sentence}"
    );
}

#[test]
fn an_address_that_serves_another_domain_says_so() {
    let ends = Ends::good();
    let (server, client) = ends.shake_for("c.test");
    match server {
        Err(TlsError::UnknownServerName { name, .. }) => assert_eq!(name, "c.test"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client, Err(TlsError::NotServed { by }) if by == host("c.test")));
}

#[test]
fn no_identity_for_the_sender_is_told_before_anything_is_sent() {
    let ends = Ends::good();
    let (_accepted, dialled) = tcp();
    let error = connect(dialled, &ends.client, &host("b.test"), &host("c.test")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no [[identity]] for c.test is configured"
    );
}

#[test]
fn no_session_is_resumed() {
    let ends = Ends::good();
    let mut config = ends.client.config_for_tests();
    config.resumption = Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    for _ in 0..2 {
        let (accepted, dialled) = tcp();
        let name = "b.test".try_into().unwrap();
        let client = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let mut client = rustls::Connection::Client(client);
        thread::scope(|scope| {
            let server = scope.spawn(|| accept(accepted, &ends.server));
            let deadline = Instant::now() + LONG;
            assert!(shake_hands(&mut client, &dialled, deadline).is_ok());
            let (mut secure, _) = server.join().unwrap().unwrap();
            secure.write_all(b"x").unwrap();
            client.read_tls(&mut &dialled).unwrap();
            client.process_new_packets().unwrap();
        });
        assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}
