//! Client certificates.

use std::fs;

use super::Office;

fn office() -> Office {
    let office = Office::new();
    office.succeeds(
        "server-user add bob@b.test --mailbox mail/bob\n\
         server-user add carol@b.test --mailbox mail/carol",
    );
    office
}

#[test]
fn a_certificate_is_made_and_is_its_user_s_alone() {
    let office = office();
    let said = office.succeeds("server-user certificate bob@b.test --make keys");
    assert!(
        said.contains("keys/bob@b.test.pem and keys/bob@b.test.key"),
        "{said}"
    );
    assert_eq!(
        ["keys", "keys/bob@b.test.key", "keys/bob@b.test.pem"].map(|name| office.0.mode(name)),
        [0o700, 0o600, 0o644]
    );
    let pem = "keys/bob@b.test.pem";
    assert!(office.logs_in_with("bob@b.test", pem).is_some());
    assert!(office.logs_in_with("carol@b.test", pem).is_none());
    office.fails(
        2,
        "server-user certificate bob@b.test --make keys",
        "bob@b.test.pem: is there already",
    );

    office.succeeds("server-user certificate bob@b.test --make keys2");
    assert!(office.logs_in_with("bob@b.test", pem).is_some());
    assert!(
        office
            .logs_in_with("bob@b.test", "keys2/bob@b.test.pem")
            .is_some()
    );
    let listed = office.succeeds("server-user list | head -n 1");
    assert_eq!(listed.matches("sha256:").count(), 2, "{listed}");

    office.succeeds(&format!(
        "server-user certificate bob@b.test --withdraw {pem}"
    ));
    assert!(office.logs_in_with("bob@b.test", pem).is_none());
    office.succeeds(
        "server-user certificate bob@b.test --withdraw $(server-user list | sed -n 's/.* certificates=\\(sha256:[0-9a-f]*\\) .*/\\1/p')",
    );
    assert!(
        office
            .logs_in_with("bob@b.test", "keys2/bob@b.test.pem")
            .is_none()
    );
    assert!(
        !office
            .0
            .read("users/bob@b.test.toml")
            .contains("certificates")
    );
}

#[test]
fn a_certificate_of_whatever_making_is_enrolled_by_its_key() {
    let office = office();
    // A server's, from an authority, with others behind it.
    office.succeeds("server-setup d --host b.test; cat d/tls/b.test.pem d/ca/ca.pem >chain.pem");
    let said = office.succeeds("server-user certificate bob@b.test --enrol chain.pem");
    assert!(said.contains(" is enrolled for bob@b.test."), "{said}");
    assert!(
        office
            .logs_in_with("bob@b.test", "d/tls/b.test.pem")
            .is_some()
    );
    assert!(office.logs_in_with("bob@b.test", "d/ca/ca.pem").is_none());
    let before = office.0.everything();
    let again = office.succeeds("server-user certificate bob@b.test --enrol d/tls/b.test.pem");
    assert!(again.contains("was already enrolled"), "{again}");
    assert_eq!(office.0.everything(), before);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let office = office();
    office.succeeds("server-user certificate bob@b.test --make keys; mkdir full");
    let pem = office.0.read("keys/bob@b.test.pem");
    let broken = format!("{}MIIB{}", &pem[..28], &pem[32..]).replace("MIIB", "AAAA");
    fs::write(office.path("broken.pem"), broken).unwrap();
    for (options, says) in [
        ("--enrol nowhere.pem", "nowhere.pem: cannot be read"),
        ("--enrol keys/bob@b.test.key", "and not the private key"),
        ("--enrol broken.pem", "is not well-formed"),
        ("--enrol full", "full: cannot be read"),
        ("--withdraw nowhere", "nowhere: cannot be read"),
        (
            "--withdraw sha256:00",
            "sha256:00: neither a file nor the digest of a key",
        ),
        ("--make nowhere/keys", "nowhere/keys: cannot be made"),
        ("--make broken.pem", "cannot be written"),
    ] {
        office.fails(
            2,
            &format!("server-user certificate carol@b.test {options}"),
            says,
        );
    }
}
