//! make-ima-key.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use ima_message::{DateTime, KeyFile, KeyLine};

use super::bench::{Bench, KEY, finish};

#[test]
fn a_key_is_made_and_its_line_printed_and_printed_again() {
    let bench = Bench::new();
    for signer in ["alice@a.test", "bücher.test"] {
        let line = bench.key(signer, signer);
        let file = KeyFile::parse(&String::from_utf8(bench.read(signer)).unwrap()).unwrap();
        assert_eq!(file.signer().to_string(), signer);
        assert_eq!(line, format!("{}\n", file.public()));
        assert_eq!(bench.run(KEY, &["--public", signer], "").is(0).text(), line);
    }
    assert_ne!(bench.key("a.test", "one"), bench.key("a.test", "two"));
    assert_eq!(bench.names(".").len(), 4, "and nothing else");
}

#[test]
fn it_is_valid_from_now_for_so_many_days() {
    let bench = Bench::new();
    let times = |line: String| {
        KeyLine::parse(line.trim_end()).unwrap();
        let words: Vec<_> = line.trim_end().split(' ').collect();
        [words[4], words[5]].map(|time| DateTime::parse(time).unwrap().unix_seconds())
    };
    let now: i64 = std::time::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs()
        .try_into()
        .unwrap();
    let [from, to] = times(bench.key("a.test", "default"));
    assert!((now..now + 600).contains(&from));
    assert_eq!(to - from, 730 * 86_400);
    let [from, to] = times(
        bench
            .run(KEY, &["--days", "1", "a.test", "day"], "")
            .is(0)
            .text(),
    );
    assert_eq!(to - from, 86_400);
    for days in ["0", "36501", "-1", "x", "1.5", ""] {
        bench
            .run(KEY, &["--days", days, "a.test", "never"], "")
            .is(2);
    }
    assert!(!bench.path("never").exists());
}

#[test]
fn only_its_owner_may_read_it() {
    let bench = Bench::new();
    bench
        .shell("umask 000; exec \"$0\" a.test key", KEY, "")
        .is(0);
    let permissions = fs::metadata(bench.path("key")).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o7777, 0o600);
}

#[test]
fn what_is_there_is_never_overwritten() {
    let bench = Bench::new();
    bench.write("file", "old");
    symlink("dangling", bench.path("link")).unwrap();
    fs::create_dir(bench.path("folder")).unwrap();
    for name in ["file", "link", "folder"] {
        bench.run(KEY, &["a.test", name], "").fails(
            2,
            &format!("make-ima-key: {name}: is there already, and a key is never overwritten; name another file, or print what is public of this one with --public"),
        );
    }
    assert_eq!(bench.read("file"), b"old");
    assert!(!bench.path("dangling").exists());
}

#[test]
fn a_key_that_cannot_be_stored_is_not_made() {
    let bench = Bench::new();
    let answer = bench.shell("trap '' XFSZ; ulimit -f 0; exec \"$0\" a.test key", KEY, "");
    assert_eq!(answer.text(), "");
    answer.fails(
        2,
        "make-ima-key: key: cannot be written, and no key was made: File too large (os error 27)",
    );
    assert!(!bench.path("key").exists());
    bench.run(KEY, &["a.test", "none/key"], "").fails(
        2,
        "make-ima-key: none/key: cannot be written, and no key was made: No such file or directory (os error 2)",
    );
}

#[test]
fn a_line_that_cannot_be_printed_can_be_printed_later() {
    let bench = Bench::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let child = bench
        .command(KEY, &["a.test", "key"])
        .stdout(full())
        .spawn()
        .unwrap();
    finish(child, "").fails(
        2,
        "make-ima-key: standard output: cannot be written; the key is in key, and make-ima-key --public key prints its line: No space left on device (os error 28)",
    );
    let child = bench
        .command(KEY, &["--public", "key"])
        .stdout(full())
        .spawn()
        .unwrap();
    finish(child, "").fails(
        2,
        "make-ima-key: standard output: cannot be written: No space left on device (os error 28)",
    );
    bench.run(KEY, &["--public", "key"], "").is(0);
}

#[test]
fn signers_and_files_that_are_none_are_named() {
    let bench = Bench::new();
    bench.run(KEY, &["a", "key"], "").fails(
        2,
        "make-ima-key: SIGNER \"a\": a domain name has at least two labels, like b.test",
    );
    bench.run(KEY, &["a\n@b.test", "key"], "").fails(
        2,
        "make-ima-key: SIGNER \"a\\n@b.test\": '\\n' cannot stand in a localpart",
    );
    bench.run(KEY, &["--public", "none"], "").fails(
        2,
        "make-ima-key: none: cannot be read: No such file or directory (os error 2)",
    );
    bench.write("pem", "-----BEGIN PRIVATE KEY-----\n");
    bench.run(KEY, &["--public", "pem"], "").fails(
        2,
        "make-ima-key: pem: line 1 of a key file reads \"ima-key: …\"; was it made by make-ima-key?",
    );
    for arguments in [
        &[][..],
        &["a.test"],
        &["a.test", "key", "more"],
        &["--public", "pem", "a.test"],
        &["--public", "pem", "--days", "3"],
    ] {
        assert!(
            bench.run(KEY, arguments, "").is(2).stdout.is_empty(),
            "{arguments:?}"
        );
    }
    assert_eq!(bench.names("."), ["pem"]);
}
