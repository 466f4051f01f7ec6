//! What make-ima-message refuses, and how it says so.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;

use super::bench::{Answer, Bench, MAKE, PLAIN, finish};

#[track_caller]
fn refused(answer: Answer, why: &str) {
    let answer = answer.fails(2, &format!("make-ima-message: {why}"));
    assert!(answer.stdout.is_empty(), "nothing is written");
}

#[test]
fn values_that_break_a_rule_name_their_option() {
    let bench = Bench::new();
    bench.write("a", "");
    for (option, value, why) in [
        ("--to", "bob", "an address has an @: localpart@hostpart"),
        (
            "--cc",
            "Bob <bob@b>",
            "a domain name has at least two labels, like b.test",
        ),
        (
            "--bcc",
            "a b@b.test",
            "an address has an @: localpart@hostpart",
        ),
        (
            "--reply-to",
            "<bob@b.test> ",
            "'<' cannot stand in a localpart",
        ),
        (
            "--to",
            "eve@e.test <bob@b.test>",
            "two addresses: write `Bob Ng <bob@b.test>` or `bob@b.test Bob Ng`, with one address only",
        ),
        (
            "--to",
            "bob@b.test  Bob",
            "one space stands between an address and its display name, and none behind it",
        ),
        (
            "--in-reply-to",
            "1",
            "an id is a unique token, @ and a domain name, like 0001@a.test",
        ),
        (
            "--references",
            "é@a.test",
            "'é' cannot stand in an id, which is visible ASCII",
        ),
        ("--subject", "", "a field's value is not empty"),
        (
            "--subject",
            " x",
            "a value neither begins nor ends with a space; a line is never folded",
        ),
        ("--header", "x", "a field is written as NAME=VALUE"),
        (
            "--header",
            "X-Mood=good",
            "a field's name begins with a letter and has at most 32 letters in lower case, digits and hyphens",
        ),
        (
            "--header",
            "bcc: eve@e.test x=y",
            "a field's name begins with a letter and has at most 32 letters in lower case, digits and hyphens",
        ),
        ("--header", "x=", "a field's value is not empty"),
        (
            "--header",
            "subject=x",
            "the field subject has an option of its own: --subject",
        ),
        (
            "--header",
            "part=x",
            "the field part has an option of its own: --text, --html or --attach",
        ),
        (
            "--header",
            "signature=x",
            "the field signature has an option of its own: --sign",
        ),
        (
            "--header",
            "size=1",
            "the field size is made from the parts of the message",
        ),
        (
            "--header",
            "received=x",
            "the field received is added on the way, and not by the author",
        ),
        (
            "--attach",
            "a:b c/d",
            "\"b c/d\" is not a media type like text/plain (RFC 6838), which has no parameters here",
        ),
        (
            "--attach",
            ":a/b",
            "nothing stands before the colon: write FILE:TYPE",
        ),
        (
            "--attach",
            "-",
            "standard input has no file name to attach it under: write it to a file first, or name a file that is called - as ./-",
        ),
        (
            "--attach",
            "..",
            "it ends in no file name to attach it under",
        ),
        (
            "--attach",
            "gpj.\u{202e}exe",
            "cannot be attached under its name: rename it, or link it under another name: '\\u{202e}' cannot stand in a file name",
        ),
        (
            "--attach",
            "a ",
            "cannot be attached under its name: rename it, or link it under another name: a file name neither begins nor ends with a space",
        ),
    ] {
        refused(
            bench.make(&[option, value], ""),
            &format!("{option} {value:?}: {why}"),
        );
    }
    let reserved = [
        "ima",
        "from",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "date",
        "id",
        "in-reply-to",
        "references",
        "deliver",
        "mailer",
    ];
    for name in reserved {
        let answer = bench.make(&["--header", &format!("{name}=x")], "").is(2);
        assert!(
            answer.stderr.contains(&format!("the field {name} ")),
            "{}",
            answer.stderr
        );
    }
}

#[test]
fn the_author_the_date_and_the_id_are_checked_too() {
    let bench = Bench::new();
    for (option, value, why) in [
        ("--from", "alice", "an address has an @: localpart@hostpart"),
        (
            "--date",
            "yesterday",
            "a date is written as RFC 3339 has it, with an offset: 2026-11-22T09:30:00Z or 2026-11-22T10:30:00+01:00",
        ),
        (
            "--id",
            "1@a",
            "a domain name has at least two labels, like b.test",
        ),
    ] {
        let mut arguments = PLAIN;
        if let Some(place) = arguments.iter().position(|argument| *argument == option) {
            arguments[place + 1] = value;
        }
        refused(
            bench.run(MAKE, &arguments, ""),
            &format!("{option} {value:?}: {why}"),
        );
    }
    let host = format!(
        "{}.test",
        [
            "a".repeat(60),
            "b".repeat(60),
            "c".repeat(60),
            "d".repeat(60)
        ]
        .join(".")
    );
    let author = format!("x@{host}");
    refused(
        bench.run(MAKE, &["--from", &author, "--to", "bob@b.test"], ""),
        "no id can be made for this author, give one with --id: an id has at most 255 octets",
    );
}

#[test]
fn no_line_end_and_no_control_brings_a_field_in() {
    let bench = Bench::new();
    for c in ["\n", "\r", "\r\n", "\t", "\u{1b}", "\u{85}", "\u{2028}"] {
        for (option, value) in [
            ("--subject", format!("x{c}bcc: eve@e.test")),
            ("--to", format!("bob@b.test Bob{c}bcc: eve@e.test")),
            ("--to", format!("Bob{c}bcc: eve@e.test <bob@b.test>")),
            ("--cc", format!("bob@b.test{c}bcc: eve@e.test")),
            ("--header", format!("x=y{c}bcc: eve@e.test")),
            ("--header", format!("x{c}y=z")),
            ("--in-reply-to", format!("1@a.test{c}bcc: eve@e.test")),
            ("--attach", format!("x{c}bcc: eve@e.test")),
        ] {
            let answer = bench.make(&[option, &value], "").is(2);
            assert!(answer.stdout.is_empty(), "{option} {value:?}");
            let line = answer.stderr.strip_suffix('\n').unwrap();
            assert!(
                line.starts_with(&format!("make-ima-message: {option} ")),
                "{line}"
            );
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
    let mut arguments = PLAIN.to_vec();
    arguments[1] = "alice@a.test A\nto: eve@e.test";
    assert!(bench.run(MAKE, &arguments, "").is(2).stdout.is_empty());
}

#[test]
fn lines_and_blocks_have_limits() {
    let bench = Bench::new();
    let longest = "x".repeat(8192 - "subject: \n".len());
    bench.message(&["--subject", &longest], "");
    let longer = format!("{longest}x");
    let shown: String = longer.chars().take(80).collect();
    refused(
        bench.make(&["--subject", &longer], ""),
        &format!("--subject {shown:?}…: a line has at most 8192 octets with its LF"),
    );
    let header = format!("x={}", "y".repeat(8000));
    refused(
        bench.make(&["--header", &header].repeat(132), ""),
        "the message cannot be made: line 1, column 1: a header block has at most 1048576 octets",
    );
}

#[test]
fn usage_is_checked_before_a_text_is_awaited() {
    let bench = Bench::new();
    for arguments in [
        &[][..],
        &["--from", "a@a.test"],
        &["--to", "a@a.test"],
        &["--from", "a@a.test", "--to", "a@a.test", "--unheard-of"],
        &["--from", "a@a.test", "--to", "a@a.test", "operand"],
        &[
            "--from", "a@a.test", "--from", "a@a.test", "--to", "b@b.test",
        ],
        &["--from", "a@a.test", "--to", "bob"],
        &[
            "--from",
            "a@a.test",
            "--to",
            "b@b.test",
            "--sign",
            "no-such-key",
        ],
        &["--from", "a@a.test", "--to", "b@b.test", "--subject", ""],
    ] {
        // Its stdin cannot be read, and who tries says so.
        let unreadable = File::options().write(true).open("/dev/null").unwrap();
        let mut command = bench.command(MAKE, arguments);
        let output = command.stdin(unreadable).output().unwrap();
        let answer = Answer::from(output).is(2);
        assert!(answer.stdout.is_empty(), "{arguments:?}");
        assert!(
            !answer.stderr.contains("standard input:"),
            "{}",
            answer.stderr
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let bench = Bench::new();
    fs::create_dir(bench.path("folder")).unwrap();
    let missing = "cannot be opened: No such file or directory (os error 2)";
    refused(
        bench.make(&["--attach", "none"], ""),
        &format!("none: {missing}"),
    );
    refused(
        bench.make(&["--text", "none"], ""),
        &format!("none: {missing}"),
    );
    refused(
        bench.make(&["--html", "none"], ""),
        &format!("none: {missing}"),
    );
    refused(
        bench.make(&["--attach", "folder"], ""),
        "folder: cannot be read or kept: Is a directory (os error 21)",
    );
    refused(
        bench.make(&["--html", "-"], ""),
        "--html -: standard input is the text; take the text from a file with --text FILE",
    );
    let mut command = bench.command(MAKE, &PLAIN);
    command.env("TMPDIR", bench.path("none"));
    let answer = finish(command.spawn().unwrap(), vec![b'x'; 300_000]).is(2);
    let why = "make-ima-message: standard input: cannot be read or kept: No such file or directory";
    assert!(answer.stderr.starts_with(why), "{}", answer.stderr);
    let name = OsStr::from_bytes(b"caf\xe9.txt");
    let mut command = bench.command(MAKE, &PLAIN);
    refused(
        finish(command.arg("--attach").arg(name).spawn().unwrap(), ""),
        "--attach \"caf\u{fffd}.txt\": its name is not UTF-8: rename it, or link it under another name",
    );
}

#[test]
fn text_is_utf8_and_the_place_where_it_is_not_is_named() {
    let bench = Bench::new();
    bench.write("latin1.txt", b"one\ntwo\nthr\xe9e\n");
    bench.write("cut.html", "<p>é".as_bytes().split_last().unwrap().1);
    let why = "not UTF-8, which text must be; convert it with iconv(1), or attach it as FILE:application/octet-stream";
    let latin1 = format!("latin1.txt: line 3, octet 12 of the file: {why}");
    refused(bench.make(&["--text", "latin1.txt"], ""), &latin1);
    refused(bench.make(&["--attach", "latin1.txt"], ""), &latin1);
    refused(
        bench.make(&["--html", "cut.html"], ""),
        &format!("cut.html: line 1, octet 4 of the file: {why}"),
    );
    refused(
        bench.make(&[], [&b"\n"[..], &vec![b'x'; 1 << 20], b"\xc3("].concat()),
        &format!("standard input: line 2, octet 1048578 of the file: {why}"),
    );
    bench.message(&["--attach", "latin1.txt:application/octet-stream"], "");
}

#[test]
fn keys_that_are_none_or_not_valid_now_are_named() {
    let bench = Bench::new();
    refused(
        bench.make(&["--sign", "none"], ""),
        "--sign none: cannot be read: No such file or directory (os error 2)",
    );
    bench.write("pem", "-----BEGIN PRIVATE KEY-----\n");
    refused(
        bench.make(&["--sign", "pem"], ""),
        "--sign pem: line 1 of a key file reads \"ima-key: …\"; was it made by make-ima-key?",
    );
    bench.write(
        "old",
        "ima-key: 1\nsigner: a.test\nalgorithm: ed25519\nnot-before: 2020-01-01T00:00:00Z\n\
         not-after: 2022-01-01T00:00:00Z\nsecret: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
    );
    refused(
        bench.make(&["--sign", "old"], ""),
        "--sign old: the key is not valid now, so nobody would take its signature; make another with make-ima-key(1)",
    );
    bench.key("a.test", "key");
    bench.message(&["--sign", "key"].repeat(16), "");
    refused(
        bench.make(&["--sign", "key"].repeat(17), ""),
        "--sign key: no room for another signature in the header block",
    );
}

#[test]
fn what_standard_output_does_not_take_is_not_delivered() {
    let bench = Bench::new();
    let text = vec![b'x'; 1 << 20];
    let why = "standard output: the message could not be written, and nobody has it";
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = bench.command(MAKE, &PLAIN);
    let answer = finish(command.stdout(full).spawn().unwrap(), &text);
    refused(
        answer,
        &format!("{why}: No space left on device (os error 28)"),
    );
    for text in [&text[..], b""] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = bench.command(MAKE, &PLAIN);
        command.stdout(writer);
        let child = command.spawn().unwrap();
        drop(command);
        refused(
            finish(child, text),
            &format!("{why}: Broken pipe (os error 32)"),
        );
    }
}
