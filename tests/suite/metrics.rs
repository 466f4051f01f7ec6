//! What servers count, as it stands in the file for Prometheus.

mod exposition;
mod post_office;
mod receive;

use std::fs;
use std::path::PathBuf;

use exposition::Exposition;

use crate::pages;
use crate::peer::{Caller, Identity, Peer};
use crate::post::{Entry, PASSWORD};
use crate::process::{inetd, pair, pid, systemd, terminate, wait};
use crate::site::{Host, Server, Site, code, letter, stdout, wait_until};

const SERVERS: [(&str, &str); 2] = [
    ("server-receive", "ememo_receive"),
    ("server-post-office", "ememo_post_office"),
];

/// b.test, whose servers write into files in its folder, and a.test's certificate.
pub struct Place {
    pub site: Site,
    pub a: Identity,
    pub b: Host,
}

impl Place {
    pub fn new() -> Place {
        let site = Site::new();
        let b = site.host("b.test", &["bob"]);
        let a = Identity::made(&site, "a.test");
        b.open_office(&[Entry::new("bob").with(&Identity::self_signed("bob"))]);
        for (name, _) in SERVERS {
            b.set(
                &format!("{name}.toml"),
                "metrics",
                &format!("\"{name}.prom\""),
            );
        }
        Place { site, a, b }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.b.dir.join(format!("{name}.prom"))
    }

    fn start(&self, name: &str) -> Server {
        self.b.start_with(self.b.command(name))
    }

    /// What the file says that a server has written.
    fn read(&self, name: &str) -> Exposition {
        let text = fs::read_to_string(self.file(name)).unwrap();
        Exposition::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// What it says once the server is there.
    fn read_first(&self, name: &str) -> Exposition {
        wait_until("the first file", || self.file(name).exists());
        self.read(name)
    }

    /// Ends a server in order; gives what it has counted in all.
    fn end(&self, name: &str, mut server: Server) -> Exposition {
        terminate(&server.child);
        assert_eq!(wait(&mut server.child).code(), Some(0));
        self.read(name)
    }
}

/// Names with labels in a page's METRICS: `name` or `name{label=…}`.
fn in_page(page: &str) -> Vec<(String, String, Vec<String>, String)> {
    let section = pages::section(page, "METRICS").expect("METRICS");
    let items = section.split("\n.It Va ").skip(1);
    items
        .map(|item| {
            let (head, text) = item.split_once('\n').expect("a meaning");
            let (name, rest) = head.split_once(" Pq ").expect("a type");
            let (kind, labels) = rest.split_once(';').unwrap_or((rest, ""));
            let labels = labels.split_whitespace().filter(|word| *word != "Va");
            let labels = labels.map(str::to_owned).collect();
            (name.to_owned(), kind.to_owned(), labels, text.to_owned())
        })
        .collect()
}

#[test]
fn each_name_stands_in_the_page_and_in_the_file_with_its_type_and_labels() {
    let place = Place::new();
    for (name, _) in SERVERS {
        let _server = place.start(name);
        let mut written = place.read_first(name).families;
        for (known, kind, labels, text) in in_page(&format!("{name}.8")) {
            let family = written.remove(&known);
            let family = family.unwrap_or_else(|| panic!("{name} does not write {known}"));
            assert_eq!(family.kind, kind, "{known}");
            let mut labels: Vec<&String> = labels.iter().collect();
            labels.sort();
            assert_eq!(family.labels.keys().collect::<Vec<_>>(), labels, "{known}");
            // The version stands in no page.
            for value in family
                .labels
                .iter()
                .filter(|(label, _)| *label != "version")
            {
                for value in value.1.iter().filter(|value| !value.is_empty()) {
                    let is_there = text.lines().any(|line| {
                        line.split(' ').any(|word| word == value) && line.contains("Ql ")
                    });
                    assert!(is_there, "{known}: {value}");
                }
            }
        }
        assert!(written.is_empty(), "not in {name}.8: {written:?}");
    }
}

/// As whoever connects the writing to another process may rely on it.
#[test]
fn a_text_stays_under_60_kib_whatever_is_counted() {
    let place = Place::new();
    for (name, prefix) in SERVERS {
        let _server = place.start(name);
        let first = place.read_first(name);
        let octets = fs::read(place.file(name)).unwrap().len();
        // A number has 20 digits at most, and one where it is 0.
        let most = octets + 19 * first.samples.len();
        assert!(most < 60 << 10, "{name}: {octets}, {most}");
        assert!(first.families.keys().all(|name| name.starts_with(prefix)));
    }
}

#[test]
fn a_server_that_is_killed_leaves_the_last_file_whole() {
    let place = Place::new();
    let kill = |mut server: Server| {
        rustix::process::kill_process(pid(&server.child), rustix::process::Signal::KILL).unwrap();
        wait(&mut server.child);
    };
    // In the middle of things.
    let server = place.start("server-receive");
    let mut peer = Peer::dial(server.address, &place.a);
    assert_eq!(peer.deliver(&letter(&["bob@b.test"], "Hello\n")), "OK");
    wait_until("the file of a server that goes on", || {
        let now = place.read_first("server-receive");
        now.get("ememo_receive_data_total{answer=\"OK\"}") == 1.0
    });
    let last = place.read("server-receive");
    assert_eq!(last.get("ememo_receive_connections_open"), 1.0);
    assert_eq!(last.get("ememo_receive_sessions_open"), 1.0);
    kill(server);
    assert_eq!(place.read("server-receive").samples, last.samples);
    // While it is written.
    for _ in 0..20 {
        kill(place.start("server-receive"));
        place.read("server-receive");
    }
    // Who comes after it counts anew.
    let server = place.start("server-receive");
    let then = place.end("server-receive", server);
    assert_eq!(then.get("ememo_receive_data_total{answer=\"OK\"}"), 0.0);
}

#[test]
fn a_file_that_cannot_be_written_is_logged_once_and_does_no_harm() {
    let place = Place::new();
    let folder = place.b.dir.join("later");
    for (name, prefix) in SERVERS {
        let value = format!("\"later/{name}.prom\"");
        place.b.set(&format!("{name}.toml"), "metrics", &value);
        let server = place.start(name);
        let line = server.log.wait_for("event=metrics-not-written");
        assert!(line.contains(&format!("later/{name}.prom ")), "{line}");
        match name {
            "server-receive" => {
                let mut peer = Peer::dial(server.address, &place.a);
                assert_eq!(peer.deliver(&letter(&["bob@b.test"], "Hello\n")), "OK");
            }
            _ => {
                let mut caller = Caller::dial(server.address, None);
                assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
            }
        }
        fs::create_dir(&folder).unwrap();
        server.log.wait_for("event=metrics-written-again");
        let text = fs::read_to_string(folder.join(format!("{name}.prom"))).unwrap();
        let now = Exposition::parse(&text).unwrap();
        assert_eq!(now.get(&format!("{prefix}_connections_total")), 1.0);
        let log = server.log.text();
        assert_eq!(log.matches("event=metrics-").count(), 2, "{log}");
        let entries = fs::read_dir(&folder).unwrap();
        assert_eq!(entries.count(), 1, "nothing beside it");
        fs::remove_dir_all(&folder).unwrap();
        let mut server = server;
        terminate(&server.child);
        assert_eq!(wait(&mut server.child).code(), Some(0));
    }
}

#[test]
fn a_process_for_one_connection_writes_nothing() {
    let place = Place::new();
    for (name, _) in SERVERS {
        for form in ["inetd", "systemd"] {
            let (mut child, socket) = match form {
                "inetd" => {
                    let mut command = place.b.command(name);
                    command.arg("--inetd");
                    inetd(command)
                }
                _ => {
                    let (socket, peer) = pair();
                    (systemd(name, &place.b.dir, socket), peer)
                }
            };
            match name {
                "server-receive" => {
                    let config = crate::peer::client_config(Some(&place.a));
                    let mut peer = Peer::over(socket, config).unwrap();
                    assert_eq!(peer.deliver(&letter(&["bob@b.test"], form)), "OK");
                    peer.close();
                }
                _ => {
                    let mut caller = Caller::over(socket, None).unwrap();
                    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
                    caller.close();
                }
            }
            assert_eq!(wait(&mut child).code(), Some(0), "{name} {form}");
            assert!(!place.file(name).exists(), "{name} {form}");
        }
    }
}

/// The example of server-post-office(8).
#[test]
fn failed_logins_are_found_as_the_page_says() {
    let place = Place::new();
    place
        .b
        .set("server-post-office.toml", "metrics", "\"post-office.prom\"");
    let mut server = place.b.start_office();
    let mut caller = Caller::dial(server.address, None);
    assert_eq!(caller.log_in("bob@b.test", "wrong"), "FAIL");
    drop(caller);
    terminate(&server.child);
    wait(&mut server.child);
    let examples = pages::examples("server-post-office.8");
    let example = examples.iter().find(|text| text.contains(".prom"));
    let output = std::process::Command::new("sh")
        .args(["-ec", example.expect("the example")])
        .current_dir(place.site.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0);
    let wrong = |by: &str, outcome: &str, count: u8| {
        format!("ememo_post_office_logins_total{{by=\"{by}\",outcome=\"{outcome}\"}} {count}\n")
    };
    assert_eq!(
        stdout(&output),
        [
            wrong("certificate", "too_many_failures", 0),
            wrong("certificate", "wrong", 0),
            wrong("password", "too_many_failures", 0),
            wrong("password", "wrong", 1),
        ]
        .concat()
    );
}
