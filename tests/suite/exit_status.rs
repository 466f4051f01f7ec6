//! Every cell of the table program × exit code in ima(7), provoked.

mod mailbox;
mod retrieval;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use crate::site::{Host, Site, code, feed, letter, letter_with, run, stderr, stdout};

/// What ends with a code: it gives the code that was seen.
type Provoke = fn() -> i32;

/// One entry at least for each cell of the page.
const CELLS: &[(&str, i32, Provoke)] = &[
    ("make-ima-message", 0, || make(&["--subject", "Lunch?"])),
    ("make-ima-message", 2, || {
        make(&["--subject", "Lunch?\nbcc: x@c.test"])
    }),
    ("show-ima-message", 0, || show(&bobs_letter())),
    ("show-ima-message", 1, || show(&broken_letter())),
    ("show-ima-message", 2, || show(b"")),
    ("make-ima-key", 0, || key_at(|dir| dir.join("new"))),
    ("make-ima-key", 2, || key_at(|dir| dir.to_owned())),
    ("server-send-mail", 0, || sent_to("bob@b.test")),
    ("server-send-mail", 1, || sent_to("nobody@b.test")),
    ("server-send-mail", 1, a_message_that_is_not_valid),
    ("server-send-mail", 2, || sent_to("carol@c.test")),
    ("server-send-mail", 2, nothing_to_send),
    ("server-receive", 0, a_signal),
    ("server-receive", 0, one_connection_that_ends),
    ("server-receive", 2, a_configuration_that_is_wrong),
    ("server-receive", 2, one_connection_that_breaks),
    ("server-receive", 3, one_connection_without_tls),
    ("server-receive", 3, one_connection_that_is_dropped),
    ("server-handle-incoming-mail", 0, || {
        handled("bob@b.test", &[])
    }),
    ("server-handle-incoming-mail", 0, || {
        handled("bob@b.test", &["--check"])
    }),
    ("server-handle-incoming-mail", 1, || {
        handled("nobody@b.test", &[])
    }),
    ("server-handle-incoming-mail", 1, || {
        handled("nobody@b.test", &["--check"])
    }),
    ("server-handle-incoming-mail", 2, || {
        handled("fault@b.test", &[])
    }),
    ("server-handle-incoming-mail", 2, || {
        handled("bob@b.test", &["--config", "/nowhere"])
    }),
    ("server-handle-incoming-mail", 3, || {
        handled("drop@b.test", &[])
    }),
    ("server-give-recipient", 0, || {
        given(&bobs_letter(), "inbox")
    }),
    ("server-give-recipient", 1, || {
        given(&broken_letter(), "inbox")
    }),
    ("server-give-recipient", 2, || {
        given(&bobs_letter(), "missing")
    }),
    ("server-setup", 0, || set_up(|_| ())),
    ("server-setup", 2, || {
        set_up(|dir| fs::write(dir.join("server-receive.toml"), "").expect("written"))
    }),
    ("check", 0, || answer_to("check", 0)),
    ("check", 1, || answer_to("check", 1)),
    ("check", 2, || answer_to("check", 2)),
    ("check", 3, || answer_to("check", 3)),
    ("handler", 0, || answer_to("handler", 0)),
    ("handler", 1, || answer_to("handler", 1)),
    ("handler", 2, || answer_to("handler", 2)),
    ("handler", 3, || answer_to("handler", 3)),
];

fn cells() -> impl Iterator<Item = &'static (&'static str, i32, Provoke)> {
    CELLS.iter().chain(mailbox::CELLS).chain(retrieval::CELLS)
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of the table in ima(7).
fn documented() -> BTreeSet<(String, i32)> {
    let page = page("ima.7");
    let rows = page.lines().filter_map(|line| line.strip_prefix(".It Ic "));
    rows.filter_map(|row| {
        let mut columns = row.split(" Ta ");
        let (program, code) = (columns.next()?, columns.next()?);
        assert!(columns.next().is_some(), "{row:?} says nothing");
        Some((program.to_owned(), code.parse().expect("a code")))
    })
    .collect()
}

#[test]
fn the_page_and_the_tests_have_the_same_cells() {
    let tested: BTreeSet<_> = cells()
        .map(|(program, code, _)| ((*program).to_owned(), *code))
        .collect();
    assert_eq!(documented(), tested);
    for folder in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("bin")).expect("bin") {
        let name = folder
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        assert!(
            tested
                .iter()
                .any(|(program, _)| program.split(' ').next() == Some(&name)),
            "{name}"
        );
    }
}

/// The EXIT STATUS of a program's own page has the codes of the table.
#[test]
fn each_page_has_the_codes_of_the_table() {
    let is_command = |program: &str| ["check", "handler"].contains(&program);
    let programs: BTreeSet<_> = documented()
        .into_iter()
        .map(|(program, _)| program.split(' ').next().expect("a name").to_owned())
        .filter(|program| !is_command(program))
        .collect();
    for name in programs {
        let section = if name.starts_with("server-") { 8 } else { 1 };
        let page = page(&format!("{name}.{section}"));
        let status = page
            .split("\n.Sh ")
            .find(|text| text.starts_with("EXIT STATUS"))
            .expect("EXIT STATUS");
        let in_page: BTreeSet<i32> = status
            .lines()
            .filter_map(|line| line.strip_prefix(".It ")?.trim().parse().ok())
            .collect();
        let in_table: BTreeSet<i32> = documented()
            .into_iter()
            .filter(|(program, _)| program.split(' ').next() == Some(&name))
            .map(|(_, code)| code)
            .collect();
        assert_eq!(in_page, in_table, "{name}");
    }
}

#[test]
fn each_cell_is_what_the_page_says() {
    let wrong: Vec<_> = thread::scope(|scope| {
        let started: Vec<_> = cells()
            .enumerate()
            .map(|(number, (program, code, provoke))| (number, program, code, scope.spawn(provoke)))
            .collect();
        let ended = started
            .into_iter()
            .filter_map(|(number, program, code, thread)| match thread.join() {
                Ok(seen) if seen == *code => None,
                Ok(seen) => Some(format!("{program} {code} (entry {number}): {seen}")),
                Err(_) => Some(format!("{program} {code} (entry {number}): panicked")),
            });
        ended.collect()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn bobs_letter() -> Vec<u8> {
    letter(&["bob@b.test"], "Hello\n")
}

/// A letter whose data do not match their digest.
fn broken_letter() -> Vec<u8> {
    let mut message = bobs_letter();
    *message.iter_mut().rev().nth(1).expect("octets") = b'0';
    message
}

fn make(options: &[&str]) -> i32 {
    let always = ["--from", "alice@a.test", "--to", "bob@b.test"];
    code(&run(
        "make-ima-message",
        &[&always, options].concat(),
        b"Hello\n",
    ))
}

fn show(message: &[u8]) -> i32 {
    code(&run("show-ima-message", &[] as &[&str], message))
}

fn key_at(place: fn(&Path) -> PathBuf) -> i32 {
    let dir = TempDir::new().expect("a folder");
    code(&run(
        "make-ima-key",
        &["alice@a.test".into(), place(dir.path()).into_os_string()],
        b"",
    ))
}

fn given(message: &[u8], to: &str) -> i32 {
    let dir = TempDir::new().expect("a folder");
    let inbox = dir.path().join("inbox");
    assert_eq!(
        code(&run(
            "ima-mailbox",
            &["create".as_ref(), inbox.as_os_str()],
            b""
        )),
        0
    );
    code(&run(
        "server-give-recipient",
        &[dir.path().join(to)],
        message,
    ))
}

fn set_up(prepare: fn(&Path)) -> i32 {
    let dir = TempDir::new().expect("a folder");
    prepare(dir.path());
    let arguments = [dir.path().as_os_str(), "--host".as_ref(), "b.test".as_ref()];
    code(&run("server-setup", &arguments, b""))
}

/// server-handle-incoming-mail at b.test, where bob has an inbox, `fault` and
/// `drop` lead to commands that exit with 2 and 3, and nobody else is.
fn handled(to: &str, options: &[&str]) -> i32 {
    let site = Site::new();
    let host = site.host("b.test", &["bob"]);
    host.edit("server-handle-incoming-mail.toml", |text| {
        let routes = "[routes]\n\"fault@b.test\" = { command = [\"./fault\"] }\n\"drop@b.test\" = { command = [\"./drop\"] }\n";
        text.replace("[routes]\n", routes)
    });
    script(&host, "fault", "exit 2");
    script(&host, "drop", "exit 3");
    let mut command = host.command("server-handle-incoming-mail");
    command.args(options);
    code(&feed(command, &letter(&[to], "Hello\n")))
}

fn script(host: &Host, name: &str, text: &str) {
    let path = host.dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// What a.test sends, while the server of b.test runs and that of c.test does not.
fn sent_to(to: &str) -> i32 {
    let site = Site::new();
    let (a, b) = (site.host("a.test", &[]), site.host("b.test", &["bob"]));
    let server = b.start();
    a.knows("b.test", server.address);
    a.knows("c.test", closed_port());
    code(&a.send(&letter(&[to], "Hello\n"), &[]))
}

/// An address at which nobody listens.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn a_message_that_is_not_valid() -> i32 {
    code(
        &Site::new()
            .host("a.test", &["alice"])
            .send(&broken_letter(), &[]),
    )
}

fn nothing_to_send() -> i32 {
    code(&Site::new().host("a.test", &["alice"]).send(b"", &[]))
}

fn a_signal() -> i32 {
    let site = Site::new();
    let mut server = site.host("b.test", &["bob"]).start();
    let process = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("a signal");
    server
        .child
        .wait()
        .expect("it ends")
        .code()
        .expect("no signal kills it")
}

fn a_configuration_that_is_wrong() -> i32 {
    let site = Site::new();
    let host = site.host("b.test", &[]);
    host.set("server-receive.toml", "max-size", "\"64 MB\"");
    let output = host.command("server-receive").output().expect("it ends");
    assert!(stderr(&output).contains("max-size"), "{}", stderr(&output));
    code(&output)
}

/// server-receive under inetd, for one connection to the address; the thread
/// gives its exit code.
fn inetd(host: &Host) -> (SocketAddr, JoinHandle<i32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut command = host.command("server-receive");
    let ended = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a connection");
        let clone = || Stdio::from(OwnedFd::from(socket.try_clone().expect("a descriptor")));
        command
            .arg("--inetd")
            .stdin(clone())
            .stdout(clone())
            .stderr(clone());
        let mut child = command.spawn().expect("server-receive starts");
        // Or the connection would stay open here.
        drop((command, socket));
        child
            .wait()
            .expect("it ends")
            .code()
            .expect("no signal kills it")
    });
    (address, ended)
}

/// What one connection from a.test ends with, after `prepare` has changed b.test.
fn one_connection(prepare: fn(&Host), way: fn(SocketAddr) -> SocketAddr, sent: i32) -> i32 {
    let site = Site::new();
    let (a, b) = (site.host("a.test", &[]), site.host("b.test", &["bob"]));
    prepare(&b);
    let (address, ended) = inetd(&b);
    a.knows("b.test", way(address));
    let file = site.path().join("archive");
    fs::write(&file, vec![7; 1 << 20]).expect("written");
    let attached = ["--attach", file.to_str().expect("UTF-8")];
    let output = a.send(&letter_with(&["bob@b.test"], "Hello\n", &attached), &[]);
    assert_eq!(
        code(&output),
        sent,
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    ended.join().expect("no panic")
}

fn one_connection_that_ends() -> i32 {
    one_connection(|_| (), |address| address, 0)
}

fn one_connection_that_breaks() -> i32 {
    one_connection(|_| (), cut_in_the_data, 2)
}

fn one_connection_that_is_dropped() -> i32 {
    let prepare = |host: &Host| {
        script(host, "drop", "exit 3");
        host.set("server-receive.toml", "check", "[\"./drop\"]");
    };
    one_connection(prepare, |address| address, 2)
}

fn one_connection_without_tls() -> i32 {
    let site = Site::new();
    let (address, ended) = inetd(&site.host("b.test", &[]));
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("written");
    // Whatever it says, it says it in TLS, and ends.
    socket.read_to_end(&mut Vec::new()).expect("the end");
    ended.join().expect("no panic")
}

/// Leads to `address`, until half a MiB has gone there.
fn cut_in_the_data(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let front = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a connection");
        let mut server = TcpStream::connect(address).expect("a connection");
        let (mut back, mut to) = (
            server.try_clone().expect("a clone"),
            client.try_clone().expect("a clone"),
        );
        thread::spawn(move || std::io::copy(&mut back, &mut to));
        std::io::copy(&mut (&mut client).take(512 << 10), &mut server).expect("half a MiB");
        server.shutdown(Shutdown::Both).expect("cut");
        client.shutdown(Shutdown::Both).expect("cut");
    });
    front
}

/// How server-receive answers where its `check` or `handler` exits with a code:
/// the code whose answer it is.
fn answer_to(command: &str, exit: i32) -> i32 {
    let site = Site::new();
    let (a, b) = (site.host("a.test", &[]), site.host("b.test", &["bob"]));
    script(&b, "command", &format!("exit {exit}"));
    b.set("server-receive.toml", "check", "[\"true\"]");
    b.set("server-receive.toml", command, "[\"./command\"]");
    let server = b.start();
    a.knows("b.test", server.address);
    let output = a.send(&bobs_letter(), &[]);

    let event = if command == "check" {
        "event=headers"
    } else {
        "event=data"
    };
    let line = server.log.wait_for(event);
    let (_, answer) = line.split_once(" answer=").expect("an answer");
    let closed = server.log.wait_for("event=closed");
    let is = |word: &str| answer.trim_matches('"').starts_with(word);
    let (wanted, code, ends_in_order) = match command {
        "check" if is("ACCEPT") => ("OK bob@b.test\n", 0, true),
        "check" if is("REJECT recipient ") => ("FAIL bob@b.test ", 1, true),
        "check" if is("DEFER 300 ") => ("DEFER bob@b.test - 300 ", 2, true),
        "handler" if answer == "OK" => ("OK bob@b.test\n", 0, true),
        "handler" if answer == "FAIL" => ("FAIL bob@b.test", 1, true),
        "handler" if answer == "PARTIAL" => ("DEFER bob@b.test - ", 2, true),
        _ if answer == "drop" => ("DEFER bob@b.test - ", 3, false),
        _ => panic!("{line}"),
    };
    assert!(stdout(&output).starts_with(wanted), "{}", stdout(&output));
    assert_eq!(
        closed.contains("reason=dropped"),
        !ends_in_order,
        "{closed}"
    );
    code
}
