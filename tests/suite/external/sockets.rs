//! systemd and inetd, who pass sockets on.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::{Pair, Talk, free_address, has, tool, wait_for_listener};
use crate::pages::root;
use crate::site::{code, letter, program, stderr, stdout};

/// A letter from a.test to the server at the address arrives.
fn arrives(pair: &Pair, address: SocketAddr, text: &str) {
    pair.a.knows("b.test", address);
    let before = pair.b.messages("bob").len();
    let output = pair.a.send(&letter(&["bob@b.test"], text), &[]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(pair.b.messages("bob").len(), before + 1);
}

#[test]
fn systemd_passes_sockets_on_in_both_forms() {
    if !has(&["systemd-socket-activate"]) {
        return;
    }
    for form in ["--accept=no", "--accept"] {
        let pair = Pair::new();
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
        command.arg(program("server-receive")).stderr(Stdio::null());
        let _listening = Talk::new(command);
        wait_for_listener(address);
        for text in ["one\n", "two\n"] {
            arrives(&pair, address, text);
        }
    }
}

#[test]
fn inetd_passes_connections_on() {
    if !has(&["inetd"]) {
        return;
    }
    let pair = Pair::new();
    let address = free_address();
    // The line of the example, but for the place, the user and the folder.
    let example = fs::read_to_string(root().join("etc/inetd.conf.example")).expect("the example");
    let line = example.lines().last().expect("a line");
    let user = Command::new("id").arg("-un").output().expect("id runs");
    let server = program("server-receive");
    let wrapped = format!(
        "/usr/bin/env env EMEMO_CONFIG_DIR={} {}",
        pair.b.dir.display(),
        server.display()
    );
    let line = line
        .replace("4025 ", &format!("{address} "))
        .replace(" ememo ", &format!(" {} ", stdout(&user).trim()))
        .replace("/usr/local/bin/server-receive server-receive", &wrapped);
    let config = pair.file("inetd.conf");
    fs::write(&config, format!("{line}\n")).expect("written");
    let mut command = tool("inetd");
    command
        .args(["-i".as_ref(), OsStr::new(&config)])
        .stderr(Stdio::null());
    let _inetd = Talk::new(command);
    wait_for_listener(address);
    for text in ["one\n", "two\n"] {
        arrives(&pair, address, text);
    }
}
