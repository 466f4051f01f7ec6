//! `--extract`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::bench::{Answer, Bench, SHOW};

/// A bench with an empty folder `out`, and a message with these attachments.
fn bench_with(attachments: &[(&str, &str)]) -> (Bench, Vec<u8>) {
    let bench = Bench::new();
    fs::create_dir(bench.path("out")).unwrap();
    let mut arguments = Vec::new();
    for (number, (name, octets)) in attachments.iter().enumerate() {
        fs::create_dir(bench.path(&number.to_string())).unwrap();
        let path = format!("{number}/{name}");
        bench.write(&path, octets);
        arguments.extend(["--attach".to_owned(), path]);
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let message = bench.message(&arguments, "text\n");
    (bench, message)
}

fn extract(bench: &Bench, message: &[u8]) -> Answer {
    bench.show(&["--extract", "out"], message)
}

#[test]
fn attachments_and_nothing_else_become_files() {
    let (bench, message) = bench_with(&[("a b.pdf", "one"), ("empty", ""), ("ü.txt", "three")]);
    let answer = extract(&bench, &message).is(0);
    assert_eq!(answer.text(), "out/a b.pdf\nout/empty\nout/ü.txt\n");
    assert_eq!(bench.names("out"), ["a b.pdf", "empty", "ü.txt"]);
    assert_eq!(bench.read("out/a b.pdf"), b"one");
    assert_eq!(bench.read("out/empty"), b"");
    assert_eq!(bench.read("out/ü.txt"), b"three");
    let (bench, message) = bench_with(&[]);
    assert_eq!(extract(&bench, &message).is(0).text(), "");
}

#[test]
fn the_umask_says_who_may_read_them() {
    for (umask, mode) in [("000", 0o644), ("022", 0o644), ("077", 0o600)] {
        let (bench, message) = bench_with(&[("a", "one")]);
        bench
            .shell(
                &format!("umask {umask}; exec \"$0\" --extract out"),
                SHOW,
                &message,
            )
            .is(0);
        let permissions = fs::metadata(bench.path("out/a")).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o7777, mode);
    }
}

#[test]
fn nothing_is_overwritten_and_no_link_is_followed() {
    let attachments = [("a", "new"), ("b", "new"), ("c", "new"), ("d", "new")];
    let (bench, message) = bench_with(&attachments);
    bench.write("out/a", "old");
    bench.write("precious", "old");
    symlink("../precious", bench.path("out/b")).unwrap();
    symlink("../dangling", bench.path("out/c")).unwrap();
    let answer = extract(&bench, &message).is(2);
    assert_eq!(answer.text(), "out/d\n", "what can be extracted is");
    let said: String = ["a", "b", "c"]
        .map(|name| format!("show-ima-message: out/{name}: is there already and is never overwritten; move it away, or extract into another directory\n"))
        .concat();
    assert_eq!(answer.stderr, said);
    assert_eq!(bench.read("out/a"), b"old");
    assert_eq!(bench.read("precious"), b"old");
    assert!(!bench.path("dangling").exists());
    assert_eq!(bench.read("out/d"), b"new");
    assert_eq!(
        bench.names("out"),
        ["a", "b", "c", "d"],
        "nothing else is left"
    );
}

#[test]
fn one_name_may_stand_twice_in_a_message() {
    let (bench, message) = bench_with(&[("a.jpg", "one"), ("a.jpg", "two"), ("a-2.jpg", "three")]);
    let answer = extract(&bench, &message).is(0);
    assert_eq!(answer.text(), "out/a.jpg\nout/a-2.jpg\nout/a-2-2.jpg\n");
    assert_eq!(bench.read("out/a-2.jpg"), b"two");
    assert_eq!(bench.read("out/a-2-2.jpg"), b"three");
}

#[test]
fn no_file_is_hidden_or_looks_like_an_option() {
    let (bench, message) = bench_with(&[(".profile", "x"), ("-rf", "x"), ("...", "x")]);
    assert_eq!(
        extract(&bench, &message).is(0).text(),
        "out/_.profile\nout/_-rf\nout/_...\n"
    );
}

#[test]
fn of_a_message_that_is_not_valid_nothing_is_left() {
    let (bench, message) = bench_with(&[("a", "one"), ("b", "two")]);
    let text = String::from_utf8(message.clone()).unwrap();
    let wrong = text.replace("onetwo", "onetwO");
    let long = format!("{text}x");
    for octets in [
        wrong.as_bytes(),
        long.as_bytes(),
        &message[..message.len() - 1],
    ] {
        assert_eq!(extract(&bench, octets).is(1).text(), "");
        assert_eq!(bench.names("out"), [""; 0]);
    }
    // Names that are paths are against the grammar.
    for name in ["../b", "/b", "..", "\u{202e}b"] {
        extract(
            &bench,
            text.replace("name=b", &format!("name={name}")).as_bytes(),
        )
        .is(1);
    }
    assert_eq!(bench.names("out"), [""; 0]);
}

#[test]
fn directories_that_are_none_are_named() {
    let (bench, message) = bench_with(&[("a", "one")]);
    bench.write("file", "");
    let why = "cannot be opened; it must be a directory that is there";
    bench.show(&["--extract", "none"], &message).fails(
        2,
        &format!("show-ima-message: --extract none: {why}: No such file or directory (os error 2)"),
    );
    bench.show(&["--extract", "file"], &message).fails(
        2,
        &format!("show-ima-message: --extract file: {why}: Not a directory (os error 20)"),
    );
    symlink("out", bench.path("link")).unwrap();
    assert_eq!(
        bench.show(&["--extract", "link"], &message).is(0).text(),
        "link/a\n"
    );
}

#[test]
fn a_file_that_does_not_fit_leaves_nothing() {
    let large = "x".repeat(100_000);
    let (bench, message) = bench_with(&[("a", "one"), ("large", &large)]);
    let message = bench.write("m.ima", message);
    let script = format!(
        "trap '' XFSZ; ulimit -f 20; exec \"$0\" --extract out '{}'",
        message.display()
    );
    let answer = bench.shell(&script, SHOW, "");
    assert_eq!(answer.text(), "");
    answer.fails(
        2,
        "show-ima-message: out/large: cannot be written: File too large (os error 27)",
    );
    assert_eq!(bench.names("out"), [""; 0]);
}
