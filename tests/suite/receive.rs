//! server-receive, as its peers meet it.

mod commands;
mod crowds;
mod cuts;
mod deaf;
mod full;
mod handlers;
mod lasting;
mod limits;
mod messages;
mod records;
mod routed;
mod rules;
mod shut_out;
mod sockets;
mod starved;
mod staying;
mod stopping;
mod streamed;
mod surroundings;
mod taken_over;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use crate::peer::{Identity, Peer};
use crate::site::{Host, Server, Site};

/// b.test with a user bob, and a certificate for a.test.
struct Place {
    site: Site,
    a: Identity,
    b: Host,
}

impl Place {
    /// With the commands that server-setup configures.
    fn new() -> Place {
        let site = Site::new();
        let b = site.host("b.test", &["bob"]);
        let a = Identity::made(&site, "a.test");
        Place { site, a, b }
    }

    /// With shell scripts for `check` and `handler`; `{dir}` stands for the place's folder.
    fn with(check: &str, handler: &str) -> Place {
        let place = Place::new();
        place.set("check", place.script(check));
        place.set("handler", place.script(handler));
        place
    }

    /// With a shell script for a handler that stays.
    fn staying(script: &str) -> Place {
        let place = Place::new();
        place.set("stream", place.script(script));
        place
    }

    /// Takes every message, and leaves a file named after its digest.
    fn taking() -> Place {
        Place::with("exit 0", "touch {dir}/$IMA_DIGEST")
    }

    fn script(&self, script: &str) -> String {
        let script = script.replace("{dir}", self.site.path().to_str().unwrap());
        format!("[\"/bin/sh\", \"-c\", {script:?}]")
    }

    fn set(&self, key: &str, value: impl AsRef<str>) {
        self.b.set("server-receive.toml", key, value.as_ref());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// A pipe by this name, on which a script can wait.
    /// What `read go <{dir}/NAME` of a script waits for.
    fn gate(&self, name: &str) -> Gate {
        let path = self.file(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        // Whoever has both ends waits for nobody, and nobody ever finds the end.
        let both = fs::File::options().read(true).write(true).open(path);
        Gate(both.unwrap())
    }

    fn dial(&self, server: &Server) -> Peer {
        Peer::dial(server.address, &self.a)
    }

    /// Whether a handler of [`Place::taking`] ran for a letter.
    fn was_taken(&self, letter: &[u8]) -> bool {
        self.file(&digest(letter)).exists()
    }
}

/// Scripts that wait until each is told to go on.
struct Gate(fs::File);

impl Gate {
    /// One of them goes on, now or when it comes.
    fn let_one_go(&self) {
        (&self.0).write_all(b"now\n").unwrap();
    }
}

fn digest(letter: &[u8]) -> String {
    let (block, _) = crate::peer::split(letter);
    ima_message::HeaderBlock::parse(block)
        .unwrap()
        .digest()
        .to_string()
}
