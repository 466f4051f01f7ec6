//! Handlers that misbehave.

use std::fs;
use std::time::{Duration, Instant};

use super::Place;
use crate::process::kib;
use crate::site::{Server, letter, wait_until};

/// What is answered to the data of a message, and how long that took.
fn answer(place: &Place, server: &Server, text: &str) -> (Vec<String>, Duration) {
    let letter = letter(&["bob@b.test"], text);
    let mut peer = place.dial(server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    let begin = Instant::now();
    let answer = peer.data(&letter);
    (answer, begin.elapsed())
}

/// The most memory that a program has had, in all of its processes.
pub fn peak_kib(pid: u32) -> u64 {
    kib(pid, "VmHWM")
}

pub fn is_gone(pid: &str) -> bool {
    // Whoever adopts it may take its time to reap it.
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn one_that_never_ends_is_killed_with_its_group() {
    let place = Place::with("exit 0", "sleep 1000 & echo $! $$; wait");
    place.set("message-timeout", "\"1s\"");
    let server = place.b.start();
    let (answer, took) = answer(&place, &server, "Hello\n");
    assert_eq!(answer.last().unwrap(), "PARTIAL");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let pids = answer[0].strip_prefix("+ ").unwrap();
    for pid in pids.split(' ') {
        wait_until("its end", || is_gone(pid));
    }
}

#[test]
fn one_that_floods_is_cut_off_at_a_mebibyte() {
    let place = Place::with(
        "exit 0",
        "yes '0123456789 0123456789 0123456789' | head -c 3000000; exit 1",
    );
    let server = place.b.start();
    let (answer, _) = answer(&place, &server, "Hello\n");
    assert_eq!(answer.last().unwrap(), "FAIL");
    let octets: usize = answer.iter().map(|line| line.len() - 2 + 1).sum();
    assert!(
        ((1 << 20) - 4096..=(1 << 20) + 4).contains(&octets),
        "{octets}"
    );
    server.log.wait_for("event=child-output-cut");
}

#[test]
fn one_that_floods_for_ever_is_killed() {
    let place = Place::with("exit 0", "echo $$; exec yes");
    place.set("message-timeout", "\"1s\"");
    let server = place.b.start();
    let (answer, took) = answer(&place, &server, "Hello\n");
    assert_eq!(answer.last().unwrap(), "PARTIAL");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let pid = answer[0].strip_prefix("+ ").unwrap();
    wait_until("its end", || is_gone(pid));
}

#[test]
fn lines_without_an_end_take_no_memory() {
    let place = Place::with("exit 0", "head -c 100000000 /dev/zero | tr '\\0' x; exit 1");
    let server = place.b.start();
    let (answer, _) = answer(&place, &server, "Hello\n");
    assert_eq!(answer.last().unwrap(), "FAIL");
    assert!(answer.iter().all(|line| line.len() < 4096));
    let kib = peak_kib(server.child.id());
    assert!(kib < 64 << 10, "{kib} KiB");
}

#[test]
fn a_long_line_is_cut_and_the_next_is_whole() {
    let place = Place::with(
        "exit 0",
        "head -c 5000 /dev/zero | tr '\\0' x; echo; echo next",
    );
    let server = place.b.start();
    let (answer, _) = answer(&place, &server, "Hello\n");
    assert_eq!(answer.len(), 3);
    assert_eq!(answer[0].len(), 4095, "with its LF, 4,096");
    assert_eq!(answer[1..], ["+ next", "OK"]);
}

#[test]
fn what_is_no_text_is_made_visible() {
    let place = Place::with("exit 0", r"printf 'a\033[2J\rOK\377\n'");
    let server = place.b.start();
    let (answer, _) = answer(&place, &server, "Hello\n");
    assert_eq!(answer, ["+ a\u{fffd}[2J\u{fffd}OK\u{fffd}", "OK"]);
}

#[test]
fn one_that_closes_its_output_is_waited_for() {
    let place = Place::with(
        "exit 0",
        "exec >&-; touch {dir}/closed; read go <{dir}/go; exit 1",
    );
    let go = place.gate("go");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    peer.send_data(&letter);
    wait_until("a closed output", || place.file("closed").exists());
    go.let_one_go();
    assert_eq!(peer.answer(), ["FAIL"]);
}

#[test]
fn one_that_reads_nothing_and_is_content_is_believed() {
    let place = Place::with("exit 0", "exit 0");
    let server = place.b.start();
    assert_eq!(answer(&place, &server, &"x".repeat(4 << 20)).0, ["OK"]);
}

#[test]
fn one_that_reads_and_writes_much_at_once_does_not_block() {
    let place = Place::with("exit 0", "cat; yes | head -c 500000; cat");
    let server = place.b.start();
    let text = format!("{}\n", "y".repeat(999)).repeat(300);
    let (answer, _) = answer(&place, &server, &text);
    assert_eq!(answer.last().unwrap(), "OK");
    assert!(answer.len() > 250_000, "{}", answer.len());
}

#[test]
fn one_that_leaves_something_behind_is_not_waited_for() {
    let place = Place::with("exit 0", "sleep 1000 & echo $!; exit 0");
    let server = place.b.start();
    let (answer, took) = answer(&place, &server, "Hello\n");
    assert_eq!(answer.last().unwrap(), "OK");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let pid = answer[0].strip_prefix("+ ").unwrap();
    wait_until("its end", || is_gone(pid));
}

#[test]
fn it_has_three_descriptors_and_a_bare_environment() {
    let place = Place::new();
    place.set("check", "[\"ls\", \"/proc/self/fd\"]");
    place.set("handler", "[\"env\"]");
    // As from a careless shell: with more descriptors and variables.
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "exec \"$0\" 7</dev/null 9>/dev/null"])
        .arg(crate::site::program("server-receive"))
        .env("EMEMO_CONFIG_DIR", &place.b.dir)
        .envs([
            ("SECRET", "x"),
            ("LD_LIBRARY_PATH", "/x"),
            ("LANG", "C"),
            ("TZ", "UTC"),
        ])
        .envs([
            ("IMA_PEER_DOMAIN", "forged.test"),
            ("LISTEN_FDS_", "1"),
            ("HOME", "/x"),
        ]);
    let server = place.b.start_with(command);
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    // The fourth is the folder that ls reads.
    assert_eq!(
        peer.headers(&letter),
        ["+ 0", "+ 1", "+ 2", "+ 3", "ACCEPT"]
    );
    let environment = peer.data(&letter);
    let (last, environment) = environment.split_last().unwrap();
    assert_eq!(last, "OK");
    for line in environment {
        let (name, _) = line.strip_prefix("+ ").unwrap().split_once('=').unwrap();
        let passed_on = ["PATH", "LANG", "TZ"].contains(&name)
            || name.starts_with("EMEMO_")
            || name.starts_with("IMA_");
        assert!(passed_on, "{line}");
    }
    assert!(
        environment
            .iter()
            .any(|line| line == "+ IMA_PEER_DOMAIN=a.test"),
        "{environment:?}"
    );
    assert!(
        environment.iter().any(|line| line == "+ TZ=UTC"),
        "{environment:?}"
    );
}
