//! A name server of others: nsd, with a zone as an administrator writes it.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::{Pair, has, tool};
use crate::site::{code, letter, stderr, stdout, wait_until};

/// nsd on loopback; killed when dropped.
struct NameServer {
    address: SocketAddr,
    child: Child,
    _dir: TempDir,
}

impl NameServer {
    /// With a zone `test.`, whose records these are.
    fn start(records: &str) -> NameServer {
        let dir = TempDir::new().expect("a folder");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let zone = format!(
            "$ORIGIN test.\n$TTL 60\n@ SOA ns admin 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n{records}"
        );
        fs::write(path("test.zone"), zone).expect("written");
        let address = free();
        let configuration = format!(
            "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{folder}\"\n  \
             pidfile: \"\"\n  database: \"\"\n  zonelistfile: \"{folder}/zones\"\n  \
             xfrdfile: \"{folder}/xfrd\"\n  xfrdir: \"{folder}\"\n  \
             server-count: 1\nremote-control:\n  control-enable: no\n\
             zone:\n  name: test\n  zonefile: test.zone\n",
            address.ip(),
            address.port(),
            folder = dir.path().display(),
        );
        fs::write(path("nsd.conf"), configuration).expect("written");
        let child = tool("nsd")
            .args(["-d", "-c", &path("nsd.conf")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nsd starts");
        wait_until("nsd listens", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        NameServer {
            address,
            child,
            _dir: dir,
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        // By SIGTERM it stops the process that answers, too.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A port that is free for both transports.
fn free() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = tcp.local_addr().expect("an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

#[test]
fn mail_finds_its_way_by_the_zone_of_a_real_name_server() {
    if !has(&["nsd"]) {
        return;
    }
    let pair = Pair::new();
    let server = pair.b.start();
    let port = server.address.port();
    let dead = free().port();
    // A backup that is never asked, a main server whose first address is dead,
    // behind an alias; and hosts that take no mail, and that are not there.
    let dns = NameServer::start(&format!(
        "_imdp._tcp.b SRV 20 0 1 backup\n\
         _imdp._tcp.b SRV 10 10 {dead} mail\n\
         _imdp._tcp.b SRV 10 0 {port} mail\n\
         mail CNAME machine\n\
         machine A 127.0.0.1\n\
         machine AAAA 100::1\n\
         backup A 127.0.0.1\n\
         _imdp._tcp.none SRV 0 0 0 .\n\
         none A 127.0.0.1\n\
         empty TXT \"no address\"\n"
    ));
    let key = format!("[\"{}\"]", dns.address);
    pair.a.set("server-send-mail.toml", "dns", &key);
    pair.a
        .set("server-send-mail.toml", "connect-timeout", "\"5s\"");
    for _ in 0..8 {
        let sent = pair.a.send(&letter(&["bob@b.test"], "Hello\n"), &[]);
        assert_eq!(stdout(&sent), "OK bob@b.test\n", "{}", stderr(&sent));
        assert_eq!(code(&sent), 0);
    }
    assert_eq!(pair.b.messages("bob").len(), 8);
    for (host, words) in [
        ("none.test", "none.test takes no IMA mail"),
        ("empty.test", "empty.test: it has no address"),
        ("gone.test", "gone.test: there is no such name"),
    ] {
        let to = format!("bob@{host}");
        let sent = pair.a.send(&letter(&[&to], "Hello\n"), &[]);
        let line = stdout(&sent);
        assert_eq!(code(&sent), 2, "{line}");
        assert!(line.starts_with(&format!("DEFER {to} - ")), "{line}");
        assert!(line.contains(words), "{line}");
    }
}
