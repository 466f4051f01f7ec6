//! The table, in both directions.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, SignatureScheme};

use super::cases::{Case, Outcome, Shown, Trusted};
use crate::peer::{Ending, Identity, Peer, Receiver, Relay, client_config, follow, server_config};
use crate::site::{Host, PATIENCE, Server, Site, code, run, stderr, stdout};

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
    _site: Site,
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
        Place {
            _site: site,
            a,
            b,
            good,
        }
    }

    /// server-send-mail meets a server of the case's host.
    fn as_server(&self, case: &Case) {
        let Case { what, host, .. } = case;
        let ascii = match *host {
            "bücher.test" => "xn--bcher-kva.test",
            "C.Test" => "c.test",
            host => host,
        };
        self.a.knows(ascii, self.server(&case.shown));
        let recipient = format!("carol@{host}");
        let output = self.a.send(&letter("alice@a.test", &recipient), &[]);
        let (said, line) = (stderr(&output), stdout(&output));
        let wanted = match &case.outcome {
            Outcome::Good => {
                assert_eq!(
                    (code(&output), line),
                    (0, format!("OK {recipient}\n")),
                    "{what}: {said}"
                );
                assert_eq!(said, "", "{what}");
                return;
            }
            Outcome::Names("") => format!(
                "{host}'s certificate names no domain that counts, and so not {ascii}: it needs a dNSName in subjectAltName"
            ),
            Outcome::Names(names) => {
                format!("{host}'s certificate is for {names}, and not for {ascii}")
            }
            Outcome::Refused(words, _) => format!("{host}'s certificate {words}"),
            Outcome::Other { of_server, .. } => format!("{host}{of_server}"),
        };
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

    fn server(&self, shown: &Shown) -> SocketAddr {
        let mut config = server_config(&self.good);
        match shown {
            Shown::Certificate(key) => {
                config.cert_resolver = Arc::new(SingleCertAndKey::from(key.clone()));
            }
            Shown::NoCertificate => config.cert_resolver = Arc::new(Nothing),
            Shown::Protocols(names) => config.alpn_protocols = protocols(names),
            Shown::OldTls => return Relay::saying(old_server_hello().leak()),
        }
        let taking = Receiver::start_with(config, |_, peer| {
            follow(peer, |said, peer| match said.word() {
                "HEADERS" => peer.say("ACCEPT"),
                _ => peer.say("OK"),
            });
        });
        taking.address
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
            Shown::OldTls => return Err(end_of_old_client(socket)),
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

/// The most memory that a server has had, in KiB.
fn peak(server: &Server) -> u64 {
    let status = format!("/proc/{}/status", server.child.id());
    let status = fs::read_to_string(status).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    peak.parse().unwrap()
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

/// A handshake message in a record of its own (RFC 5246, 6.2.1 and 7.4).
fn handshake_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 3, 0, length + 4, kind, 0, 0, length], body].concat()
}

/// A server that chose TLS 1.2 with ECDHE-ECDSA-AES128-GCM-SHA256.
fn old_server_hello() -> Vec<u8> {
    let body = [&[3, 3][..], &[9; 32], &[0, 0xc0, 0x2b, 0]].concat();
    handshake_record(2, &body)
}

/// A client of TLS 1.2: the same on P-256 with ECDSA and SHA-256, and without
/// supported_versions. Gives what it is told.
fn end_of_old_client(mut socket: TcpStream) -> Ending {
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ]
    .concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0, 2, 0xc0, 0x2b, 1, 0],
        &[0, u8::try_from(extensions.len()).unwrap()],
        &extensions,
    ]
    .concat();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&handshake_record(1, &body)).unwrap();
    let mut alert = [0; 7];
    socket.read_exact(&mut alert).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(alert[0], 21, "an alert");
    Ending::Alert(AlertDescription::from(alert[6]))
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
