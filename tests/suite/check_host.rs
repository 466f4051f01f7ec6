//! server-check, with hosts that are well and hosts that are not.

mod faults;
mod finding;

use std::process::Output;

use serde_json::Value;

use crate::peer::Identity;
use crate::peer::dns::{Dns, Record};
use crate::site::{Host, Site, code, feed, stderr, stdout};

/// a.test, which looks at b.test.
struct Place {
    site: Site,
    a: Host,
}

impl Place {
    fn new() -> Place {
        let site = Site::new();
        let a = site.host("a.test", &[]);
        a.set("server-send-mail.toml", "connect-timeout", "\"2s\"");
        Place { site, a }
    }

    fn asks(&self, dns: &Dns) {
        self.a.set("server-send-mail.toml", "dns", &dns.key());
    }

    /// Looks at b.test.
    fn look(&self, options: &[&str]) -> Looked {
        let mut command = self.a.command("server-check");
        command.args(options).arg("b.test");
        Looked::of(&feed(command, b""))
    }

    /// The same, where b.test is known to be at a port of this machine.
    fn look_at(&self, port: u16) -> Looked {
        let dns = zone(&[port], "127.0.0.1");
        self.asks(&dns);
        self.look(&[])
    }

    /// A certificate for b.test, changed.
    fn adjusted(&self, adjust: impl FnOnce(&mut rcgen::CertificateParams)) -> Identity {
        Identity::adjusted(&self.site, "b.test", adjust)
    }
}

/// b.test at these ports of an address.
fn zone(ports: &[u16], address: &str) -> Dns {
    let srv = |port: &u16| Record::srv("_imdp._tcp.b.test", 0, 1, *port, b"mail.b.test");
    let mut records: Vec<_> = ports.iter().map(srv).collect();
    records.push(Record::address("mail.b.test", address));
    Dns::zone(records)
}

/// What was printed.
#[derive(Debug)]
struct Looked {
    exit: i32,
    printed: String,
    said: String,
}

impl Looked {
    fn of(output: &Output) -> Looked {
        let looked = Looked {
            exit: code(output),
            printed: stdout(output),
            said: stderr(output),
        };
        // Whatever others say, every line is one of ours.
        for line in looked.printed.lines() {
            let begins = ["good ", "note ", "unknown ", "ours ", "wrong ", "{"];
            assert!(begins.iter().any(|begin| line.starts_with(begin)), "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        looked
    }

    /// That there is such a line.
    #[track_caller]
    fn finds(&self, result: &str, check: &str, text: &str) -> &Looked {
        let is_it = |line: &str| {
            let begins = line.starts_with(&format!("{result} "));
            begins && line.contains(&format!(" {check}: ")) && line.contains(text)
        };
        assert!(
            self.printed.lines().any(is_it),
            "{result} {check} {text:?}: {self:#?}"
        );
        self
    }

    #[track_caller]
    fn ends(&self, exit: i32) -> &Looked {
        assert_eq!(self.exit, exit, "{self:#?}");
        self
    }

    fn results(&self) -> Vec<&str> {
        let mut results: Vec<_> = self
            .printed
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        results.sort_unstable();
        results.dedup();
        results
    }

    fn json(&self) -> Value {
        assert_eq!(self.printed.lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.printed).unwrap()
    }
}
