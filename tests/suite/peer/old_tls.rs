//! Peers that speak TLS 1.2 and nothing newer, as far as they get.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use rustls::AlertDescription;

use super::Ending;
use crate::site::PATIENCE;

/// A server that chose TLS 1.2 with ECDHE-ECDSA-AES128-GCM-SHA256.
pub fn server_hello() -> Vec<u8> {
    let body = [&[3, 3][..], &[9; 32], &[0, 0xc0, 0x2b, 0]].concat();
    handshake_record(2, &body)
}

/// A client of TLS 1.2: the same on P-256 with ECDSA and SHA-256, and without
/// supported_versions. Gives what it is told.
pub fn end_of_client(mut socket: TcpStream) -> Ending {
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
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&handshake_record(1, &body)).unwrap();
    let mut alert = [0; 7];
    socket.read_exact(&mut alert).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(alert[0], 21, "an alert");
    Ending::Alert(AlertDescription::from(alert[6]))
}

/// A handshake message in a record of its own (RFC 5246, 6.2.1 and 7.4).
fn handshake_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 3, 0, length + 4, kind, 0, 0, length], body].concat()
}
