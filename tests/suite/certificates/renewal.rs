//! Our own certificates: renewed under a running server, and near their end.

use std::fs;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, mknodat};

use super::authority::{leaf, leaf_with};
use crate::peer::{Identity, Peer};
use crate::site::{Host, Server, Site, code, letter, stderr, stdout, wait_until};

/// b.test with its running server, and a.test's certificate.
struct Place {
    site: Site,
    b: Host,
    a: Identity,
    server: Server,
}

impl Place {
    fn new() -> Place {
        let site = Site::new();
        let b = site.host("b.test", &["bob"]);
        let a = Identity::made(&site, "a.test");
        let server = b.start();
        Place { site, b, a, server }
    }

    fn dial(&self) -> Peer {
        Peer::dial(self.server.address, &self.a)
    }

    /// Waits until new connections see a certificate.
    fn shows(&self, identity: &Identity) {
        wait_until("the new certificate", || {
            self.dial().certificate() == identity.chain()[0]
        });
    }

    fn count(&self, event: &str) -> usize {
        self.server.log.text().matches(event).count()
    }
}

/// In one step: half a file would be noticed too.
fn put(host: &Host, suffix: &str, pem: &str) {
    let path = host.dir.join(format!("tls/{}.{suffix}", host.name));
    let new = path.with_extension("new");
    fs::write(&new, pem).unwrap();
    fs::rename(new, path).unwrap();
}

enum Spoiled {
    Fifo,
    Sparse,
}

#[test]
fn a_pair_is_replaced_whole_and_no_connection_is_dropped() {
    let place = Place::new();
    let mut open = place.dial();
    let first = open.certificate();
    let renewed = Identity::made(&place.site, "b.test");

    // Half of the new pair: the old one stays, and that is logged once.
    put(&place.b, "pem", renewed.certificate_pem());
    let line = loop {
        assert_eq!(place.dial().certificate(), first);
        let log = place.server.log.text();
        if let Some(line) = log.lines().find(|line| line.contains("not-read-again")) {
            break line.to_owned();
        }
        std::thread::yield_now();
    };
    assert!(
        line.contains("the key is of another certificate") && line.contains("level=error"),
        "{line}"
    );
    put(&place.b, "key", renewed.key_pem());
    place.shows(&renewed);
    assert_eq!(place.count("event=certificates-not-read-again"), 1);

    // Broken in other ways, one after the other; each is said once.
    for (broken, said) in [
        ("", "holds no certificate in PEM form"),
        ("-----BEGIN CERTIFICATE-----\n", "is broken PEM"),
    ] {
        put(&place.b, "pem", broken);
        wait_until("it is noticed", || {
            assert_eq!(place.dial().certificate(), renewed.chain()[0]);
            place.count(said) == 1
        });
    }
    // What is no file is not waited for, and what is far too long not read.
    let path = place.b.dir.join("tls/b.test.pem");
    for (spoiled, said) in [
        (Spoiled::Fifo, "it is no regular file"),
        (Spoiled::Sparse, "it is longer than 16 MiB"),
    ] {
        fs::remove_file(&path).unwrap();
        match spoiled {
            Spoiled::Fifo => mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap(),
            Spoiled::Sparse => fs::File::create(&path).unwrap().set_len(8 << 30).unwrap(),
        }
        wait_until("it is noticed", || {
            assert_eq!(place.dial().certificate(), renewed.chain()[0]);
            place.count(said) == 1
        });
    }
    put(&place.b, "pem", renewed.certificate_pem());
    wait_until("it is read again", || {
        drop(place.dial());
        place.count("event=certificates-read-again") == 2
    });
    assert_eq!(place.count("event=certificates-not-read-again"), 5);

    // The connection from before all this goes on.
    assert_eq!(open.deliver(&letter(&["bob@b.test"], "Hello\n")), "OK");
}

/// A certificate that began some days ago and ends in some.
fn lasting(site: &Site, name: &str, began: u64, ends: i64) -> Identity {
    const DAY: u64 = 86_400;
    let now = SystemTime::now();
    let day = Duration::from_secs(DAY);
    Identity::adjusted(site, name, |params| {
        *params = leaf_with(&[name], |params| {
            params.not_before = (now - day * u32::try_from(began).unwrap()).into();
            let span = day * u32::try_from(ends.unsigned_abs()).unwrap();
            params.not_after = match ends < 0 {
                true => (now - span).into(),
                // A minute more, for the test itself.
                false => (now + span + Duration::from_secs(60)).into(),
            };
        });
    })
}

#[test]
fn a_server_warns_of_the_end() {
    let site = Site::new();
    let b = site.host("b.test", &["bob"]);
    lasting(&site, "b.test", 80, 10).install(&b);
    let server = b.start();
    let line = server.log.wait_for("event=certificate-expires");
    assert!(
        line.contains("level=warn") && line.contains("b.test.pem") && line.contains("days-left=10"),
        "{line}"
    );
    drop(server);

    lasting(&site, "b.test", 90, -1).install(&b);
    let server = b.start();
    let line = server.log.wait_for("event=certificate-expired");
    assert!(
        line.contains("level=error") && line.contains("b.test.pem"),
        "{line}"
    );
    // Renewed, it serves again.
    let renewed = Identity::adjusted(&site, "b.test", |params| *params = leaf(&["b.test"]));
    renewed.install(&b);
    let a = Identity::made(&site, "a.test");
    wait_until("the new certificate", || {
        Peer::dial(server.address, &a).certificate() == renewed.chain()[0]
    });
    server.log.wait_for_count("event=certificate-expire", 1);
    drop(server);

    let server = b.start();
    let a = Identity::made(&site, "a.test");
    assert_eq!(
        Peer::dial(server.address, &a).deliver(&letter(&["bob@b.test"], "Hello\n")),
        "OK"
    );
    let text = server.log.text();
    assert!(!text.contains("certificate-expire"), "{text}");
}

/// A wrong file, or a clock that is wrong where it was made, ends nobody's mail.
#[test]
fn a_pair_that_is_not_valid_now_replaces_none_that_is() {
    let place = Place::new();
    let first = place.dial().certificate();
    let expired = lasting(&place.site, "b.test", 90, -1);
    let future = Identity::adjusted(&place.site, "b.test", |params| {
        *params = leaf_with(&["b.test"], |params| {
            let day = Duration::from_secs(86_400);
            params.not_before = (SystemTime::now() + day).into();
            params.not_after = (SystemTime::now() + day * 30).into();
        });
    });
    for (count, wrong) in [expired, future].into_iter().enumerate() {
        wrong.install(&place.b);
        wait_until("it is noticed", || {
            assert_eq!(place.dial().certificate(), first);
            let log = place.server.log.text();
            let said = log.lines().filter(|line| line.contains(" and not now"));
            let is_left = |line: &&str| {
                line.contains("event=certificates-not-read-again") && line.contains("b.test.pem")
            };
            said.filter(is_left).count() == count + 1
        });
    }
    assert_eq!(place.count("event=certificates-read-again"), 0);
    let renewed = Identity::made(&place.site, "b.test");
    renewed.install(&place.b);
    place.shows(&renewed);
}

/// As soon as the one before is over, or the other has begun.
#[test]
fn a_pair_that_begins_later_is_taken_then() {
    let place = Place::new();
    let first = place.dial().certificate();
    let soon = Identity::adjusted(&place.site, "b.test", |params| {
        *params = leaf_with(&["b.test"], |params| {
            params.not_before = (SystemTime::now() + Duration::from_secs(6)).into();
        });
    });
    soon.install(&place.b);
    wait_until("it is noticed", || {
        let shown = place.dial().certificate();
        assert!(shown == first || shown == soon.chain()[0]);
        place.count("event=certificates-not-read-again") == 1
    });
    place.shows(&soon);
    assert_eq!(place.count("event=certificates-not-read-again"), 1);
}

#[test]
fn server_send_mail_says_only_that_it_is_over() {
    let site = Site::new();
    let (a, b) = (site.host("a.test", &[]), site.host("b.test", &["bob"]));
    let server = b.start();
    a.knows("b.test", server.address);
    let letter = letter(&["bob@b.test"], "Hello\n");
    // Whoever runs it for each message would read the same each time.
    lasting(&site, "a.test", 80, 10).install(&a);
    let output = a.send(&letter, &[]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    lasting(&site, "a.test", 90, -1).install(&a);
    let output = a.send(&letter, &[]);
    let said = stderr(&output);
    assert!(
        said.contains("event=certificate-expired") && said.contains("a.test.pem"),
        "{said}"
    );
    assert!(
        stdout(&output).contains("b.test refused our certificate for a.test: it has expired"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn many_domains_on_one_server() {
    let site = Site::new();
    let b = site.host("b.test", &["bob"]);
    let [of_c, of_d] = ["c.test", "d.test"].map(|name| Identity::made(&site, name));
    let pairs = [("c.test", &of_c), ("d.test", &of_d)];
    for (name, identity) in pairs {
        fs::write(
            b.dir.join(format!("{name}.pem")),
            identity.certificate_pem(),
        )
        .unwrap();
        fs::write(b.dir.join(format!("{name}.key")), identity.key_pem()).unwrap();
        b.edit("server-receive.toml", |text| {
            format!(
                "{text}\n[[identity]]\nhosts = [{name:?}]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n"
            )
        });
    }
    b.set(
        "server-receive.toml",
        "hosts",
        "[\"b.test\", \"c.test\", \"d.test\"]",
    );
    let server = b.start();
    let a = Identity::made(&site, "a.test");
    let shown = |name: &'static str| {
        Peer::dial_for(name, server.address, &a).map(|peer| peer.certificate())
    };
    for (name, identity) in pairs {
        assert_eq!(shown(name).as_ref(), Ok(&identity.chain()[0]));
    }
    assert!(shown("e.test").is_err());

    // One that is broken keeps no other from being renewed.
    fs::write(b.dir.join("c.test.pem"), "broken").unwrap();
    let renewed = Identity::made(&site, "d.test");
    fs::write(b.dir.join("d.test.pem"), renewed.certificate_pem()).unwrap();
    fs::write(b.dir.join("d.test.key"), renewed.key_pem()).unwrap();
    wait_until("the new certificate", || {
        shown("d.test").as_ref() == Ok(&renewed.chain()[0])
    });
    assert_eq!(shown("c.test").as_ref(), Ok(&of_c.chain()[0]));

    // And a host without an identity is an error that names it.
    drop(server);
    fs::write(b.dir.join("c.test.pem"), of_c.certificate_pem()).unwrap();
    b.set("server-receive.toml", "hosts", "[\"b.test\", \"f.test\"]");
    let output = b.command("server-receive").output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("no [[identity]] for f.test: its hosts must list it"),
        "{}",
        stderr(&output)
    );
}
