//! Whom it believes, and who believes it.

use super::Place;
use crate::peer::{Identity, Receiver, Relay};
use crate::site::{Site, letter};

/// What a person is told about a server of b.test with this certificate.
#[track_caller]
fn told(place: &Place, identity: &Identity, wanted: &str) {
    let b = Receiver::taking(identity);
    place.a.knows("b.test", b.address);
    let sent = place.send(&letter(&["bob@b.test"], "Hello\n"));
    sent.is(2, &["DEFER bob@b.test - 60 86400 "])
        .explains(wanted);
    assert!(sent.lines[0].contains(wanted), "{sent:?}");
    assert!(b.lines().is_empty());
}

#[test]
fn a_server_s_certificate_is_named_for_what_it_is() {
    let place = Place::new();
    told(
        &place,
        &place.identity("mail.b.test"),
        "b.test's certificate is for mail.b.test, and not for b.test",
    );
    told(
        &place,
        &place.identity("*.b.test"),
        "b.test's certificate is for *.b.test, and not for b.test",
    );
    told(
        &place,
        &Identity::self_signed("b.test"),
        "b.test's certificate leads to no root that is trusted here",
    );
    let expired = Identity::adjusted(&place.site, "b.test", |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    told(
        &place,
        &expired,
        "b.test's certificate expired at 2020-01-01T00:00:00Z",
    );
    let early = Identity::adjusted(&place.site, "b.test", |params| {
        params.not_before = rcgen::date_time_ymd(2100, 1, 1);
    });
    told(
        &place,
        &early,
        "b.test's certificate is valid only from 2100-01-01T00:00:00Z on",
    );
    let client = Identity::adjusted(&place.site, "b.test", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    told(
        &place,
        &client,
        "b.test's certificate or one above it is not for use by a server",
    );
}

#[test]
fn a_refused_certificate_of_ours_is_reported_as_what_it_is() {
    let place = Place::new();
    let elsewhere = Site::new();
    let b = elsewhere.host("b.test", &["bob"]);
    let server = b.start();
    place.a.knows("b.test", server.address);
    // We believe them, and they do not believe us.
    place.set(
        "roots",
        &format!(
            "[{:?}, {:?}]",
            place.site.ca().join("ca.pem"),
            elsewhere.ca().join("ca.pem")
        ),
    );
    let letter = letter(&["bob@b.test"], "Hello\n");
    let wanted = "b.test refused our certificate for a.test: its issuer is not known there";
    let sent = place.send(&letter);
    sent.is(
        2,
        &["DEFER bob@b.test - 60 86400 b.test refused our certificate for a.test: "],
    )
    .explains(wanted);

    b.set(
        "server-receive.toml",
        "roots",
        &format!("[{:?}]", place.site.ca().join("ca.pem")),
    );
    let server = b.start();
    place.a.knows("b.test", server.address);
    place.send(&letter).is(0, &["OK bob@b.test"]);
    Identity::adjusted(&place.site, "a.test", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    })
    .install(&place.a);
    place
        .send(&letter)
        .is(2, &["DEFER bob@b.test - "])
        .explains(
            "b.test refused our certificate for a.test: it is not for use by a server (serverAuth)",
        );
}

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
fn other_protocols() {
    let place = Place::new();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let server = |protocols: &[&str]| {
        let identity = place.identity("b.test");
        let mut config = crate::peer::server_config(&identity);
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Receiver::start_with(config, |_, mut peer| drop(peer.rest()))
    };
    for protocols in [&["imrp/1", "h2"][..], &[]] {
        let b = server(protocols);
        place.a.knows("b.test", b.address);
        place
            .send(&letter)
            .is(2, &["DEFER bob@b.test - "])
            .explains("b.test does not offer the protocol imdp/1 by ALPN");
    }
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
