//! Roots and revocation lists.

use std::path::Path;

use ima_program::config::ConfigPath;
use rustls::CertificateError;
use rustls_pki_types::UnixTime;

use super::*;

fn load(roots: &[&str], crls: &[&str], dir: &Path) -> Result<Arc<PeerVerifier>, TrustError> {
    let roots: Vec<_> = roots
        .iter()
        .map(|root| RootSource::from(root.to_string()))
        .collect();
    let crls: Vec<_> = crls.iter().map(|crl| ConfigPath::new(*crl)).collect();
    PeerVerifier::load(&roots, &crls, dir)
}

fn check(verifier: &PeerVerifier, leaf: &Leaf) -> Result<(), rustls::Error> {
    verifier
        .examine(&leaf.chain[0], &leaf.chain[1..], UnixTime::now())
        .map(|_| ())
}

fn numbered(serial: u64) -> rcgen::CertificateParams {
    let mut params = Authority::leaf(&["b.test"]);
    params.serial_number = Some(serial.into());
    params
}

#[test]
fn several_sources_are_taken_together() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(Authority::root);
    write(
        dir.path(),
        "both.pem",
        &format!("{}{}", one.pem(), other.pem()),
    );
    let verifier = load(&["webpki", "both.pem"], &[], dir.path()).unwrap();
    check(&verifier, &one.issue(numbered(1))).unwrap();
    check(&verifier, &other.issue(numbered(1))).unwrap();
    check(&verifier, &Authority::root("third").issue(numbered(1))).unwrap_err();
}

#[test]
fn what_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = Authority::root("root");
    write(dir.path(), "root.pem", root.pem());
    write(dir.path(), "text.pem", "no certificate");
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    write(dir.path(), "junk.pem", &format!("{}{junk}", root.pem()));
    let file = |name: &str| dir.path().join(name).display().to_string();
    for (roots, crls, sentence) in [
        (&[][..], &[][..], "roots is empty".to_owned()),
        (
            &["no.pem"],
            &[],
            format!("{}: No such file", file("no.pem")),
        ),
        (
            &["text.pem"],
            &[],
            format!("{} holds no certificate in PEM", file("text.pem")),
        ),
        (
            &["junk.pem"],
            &[],
            format!("{}: certificate 2 cannot serve as a root", file("junk.pem")),
        ),
        (
            &["root.pem"],
            &["root.pem"],
            format!("{} holds no certificate revocation list", file("root.pem")),
        ),
    ] {
        let error = load(roots, crls, dir.path()).unwrap_err();
        assert!(error.to_string().starts_with(&sentence), "{error}");
    }
}

#[test]
fn a_revoked_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = Authority::root("root");
    let other = Authority::root("other");
    let between = root.intermediate("between", &[]);
    write(
        dir.path(),
        "roots.pem",
        &format!("{}{}", root.pem(), other.pem()),
    );
    write(dir.path(), "root.crl", &root.revoke(&[7]));
    let verifier = load(&["roots.pem"], &["root.crl"], dir.path()).unwrap();
    let revoked = rustls::Error::InvalidCertificate(CertificateError::Revoked);
    assert_eq!(check(&verifier, &root.issue(numbered(7))), Err(revoked));
    check(&verifier, &root.issue(numbered(8))).unwrap();
    // The list says nothing about what others issued.
    check(&verifier, &other.issue(numbered(7))).unwrap();
    check(&verifier, &between.issue(numbered(7))).unwrap();
}

#[test]
fn a_new_revocation_list_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = Authority::root("root");
    let leaf = root.issue(numbered(7));
    write(dir.path(), "root.pem", root.pem());
    write(dir.path(), "root.crl", &root.revoke(&[]));
    let roots = [RootSource::File("root.pem".into())];
    let crls = [ConfigPath::new("root.crl")];
    let verifier = PeerVerifier::looking_always(&roots, &crls, dir.path()).unwrap();
    check(&verifier, &leaf).unwrap();
    write(dir.path(), "root.crl", &root.revoke(&[7, 8]));
    check(&verifier, &leaf).unwrap_err();
    write(dir.path(), "root.crl", "broken");
    check(&verifier, &leaf).unwrap_err();
}
