//! What a header block of the largest size takes, whatever stands in it: a stranger
//! sends it, and many of them at once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and say what they measured"
)]

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ima_message::HeaderBlock;
use ima_message::limits::{MAX_ADDRESSES, MAX_BLOCK, MAX_LINE, MAX_PARTS};
use rustix::time::{ClockId, clock_gettime};

/// Blocks of a shape that are held at once.
const HELD: usize = 2;
/// How many times as long as an ordinary block of its octets one may take to read.
const SLOWEST: u32 = 10;
/// Octets that a block may take for each of its own.
const MOST: usize = 5;

const BEGINNING: &str =
    "ima: 1\nfrom: a@a.test\nto: b@b.test\ndate: 2026-11-22T09:30:00Z\nid: 1@a.test\nsize: 0\n";
const PART: &str =
    "part: a/b 0 sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A block of lines of one shape, as many as there is room for or as it may have, and
/// then of lines of another.
fn block(shape: impl Fn(usize) -> String, most: usize, rest: &str) -> Vec<u8> {
    let mut text = BEGINNING.to_owned();
    let lines = (0..most)
        .map(shape)
        .chain(std::iter::repeat(rest.to_owned()));
    for line in lines {
        assert!(line.len() <= MAX_LINE);
        if line.is_empty() || text.len() + line.len() >= MAX_BLOCK {
            break;
        }
        text.push_str(&line);
    }
    text.push('\n');
    text.into_bytes()
}

/// Different keys, the short ones first.
fn key(number: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let (mut number, mut key) = (number, String::new());
    loop {
        key.push(char::from(*LETTERS.get(number % 36).unwrap()));
        number /= 36;
        if number == 0 {
            return key;
        }
        number -= 1;
    }
}

/// A `part` line of so many octets, full of attributes.
fn attributes(octets: usize) -> String {
    let mut line = PART.to_owned();
    for number in 0.. {
        let word = format!(" {}=1", key(number));
        if line.len() + word.len() + " name=f\n".len() > octets {
            break;
        }
        line.push_str(&word);
    }
    line + " name=f\n"
}

/// What one test takes is not another's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory of this process in octets.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<usize>().unwrap() * 1024
}

/// Processor time, of which other tests and programs take none.
fn parse_time(block: &[u8]) -> Duration {
    let once = || {
        let begin = clock_gettime(ClockId::ThreadCPUTime);
        let parsed = HeaderBlock::parse(block).unwrap();
        let passed = clock_gettime(ClockId::ThreadCPUTime) - begin;
        drop(parsed);
        Duration::try_from(passed).unwrap()
    };
    (0..3).map(|_| once()).min().unwrap()
}

/// As many addresses as there may be, and as short as they may be.
fn to_and_deliver(number: usize) -> String {
    let name = match number < MAX_ADDRESSES {
        true => "deliver",
        false => "to",
    };
    format!("{name}: a@b.c\n")
}

fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let few = "x: 1\n";
    let full = attributes(MAX_LINE);
    let some = attributes(1000);
    let long = format!("x: {}\n", "1".repeat(MAX_LINE - 4));
    let host = format!("{}.test", "a.".repeat(120).trim_end_matches('.'));
    vec![
        ("long lines", block(|_| long.clone(), usize::MAX, "")),
        ("short lines", block(|_| few.to_owned(), usize::MAX, "")),
        ("parts", block(|_| format!("{PART}\n"), MAX_PARTS, few)),
        (
            "attributes, long lines",
            block(|_| full.clone(), usize::MAX, ""),
        ),
        ("attributes", block(|_| some.clone(), MAX_PARTS, few)),
        (
            "to and deliver",
            block(to_and_deliver, 2 * MAX_ADDRESSES - 1, few),
        ),
        (
            "to, other",
            block(|n| format!("to: u{n}@b.c\n"), MAX_ADDRESSES - 1, few),
        ),
        (
            "bcc",
            block(|n| format!("bcc: U{n}@B.test U\n"), MAX_ADDRESSES - 1, few),
        ),
        (
            "long hosts",
            block(|_| format!("cc: a@{host}\n"), MAX_ADDRESSES - 1, ""),
        ),
        (
            "deliver",
            block(|_| "deliver: A@B.c\n".to_owned(), MAX_ADDRESSES, few),
        ),
        (
            "reply-to",
            block(|_| "reply-to: a@b.c\n".to_owned(), usize::MAX, ""),
        ),
        (
            "references",
            block(|_| "references: a@b.c\n".to_owned(), usize::MAX, ""),
        ),
        (
            "international",
            block(
                |_| "references: a@xn--4ca.xn--nda\n".to_owned(),
                usize::MAX,
                "",
            ),
        ),
        (
            "localparts",
            block(|_| "reply-to: ä@b.c\n".to_owned(), usize::MAX, ""),
        ),
    ]
}

#[test]
fn a_block_takes_a_few_times_its_octets_whatever_stands_in_it() {
    let _alone = alone();
    let mut all = Vec::new();
    for (name, block) in shapes() {
        let before = resident();
        all.extend((0..HELD).map(|_| HeaderBlock::parse(&block).unwrap()));
        let took = resident().saturating_sub(before);
        println!(
            "{name}: {took} octets of memory for {HELD} of {}",
            block.len()
        );
        assert!(took <= MOST * HELD * block.len(), "{name}: {took}");
    }
}

#[test]
fn a_block_takes_time_by_its_octets_whatever_stands_in_it() {
    let _alone = alone();
    let ordinary = block(|n| format!("cc: u{n}@b.test User\n"), MAX_ADDRESSES - 1, "");
    let octet = parse_time(&ordinary) / u32::try_from(ordinary.len() / 1024).unwrap();
    for (name, block) in shapes() {
        let (time, usual) = (parse_time(&block), octet * 1024);
        println!("{name}: {time:?}, as an ordinary block {usual:?}");
        assert!(
            time <= usual * SLOWEST,
            "{name}: {time:?}, and not {usual:?}"
        );
    }
    // As many octets of attributes, in a few long lines and in many short ones.
    let short = attributes(1000);
    let many = block(|_| short.clone(), MAX_PARTS, "");
    let long = attributes(8 * 1000);
    let few = block(|_| long.clone(), MAX_PARTS / 8, "");
    let (few, many) = (parse_time(&few), parse_time(&many));
    assert!(few <= many * 3, "{few:?}, and not {many:?}");
}
