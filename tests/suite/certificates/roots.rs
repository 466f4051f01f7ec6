//! Whom `roots` names: the system's store, Mozilla's set, and files, together.

use std::fs;

use super::authority::{Authority, leaf};
use crate::peer::Receiver;
use crate::site::{Host, Site, code, feed, letter, stderr, stdout};

/// server-send-mail of a.test with a system's store of the test's own.
fn send(a: &Host, store: &str) -> (i32, String, String) {
    let mut command = a.command("server-send-mail");
    command
        .env("SSL_CERT_FILE", store)
        .env_remove("SSL_CERT_DIR");
    let output = feed(command, &letter(&["bob@b.test"], "Hello\n"));
    (code(&output), stdout(&output), stderr(&output))
}

#[test]
fn they_are_trusted_together() {
    let site = Site::new();
    let a = site.host("a.test", &[]);
    let [system, file, neither] = ["System", "File", "Neither"].map(Authority::root);
    let store = site.path().join("store.pem");
    fs::write(&store, &system.pem).unwrap();
    let root = site.path().join("root.pem");
    fs::write(&root, &file.pem).unwrap();
    a.set(
        "server-send-mail.toml",
        "roots",
        &format!("[\"system\", \"webpki\", {root:?}]"),
    );
    let store = store.to_str().unwrap();
    let serves = |authority: &Authority| {
        let b = Receiver::taking(&authority.issue(&leaf(&["b.test"])));
        a.knows("b.test", b.address);
    };
    for authority in [&system, &file] {
        serves(authority);
        let (exit, lines, said) = send(&a, store);
        assert_eq!((exit, &*lines), (0, "OK bob@b.test\n"), "{said}");
        assert_eq!(said, "");
    }
    serves(&neither);
    let (exit, lines, _) = send(&a, store);
    assert_eq!(exit, 2);
    assert!(
        lines.contains("was issued by CN=Neither, which is not in roots here"),
        "{lines}"
    );

    // Without a store of the system, the others serve; that is said.
    serves(&file);
    let (exit, lines, said) = send(&a, "/nonexistent");
    assert_eq!((exit, &*lines), (0, "OK bob@b.test\n"), "{said}");
    assert!(said.contains("event=system-store-empty"), "{said}");

    // Nothing else: nobody could be believed.
    a.set("server-send-mail.toml", "roots", "[\"system\"]");
    let (exit, lines, said) = send(&a, "/nonexistent");
    assert_eq!((exit, &*lines), (2, ""));
    assert!(
        said.contains(
            "install the package ca-certificates, or name a PEM file or \"webpki\" in roots"
        ),
        "{said}"
    );
}
