//! Programs of others on the other side: OpenSSL as an IMDP peer, nsd as a name
//! server, systemd and inetd as those who pass sockets on, cron as one who starts
//! programs, fail2ban as a reader of logs, mandoc as a reader of the pages, neomutt and mblaze as readers of mail,
//! certbot and lego as those who get certificates, of pebble, node_exporter as a collector of metrics.
//!
//! These tests run where EMEMO_EXTERNAL=1, and then a missing program is a
//! failure that names its package; elsewhere they say that they are skipped.

mod acme;
mod cron;
mod fail2ban;
mod maildir;
mod metrics;
mod nsd;
mod office;
mod openssl;
mod sockets;
mod units;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::pages::{names_in, root};
use crate::site::{Host, Site, stdout, wait_until};

/// Each program with the Debian package that has it.
const PACKAGES: &[(&str, &str)] = &[
    ("certbot", "certbot"),
    ("cron", "cron"),
    ("debugfs", "e2fsprogs"),
    ("fail2ban-regex", "fail2ban"),
    ("inetd", "openbsd-inetd"),
    ("jq", "jq"),
    ("lego", "lego"),
    ("mandoc", "mandoc"),
    ("mflag", "mblaze"),
    ("minc", "mblaze"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mlist", "mblaze"),
    ("mount", "mount"),
    ("mrefile", "mblaze"),
    ("mshow", "mblaze"),
    ("neomutt", "neomutt"),
    ("nsd", "nsd"),
    ("openssl", "openssl"),
    ("pebble", "pebble"),
    ("pebble-challtestsrv", "pebble"),
    ("prometheus-node-exporter", "prometheus-node-exporter"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
    ("strace", "strace"),
    ("systemd-analyze", "systemd"),
    ("systemd-socket-activate", "systemd"),
    ("umount", "mount"),
    ("unshare", "util-linux"),
    ("xfs_io", "xfsprogs"),
];

/// Whether tests with these programs are to run.
pub fn has(programs: &[&str]) -> bool {
    if std::env::var_os("EMEMO_EXTERNAL").is_none_or(|value| value != "1") {
        let said = format!(
            "skipped: EMEMO_EXTERNAL=1 runs it, with {}\n",
            programs.join(", ")
        );
        std::io::stderr()
            .write_all(said.as_bytes())
            .expect("stderr");
        return false;
    }
    for name in programs {
        let (_, package) = PACKAGES
            .iter()
            .find(|(known, _)| known == name)
            .expect("a known program");
        assert!(
            find(name).is_some(),
            "{name} is missing: apt-get install {package}"
        );
    }
    true
}

/// A program in PATH, or where those for administrators are.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

pub fn tool(name: &str) -> Command {
    Command::new(find(name).expect("has() looked for it"))
}

/// A port at which nobody listens, for a program that wants to be told one.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn wait_for_listener(address: SocketAddr) {
    wait_until("somebody listens", || TcpStream::connect(address).is_ok());
}

/// A process that is read from and written to; killed when dropped.
struct Talk {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    fn new(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, to, from }
    }

    fn say(&mut self, octets: impl AsRef<[u8]>) {
        self.to
            .write_all(octets.as_ref())
            .and_then(|()| self.to.flush())
            .expect("written");
    }

    /// A line without its LF; empty at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("a line");
        line.trim_end_matches('\n').to_owned()
    }

    fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        self.from.read_exact(&mut octets).expect("as many octets");
        octets
    }

    /// What comes until the end.
    fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.from.read_to_end(&mut rest).expect("the end");
        rest
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// a.test and b.test, whose user is bob.
struct Pair {
    site: Site,
    a: Host,
    b: Host,
}

impl Pair {
    fn new() -> Self {
        let site = Site::new();
        let (a, b) = (
            site.host("a.test", &["alice"]),
            site.host("b.test", &["bob"]),
        );
        Self { site, a, b }
    }

    fn file(&self, name: &str) -> String {
        self.site
            .path()
            .join(name)
            .to_str()
            .expect("UTF-8")
            .to_owned()
    }
}

#[test]
fn mandoc_finds_nothing_wrong_with_the_pages() {
    if !has(&["mandoc"]) {
        return;
    }
    let pages = names_in("man")
        .into_iter()
        .map(|name| Path::new("man").join(name));
    let output = tool("mandoc")
        .current_dir(root())
        .args(["-Tlint", "-Wwarning"])
        .args(pages)
        .output();
    let output = output.expect("mandoc runs");
    assert!(output.status.success(), "{}", stdout(&output));
}
