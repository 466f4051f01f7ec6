#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{PipeWriter, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::*;

const PROGRAM: &str = "server-receive";

type Written = Vec<(Level, String)>;

fn entry(form: Form, event: &str) -> log::Entry {
    log::Entry::of(form, Level::Warn, PROGRAM, event)
}

/// A line of so many octets, with its LF, but no field as long as that.
fn line_of(octets: usize) -> String {
    let short = entry(Form::Text, "long").into_line();
    let mut line = short.trim_end().to_owned();
    line.push_str(" a=");
    line.push_str(&"x".repeat(octets - line.len() - 1));
    line.push('\n');
    assert_eq!(line.len(), octets);
    line
}

/// What is written of these pieces.
fn put(form: Form, is_single: bool, pieces: &[&[u8]]) -> Written {
    let mut written = Vec::new();
    let write = |level, text: &str| written.push((level, text.to_owned()));
    let mut lines = Lines::new(form, PROGRAM, is_single, write);
    for piece in pieces {
        lines.feed(piece);
    }
    lines.end();
    drop(lines);
    written
}

fn text(written: &Written) -> String {
    written.iter().map(|(_, text)| &**text).collect()
}

/// The only thing that was written: that this was said.
fn told(form: Form, octets: &[u8]) -> String {
    let all = put(form, false, &[octets]);
    let [(Level::Error, line)] = &all[..] else {
        unreachable!("{all:?}");
    };
    let line = line.strip_suffix('\n').unwrap();
    assert_eq!(form.level_of(line, PROGRAM), Some(Level::Error), "{line}");
    let (begin, text) = match form {
        Form::Text => line.split_once(" text=").unwrap(),
        Form::Json => line.split_once(",\"text\":").unwrap(),
    };
    assert!(begin.contains("network-process-said"), "{line}");
    text.to_owned()
}

#[test]
fn halves_of_lines_are_put_together() {
    for form in [Form::Text, Form::Json] {
        let all = ["a", "b", "c"].map(|event| entry(form, event).into_line());
        let all = all.concat();
        for size in 1..=all.len() {
            let pieces: Vec<&[u8]> = all.as_bytes().chunks(size).collect();
            let written = put(form, false, &pieces);
            assert_eq!(text(&written), all, "{size}");
            for (_, lines) in written {
                assert!(lines.ends_with('\n'), "{lines:?}");
            }
        }
    }
}

#[test]
fn many_lines_keep_their_order_and_no_write_is_too_long() {
    let lines = |number| {
        entry(Form::Text, "many")
            .field("number", number)
            .into_line()
    };
    let all: String = (0..10_000).map(lines).collect();
    let pieces: Vec<&[u8]> = all.as_bytes().chunks(ROOM).collect();
    let written = put(Form::Text, false, &pieces);
    assert_eq!(text(&written), all);
    for (_, lines) in &written {
        assert!(lines.len() <= MAX_LINE && lines.ends_with('\n'));
    }
    let most = all.len() / (MAX_LINE - 200) + pieces.len();
    assert!(written.len() <= most, "{} of {most}", written.len());
}

#[test]
fn for_the_systems_log_each_line_has_its_level() {
    let lines = [Level::Error, Level::Info]
        .map(|level| log::Entry::of(Form::Text, level, PROGRAM, "e").into_line());
    let written = put(Form::Text, true, &[lines.concat().as_bytes()]);
    let [error, info] = lines;
    assert_eq!(written, [(Level::Error, error), (Level::Info, info)]);
}

#[test]
fn a_line_may_be_as_long_as_ours_and_no_longer() {
    let longest = line_of(MAX_LINE);
    let short = entry(Form::Text, "short").into_line();
    let all = [&*short, &longest, &short].concat();
    let written = put(Form::Text, false, &[all.as_bytes()]);
    assert_eq!(text(&written), all);
    assert_eq!(written.len(), 3);
    for octets in [MAX_LINE + 1, MAX_LINE + 2, 3 * ROOM] {
        let long = line_of(octets);
        for size in [1, 100, MAX_LINE, MAX_LINE + 1, ROOM, octets] {
            let pieces: Vec<&[u8]> = long.as_bytes().chunks(size).collect();
            let all = put(Form::Text, false, &pieces);
            let [(Level::Error, line)] = &all[..] else {
                unreachable!("{all:?}");
            };
            assert!(line.contains(" event=network-process-said text=\"time="));
            assert!(line.ends_with("xxx…\"\n"), "{line}");
            assert!(line.len() < log::MAX_VALUE + 200);
        }
    }
    // What comes behind is heard.
    let behind = [line_of(MAX_LINE + 1), short.clone()].concat();
    assert!(text(&put(Form::Text, false, &[behind.as_bytes()])).ends_with(&short));
}

#[test]
fn what_is_no_line_of_ours_is_told_of() {
    let ours = entry(Form::Text, "e").into_line();
    let forged = ours.replace(PROGRAM, "sshd");
    let quoted = format!("\"{}\"", forged.trim_end());
    assert_eq!(told(Form::Text, forged.as_bytes()), quoted);
    for (said, seen) in [
        ("word\n", "word"),
        ("\n\n\u{1b}[2J\n\n", "\"\\e[2J\""),
        ("a\rb\n", "\"a\\u{d}b\""),
        ("\u{202e}\n", "\"\\u{202e}\""),
        ("a\0\n", "\"a\\u{0}\""),
        ("no \"end\"", "\"no \\\"end\\\"\""),
    ] {
        assert_eq!(told(Form::Text, said.as_bytes()), seen);
    }
    assert_eq!(told(Form::Text, b"\xff\xfe\n"), "\u{fffd}\u{fffd}");
    let hidden = ours.replace("event=e", "event=e x=\u{1b}[2J");
    assert!(told(Form::Text, hidden.as_bytes()).contains("x=\\e[2J"));
    // Half of a line at the end, whatever that says.
    assert!(told(Form::Text, ours.trim_end().as_bytes()).ends_with("event=e\""));
    // Each form is nothing in the other.
    let json = entry(Form::Json, "e").into_line();
    assert!(told(Form::Text, json.as_bytes()).contains("{\\\"time\\\":"));
    assert!(told(Form::Json, ours.as_bytes()).starts_with("\"time="));
    let twice = json.replace('}', ",\"program\":\"sshd\"}");
    assert!(told(Form::Json, twice.as_bytes()).contains("\\\"program\\\":\\\"sshd\\\"}\"}"));
    assert_eq!(put(Form::Text, false, &[b"\n\n\n"]), []);
}

#[test]
fn what_panics_can_be_read_where_it_was_said() {
    let before = entry(Form::Text, "before").into_line();
    let after = entry(Form::Text, "after").into_line();
    let panic = "\nthread 'main' panicked at bin/a.rs:2:5:\nout of range: 7\n";
    let all = [&*before, panic, &after].concat();
    let written = put(Form::Text, false, &[all.as_bytes()]);
    let [first, one, two, last] = &written.iter().map(|(_, line)| &**line).collect::<Vec<_>>()[..]
    else {
        unreachable!("{written:?}");
    };
    assert_eq!((*first, *last), (&*before, &*after));
    assert!(one.ends_with(" text=\"thread 'main' panicked at bin/a.rs:2:5:\"\n"));
    assert!(two.ends_with(" text=\"out of range: 7\"\n"), "{two}");
}

/// A process that ends when its stdin does, as the network process.
fn process() -> (Child, Arc<OwnedFd>) {
    let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    (child, Arc::new(pidfd))
}

fn end(mut process: Child) {
    drop(process.stdin.take());
    process.wait().unwrap();
}

fn relay(
    write: impl FnMut(Level, &str) + Send + 'static,
    pidfd: Arc<OwnedFd>,
) -> (PipeWriter, Relay) {
    let (pipe, said) = io::pipe().unwrap();
    let lines = Lines::new(Form::Text, PROGRAM, false, write);
    (said, Relay::copying(pipe, pidfd, lines).unwrap())
}

#[test]
fn what_was_said_last_is_written_although_somebody_else_holds_the_pipe() {
    let (process, pidfd) = process();
    let written: Arc<Mutex<String>> = Arc::default();
    let log = Arc::clone(&written);
    let write = move |_, text: &str| log.lock().unwrap().push_str(text);
    let (mut said, relay) = relay(write, pidfd);
    let lines = |number| {
        entry(Form::Text, "many")
            .field("number", number)
            .into_line()
    };
    let all: String = (0..10_000).map(lines).collect();
    said.write_all(all.as_bytes()).unwrap();
    end(process);
    relay.finish();
    assert_eq!(*written.lock().unwrap(), all);
    drop(said);
}

#[test]
fn the_pipes_end_is_the_end() {
    let (process, pidfd) = process();
    let (said, relay) = relay(|_, _| (), pidfd);
    drop(said);
    let begin = Instant::now();
    relay.finish();
    assert!(begin.elapsed() < LAST);
    end(process);
}

#[test]
fn a_log_that_takes_nothing_holds_the_end_up_only_so_long() {
    let (process, pidfd) = process();
    let (blocked, never) = mpsc::channel::<()>();
    let write = move |_, _: &str| never.recv().unwrap_or_default();
    let (mut said, relay) = relay(write, pidfd);
    said.write_all(b"word\n").unwrap();
    end(process);
    let begin = Instant::now();
    relay.finish();
    assert!(begin.elapsed() >= LAST);
    drop(blocked);
}
