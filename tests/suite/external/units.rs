//! The units of systemd: how far they shut a server in, and that it can work there.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{Pair, has, tool};
use crate::durability::{under_strace, whole_trace};
use crate::pages::root;
use crate::peer::Caller;
use crate::post::{Entry, PASSWORD};
use crate::site::{code, letter, stdout};

const SERVERS: [&str; 2] = ["server-receive", "server-post-office"];

fn unit(name: &str) -> PathBuf {
    root().join("etc/systemd").join(name)
}

#[test]
fn servers_are_shut_in() {
    if !has(&["systemd-analyze"]) {
        return;
    }
    for server in SERVERS {
        for form in [".service", "-each@.service"] {
            let unit = unit(&format!("{server}{form}"));
            let mut analyze = tool("systemd-analyze");
            // Tenths: 0 is safe, 100 is not.
            analyze.args(["security", "--offline=true", "--threshold=15"]);
            let output = analyze.arg(&unit).output().expect("systemd-analyze runs");
            let said = stdout(&output);
            assert!(
                said.contains("exposure level"),
                "{}: {said}",
                unit.display()
            );
            assert_eq!(code(&output), 0, "{}: {said}", unit.display());
        }
    }
}

/// The system calls that are meant by the words of a SystemCallFilter.
fn calls(words: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for word in words.split_whitespace() {
        if !word.starts_with('@') {
            calls.insert(word.to_owned());
            continue;
        }
        let mut analyze = tool("systemd-analyze");
        let output = analyze.args(["syscall-filter", word]).output();
        let listed = stdout(&output.expect("systemd-analyze runs"));
        let mut lines = listed.lines().map(str::trim);
        assert_eq!(lines.next(), Some(word), "{listed}");
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            calls.extend(self::calls(line));
        }
    }
    calls
}

/// What a unit lets its server call.
fn allowed(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(unit(name)).expect("a unit");
    let filters = text
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let mut allowed = BTreeSet::new();
    for filter in filters {
        match filter.strip_prefix('~') {
            Some(denied) => allowed = &allowed - &calls(denied),
            None => allowed.extend(calls(filter)),
        }
    }
    assert!(allowed.contains("openat2"), "{name}");
    allowed
}

/// The system calls in a trace.
fn called(trace: &str) -> BTreeSet<String> {
    let call = |line: &str| {
        let (_, rest) = line.split_once(' ')?;
        let (name, _) = rest.trim_start().split_once('(')?;
        let is_name = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
        name.bytes().all(is_name).then(|| name.to_owned())
    };
    trace.lines().filter_map(call).collect()
}

#[test]
fn servers_need_no_system_call_that_their_units_deny() {
    if !has(&["systemd-analyze", "strace"]) {
        return;
    }
    let pair = Pair::new();
    pair.b.open_office(&[Entry::new("bob")]);
    for server in SERVERS {
        let trace = pair.b.dir.join(format!("{server}.trace"));
        let strace = under_strace(&pair.b.command(server), &trace, &["-D"]);
        let running = pair.b.start_with(strace);
        if server == "server-receive" {
            pair.a.knows("b.test", running.address);
            let output = pair.a.send(&letter(&["bob@b.test"], "one\n"), &[]);
            assert_eq!(code(&output), 0);
        } else {
            let mut caller = Caller::dial(running.address, None);
            assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
            assert!(caller.lines("FOLDERS")[0].starts_with("+ inbox "));
            caller.say("DONE");
        }
        let process = running.child.id();
        drop(running);
        let called = called(&whole_trace(process, &trace));
        assert!(called.contains("openat2"), "{server}: {called:?}");
        let denied = &called - &allowed(&format!("{server}.service"));
        assert_eq!(denied, BTreeSet::new(), "{server}");
    }
}
