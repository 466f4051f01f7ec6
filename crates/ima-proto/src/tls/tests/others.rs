//! Peers that ask for nobody, or speak something else.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, Connection};

use super::secure::shake_hands;
use super::*;

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
fn a_client_that_asks_for_nobody_is_dropped() {
    let ends = Ends::good();
    let outcome = accept_from(&ends, ends.client.config_for_tests(), "192.0.2.7");
    assert!(
        matches!(outcome, Err(TlsError::NoServerName { .. })),
        "{outcome:?}"
    );
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
