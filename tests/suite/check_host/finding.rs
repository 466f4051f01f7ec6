//! Hosts that are well, and what cannot be found out.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ima_message::Hostpart;
use ima_program::config::ConfigPath;
use ima_proto::framing::Channel as _;
use ima_proto::tls::{Identities, IdentityToml, ServerSide, accept_user};

use super::{Looked, Place, zone};
use crate::pages::examples;
use crate::peer::dns::{self, Dns, Record, Reply};
use crate::peer::{Receiver, nowhere};
use crate::site::{Host, code, feed, program, stderr, stdout};

#[test]
fn a_good_host_is_good_in_everything() {
    let place = Place::new();
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    let looked = place.look_at(server.address.port());
    looked.ends(0);
    assert_eq!(looked.results(), ["good"], "{looked:#?}");
    for check in [
        "configuration",
        "records",
        "connection",
        "tls",
        "protocol",
        "name",
        "dates",
        "clock",
        "chain",
        "usage",
        "demand",
        "identity",
    ] {
        looked.finds("good", check, "");
    }
    looked
        .finds(
            "good",
            "records",
            "the SRV records of _imdp._tcp.b.test name mail.b.test:",
        )
        .finds("good", "tls", "TLS 1.3, TLS13_")
        .finds("good", "dates", " days more")
        .finds("good", "identity", "it takes our certificate for a.test");
    assert_eq!(looked.said, "");
    // No message was begun.
    server.log.wait_for("names=a.test");
    let log = server.log.text();
    assert!(!log.contains("level=warn"), "{log}");
}

#[test]
fn json_has_its_documented_keys() {
    let place = Place::new();
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    let dead = nowhere().port();
    let dns = zone(&[server.address.port(), dead], "127.0.0.1");
    place.asks(&dns);
    let looked = place.look(&["--json"]);
    looked.ends(1);
    let object = looked.json();
    assert_eq!(object["host"], "b.test");
    assert_eq!(object["identity"], "a.test");
    assert_eq!(object["result"], "wrong");
    let file = place.a.dir.join("server-send-mail.toml");
    assert_eq!(object["configuration"], file.to_str().unwrap());
    assert!(object["time"].as_str().unwrap().ends_with('Z'));
    let service = &object["services"][0];
    assert_eq!(service["service"], "imdp");
    assert_eq!(service["found-by"], "srv");
    assert_eq!(service["findings"][0]["check"], "records");
    assert_eq!(service["findings"][0]["result"], "good");
    assert!(service["findings"][0]["text"].is_string());
    let addresses = service["addresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 2);
    let at = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        addresses
            .iter()
            .find(|one| one["address"] == address)
            .unwrap()
    };
    let good = at(server.address.port());
    assert_eq!(good["target"], "mail.b.test");
    assert_eq!((&good["priority"], &good["weight"]), (&0.into(), &1.into()));
    assert_eq!(good["tls"]["version"], "TLSv1.3");
    assert!(
        good["tls"]["cipher"]
            .as_str()
            .unwrap()
            .starts_with("TLS13_")
    );
    assert_eq!(good["tls"]["key-exchange"], "X25519MLKEM768");
    assert_eq!(good["tls"]["protocol"], "imdp/1");
    assert_eq!(good["tls"]["asks-certificate"], true);
    let certificate = &good["certificate"];
    assert_eq!(certificate["names"][0], "b.test");
    // A leap day may lie between.
    let days = certificate["days-left"].as_i64().unwrap();
    assert!((364..=366).contains(&days), "{days}");
    assert_eq!(certificate["chain-length"], 1);
    for key in ["issuer", "not-before", "not-after"] {
        assert!(certificate[key].is_string(), "{key}");
    }
    let bad = at(dead);
    assert!(bad["tls"].is_null() && bad["certificate"].is_null());
    assert_eq!(bad["findings"][0]["check"], "connection");
    assert_eq!(bad["findings"][0]["result"], "wrong");
}

#[test]
fn imrp_is_looked_at_where_it_is_offered_or_asked_for() {
    let place = Place::new();
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    let office = office(&b);
    let records = [
        ("_imdp._tcp.b.test", server.address.port()),
        ("_imrp._tcp.b.test", office.port()),
    ];
    let mut records: Vec<_> = records
        .iter()
        .map(|(name, port)| Record::srv(name, 0, 0, *port, b"mail.b.test"))
        .collect();
    records.push(Record::address("mail.b.test", "127.0.0.1"));
    let dns = Dns::zone(records);
    place.asks(&dns);
    let both = place.look(&[]);
    both.ends(0)
        .finds("good", "protocol", "it speaks imdp/1")
        .finds("good", "protocol", "it speaks imrp/1")
        .finds("good", "demand", "by a certificate or by a password");
    let one = place.look(&["--service", "imrp", "--service", "imrp"]);
    one.ends(0).finds("good", "protocol", "it speaks imrp/1");
    assert!(!one.printed.contains("imdp"), "{one:#?}");
    assert_eq!(one.printed.matches(" records: ").count(), 1, "{one:#?}");
    let other = place.look(&["--service", "imdp"]);
    assert!(!other.printed.contains("imrp"), "{other:#?}");
}

/// What a server of IMRP does up to the end of the handshake.
fn office(host: &Host) -> SocketAddr {
    let file = |suffix| ConfigPath::new(format!("tls/{}.{suffix}", host.name));
    let block = IdentityToml {
        hosts: vec![Hostpart::parse(&host.name).unwrap()],
        certificate: file("pem"),
        key: file("key"),
    };
    let identities = Identities::load(&[block], &host.dir).unwrap();
    let side = ServerSide::for_users(identities, "imrp/1").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut secure, _) = accept_user(socket.unwrap(), &side).unwrap();
            secure.close().unwrap();
        }
    });
    address
}

#[test]
fn what_dns_does_not_say_is_not_known() {
    let place = Place::new();
    let look = |dns: Dns| {
        place.asks(&dns);
        place.look(&["--service", "imdp"])
    };
    look(Dns::start(|_| Reply::Code(dns::SERVFAIL)))
        .ends(2)
        .finds("unknown", "records", "SERVFAIL");
    let began = Instant::now();
    look(Dns::start(|_| Reply::Silence))
        .ends(2)
        .finds("unknown", "records", "b.test");
    assert!(began.elapsed() < Duration::from_secs(8));
    look(Dns::start(|_| Reply::Code(dns::NXDOMAIN)))
        .ends(1)
        .finds("wrong", "addresses", "b.test: there is no such name");
    look(Dns::start(|_| Reply::Records(vec![]))).ends(1).finds(
        "wrong",
        "addresses",
        "b.test: it has no address",
    );
    let name = "_imdp._tcp.b.test";
    look(Dns::zone(vec![Record::srv(name, 0, 0, 0, b".")]))
        .ends(1)
        .finds("wrong", "records", "b.test takes no IMA mail");
    look(zone(&[25], "0.0.0.0")).ends(1).finds(
        "wrong",
        "addresses",
        "mail.b.test, 0.0.0.0: this is the address of no machine",
    );
}

#[test]
fn it_works_without_a_configuration() {
    let place = Place::new();
    let empty = tempfile::TempDir::new().unwrap();
    let look = |arguments: &[&str]| {
        let mut command = Command::new(program("server-check"));
        command
            .args(arguments)
            .env("EMEMO_CONFIG_DIR", empty.path())
            .env("SSL_CERT_FILE", place.site.ca().join("ca.pem"));
        Looked::of(&feed(command, b""))
    };
    // Nothing is at this port, and no DNS is needed for the name.
    look(&["b.localhost"])
        .ends(1)
        .finds("good", "configuration", "there is no server-send-mail.toml")
        .finds("wrong", "connection", "nobody listens");
    // One that is named must be there.
    let looked = look(&["--config", "/nowhere/x.toml", "b.localhost"]);
    assert!(
        looked
            .said
            .contains("/nowhere/x.toml: there is no such file"),
        "{looked:?}"
    );
    looked.ends(2);
    let looked = look(&["--from", "a.test", "b.localhost"]);
    assert!(looked.said.contains("--from a.test"), "{looked:?}");
    looked.ends(2);
    look(&["localhost"]).ends(2);
    look(&[]).ends(2);
}

#[test]
fn keys_of_the_configuration_are_those_of_server_send_mail() {
    let place = Place::new();
    let example = include_str!("../../../etc/server-send-mail.toml");
    let tls = place.a.dir.join("tls").display().to_string();
    let example = example
        .replace("/etc/ememo/tls/b.test", &format!("{tls}/a.test"))
        .replace("hosts = [\"b.test\"]", "hosts = [\"a.test\"]");
    let file = place.a.dir.join("example.toml");
    let look = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let mut command = place.a.command("server-check");
        command
            .args(["--config", file.to_str().unwrap(), "b.localhost"])
            .env("SSL_CERT_FILE", place.site.ca().join("ca.pem"));
        Looked::of(&feed(command, b""))
    };
    look(&example).ends(1).finds("wrong", "connection", "");
    let looked = look(&format!("rots = []\n{example}"));
    assert!(
        looked.said.contains("line 1") && looked.said.contains("rots"),
        "{looked:?}"
    );
    looked.ends(2);
}

#[test]
fn the_examples_of_the_page_are_true() {
    let place = Place::new();
    let b = place.site.host("b.test", &["bob"]);
    let server = b.start();
    let dns = zone(&[server.address.port()], "127.0.0.1");
    place.asks(&dns);
    let is_external = std::env::var_os("EMEMO_EXTERNAL").is_some_and(|value| value == "1");
    let examples = examples("server-check.8");
    assert_eq!(examples.len(), 3);
    let run = |script: &str| {
        let beside = program("server-check");
        let beside = beside.parent().unwrap().display();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .env("PATH", format!("{beside}:/usr/bin:/bin"))
            .env("EMEMO_CONFIG_DIR", &place.a.dir);
        feed(shell, b"")
    };
    let plain = run(&examples[0]);
    assert_eq!(code(&plain), 0, "{}", stderr(&plain));
    assert!(stdout(&plain).contains("good imdp 127.0.0.1:"));
    let cron = examples[1].strip_prefix("7 6 * * * ").unwrap();
    assert_eq!(stdout(&run(cron)), "");
    if is_external {
        let days = run(&examples[2]);
        let begin = format!("{} 36", server.address);
        assert!(stdout(&days).starts_with(&begin), "{}", stderr(&days));
        assert_eq!(stdout(&days).len(), begin.len() + 2);
    }
    // A certificate that nears its end is mailed.
    let ending = place.adjusted(|params| {
        // The last third of its seventy-five years began in 2025.
        params.not_before = rcgen::date_time_ymd(1975, 1, 1);
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    });
    let other = Receiver::taking(&ending);
    let dns = zone(&[other.address.port()], "127.0.0.1");
    place.asks(&dns);
    let mailed = run(cron);
    let lines = stdout(&mailed);
    assert!(
        lines.starts_with("note ") && lines.lines().count() == 1,
        "{lines}"
    );
    assert!(
        lines.contains(" dates: ") && lines.contains("renew it"),
        "{lines}"
    );
}
