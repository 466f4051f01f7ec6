//! The table, in both directions.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::cases::{Case, Outcome, Shown, Trusted};
use crate::peer::{
    Ending, Identity, Peer, Receiver, Relay, client_config, follow, old_tls, server_config,
};
use crate::process::kib;
use crate::site::{Host, Server, Site, code, run, stderr, stdout};

/// A letter from somebody at a host.
fn letter(from: &str, to: &str) -> Vec<u8> {
    let output = run(
        "make-ima-message",
        &["--from", from, "--to", to],
        b"Hello\n",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    output.stdout
}

/// a.test, which sends, and b.test, which receives; both trust the same.
struct Place {
    site: Site,
    a: Host,
    b: Host,
    good: Identity,
}

impl Place {
    fn new(trusted: &Trusted) -> Place {
        let site = Site::new();
        let (a, b) = (site.host("a.test", &[]), site.host("b.test", &["bob"]));
        let (roots, revocations) = (site.path().join("roots.pem"), site.path().join("crl.pem"));
        fs::write(&roots, trusted.roots()).unwrap();
        fs::write(&revocations, trusted.revocations()).unwrap();
        for (host, file) in [(&a, "server-send-mail.toml"), (&b, "server-receive.toml")] {
            host.set(
                file,
                "roots",
                &format!("[{:?}, {roots:?}]", site.ca().join("ca.pem")),
            );
            host.set(file, "crls", &format!("[{revocations:?}]"));
        }
        let good = trusted.good();
        Place { site, a, b, good }
    }

    /// server-send-mail meets a server of the case's host.
    fn as_server(&self, case: &Case) {
        let Case { what, host, .. } = case;
        self.a
            .knows(ascii(host), self.server(&case.shown, "imdp/1"));
        let recipient = format!("carol@{host}");
        let output = self.a.send(&letter("alice@a.test", &recipient), &[]);
        let (said, line) = (stderr(&output), stdout(&output));
        if matches!(case.outcome, Outcome::Good) {
            let ok = (0, format!("OK {recipient}\n"));
            assert_eq!((code(&output), line), ok, "{what}: {said}");
            assert_eq!(said, "", "{what}");
            return;
        }
        let wanted = told(case);
        assert_eq!(code(&output), 2, "{what}: {line}{said}");
        let begin = format!("DEFER {recipient} - 60 86400 ");
        let told = line.strip_prefix(&begin);
        let told = told.unwrap_or_else(|| panic!("{what}: {line}"));
        let whole = matches!(case.outcome, Outcome::Refused(..) | Outcome::Names(_));
        match whole {
            true => assert_eq!(told.trim_end(), wanted, "{what}"),
            false => assert!(told.contains(&wanted), "{what}: {told}"),
        }
        assert!(said.contains(&wanted), "{what}: {said}");
        assert_eq!(line.lines().count(), 1, "{what}: {line}");
    }

    /// A server that speaks a protocol, and takes every message and no login.
    fn server(&self, shown: &Shown, protocol: &str) -> SocketAddr {
        let mut config = server_config(&self.good);
        config.alpn_protocols = protocols(&[protocol]);
        match shown {
            Shown::Certificate(key) => {
                config.cert_resolver = Arc::new(SingleCertAndKey::from(key.clone()));
            }
            Shown::NoCertificate => config.cert_resolver = Arc::new(Nothing),
            Shown::Protocols(names) => {
                let others = names.iter().filter(|name| **name != protocol);
                config.alpn_protocols = protocols(&others.copied().collect::<Vec<_>>());
            }
            Shown::OldTls => return Relay::saying(old_tls::server_hello().leak()),
        }
        let taking = Receiver::start_with(config, |_, peer| {
            follow(peer, |said, peer| match said.word() {
                "HEADERS" => peer.say("ACCEPT"),
                "LOGIN" => peer.say("FAIL"),
                _ => peer.say("OK"),
            });
        });
        taking.address
    }

    /// fetch-mail meets a post office of the case's host.
    fn as_post_office(&self, case: &Case) {
        let Case { what, host, .. } = case;
        let server = self.server(&case.shown, "imrp/1");
        let file = |name: &str| self.site.path().join(name);
        let (config, identity) = (file("fetch-mail.toml"), Identity::self_signed("carol"));
        fs::write(file("carol.pem"), identity.certificate_pem()).unwrap();
        fs::write(file("carol.key"), identity.key_pem()).unwrap();
        let only_hers = fs::Permissions::from_mode(0o600);
        fs::set_permissions(file("carol.key"), only_hers).unwrap();
        let text = format!(
            "address = \"carol@{host}\"\nroots = [\"roots.pem\"]\ncrls = [\"crl.pem\"]\n\
             certificate = \"carol.pem\"\nkey = \"carol.key\"\n\
             [hosts]\n\"{}\" = \"{server}\"\n",
            ascii(host)
        );
        fs::write(&config, text).unwrap();
        let output = run(
            "fetch-mail",
            &[
                "--config".as_ref(),
                config.as_os_str(),
                file("mail").as_os_str(),
            ],
            b"",
        );
        let said = stderr(&output);
        if matches!(case.outcome, Outcome::Good) {
            assert_eq!(code(&output), 1, "{what}: {said}");
            assert!(
                said.contains("refuses the login of carol@"),
                "{what}: {said}"
            );
            return;
        }
        let wanted = told(case).replace("imdp/1", "imrp/1");
        assert_eq!(code(&output), 2, "{what}: {said}");
        assert!(said.contains(&wanted), "{what}: {said}\n{wanted}");
        assert!(!file("mail").exists(), "{what}");
    }

    /// A client as the case's host meets server-receive.
    fn as_client(&self, case: &Case) {
        let Case { what, host, .. } = case;
        // Of its own, so that its log is of this case alone.
        let server = self.b.start();
        let letter = letter(&format!("carol@{host}"), "bob@b.test");
        let outcome = self.deliver(&server, &case.shown, &letter);
        let kib = peak(&server);
        assert!(kib < 64 << 10, "{what}: {kib} KiB");
        let refused = |words: &str| {
            let line = server.log.wait_for("event=handshake-failed");
            let wanted = format!("error=\"127.0.0.1{words}");
            assert!(line.contains(&wanted), "{what}: {line}");
        };
        match (&case.outcome, outcome) {
            (Outcome::Good, Ok(answer)) => {
                assert_eq!(answer, "OK", "{what}");
                server.log.wait_for("event=data");
            }
            (Outcome::Names(names), Ok(answer)) => {
                let wanted = format!("REJECT identity your certificate does not speak for {host}");
                assert_eq!(answer, wanted, "{what}");
                let line = server.log.wait_for("event=refused");
                let names = match *names {
                    "" => "\"no domain name\"",
                    names => names,
                };
                assert!(line.contains(&format!(" names={names} ")), "{what}: {line}");
                assert!(
                    line.contains(&format!("answer=\"{wanted}\"")),
                    "{what}: {line}"
                );
            }
            (Outcome::Refused(words, alert), Err(ending)) => {
                assert_eq!(ending, Ending::Alert(*alert), "{what}");
                refused(&format!("'s certificate {words}\""));
            }
            (
                Outcome::Other {
                    of_client,
                    ending: wanted,
                    ..
                },
                Err(ending),
            ) => {
                assert_eq!(ending, *wanted, "{what}");
                refused(of_client);
            }
            (_, other) => panic!("{what}: {other:?}\n{}", server.log.text()),
        }
    }

    /// The final line, or how the connection ended.
    fn deliver(&self, server: &Server, shown: &Shown, letter: &[u8]) -> Result<String, Ending> {
        let socket = TcpStream::connect(server.address).unwrap();
        let mut config = client_config(Some(&self.good));
        match shown {
            Shown::Certificate(key) => {
                config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key.clone()));
            }
            Shown::NoCertificate => config.client_auth_cert_resolver = Arc::new(Nothing),
            Shown::Protocols(names) => config.alpn_protocols = protocols(names),
            Shown::OldTls => return Err(old_tls::end_of_client(socket)),
        }
        let mut peer = Peer::over(socket, config)?;
        // The server's refusal may be here before the whole of it is out.
        let _ = peer.try_send(&crate::peer::headers(letter));
        let answer = peer.try_answer().map_err(|(_, ending)| ending)?;
        if answer != ["ACCEPT"] {
            return Ok(answer.last().unwrap().clone());
        }
        Ok(peer.data(letter).pop().unwrap())
    }
}

fn ascii(host: &str) -> &str {
    match host {
        "bücher.test" => "xn--bcher-kva.test",
        "C.Test" => "c.test",
        host => host,
    }
}

/// What is said of a server that is not believed.
fn told(case: &Case) -> String {
    let host = case.host;
    match &case.outcome {
        Outcome::Good => String::new(),
        Outcome::Names("") => format!(
            "{host}'s certificate names no domain that counts, and so not {}: it needs a dNSName in subjectAltName",
            ascii(host)
        ),
        Outcome::Names(names) => {
            format!(
                "{host}'s certificate is for {names}, and not for {}",
                ascii(host)
            )
        }
        Outcome::Refused(words, _) => format!("{host}'s certificate {words}"),
        Outcome::Other { of_server, .. } => format!("{host}{of_server}"),
    }
}

/// The most memory that a server has had, in KiB.
fn peak(server: &Server) -> u64 {
    kib(server.child.id(), "VmHWM")
}

fn protocols(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn every_certificate_in_both_directions() {
    let trusted = Trusted::new();
    let place = Place::new(&trusted);
    for case in trusted.cases() {
        place.as_server(&case);
        place.as_client(&case);
    }
}

#[test]
fn every_certificate_of_a_post_office() {
    let trusted = Trusted::new();
    let place = Place::new(&trusted);
    for case in trusted.cases() {
        place.as_post_office(&case);
    }
}
