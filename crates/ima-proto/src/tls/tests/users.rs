//! Users, whose certificate counts by its key alone.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{ExtendedKeyUsagePurpose as Usage, date_time_ymd};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, Connection, SignatureScheme};

use super::secure::shake_hands;
use super::*;
use crate::framing::Channel;

const IMRP: &str = "imrp/1";

fn server(root: &Authority) -> ServerSide<Users> {
    let leaf = root.issue(Authority::leaf(&["b.test"]));
    ServerSide::for_users(identities("b.test", &leaf), IMRP).unwrap()
}

fn user(root: &Authority, leaf: Option<&Leaf>) -> ClientSide<Option<UserCertificate>> {
    let certificate = leaf.map(|leaf| {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "u.pem", &leaf.certificate_pem);
        write(dir.path(), "u.key", &leaf.key_pem);
        UserCertificate::load(&dir.path().join("u.pem"), &dir.path().join("u.key")).unwrap()
    });
    ClientSide::for_user(certificate, trusting(root), IMRP).unwrap()
}

fn shake(
    server: &ServerSide<Users>,
    client: &ClientSide<Option<UserCertificate>>,
) -> (
    Result<(Secure, UserPeer), TlsError>,
    Result<Secure, TlsError>,
) {
    let (accepted, dialled) = tcp();
    thread::scope(|scope| {
        let server = scope.spawn(|| accept_user(accepted, server));
        let client = connect_as_user(dialled, client, &host("b.test"));
        (server.join().unwrap(), client)
    })
}

#[test]
fn the_key_is_known_whatever_the_certificate_says() {
    let root = Authority::root("root");
    let side = server(&root);
    let mut old = Authority::leaf(&[]);
    old.not_after = date_time_ymd(2021, 1, 1);
    old.extended_key_usages = vec![Usage::CodeSigning];
    for leaf in [
        Authority::self_signed(old),
        Authority::root("elsewhere").issue(Authority::leaf(&["c.test"])),
    ] {
        let (server, client) = shake(&side, &user(&root, Some(&leaf)));
        let (mut server, peer) = server.unwrap();
        let proof = peer.key.unwrap();
        let key = KeyDigest::of_certificate(&leaf.chain[0]);
        let proofs = KeyProofs::default();
        assert_eq!(proofs.check(&proof), key);
        assert!(key.is_some());
        assert_eq!((peer.sni, peer.tls), (host("b.test"), "TLSv1.3"));
        let mut client = client.unwrap();
        client.write_all(b"x").unwrap();
        assert_eq!(server.read(&mut [0; 9]).unwrap(), 1);
    }
}

#[test]
fn a_user_needs_no_certificate() {
    let root = Authority::root("root");
    let (server, client) = shake(&server(&root), &user(&root, None));
    assert_eq!(server.unwrap().1.key, None);
    client.unwrap();
}

#[test]
fn a_user_checks_the_server_all_the_same() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let (_, client) = shake(&server(&root), &user(&other, None));
    let sentence = client.unwrap_err().to_string();
    assert!(
        sentence
            .starts_with("b.test's certificate was issued by CN=root, which is not in roots here"),
        "{sentence}"
    );
}

/// A certificate shown with the key of another.
#[derive(Debug)]
struct Borrowed(Arc<CertifiedKey>);

impl ResolvesClientCert for Borrowed {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn who_does_not_hold_the_key_is_not_let_in() {
    let root = Authority::root("root");
    let ends = Ends::good();
    let [alice, mallory] = ["alice", "mallory"].map(|_| root.issue(Authority::leaf(&["a.test"])));
    let borrowed = CertifiedKey::new(alice.chain.clone(), pair(&mallory).key.clone());
    let mut config = ends.client.config_for_tests();
    config.alpn_protocols = vec![IMRP.into()];
    config.client_auth_cert_resolver = Arc::new(Borrowed(Arc::new(borrowed)));
    let leaf = root.issue(Authority::leaf(&["b.test"]));
    let side = ServerSide::for_users(identities("b.test", &leaf), IMRP).unwrap();
    config.dangerous().set_certificate_verifier(trusting(&root));
    let (accepted, dialled) = tcp();
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| accept_user(accepted, &side));
        let client = ClientConnection::new(Arc::new(config), "b.test".try_into().unwrap());
        let mut client = Connection::Client(client.unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        let _ = shake_hands(&mut client, &dialled, deadline);
        drop(dialled);
        server.join().unwrap()
    });
    assert!(
        matches!(outcome, Err(TlsError::Certificate { .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_server_that_wants_more_is_reported_for_what_it_wants() {
    let root = Authority::root("root");
    let leaf = root.issue(Authority::leaf(&["b.test"]));
    // One that believes only certificates of servers, and demands one.
    let strict = ServerSide::new(identities("b.test", &leaf), trusting(&root), IMRP).unwrap();
    let unknown = Authority::self_signed(Authority::leaf(&[]));
    for (certificate, sentence) in [
        (
            Some(&unknown),
            "b.test refused our certificate: its issuer is not known there",
        ),
        (
            None,
            "b.test demands a certificate of the user: configure certificate and key",
        ),
    ] {
        let (accepted, dialled) = tcp();
        let error = thread::scope(|scope| {
            scope.spawn(|| accept(accepted, &strict));
            let side = user(&root, certificate);
            let mut client = connect_as_user(dialled, &side, &host("b.test")).unwrap();
            client.set_deadline(Instant::now() + Duration::from_secs(20));
            client.read(&mut [0; 9]).unwrap_err().to_string()
        });
        assert!(error.starts_with(sentence), "{error}");
    }
}

#[test]
fn a_certificate_without_its_key_is_not_loaded() {
    let root = Authority::root("root");
    let [one, other] = ["a", "b"].map(|_| root.issue(Authority::leaf(&["a.test"])));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "u.pem", &one.certificate_pem);
    write(dir.path(), "u.key", &other.key_pem);
    let error = UserCertificate::load(&dir.path().join("u.pem"), &dir.path().join("u.key"));
    assert!(
        matches!(error, Err(IdentityError::NoPair { .. })),
        "{error:?}"
    );
}

/// What another process says of a handshake proves nothing.
#[test]
fn a_proof_is_the_client_s_and_lets_in_once() {
    let root = Authority::root("root");
    let leaf = Authority::self_signed(Authority::leaf(&[]));
    let (server, client) = shake(&server(&root), &user(&root, Some(&leaf)));
    client.unwrap();
    let proof = server.unwrap().1.key.unwrap();
    let written = serde_json::to_value(&proof).unwrap();
    let proofs = KeyProofs::default();
    let changed = |field: &str, at: usize| {
        let mut other = written.clone();
        let octet = other[field][at].as_u64().unwrap();
        other[field][at] = (octet ^ 1).into();
        proofs.check(&serde_json::from_value(other).unwrap())
    };
    // Another handshake, another context, what is no handshake, another signature.
    assert_eq!(changed("message", 100), None);
    assert_eq!(changed("message", 64 + 9), None);
    assert_eq!(changed("message", 0), None);
    assert_eq!(changed("signature", 20), None);
    let mut other = written.clone();
    other["scheme"] = 0x0201.into();
    assert_eq!(proofs.check(&serde_json::from_value(other).unwrap()), None);
    let mut other = written.clone();
    let stranger = Authority::self_signed(Authority::leaf(&[]));
    let parsed = webpki::EndEntityCert::try_from(&stranger.chain[0]).unwrap();
    other["key"] = serde_json::to_value(parsed.subject_public_key_info().to_vec()).unwrap();
    assert_eq!(proofs.check(&serde_json::from_value(other).unwrap()), None);

    assert_eq!(proofs.check(&proof), Some(proof.claimed()));
    assert_eq!(proofs.check(&proof), Some(proof.claimed()));
    assert!(proofs.use_up(&proof));
    assert!(!proofs.use_up(&proof));
    assert_eq!(proofs.check(&proof), None);
}
