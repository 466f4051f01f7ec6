//! certbot and lego, who get certificates by ACME (RFC 8555), with pebble as the
//! authority: what they got is put in place under running servers.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;
use rustls_pki_types::CertificateDer;

use super::{Pair, find, free_address, has, tool, wait_for_listener};
use crate::pages::{examples, root};
use crate::peer::{Caller, Identity, Peer, client_config};
use crate::post::{Entry, PASSWORD};
use crate::site::{Server, code, feed, letter, stderr, stdout, wait_until};

/// Whom the folder of the certificates belongs to, where we may choose.
const NOBODY: u32 = 65534;

/// pebble, and its name server to which every host is this machine.
struct Authority {
    directory: String,
    /// Where it looks for the answer to its challenge.
    http: SocketAddr,
    /// Its root, in PEM.
    root: String,
    children: [Child; 2],
}

impl Drop for Authority {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Authority {
    fn start(pair: &Pair) -> Authority {
        let own = Identity::made(&pair.site, "127.0.0.1");
        fs::write(pair.file("pebble.pem"), own.certificate_pem()).unwrap();
        fs::write(pair.file("pebble.key"), own.key_pem()).unwrap();
        let [acme, management, http, tls, other] = [(); 5].map(|()| free_address());
        let names = free_for_both();
        let configuration = format!(
            r#"{{"pebble": {{"listenAddress": "{acme}", "managementListenAddress": "{management}",
            "certificate": "{}", "privateKey": "{}", "httpPort": {}, "tlsPort": {},
            "ocspResponderURL": ""}}}}"#,
            pair.file("pebble.pem"),
            pair.file("pebble.key"),
            http.port(),
            tls.port(),
        );
        fs::write(pair.file("pebble.json"), configuration).unwrap();
        let mut name_server = tool("pebble-challtestsrv");
        let (names, other) = (names.to_string(), other.to_string());
        name_server.args(["-dns01", &names, "-management", &other]);
        name_server.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        name_server.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        let mut pebble = tool("pebble");
        let file = pair.file("pebble.json");
        pebble.args(["-strict", "-dnsserver", &names, "-config", &file]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        // certbot 2.1 does not live through a refused nonce (its issue 9539), and
        // pebble refuses some at random.
        pebble.env("PEBBLE_WFE_NONCEREJECT", "0");
        let children = [name_server, pebble].map(|mut command| {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(Stdio::null()).spawn().unwrap()
        });
        wait_for_listener(names.parse().unwrap());
        wait_for_listener(acme);
        wait_for_listener(management);
        Authority {
            directory: format!("https://{acme}/dir"),
            http,
            root: get(management, "/roots/0"),
            children,
        }
    }
}

/// What a server of HTTPS has there.
fn get(address: SocketAddr, path: &str) -> String {
    let mut config = client_config(None);
    config.alpn_protocols.clear();
    let mut peer = Peer::over(TcpStream::connect(address).unwrap(), config).unwrap();
    peer.send(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes());
    let (answer, _) = peer.rest();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{head}");
    body.to_owned()
}

/// A port that is free for both transports.
fn free_for_both() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// An ACME client, which a shell runs as the page has it; what it is told besides
/// is for this authority.
struct Client {
    name: &'static str,
    /// Behind the name.
    options: String,
    /// Behind everything, where it is to renew.
    renewing: &'static str,
    /// Names the file of the authority whom it believes to be pebble.
    believes: &'static str,
    /// What it is told to renew.
    renewal: fn(&str) -> String,
}

impl Client {
    fn certbot(pair: &Pair, authority: &Authority) -> Client {
        let folder = pair.file("certbot");
        let mut options = format!(
            "--non-interactive --agree-tos --register-unsafely-without-email --server {} \
             --http-01-address 127.0.0.1 --http-01-port {}",
            authority.directory,
            authority.http.port(),
        );
        for option in ["config", "work", "logs"] {
            options += &format!(" --{option}-dir {folder}/{option}");
        }
        Client {
            name: "certbot",
            options,
            renewing: "--force-renewal --no-random-sleep-on-renew",
            believes: "REQUESTS_CA_BUNDLE",
            renewal: |_| "certbot renew".to_owned(),
        }
    }

    fn lego(pair: &Pair, authority: &Authority) -> Client {
        let folder = pair.file("lego");
        Client {
            name: "lego",
            options: format!(
                "--path {folder} --server {} --http.port {}",
                authority.directory, authority.http
            ),
            renewing: "--days 20000 --no-random-sleep",
            believes: "LEGO_CA_CERTIFICATES",
            renewal: |example| example.replace("run --run-hook", "renew --renew-hook"),
        }
    }

    /// Runs a command of the page.
    fn run(&self, pair: &Pair, command: &str, behind: &str) {
        let folder = PathBuf::from(pair.file("bin"));
        fs::create_dir_all(&folder).unwrap();
        let program = find(self.name).unwrap();
        let script = match self.name {
            // Its options are those of its command, and can stand anywhere.
            "certbot" => "exec PROGRAM \"$@\" OPTIONS BEHIND\n",
            _ => "exec PROGRAM OPTIONS \"$@\" BEHIND\n",
        };
        let script = script
            .replace("PROGRAM", &program.display().to_string())
            .replace("OPTIONS", &self.options)
            .replace("BEHIND", behind);
        fs::write(folder.join(self.name), format!("#!/bin/sh\n{script}")).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.join(self.name), mode).unwrap();
        let hook = root().join("etc/acme-hook").display().to_string();
        let command = command
            .replace("/usr/local/share/doc/ememo/acme-hook", &hook)
            .replace("/var/lib/ememo/", &format!("{}/", pair.b.dir.display()))
            .replace("--path /var/lib/lego ", "");
        let mut shell = Command::new("sh");
        shell
            .args(["-ec", &command])
            .env(self.believes, pair.file("ca/ca.pem"));
        let path = std::env::var("PATH").unwrap();
        shell.env(
            "PATH",
            format!("{}:{path}:/usr/sbin:/sbin", folder.display()),
        );
        let output = feed(shell, b"");
        assert_eq!(
            code(&output),
            0,
            "{command}\n{}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

/// b.test with both servers, and what a renewal does to them.
struct Place {
    pair: Pair,
    a: Identity,
    receiver: Server,
    office: Server,
}

impl Place {
    fn new() -> Place {
        let pair = Pair::new();
        let a = Identity::made(&pair.site, "a.test");
        pair.b.open_office(&[Entry::new("bob")]);
        let (receiver, office) = (pair.b.start(), pair.b.start_office());
        pair.a.knows("b.test", receiver.address);
        Place {
            pair,
            a,
            receiver,
            office,
        }
    }

    fn dial(&self) -> Peer {
        Peer::dial(self.receiver.address, &self.a)
    }

    fn call(&self) -> Caller {
        Caller::dial(self.office.address, None)
    }

    fn tls(&self) -> PathBuf {
        self.pair.b.dir.join("tls")
    }

    /// Waits until both servers show another certificate than this, the same one.
    fn renewed(&self, before: &CertificateDer<'_>) -> CertificateDer<'static> {
        let mut shown = self.dial().certificate();
        wait_until("another certificate", || {
            shown = self.dial().certificate();
            shown != *before
        });
        wait_until("the same of the post office", || {
            self.call().certificate() == shown
        });
        shown
    }

    fn send(&self) -> String {
        stdout(&self.pair.a.send(&letter(&["bob@b.test"], "Hello\n"), &[]))
    }

    /// Does something that renews the certificate, with connections open.
    fn renew(&self, act: impl FnOnce()) {
        let before = self.dial().certificate();
        let (mut sender, mut user) = (self.dial(), self.call());
        assert_eq!(user.log_in("bob@b.test", PASSWORD), "OK");
        act();
        let now = self.renewed(&before);
        assert_eq!(sender.deliver(&letter(&["bob@b.test"], "Before\n")), "OK");
        user.say("FOLDERS");
        assert_eq!(user.answer().last().unwrap(), "OK");
        assert_eq!(
            [sender.certificate(), user.certificate()],
            [before.clone(), before]
        );
        assert_eq!(self.dial().certificate(), now);
        assert_eq!(self.send(), "OK bob@b.test\n");
        self.is_in_order();
    }

    /// One file, of the folder's owner, that nobody else can read.
    fn is_in_order(&self) {
        let names = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut found: Vec<_> = fs::read_dir(self.tls()).unwrap().map(names).collect();
        found.sort();
        assert_eq!(found, ["b.test.key", "b.test.pem"]);
        let key = fs::read_link(self.tls().join("b.test.key")).unwrap();
        assert_eq!(key, Path::new("b.test.pem"));
        let (file, folder) = (
            self.tls().join("b.test.pem"),
            fs::metadata(self.tls()).unwrap(),
        );
        let file = fs::metadata(file).unwrap();
        assert_eq!(file.mode() & 0o7777, 0o600);
        assert_eq!((file.uid(), file.gid()), (folder.uid(), folder.gid()));
        for server in [&self.receiver, &self.office] {
            // There was a pair at any time.
            let log = server.log.text();
            assert!(!log.contains("certificates-not-read-again"), "{log}");
        }
    }
}

/// The examples of the page that run this program.
fn of_page(name: &str) -> Vec<String> {
    let mut examples = examples("server-setup.8");
    examples.retain(|example| example.contains(&format!("{name} ")));
    examples
}

fn issued_and_renewed(client: impl FnOnce(&Pair, &Authority) -> Client) {
    let place = Place::new();
    if geteuid().is_root() {
        for name in ["", "b.test.pem", "b.test.key"] {
            chown(place.tls().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let authority = Authority::start(&place.pair);
    let client = client(&place.pair, &authority);
    let examples = of_page(client.name);

    // Whom a.test believes: the authority of both before, and now this one, too.
    fs::write(place.pair.file("root.pem"), &authority.root).unwrap();
    let roots = [place.pair.file("ca/ca.pem"), place.pair.file("root.pem")];
    place
        .pair
        .a
        .set("server-send-mail.toml", "roots", &format!("{roots:?}"));

    place.renew(|| client.run(&place.pair, &examples[0], ""));
    let renewal = (client.renewal)(examples.last().unwrap());
    place.renew(|| client.run(&place.pair, &renewal, client.renewing));

    // Who does not believe the authority does not believe the certificate.
    place.pair.a.set(
        "server-send-mail.toml",
        "roots",
        &format!("{:?}", &roots[..1]),
    );
    let answer = place.send();
    assert!(answer.contains("which is not in roots here"), "{answer}");
}

#[test]
fn certbot_renews_a_certificate_under_running_servers() {
    if has(&["pebble", "pebble-challtestsrv", "certbot", "setpriv"]) {
        issued_and_renewed(Client::certbot);
    }
}

#[test]
fn lego_renews_a_certificate_under_running_servers() {
    if has(&["pebble", "pebble-challtestsrv", "lego", "setpriv"]) {
        issued_and_renewed(Client::lego);
    }
}

/// The hook alone: what it says, and what it leaves as it was.
#[test]
fn the_hook_refuses_what_is_no_pair() {
    let pair = Pair::new();
    let tls = pair.b.dir.join("tls");
    let files = ["b.test.pem", "b.test.key"].map(|name| tls.join(name));
    let before = files.each_ref().map(|file| fs::read(file).unwrap());
    let renewed = Identity::made(&pair.site, "b.test");
    let lineage = PathBuf::from(pair.file("lineage"));
    fs::create_dir(&lineage).unwrap();
    let hook = |arguments: &[&str], lineage: Option<&Path>| {
        let mut command = Command::new(root().join("etc/acme-hook"));
        command.args(arguments).env_remove("LEGO_CERT_PATH");
        match lineage {
            Some(lineage) => command.env("RENEWED_LINEAGE", lineage),
            None => command.env_remove("RENEWED_LINEAGE"),
        };
        feed(command, b"")
    };
    let path = files[0].to_str().unwrap();
    let (chain, key) = (renewed.certificate_pem(), renewed.key_pem());
    for (arguments, written, said) in [
        (&[][..], Some((chain, key)), "usage: acme-hook PEM"),
        (
            &["b.test"],
            Some((chain, key)),
            "not a path that ends in .pem",
        ),
        (&[path], None, "to be run by certbot or lego"),
        (&[path], Some((chain, "")), "privkey.pem: no private key"),
        (&[path], Some(("", key)), "fullchain.pem: no certificate"),
    ] {
        let (chain, key) = written.unwrap_or((chain, key));
        fs::write(lineage.join("fullchain.pem"), chain).unwrap();
        fs::write(lineage.join("privkey.pem"), key).unwrap();
        let output = hook(arguments, written.map(|_| &*lineage));
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        let now = files.each_ref().map(|file| fs::read(file).unwrap());
        assert_eq!(now, before);
    }
    // A folder, or a lineage, that is not there is named.
    let missing = tls.join("none/b.test.pem").display().to_string();
    let nowhere = lineage.join("none");
    for (path, lineage, said) in [
        (
            &*missing,
            &lineage,
            "none/b.test.pem: its folder is not there",
        ),
        (path, &nowhere, "none/privkey.pem: cannot be read"),
    ] {
        fs::write(pair.file("lineage/fullchain.pem"), chain).unwrap();
        fs::write(pair.file("lineage/privkey.pem"), key).unwrap();
        let output = hook(&[path], Some(lineage));
        assert_eq!(code(&output), 2);
        let heard = stderr(&output);
        assert!(
            heard.starts_with("acme-hook: ") && heard.contains(said),
            "{heard}"
        );
        assert_eq!(heard.lines().count(), 1);
    }
    // And what is one it puts there, where one was and where none was.
    fs::write(lineage.join("fullchain.pem"), chain).unwrap();
    let new = tls.join("new.pem").display().to_string();
    for (path, said) in [(path, ""), (&new, "there was no pair by this name")] {
        let output = hook(&[path], Some(&lineage));
        assert_eq!(code(&output), 0);
        let is_silent = stderr(&output).is_empty();
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        assert_eq!(is_silent, said.is_empty());
        for suffix in [".pem", ".key"] {
            let text = fs::read_to_string(path.replace(".pem", suffix)).unwrap();
            assert!(
                text.contains(chain.trim()) && text.contains(key.trim()),
                "{text}"
            );
        }
    }
}

/// Programs that the hook runs, of which the one whose turn is STOP fails.
const FAILS: &str = r#"#!/bin/sh
turn=$(($(cat "$TURNS") + 1))
echo "$turn" >"$TURNS"
test "$turn" -ne "$STOP" && PATH=${PATH#*:} exec "${0##*/}" "$@"
"#;

/// Wherever the hook ends, there is a pair: the old one or the new one.
#[test]
fn the_hook_leaves_a_pair_at_every_step() {
    let pair = Pair::new();
    let bin = PathBuf::from(pair.file("bin"));
    fs::create_dir(&bin).unwrap();
    for name in ["cat", "ln", "mv", "sync"] {
        fs::write(bin.join(name), FAILS.replace("$(cat", "$(/bin/cat")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let old = Identity::made(&pair.site, "b.test");
    let new = Identity::made(&pair.site, "b.test");
    fs::write(pair.file("fullchain.pem"), new.certificate_pem()).unwrap();
    fs::write(pair.file("privkey.pem"), new.key_pem()).unwrap();
    let tls = pair.b.dir.join("tls");
    let ends = |stop: usize| {
        for name in ["b.test.pem", "b.test.key"] {
            fs::remove_file(tls.join(name)).unwrap();
        }
        old.install(&pair.b);
        fs::write(pair.file("turns"), "0").unwrap();
        let mut hook = Command::new(root().join("etc/acme-hook"));
        hook.arg(tls.join("b.test.pem")).env("PATH", &path);
        hook.env("RENEWED_LINEAGE", pair.site.path());
        hook.env("TURNS", pair.file("turns"))
            .env("STOP", stop.to_string());
        let output = feed(hook, b"");
        let read = |name: &str| fs::read_to_string(tls.join(name)).unwrap();
        let (chain, key) = (read("b.test.pem"), read("b.test.key"));
        let are = |of: &Identity| {
            chain.contains(of.certificate_pem().trim()) && key.contains(of.key_pem().trim())
        };
        let is_new = are(&new);
        assert!(are(&old) != is_new, "step {stop}:\n{chain}{key}");
        let left = fs::read_dir(&tls).unwrap().count();
        assert_eq!(left, 2, "step {stop}");
        (code(&output) == 0, is_new)
    };
    let steps: Vec<_> = (1..)
        .map(ends)
        .take_while(|(is_done, _)| !is_done)
        .collect();
    assert!(steps.len() >= 8, "{steps:?}");
    assert!(steps.is_sorted_by_key(|(_, is_new)| *is_new), "{steps:?}");
    assert_eq!(ends(usize::MAX >> 1), (true, true));
}
