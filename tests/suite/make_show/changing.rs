//! Files that change while they are attached.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};

use super::bench::{Answer, Bench, MAKE, PLAIN};

/// More than fits a pipe: the program cannot get past it unread.
const LARGE: usize = 2 << 20;

/// Makes a message of a large file and a small one, changes one of them when
/// both are digested and nothing of the large one's end can have been written,
/// and then takes what is written.
fn made_while(change: impl FnOnce(&Bench)) -> (Bench, Answer) {
    let bench = Bench::new();
    bench.write("large", vec![b'x'; LARGE]);
    bench.write("small", "small");
    let arguments = [
        "--text",
        "/dev/null",
        "--attach",
        "large",
        "--attach",
        "small",
    ];
    let mut command = bench.command(MAKE, &[&PLAIN[..], &arguments].concat());
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // The header block comes when all files are digested.
    let mut written = vec![0];
    stdout.read_exact(&mut written).unwrap();
    change(&bench);
    stdout.read_to_end(&mut written).unwrap();
    let mut answer = Answer::from(child.wait_with_output().unwrap());
    answer.stdout = written;
    (bench, answer)
}

fn write(bench: &Bench, name: &str) -> File {
    OpenOptions::new()
        .write(true)
        .open(bench.path(name))
        .unwrap()
}

#[track_caller]
fn noticed(name: &str, change: impl FnOnce(&Bench)) {
    let (bench, answer) = made_while(change);
    let answer = answer.fails(
        2,
        &format!("make-ima-message: {name}: changed while the message was made; what was written is cut short and nobody will take it, so make the message again"),
    );
    for arguments in [&[][..], &["--verify"], &["--extract", "."]] {
        bench.show(arguments, &answer.stdout).is(1);
    }
    let refusal = bench.show(&[], &answer.stdout).stderr;
    assert!(
        refusal.contains("octets too early"),
        "also short: {refusal}"
    );
}

#[test]
fn a_file_that_stays_the_same_is_attached() {
    let (bench, answer) = made_while(|_| {});
    bench.show(&["--verify"], answer.is(0).stdout).is(0);
}

#[test]
fn a_file_that_grew() {
    for name in ["large", "small"] {
        noticed(name, |bench| {
            let mut file = OpenOptions::new()
                .append(true)
                .open(bench.path(name))
                .unwrap();
            file.write_all(b"more").unwrap();
        });
    }
}

#[test]
fn an_empty_file_that_grew() {
    let bench = Bench::new();
    bench.write("empty", "");
    let fifo = bench.path("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let arguments = ["--attach", "empty", "--attach", "fifo"];
    let arguments = [&PLAIN[..], &arguments].concat();
    let mut command = bench.command(MAKE, &arguments);
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    // The pipe is opened when the file before it is digested.
    let pipe = OpenOptions::new().write(true).open(fifo).unwrap();
    bench.write("empty", "no more");
    drop(pipe);
    let answer = Answer::from(child.wait_with_output().unwrap()).is(2);
    assert!(
        answer
            .stderr
            .starts_with("make-ima-message: empty: changed")
    );
    assert!(
        answer.stdout.is_empty(),
        "what is written would look complete"
    );
}

#[test]
fn a_file_that_shrank() {
    noticed("large", |bench| {
        write(bench, "large").set_len(1 << 20).unwrap()
    });
    noticed("small", |bench| write(bench, "small").set_len(4).unwrap());
    noticed("small", |bench| write(bench, "small").set_len(0).unwrap());
}

#[test]
fn a_file_with_other_octets() {
    noticed("large", |bench| {
        write(bench, "large")
            .write_all_at(b"y", LARGE as u64 - 1)
            .unwrap();
    });
    noticed("small", |bench| {
        write(bench, "small").write_all_at(b"S", 0).unwrap()
    });
}

#[test]
fn a_file_that_is_replaced_is_the_one_that_was_opened() {
    let (bench, answer) = made_while(|bench| {
        bench.write("new", "other");
        std::fs::rename(bench.path("new"), bench.path("small")).unwrap();
    });
    assert!(answer.stdout.ends_with(b"xsmall"));
    bench.show(&["--verify"], answer.is(0).stdout).is(0);
}

#[test]
fn a_message_is_not_attached_to_itself() {
    let bench = Bench::new();
    let file = bench.write("m.ima", "");
    let output = OpenOptions::new().append(true).open(&file).unwrap();
    let mut command = bench.command(MAKE, &[&PLAIN[..], &["--attach", "m.ima"]].concat());
    let child = command.stdin(Stdio::null()).stdout(output).spawn().unwrap();
    Answer::from(child.wait_with_output().unwrap()).fails(
        2,
        "make-ima-message: m.ima: is standard output, too; write the message to another file",
    );
    assert_eq!(bench.read("m.ima"), b"");
}
