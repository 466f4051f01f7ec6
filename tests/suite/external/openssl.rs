//! OpenSSL as a sender and as a receiver.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use super::{Pair, Talk, free_address, has, tool, wait_for_listener};
use crate::pages::examples;
use crate::site::{Host, code, feed, letter, letter_octets, letter_with, stderr, stdout};

/// Header block and data of a message.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message
        .windows(2)
        .position(|two| two == b"\n\n")
        .expect("an empty line")
        + 2;
    message.split_at(end)
}

fn headers(block: &[u8]) -> Vec<u8> {
    [format!("HEADERS {}\n", block.len()).as_bytes(), block].concat()
}

impl Pair {
    /// What an s_client that wants b.test needs, but ALPN and a certificate.
    pub(super) fn s_client(&self, address: SocketAddr, options: &[&str]) -> Command {
        let mut command = tool("openssl");
        command.args([
            "s_client",
            "-quiet",
            "-connect",
            &address.to_string(),
            "-servername",
            "b.test",
        ]);
        command.args([
            "-CAfile",
            &self.file("ca/ca.pem"),
            "-verify_return_error",
            "-verify_hostname",
            "b.test",
        ]);
        command.args(options).stderr(Stdio::null());
        command
    }

    /// The certificate options of a domain.
    fn identity(&self, host: &str) -> [String; 4] {
        let file = |suffix| self.file(&format!("{host}/tls/{host}.{suffix}"));
        ["-cert".into(), file("pem"), "-key".into(), file("key")]
    }

    /// An s_server at a free port, for one conversation.
    fn s_server(&self, options: &[&str]) -> (SocketAddr, Talk) {
        let address = free_address();
        let mut command = tool("openssl");
        command.args([
            "s_server",
            "-quiet",
            "-accept",
            &address.to_string(),
            "-CAfile",
            &self.file("ca/ca.pem"),
        ]);
        command.args(options).stderr(Stdio::null());
        let talk = Talk::new(command);
        wait_for_listener(address);
        (address, talk)
    }

    /// Makes weak.pem and weak.key for a domain, from the authority.
    fn weak(&self, host: &str, key: &[&str], digest: &str) -> [String; 4] {
        let path = |name: &str| self.file(name);
        let openssl = |arguments: &[&str]| {
            let output = tool("openssl")
                .args(arguments)
                .output()
                .expect("openssl runs");
            assert!(
                output.status.success(),
                "{arguments:?}: {}",
                stderr(&output)
            );
        };
        let extensions = format!("subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\n");
        fs::write(path("extensions"), extensions).expect("written");
        let request = [
            "req",
            "-new",
            "-nodes",
            "-subj",
            "/CN=weak",
            "-keyout",
            &path("weak.key"),
            "-out",
            &path("weak.csr"),
        ];
        openssl(&[&request, key].concat());
        let sign = [
            "x509",
            "-req",
            "-in",
            &path("weak.csr"),
            "-CA",
            &path("ca/ca.pem"),
            "-CAkey",
            &path("ca/ca.key"),
        ];
        let rest = [
            "-days",
            "30",
            "-extfile",
            &path("extensions"),
            "-out",
            &path("weak.pem"),
            digest,
        ];
        openssl(&[&sign[..], &rest].concat());
        [
            "-cert".into(),
            path("weak.pem"),
            "-key".into(),
            path("weak.key"),
        ]
    }
}

pub(super) fn all<'a>(fixed: &[&'a str], owned: &'a [String]) -> Vec<&'a str> {
    fixed
        .iter()
        .copied()
        .chain(owned.iter().map(String::as_str))
        .collect()
}

/// Keys and digests that nobody should believe any more, and what is said of them.
const WEAK: [(&[&str], &str, &str); 2] = [
    (
        &["-newkey", "rsa:1024"],
        "-sha256",
        "has an RSA key of 1024 bits, which is too weak",
    ),
    (
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "-sha1",
        "or one above it is signed with an algorithm that is too weak",
    ),
];

#[test]
fn openssl_sends_a_message_to_server_receive() {
    if !has(&["openssl"]) {
        return;
    }
    let pair = Pair::new();
    let server = pair.b.start();
    let identity = pair.identity("a.test");
    let mut talk = Talk::new(pair.s_client(
        server.address,
        &all(&["-alpn", "imdp/1", "-tls1_3"], &identity),
    ));
    let message = letter(&["bob@b.test"], "By hand.\n");
    let (block, data) = split(&message);
    talk.say(headers(block));
    assert_eq!(talk.line(), "ACCEPT");
    talk.say([format!("DATA {}\n", data.len()).as_bytes(), data].concat());
    assert_eq!(talk.line(), "+ OK bob@b.test");
    assert_eq!(talk.line(), "OK");
    talk.say("DONE\n");
    assert!(talk.rest().is_empty());
    let stored = pair.b.messages("bob");
    assert_eq!(
        letter_octets(&pair.b.message("bob", &stored[0])),
        letter_octets(&message)
    );
    assert!(!server.log.wait_for("event=closed").contains("reason="));
}

#[test]
fn server_receive_refuses_old_tls_no_alpn_no_certificate_and_weak_ones() {
    if !has(&["openssl"]) {
        return;
    }
    let refused = |pair: &Pair, options: &[&str], reason: &str| {
        let server = pair.b.start();
        let mut talk = Talk::new(pair.s_client(server.address, options));
        // It may be gone before it is told anything.
        let _ = talk
            .to
            .write_all(&headers(split(&letter(&["bob@b.test"], "x\n")).0));
        assert_eq!(String::from_utf8_lossy(&talk.rest()), "", "{options:?}");
        let line = server.log.wait_for("event=handshake-failed");
        assert!(line.contains(reason), "{options:?}: {line}");
        assert_eq!(pair.b.messages("bob").len(), 0);
    };
    let pair = Pair::new();
    let identity = pair.identity("a.test");
    let alpn = ["-alpn", "imdp/1"];
    refused(
        &pair,
        &all(&["-tls1_2", "-alpn", "imdp/1"], &identity),
        "does not speak TLS 1.3",
    );
    refused(
        &pair,
        &all(&[], &identity),
        "does not offer the protocol imdp/1",
    );
    refused(
        &pair,
        &all(&["-alpn", "imrp/1"], &identity),
        "does not offer the protocol imdp/1",
    );
    refused(&pair, &alpn, "sent no certificate");
    for (key, digest, said) in WEAK {
        let weak = pair.weak("a.test", key, digest);
        let options = all(&["-alpn", "imdp/1", "-cipher", "DEFAULT@SECLEVEL=0"], &weak);
        refused(&pair, &options, said);
    }
}

#[test]
fn openssl_receives_a_message_from_server_send_mail() {
    if !has(&["openssl"]) {
        return;
    }
    let pair = Pair::new();
    let archive = pair.file("archive");
    fs::write(
        &archive,
        (0..=255).cycle().take(3 << 20).collect::<Vec<u8>>(),
    )
    .expect("written");
    let message = letter_with(&["bob@b.test"], "Hello\n", &["--attach", &archive]);
    let (block, data) = split(&message);

    let identity = pair.identity("b.test");
    // What is demanded of a client by default is another purpose, imdp(7).
    let demands = [
        "-alpn",
        "imdp/1",
        "-Verify",
        "3",
        "-verify_return_error",
        "-purpose",
        "sslserver",
    ];
    let (address, mut talk) = pair.s_server(&all(&demands, &identity));
    pair.a.knows("b.test", address);
    let sending = send_meanwhile(&pair.a, &message);
    assert_eq!(talk.line(), format!("HEADERS {}", block.len()));
    assert_eq!(talk.octets(block.len()), block);
    talk.say("+ nothing that is known\nACCEPT\n");
    assert_eq!(talk.line(), format!("DATA {}", data.len()));
    assert_eq!(talk.octets(data.len()), data);
    talk.say("+ OK bob@b.test\nOK\n");
    assert_eq!(talk.line(), "DONE");
    let output = sending.join().expect("no panic");
    assert_eq!(
        (code(&output), stdout(&output)),
        (0, "OK bob@b.test\n".to_owned()),
        "{}",
        stderr(&output)
    );
}

fn send_meanwhile(host: &Host, message: &[u8]) -> std::thread::JoinHandle<Output> {
    let (host, message) = (host.clone(), message.to_vec());
    std::thread::spawn(move || host.send(&message, &[]))
}

#[test]
fn server_send_mail_refuses_old_tls_no_alpn_and_weak_certificates() {
    if !has(&["openssl"]) {
        return;
    }
    let refuses = |pair: &Pair, options: &[&str], reason: &str| {
        let (address, talk) = pair.s_server(options);
        pair.a.knows("b.test", address);
        let output = pair.a.send(&letter(&["bob@b.test"], "Hello\n"), &[]);
        let line = stdout(&output);
        assert_eq!(code(&output), 2, "{options:?}: {line}");
        assert!(
            line.starts_with("DEFER bob@b.test - 60 ") && line.contains(reason),
            "{options:?}: {line}"
        );
        drop(talk);
    };
    let pair = Pair::new();
    let identity = pair.identity("b.test");
    refuses(
        &pair,
        &all(&["-tls1_2", "-alpn", "imdp/1"], &identity),
        "does not speak TLS 1.3",
    );
    refuses(
        &pair,
        &all(&[], &identity),
        "does not offer the protocol imdp/1",
    );
    refuses(
        &pair,
        &all(&["-alpn", "imrp/1"], &identity),
        "does not offer the protocol imdp/1",
    );
    let of_a = pair.identity("a.test");
    refuses(
        &pair,
        &all(&["-alpn", "imdp/1"], &of_a),
        "is for a.test, and not for b.test",
    );
    for (key, digest, said) in WEAK {
        let weak = pair.weak("b.test", key, digest);
        let options = all(&["-alpn", "imdp/1", "-cipher", "DEFAULT@SECLEVEL=0"], &weak);
        refuses(&pair, &options, said);
    }
}

#[test]
fn server_send_mail_reports_the_refusal_of_openssl() {
    if !has(&["openssl"]) {
        return;
    }
    let pair = Pair::new();
    let elsewhere = crate::site::Site::new();
    let other = elsewhere.host("c.test", &[]);
    let of_other = elsewhere.ca().join("ca.pem");
    let of_other = of_other.to_str().expect("UTF-8");
    let identity = pair.identity("b.test");
    let demands = ["-alpn", "imdp/1", "-Verify", "3", "-verify_return_error"];
    let as_server = ["-purpose", "sslserver"];
    // The last of several -CAfile counts.
    let unknown = [&demands[..], &as_server, &["-CAfile", of_other]].concat();
    for (options, reason) in [
        (&unknown[..], "its issuer is not known there"),
        // By default it wants clientAuth.
        (&demands[..], "it is not for the use that is wanted there"),
    ] {
        let (address, talk) = pair.s_server(&all(options, &identity));
        pair.a.knows("b.test", address);
        let output = pair.a.send(&letter(&["bob@b.test"], "Hello\n"), &[]);
        let line = stdout(&output);
        let wanted = format!("b.test refused our certificate for a.test: {reason}");
        assert_eq!(code(&output), 2, "{line}");
        assert!(line.contains(&wanted), "{line}");
        assert!(stderr(&output).contains(&wanted), "{}", stderr(&output));
        drop(talk);
    }
    drop(other);
}

/// The header block behind a note of imdp(7), such as `[182 octets, from: x@c.test]`.
fn noted(note: &str, is_wrong: bool) -> Vec<u8> {
    if note.contains("ima: 2") {
        return b"ima: 2\n\n".to_vec();
    }
    let value = |field: &str| {
        note.split_once(&format!("{field}: "))
            .map(|(_, value)| value.trim_end_matches(']'))
    };
    let from = value("from").unwrap_or("alice@a.test");
    let size = value("size").unwrap_or("3");
    let right = "c01a4cfa25cb895cdd0bb25181ba9c1622e93895a6de6f533a7299f70d6b0cfb";
    let digest = if is_wrong {
        "0".repeat(64)
    } else {
        right.to_owned()
    };
    format!(
        "ima: 1\nfrom: {from}\nto: bob@b.test\ndate: 2026-11-22T10:30:00+01:00\nid: 9@a.test\n\
         part: text/plain {size} sha256:{digest}\nsize: {size}\n\n"
    )
    .into_bytes()
}

#[test]
fn the_transcripts_of_imdp_are_what_server_receive_says() {
    if !has(&["openssl"]) {
        return;
    }
    let pair = Pair::new();
    let server = pair.b.start();
    let identity = pair.identity("a.test");
    let talks = || Talk::new(pair.s_client(server.address, &all(&["-alpn", "imdp/1"], &identity)));
    let transcripts: Vec<_> = examples("imdp.7")
        .into_iter()
        .filter(|text| text.starts_with('>'))
        .collect();
    assert_eq!(transcripts.len(), 6);
    for transcript in transcripts {
        let mut talk = talks();
        // One begins in the middle.
        if transcript.starts_with("> DATA 3\n") {
            talk.say(headers(&noted("", true)));
            assert_eq!(talk.line(), "ACCEPT");
        }
        for line in transcript.lines() {
            match line.split_at(1) {
                ("<", answer) => assert_eq!(talk.line(), answer.trim_start(), "{transcript}"),
                (_, " [3 octets]") => talk.say("Hi\n"),
                (_, note) if note.starts_with(" [") => {
                    let block = noted(note, false);
                    assert!(
                        note.starts_with(&format!(" [{} octets", block.len())),
                        "{note} {}",
                        block.len()
                    );
                    talk.say(block);
                }
                (_, said) => talk.say(format!("{}\n", said.strip_prefix(' ').unwrap_or(said))),
            }
        }
    }
    let by_hand = examples("imdp.7").pop().expect("the last one");
    let by_hand = by_hand.replace("127.0.0.1:4025", &server.address.to_string());
    let mut shell = Command::new("sh");
    shell.args(["-c", &by_hand]).current_dir(pair.site.path());
    let output = feed(shell, b"KEYS bob@b.test\nDONE\n");
    assert_eq!(stdout(&output), "OK\n", "{}", stderr(&output));
}

#[test]
fn server_check_finds_the_faults_of_openssl_s_servers() {
    if !has(&["openssl", "jq"]) {
        return;
    }
    let pair = Pair::new();
    let check = |address, options: &[&str]| {
        pair.a.knows("b.test", address);
        let mut command = pair.a.command("server-check");
        command.args(options).arg("b.test");
        feed(command, b"")
    };
    let identity = pair.identity("b.test");
    let demands = [
        "-alpn",
        "imdp/1",
        "-Verify",
        "3",
        "-verify_return_error",
        "-purpose",
        "sslserver",
    ];
    for (options, exit, words) in [
        (&demands[..], 0, "note imdp b.test records: "),
        (&["-alpn", "imdp/1"], 1, " demand: it does not ask for "),
        (&[], 1, " protocol: it chose no protocol by ALPN"),
        (&["-tls1_2"], 1, " tls: b.test does not speak TLS 1.3"),
    ] {
        let (address, _talk) = pair.s_server(&all(options, &identity));
        let output = check(address, &[]);
        let lines = stdout(&output);
        assert_eq!(code(&output), exit, "{options:?}: {lines}");
        assert!(lines.contains(words), "{options:?}: {lines}");
    }
    for (key, digest, said) in WEAK {
        let weak = pair.weak("b.test", key, digest);
        let options = all(&["-alpn", "imdp/1", "-cipher", "DEFAULT@SECLEVEL=0"], &weak);
        let (address, _talk) = pair.s_server(&options);
        let output = check(address, &[]);
        let lines = stdout(&output);
        assert_eq!(code(&output), 1, "{lines}");
        let is_told = |line: &str| line.starts_with("wrong imdp ") && line.contains(said);
        assert!(lines.lines().any(is_told), "{said}: {lines}");
        assert!(lines.contains(" key: "), "{lines}");
    }
    // What a script would ask.
    let (address, _talk) = pair.s_server(&all(&demands, &identity));
    let mut jq = tool("jq");
    jq.args([
        "-r",
        ".result, (.services[].addresses[] | .certificate.names[], .tls.version)",
    ]);
    let asked = feed(jq, &check(address, &["--json"]).stdout);
    assert_eq!(
        stdout(&asked),
        "note\nb.test\nTLSv1.3\n",
        "{}",
        stderr(&asked)
    );
}
