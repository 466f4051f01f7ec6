//! OpenSSL as a client of server-post-office.

use std::process::Command;

use super::openssl::all;
use super::{Pair, Talk, has, tool};
use crate::pages::examples;
use crate::post::{Entry, PASSWORD};
use crate::site::{feed, run, stderr, stdout};

impl Pair {
    /// b.test with a post office, and bob with a password and a certificate of
    /// OpenSSL's making, in the folder bob.
    fn with_office() -> Pair {
        let pair = Pair::new();
        pair.b.open_office(&[Entry::new("bob")]);
        std::fs::create_dir(pair.file("bob")).expect("made");
        let (certificate, key) = (
            pair.file("bob/bob@b.test.pem"),
            pair.file("bob/bob@b.test.key"),
        );
        let output = tool("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=anything",
            ])
            .args(["-days", "1", "-keyout", &key, "-out", &certificate])
            .output()
            .expect("openssl runs");
        assert!(output.status.success(), "{}", stderr(&output));
        let config = pair.b.dir.join("server-post-office.toml");
        let enrol = [
            "--config".as_ref(),
            config.as_os_str(),
            "certificate".as_ref(),
            "bob@b.test".as_ref(),
            "--enrol".as_ref(),
            certificate.as_ref(),
        ];
        let output = run("server-user", &enrol, b"");
        assert!(output.status.success(), "{}", stderr(&output));
        pair
    }
}

#[test]
fn openssl_reads_bob_s_mail_with_a_certificate_and_without() {
    if !has(&["openssl"]) {
        return;
    }
    let pair = Pair::with_office();
    let server = pair.b.start_office();
    let certificate = pair.file("bob/bob@b.test.pem");
    let key = pair.file("bob/bob@b.test.key");
    let identity = ["-cert".to_owned(), certificate, "-key".to_owned(), key];
    let alpn = ["-alpn", "imrp/1", "-tls1_3"];

    let mut talk = Talk::new(pair.s_client(server.address, &all(&alpn, &identity)));
    talk.say("LOGIN bob@b.test CERTIFICATE\nFOLDERS\nDONE\n");
    assert_eq!(talk.line(), "OK");
    assert!(talk.line().starts_with("+ inbox 0 0 0 "));
    assert_eq!(talk.rest(), b"OK\n");
    server.log.wait_for("by=certificate");

    let mut talk = Talk::new(pair.s_client(server.address, &alpn));
    talk.say("LOGIN bob@b.test CERTIFICATE\n");
    assert_eq!(talk.line(), "FAIL");
    talk.say(format!(
        "LOGIN bob@b.test PASSWORD {}\n{PASSWORD}",
        PASSWORD.len()
    ));
    assert_eq!(talk.line(), "OK");
    talk.say("SYNC inbox - list\nDONE\n");
    assert!(talk.line().starts_with("OK "));
    assert_eq!(talk.rest(), b"");
    server.log.wait_for("by=password");
}

#[test]
fn what_is_no_imrp_over_tls_1_3_is_refused() {
    if !has(&["openssl"]) {
        return;
    }
    let pair = Pair::with_office();
    for (options, reason) in [
        (
            &["-tls1_2", "-alpn", "imrp/1"][..],
            "does not speak TLS 1.3",
        ),
        (&[], "does not offer the protocol imrp/1"),
        (&["-alpn", "imdp/1"], "does not offer the protocol imrp/1"),
    ] {
        let server = pair.b.start_office();
        let talk = Talk::new(pair.s_client(server.address, options));
        assert_eq!(talk.rest(), b"");
        let line = server.log.wait_for("event=handshake-failed");
        assert!(line.contains(reason), "{options:?}: {line}");
    }
}

#[test]
fn imrp_is_spoken_by_hand_as_its_page_says() {
    if !has(&["openssl"]) {
        return;
    }
    let pair = Pair::with_office();
    let server = pair.b.start_office();
    let by_hand = examples("imrp.7").pop().expect("the last one");
    let by_hand = by_hand.replace("127.0.0.1:4110", &server.address.to_string());
    let mut shell = Command::new("sh");
    shell.args(["-c", &by_hand]).current_dir(pair.site.path());
    let output = feed(shell, b"LOGIN bob@b.test CERTIFICATE\nDONE\n");
    assert_eq!(stdout(&output), "OK\n", "{}", stderr(&output));
}
