//! server-send-mail, with servers of the suite's and of the tests' own.

mod ahead;
mod all_or_none;
mod bounds;
mod certificates;
mod hostile;
mod input;
mod lines;
mod parts;
mod reuse;
mod stream;

use std::process::Output;

use crate::peer::{Identity, Receiver};
use crate::site::{Host, Site, code, stderr, stdout};

/// a.test, which sends.
struct Place {
    site: Site,
    a: Host,
}

impl Place {
    fn new() -> Place {
        let site = Site::new();
        let a = site.host("a.test", &[]);
        Place { site, a }
    }

    /// The certificate of another host.
    fn identity(&self, host: &str) -> Identity {
        Identity::made(&self.site, host)
    }

    /// A server of the tests' own for a host, which a.test finds.
    fn answering(&self, host: &str, headers: &'static str, data: &'static str) -> Receiver {
        let receiver = Receiver::answering(&self.identity(host), headers, data);
        self.a.knows(host, receiver.address);
        receiver
    }

    fn taking(&self, host: &str) -> Receiver {
        self.answering(host, "ACCEPT", "OK")
    }

    fn set(&self, key: &str, value: &str) {
        self.a.set("server-send-mail.toml", key, value);
    }

    fn send(&self, letter: &[u8]) -> Sent {
        Sent::of(&self.a.send(letter, &[]))
    }
}

/// What came of a run of server-send-mail.
#[derive(Debug)]
struct Sent {
    exit: i32,
    /// Of stdout, sorted: hosts answer in any order.
    lines: Vec<String>,
    said: String,
}

impl Sent {
    fn of(output: &Output) -> Sent {
        let mut lines: Vec<String> = stdout(output).lines().map(str::to_owned).collect();
        lines.sort();
        Sent {
            exit: code(output),
            lines,
            said: stderr(output),
        }
    }

    /// The exit code, and how each line begins.
    #[track_caller]
    fn is(&self, exit: i32, begins: &[&str]) -> &Sent {
        assert_eq!(self.exit, exit, "{self:#?}");
        assert_eq!(self.lines.len(), begins.len(), "{self:#?}");
        for (line, begin) in self.lines.iter().zip(begins) {
            assert!(line.starts_with(begin), "{begin}: {self:#?}");
        }
        self
    }

    /// What stderr tells a person.
    #[track_caller]
    fn explains(&self, text: &str) -> &Sent {
        assert!(self.said.contains(text), "{text}: {self:#?}");
        self
    }
}
