//! systemd and inetd, who pass sockets on.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::{Pair, Talk, free_address, has, tool, wait_for_listener};
use crate::pages::root;
use crate::peer::{Caller, Ending};
use crate::post::{Entry, PASSWORD};
use crate::site::{code, letter, program, stderr, stdout};

/// A letter from a.test to the server at the address arrives.
fn arrives(pair: &Pair, address: SocketAddr, text: &str) {
    pair.a.knows("b.test", address);
    let before = pair.b.messages("bob").len();
    let output = pair.a.send(&letter(&["bob@b.test"], text), &[]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(pair.b.messages("bob").len(), before + 1);
}

/// A session with the post office at the address.
fn is_read(address: SocketAddr) {
    let mut caller = Caller::dial(address, None);
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    assert!(caller.lines("FOLDERS")[0].starts_with("+ inbox "));
    caller.say("DONE");
    assert_eq!(caller.rest(), (String::new(), Ending::Proper));
}

/// Whether both servers serve at an address, twice.
fn are_served(pair: &Pair, name: &str, address: SocketAddr) {
    wait_for_listener(address);
    for text in ["one\n", "two\n"] {
        match name {
            "server-receive" => arrives(pair, address, text),
            _ => is_read(address),
        }
    }
}

const SERVERS: [&str; 2] = ["server-receive", "server-post-office"];

#[test]
fn systemd_passes_sockets_on_in_both_forms() {
    if !has(&["systemd-socket-activate"]) {
        return;
    }
    for (form, name) in ["--accept=no", "--accept"]
        .into_iter()
        .flat_map(|form| SERVERS.map(|name| (form, name)))
    {
        let pair = Pair::new();
        pair.b.open_office(&[Entry::new("bob")]);
        let address = free_address();
        let mut command = tool("systemd-socket-activate");
        command.args(["--listen", &address.to_string()]);
        if form == "--accept" {
            command.arg(form);
        }
        command.arg(format!(
            "--setenv=EMEMO_CONFIG_DIR={}",
            pair.b.dir.display()
        ));
        command.arg(program(name)).stderr(Stdio::null());
        let _listening = Talk::new(command);
        are_served(&pair, name, address);
    }
}

#[test]
fn inetd_passes_connections_on() {
    if !has(&["inetd"]) {
        return;
    }
    let pair = Pair::new();
    pair.b.open_office(&[Entry::new("bob")]);
    let user = Command::new("id").arg("-un").output().expect("id runs");
    let addresses = SERVERS.map(|_| free_address());
    let mut lines = fs::read_to_string(root().join("etc/inetd.conf.example")).expect("the example");
    // The lines of the example, but for the places, the user and the folder.
    for (name, (port, address)) in SERVERS.iter().zip(["4025", "4110"].iter().zip(addresses)) {
        let wrapped = format!(
            "/usr/bin/env env EMEMO_CONFIG_DIR={} {}",
            pair.b.dir.display(),
            program(name).display()
        );
        lines = lines
            .replace(&format!("\n{port} "), &format!("\n{address} "))
            .replace(&format!("/usr/local/bin/{name} {name}"), &wrapped);
    }
    let lines = lines.replace(" ememo ", &format!(" {} ", stdout(&user).trim()));
    let config = pair.file("inetd.conf");
    fs::write(&config, lines).expect("written");
    let mut command = tool("inetd");
    command
        .args(["-i".as_ref(), OsStr::new(&config)])
        .stderr(Stdio::null());
    let _inetd = Talk::new(command);
    for (name, address) in SERVERS.iter().zip(addresses) {
        are_served(&pair, name, address);
    }
}
