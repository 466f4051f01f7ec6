//! What a person reads where a certificate is not good.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Usage, date_time_ymd};

use super::*;

/// What the client says of a server of `b.test` with this certificate.
fn said_of(root: &Authority, leaf: &Leaf) -> String {
    let client = identities("a.test", &root.issue(Authority::leaf(&["a.test"])));
    let ends = Ends {
        server: ServerSide::new(identities("b.test", leaf), trusting(root), PROTOCOL).unwrap(),
        client: ClientSide::new(client, trusting(root), PROTOCOL).unwrap(),
    };
    let (_, client) = ends.shake();
    client.unwrap_err().to_string()
}

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = Authority::leaf(&["b.test"]);
    change(&mut params);
    params
}

#[test]
fn they_name_what_is_wrong_and_what_to_do() {
    let root = Authority::root("root");
    let other = Authority::root("other");
    let expired = with(|params| params.not_after = date_time_ymd(2021, 2, 3));
    let early = with(|params| params.not_before = date_time_ymd(2119, 1, 1));
    let for_clients = with(|params| params.extended_key_usages = vec![Usage::ClientAuth]);
    let authority = with(|params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    for (leaf, sentence) in [
        (
            root.issue(expired),
            "b.test's certificate expired at 2021-02-03T00:00:00Z: it must be renewed",
        ),
        (
            root.issue(early),
            "b.test's certificate is valid only from 2119-01-01T00:00:00Z on: is a clock wrong?",
        ),
        (
            root.issue(Authority::leaf(&["c.test", "*.b.test"])),
            "b.test's certificate is for c.test, *.b.test, and not for b.test",
        ),
        (
            root.issue(Authority::leaf(&["192.0.2.7"])),
            "b.test's certificate names no domain, and so not b.test (it needs a dNSName in subjectAltName)",
        ),
        (
            root.issue(for_clients),
            "b.test's certificate or one above it is not for use by a server (serverAuth), only for clientAuth",
        ),
        (
            root.issue(authority),
            "b.test's certificate is the certificate of an authority (CA:TRUE), which no server can use",
        ),
        (
            other.issue(Authority::leaf(&["b.test"])),
            "b.test's certificate leads to no root that is trusted here: it is self-signed, or its authority is not in roots, or the peer does not send the intermediate certificates",
        ),
    ] {
        assert_eq!(said_of(&root, &leaf), sentence);
    }
}

#[test]
fn names_that_are_no_names_stay_out_of_them() {
    let root = Authority::root("root");
    let leaf = root.issue(Authority::leaf(&["x\ny", "\u{1b}[1m", "c.test"]));
    assert_eq!(
        said_of(&root, &leaf),
        "b.test's certificate is for c.test, and not for b.test"
    );
}
