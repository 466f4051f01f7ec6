//! Messages that do not fit memory.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::thread;

use super::bench::{Answer, Bench, MAKE, PLAIN, SHOW};

const SIZE: u64 = 256 << 20;
const LIMIT_KIB: u64 = 30 << 10;

/// The most memory that a running process has had at once, in KiB.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Makes a message of a large file and gives it to show-ima-message, both
/// through pipes, looks at the memory of both before the last octets go, and
/// gives what the reader said.
fn through_pipes(bench: &Bench, arguments: &[&str]) -> Answer {
    let file = File::create(bench.path("large.bin")).unwrap();
    file.set_len(SIZE).unwrap();
    let attach = [&PLAIN[..], &["--attach", "large.bin"]].concat();
    let mut maker = bench.command(MAKE, &attach).spawn().unwrap();
    maker
        .stdin
        .take()
        .unwrap()
        .write_all(b"Here it is.\n")
        .unwrap();
    let mut reader = bench.command(SHOW, arguments).spawn().unwrap();
    let mut from = maker.stdout.take().unwrap();
    let mut to = reader.stdin.take().unwrap();
    // More than two pipes hold is still to come, so both are running.
    std::io::copy(&mut from.by_ref().take(SIZE - (8 << 20)), &mut to).unwrap();
    for process in [&maker, &reader] {
        let peak = peak(process);
        assert!(peak < LIMIT_KIB, "{peak} KiB");
    }
    let rest = thread::spawn(move || std::io::copy(&mut from, &mut to).unwrap());
    let answer = Answer::from(reader.wait_with_output().unwrap());
    rest.join().unwrap();
    assert!(maker.wait().unwrap().success());
    answer
}

#[test]
fn an_attachment_larger_than_memory_passes() {
    let bench = Bench::new();
    let shown = through_pipes(&bench, &[]).is(0).text();
    assert!(shown.ends_with("\n\nHere it is.\n"), "{shown}");
}

#[test]
fn an_attachment_larger_than_memory_is_extracted() {
    let bench = Bench::new();
    fs::create_dir(bench.path("out")).unwrap();
    let answer = through_pipes(&bench, &["--extract", "out"]).is(0);
    assert_eq!(answer.text(), "out/large.bin\n");
    assert_eq!(
        fs::metadata(bench.path("out/large.bin")).unwrap().len(),
        SIZE
    );
}

#[test]
fn a_text_larger_than_memory_is_shown() {
    let bench = Bench::new();
    let line = "0123456789 abcdef \u{1b}\n".repeat(1000);
    let lines = 1500;
    let text: Vec<u8> = line.repeat(lines).into_bytes();
    bench.write("text", &text);
    let message = bench.write("m.ima", bench.message(&["--text", "text"], ""));
    let mut child = bench
        .command(SHOW, &[message.to_str().unwrap()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut head = vec![0; text.len()];
    stdout.read_exact(&mut head).unwrap();
    let peak = peak(&child);
    assert!(peak < LIMIT_KIB, "{peak} KiB");
    let mut tail = Vec::new();
    stdout.read_to_end(&mut tail).unwrap();
    assert!(child.wait().unwrap().success());
    let shown = [head, tail].concat();
    let seen = line.replace('\u{1b}', "\\e").repeat(lines).into_bytes();
    assert!(shown.ends_with(&seen));
}
