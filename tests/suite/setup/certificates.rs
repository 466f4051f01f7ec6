//! Certificates that are given, and those that are made.

use std::fs;
use std::process::Stdio;

use super::place::{Place, letter};

#[test]
fn set_ups_with_one_authority_exchange_mail_and_no_others() {
    let place = Place::new();
    place.succeeds(
        "server-setup b --host b.test --host bücher.test --user bob --ca ca --listen 127.0.0.1:0",
    );
    let server = place.serve("b");
    let peers = format!("--peer b.test={0} --peer bücher.test={0}", server.address);
    place.succeeds(&format!(
        "server-setup a --host a.test --user alice --ca ca {peers}"
    ));
    for to in ["bob@b.test", "Bob@bücher.test"] {
        assert_eq!(
            place.succeeds(&letter("a", "alice@a.test", to)),
            format!("OK {to}\n")
        );
    }
    let stored = |host: &str| {
        fs::read_dir(place.path(&format!("b/mail/{host}/bob/inbox/messages")))
            .unwrap()
            .count()
    };
    assert_eq!([stored("b.test"), stored("xn--bcher-kva.test")], [1, 1]);

    place.succeeds(&format!("server-setup x --host x.test --ca other {peers}"));
    let answer = place.run(&letter("x", "eve@x.test", "bob@b.test"));
    assert_eq!(answer.code, Some(2), "{}", answer.stderr);
    assert_eq!(stored("b.test"), 1);
}

#[test]
fn two_that_make_one_authority_at_once_get_the_same() {
    let place = Place::new();
    let hosts = [
        "h0.test", "h1.test", "h2.test", "h3.test", "h4.test", "h5.test",
    ];
    let set_up = |host: &&str| {
        let script = format!("server-setup {host} --host {host} --user u --ca new/ca");
        place.shell(&script).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in hosts.iter().map(set_up).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_dir(place.path("new/ca")).unwrap().count(), 2);
    let server = place.serve(hosts[0]);
    for host in &hosts[1..] {
        let config = format!("{host}/server-send-mail.toml");
        let text = place.read(&config).replace(
            "[hosts]\n",
            &format!("[hosts]\n\"h0.test\" = \"{}\"\n", server.address),
        );
        fs::write(place.path(&config), text).unwrap();
        assert_eq!(
            place.succeeds(&letter(host, &format!("u@{host}"), "u@h0.test")),
            "OK u@h0.test\n"
        );
    }
}

#[test]
fn a_certificate_that_is_given_must_do() {
    let place = Place::new();
    place.succeeds("server-setup old --host b.test --ca ca; server-setup c --host c.test --ca ca");
    let before = place.everything();
    for (options, says) in [
        (
            "--host b.test --certificate old/tls/b.test.pem --key c/tls/c.test.key",
            "do not make a pair",
        ),
        (
            "--host c.test --certificate old/tls/b.test.pem --key old/tls/b.test.key",
            "is for b.test, and not for c.test",
        ),
        (
            "--host b.test --host c.test --certificate old/tls/b.test.pem --key old/tls/b.test.key",
            "not for c.test",
        ),
        (
            "--host b.test --certificate nowhere --key old/tls/b.test.key",
            "nowhere",
        ),
        (
            "--host b.test --certificate old/tls/b.test.key --key old/tls/b.test.key",
            "no certificate",
        ),
        ("--host b.test --certificate old/tls/b.test.pem", "--key"),
    ] {
        place.fails(&format!("server-setup d {options}"), says);
        assert_eq!(place.everything(), before);
    }
    let given = "server-setup d --host b.test --user bob --certificate old/tls/b.test.pem --key old/tls/b.test.key";
    let doubted = place.succeeds(&format!("SSL_CERT_FILE=old/tls/b.test.pem {given}"));
    assert!(doubted.contains("intermediate certificates"), "{doubted}");
    let config = place.read("d/server-receive.toml");
    let path = place.path("old/tls/b.test.pem").canonicalize().unwrap();
    assert!(
        config.contains(&format!("certificate = \"{}\"", path.display())),
        "{config}"
    );
    assert!(!place.path("d/tls").exists() && !place.path("d/ca").exists());

    fs::remove_dir_all(place.path("d")).unwrap();
    let believed = place.succeeds(&format!(
        "export SSL_CERT_FILE=ca/ca.pem; {given}; {}",
        letter("d", "bob@b.test", "bob@b.test")
    ));
    assert!(
        !believed.contains("intermediate") && believed.ends_with("OK bob@b.test\n"),
        "{believed}"
    );
}

#[test]
fn an_authority_that_nobody_would_believe_is_refused() {
    let place = Place::new();
    place.succeeds(
        "server-setup old --host b.test --ca good; server-setup x --host x.test --ca other",
    );
    for (spoil, says) in [
        ("rm ca/ca.key", "ca/ca.pem is there without"),
        ("rm ca/ca.pem", "ca/ca.key is there without"),
        ("cp other/ca.key ca/ca.key", "would be refused by everybody"),
        (
            "cp old/tls/b.test.pem ca/ca.pem; cp old/tls/b.test.key ca/ca.key",
            "may sign others",
        ),
        ("echo nonsense >ca/ca.pem", "ca/ca.pem"),
        ("echo nonsense >ca/ca.key", "ca/ca.key"),
        ("rm -r ca; echo >ca", "ca: cannot make this folder"),
    ] {
        place.succeeds(&format!("rm -rf ca; cp -r good ca; {spoil}"));
        let before = place.everything();
        place.fails("server-setup new --host b.test --ca ca", says);
        assert_eq!(place.everything(), before, "{spoil}");
    }
}

/// What another implementation thinks of the certificates.
#[test]
fn openssl_believes_the_certificates() {
    if std::env::var_os("EMEMO_EXTERNAL").is_none_or(|value| value != "1") {
        return;
    }
    let place = Place::new();
    place.succeeds("openssl version || { echo 'install the package openssl' >&2; exit 1; }");
    place.succeeds("server-setup d --host b.test --host bücher.test");
    for host in ["b.test", "xn--bcher-kva.test"] {
        let verify =
            "openssl verify -x509_strict -CAfile d/ca/ca.pem -purpose sslserver -verify_hostname";
        place.succeeds(&format!("{verify} {host} d/tls/{host}.pem"));
        // A year, less a day for the difference between clocks.
        place.succeeds(&format!(
            "openssl x509 -in d/tls/{host}.pem -noout -checkend $((364 * 86400))"
        ));
        let ends = place.run(&format!(
            "openssl x509 -in d/tls/{host}.pem -noout -checkend $((366 * 86400))"
        ));
        assert_eq!(ends.code, Some(1));
    }
    place.succeeds("openssl x509 -in d/ca/ca.pem -noout -checkend $((3650 * 86400))");
    let text = place.succeeds("openssl x509 -in d/tls/b.test.pem -noout -text");
    assert!(
        text.contains("TLS Web Server Authentication") && text.contains("ASN1 OID: prime256v1"),
        "{text}"
    );
}
