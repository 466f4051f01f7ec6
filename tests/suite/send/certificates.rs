//! Servers that are somebody else's, or speak no TLS. What certificates are
//! believed is a table of its own.

use super::Place;
use crate::peer::Relay;
use crate::site::letter;

#[test]
fn a_server_that_is_somebody_else_s_says_so() {
    let place = Place::new();
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    place.a.knows("c.test", server.address);
    place
        .send(&letter(&["carol@c.test"], "Hello\n"))
        .is(2, &["DEFER carol@c.test - "])
        .explains("the server that was found for c.test has no certificate for that name");
}

#[test]
fn a_server_that_speaks_no_tls_says_so() {
    let place = Place::new();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let plain = [
        (
            Relay::saying(b"220 mail.b.test ESMTP\r\n"),
            "b.test does not keep to TLS",
        ),
        (
            Relay::saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "b.test does not keep to TLS",
        ),
        (
            Relay::saying(b"\x15\x03\x01\x00\x02\x02\x46"),
            "b.test does not speak TLS 1.3",
        ),
        (Relay::closing(), "b.test"),
    ];
    for (address, wanted) in plain {
        place.a.knows("b.test", address);
        place
            .send(&letter)
            .is(2, &["DEFER bob@b.test - "])
            .explains(wanted);
    }
}
