//! What a person sees.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::bench::{Answer, Bench, MAKE, PLAIN, SHOW, finish, with_lines};

#[test]
fn fields_parts_and_text() {
    let bench = Bench::new();
    bench.write("a.html", "<p>Hi");
    bench.write("my photo.jpg", "jpg");
    let arguments = [
        "--to",
        "carol@c.test Carol",
        "--cc",
        "dave@d.test",
        "--bcc",
        "eve@e.test",
        "--subject",
        "Lunch?",
        "--reply-to",
        "office@a.test",
        "--in-reply-to",
        "2@b.test",
        "--references",
        "1@b.test",
        "--references",
        "2@b.test",
        "--header",
        "x-mood=good",
        "--html",
        "a.html",
        "--attach",
        "my photo.jpg",
    ];
    let message = bench.message(&arguments, "Hi\nBob");
    let message = with_lines(&message, "deliver: bob@b.test\nmailer: list@l.test\n");
    let wanted = "\
From:        alice@a.test
To:          bob@b.test
             carol@c.test Carol
Cc:          dave@d.test
Reply to:    office@a.test
Subject:     Lunch?
Date:        2026-11-22T09:30:00Z
Id:          1@a.test
Answers:     2@b.test
References:  1@b.test
             2@b.test
Deliver to:  bob@b.test
Mailed by:   list@l.test
Bcc:         eve@e.test
Other:       x-mood: good
Vouched by:  nobody yet: no server has received this message
Digest:      DIGEST
Parts:       1  text/plain, 6 octets
             2  text/html, 5 octets, alternative-of=1
             3  image/jpeg, 3 octets, name=my photo.jpg

[part 1  text/plain, 6 octets]
Hi
Bob

[part 2  text/html, 5 octets, alternative-of=1, not shown]
";
    let header = ima_message::HeaderBlock::read(&mut &*message).unwrap();
    let wanted = wanted.replace("DIGEST", &header.digest().to_string());
    for arguments in [&[][..], &["-"]] {
        assert_eq!(bench.show(arguments, &message).is(0).text(), wanted);
    }
    bench.write("m.ima", &message);
    assert_eq!(bench.show(&["m.ima"], "").is(0).text(), wanted);
    assert_eq!(bench.show(&["--", "m.ima"], "").is(0).text(), wanted);
}

#[test]
fn one_text_stands_alone_behind_the_fields() {
    let bench = Bench::new();
    let shown = bench
        .show(&[], bench.message(&[], "Hi\n\nBob\n"))
        .is(0)
        .text();
    assert!(shown.ends_with("octets\n\nHi\n\nBob\n"), "{shown}");
    let shown = bench.show(&[], bench.message(&[], "")).is(0).text();
    assert!(
        shown.lines().last().unwrap().starts_with("Digest: "),
        "{shown}"
    );
}

#[test]
fn nothing_in_a_message_reaches_a_terminal_as_a_sequence() {
    let bench = Bench::new();
    let arguments = [
        "--subject",
        "gpj.\u{202e}exe",
        "--to",
        "carol@c.test \u{2066}Carol\u{200f}",
        "--header",
        "x-mood=\u{61c}good",
    ];
    let message = bench.message(
        &arguments,
        "\u{1b}]0;title\u{7}\r\na\rb\u{9b}31m\u{202e}\ttab\r\n",
    );
    let message = with_lines(
        &message,
        "part: text/plain 0 sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 x-y=\u{202e}z\n",
    );
    let shown = bench.show(&[], &message).is(0).text();
    for seen in [
        "Subject:     gpj.\\u{202e}exe\n",
        "carol@c.test \\u{2066}Carol\\u{200f}\n",
        "Other:       x-mood: \\u{61c}good\n",
        "x-y=\\u{202e}z\n",
        "\n\\e]0;title\\u{7}\na\\u{d}b\\u{9b}31m\\u{202e}\ttab\n",
    ] {
        assert!(shown.contains(seen), "{seen} in {shown}");
    }
    let hidden = |c: char| ima_program::escape::is_hidden(c) && !"\n\t".contains(c);
    assert!(!shown.contains(hidden));
}

#[test]
fn a_text_that_is_not_utf8_is_shown_with_marks() {
    let bench = Bench::new();
    bench.write("latin1", b"caf\xe9\n");
    let message = bench.message(&["--attach", "latin1"], "");
    let name = b" name=latin1".as_slice();
    let at = message
        .windows(name.len())
        .position(|octets| octets == name)
        .unwrap();
    let inline = [&message[..at], &message[at + name.len()..]].concat();
    let inline = String::from_utf8_lossy(&inline).replace("application/octet-stream", "text/plain");
    let header = inline.split_once("\n\n").unwrap().0;
    let shown = bench
        .show(&[], [header.as_bytes(), b"\n\ncaf\xe9\n"].concat())
        .is(0)
        .text();
    assert!(shown.ends_with("\n\ncaf\u{fffd}\n"), "{shown}");
}

#[test]
fn no_author_can_write_a_verdict() {
    let bench = Bench::new();
    let arguments = [
        "--header",
        "vouched-by=a.test",
        "--header",
        "author=valid",
        "--header",
        "digest=0",
    ];
    let shown = bench.show(&[], bench.message(&arguments, "")).is(0).text();
    let labels: Vec<_> = shown
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        labels,
        [
            "From",
            "To",
            "Date",
            "Id",
            "Other",
            "             author",
            "             digest",
            "Vouched by",
            "Digest",
        ]
    );
}

#[test]
fn who_vouches_is_said_for_every_author() {
    let bench = Bench::new();
    let message = bench.message(&[], "");
    for (author, words) in [
        ("host", "a.test, whose own server sent it"),
        ("valid", "a.test, which publishes the key of a signature"),
        (
            "unknown-key",
            "nobody: it is signed by a key that is not published",
        ),
        ("none", "nobody: who the author is, is only a claim"),
        ("local", "b.test, where it was sent"),
    ] {
        let line = format!(
            "received: b.test 2026-11-22T09:30:02Z from=l.test address=192.0.2.7 tls=TLSv1.3 author={author}\n"
        );
        let shown = bench.show(&[], with_lines(&message, &line)).is(0).text();
        let wanted = format!(
            "Received:    2026-11-22T09:30:02Z by b.test, from l.test at 192.0.2.7, tls TLSv1.3\nVouched by:  {words}\n"
        );
        assert!(shown.contains(&wanted), "{shown}");
    }
}

#[test]
fn signatures_are_told_apart() {
    let bench = Bench::new();
    bench.write("known", bench.key("alice@a.test", "alice.key"));
    bench.key("a.test", "host.key");
    let message = bench.message(&["--sign", "alice.key", "--sign", "host.key"], "");
    let message = with_lines(&message, "signature: c.test zz-9 AA== AA==\n");
    let shown = bench.show(&["--keys", "known"], message).is(0).text();
    let wanted = "\
Signed by:   c.test: not checked, its algorithm is not known here: zz-9
             alice@a.test: valid, by a key that you know
             a.test: right for this letter, by a key that is not known here
";
    assert!(shown.contains(wanted), "{shown}");
}

#[test]
fn a_message_that_is_not_valid_is_not_shown() {
    let bench = Bench::new();
    bench.write("a", "attached");
    let message = bench.message(&["--attach", "a"], "text");
    let wrong = String::from_utf8(message.clone()).unwrap();
    let short = &message[..message.len() - 1];
    let long = [&message[..], b"x"].concat();
    for (octets, why) in [
        (
            wrong.replace("attached", "Attached").as_bytes(),
            "the octets of part 2 do not match its digest",
        ),
        (
            wrong.replace("\n\ntext", "\n\nTEXT").as_bytes(),
            "the octets of part 1 do not match its digest",
        ),
        (short, "the data end 1 octets too early"),
        (&long, "more data follow than the header block announces"),
        (
            wrong.replace("to: ", "to:").as_bytes(),
            "line 3, column 4: a field is written as name, colon, one space, value",
        ),
    ] {
        let answer = bench.show(&[], octets).is(1);
        assert!(answer.stdout.is_empty());
        assert_eq!(
            answer.stderr,
            format!("show-ima-message: standard input: not a valid message: {why}\n")
        );
    }
    bench.write("wrong.ima", wrong.replace("attached", "Attached"));
    bench.show(&["wrong.ima"], "").fails(
        1,
        "show-ima-message: wrong.ima: not a valid message: the octets of part 2 do not match its digest",
    );
}

#[test]
fn faults_are_no_refusals() {
    let bench = Bench::new();
    fs::create_dir(bench.path("folder")).unwrap();
    bench.show(&[], "").fails(
        2,
        "show-ima-message: standard input: the input is empty; a message was awaited",
    );
    bench.show(&["none"], "").fails(
        2,
        "show-ima-message: none: cannot be opened: No such file or directory (os error 2)",
    );
    bench.show(&["folder"], "").fails(
        2,
        "show-ima-message: folder: cannot read the message: Is a directory (os error 21)",
    );
    let large = bench.message(&[], vec![b'x'; 300_000]);
    let mut command = bench.command(SHOW, &[]);
    command.env("TMPDIR", bench.path("none"));
    let answer = finish(command.spawn().unwrap(), large).is(2);
    let why = "show-ima-message: standard input: cannot be read or kept: No such file or directory";
    assert!(answer.stderr.starts_with(why), "{}", answer.stderr);
    for arguments in [
        &["--unheard-of"][..],
        &["a", "b"],
        &["--extract", ".", "--json"],
        &["--extract", ".", "--verify"],
    ] {
        assert!(bench.show(arguments, "").is(2).stdout.is_empty());
    }
    let message = bench.message(&[], "text");
    for arguments in [&[][..], &["--verify"], &["--json"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let child = bench.command(SHOW, arguments).stdout(full).spawn().unwrap();
        finish(child, &message).fails(
            2,
            "show-ima-message: standard output: cannot be written: No space left on device (os error 28)",
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = bench
            .command(SHOW, arguments)
            .stdout(writer)
            .spawn()
            .unwrap();
        finish(child, &message).fails(
            2,
            "show-ima-message: standard output: cannot be written: Broken pipe (os error 32)",
        );
    }
}

#[test]
fn at_a_terminal_it_says_what_is_awaited() {
    let bench = Bench::new();
    let command = format!("{SHOW} >shown 2>said");
    let mut script = bench.command("script", &["-qec", &command, "/dev/null"]);
    let mut child = script.stdout(Stdio::null()).spawn().unwrap();
    let mut terminal = child.stdin.take().unwrap();
    terminal
        .write_all(&[&bench.message(&[], "typed\n")[..], b"\x04"].concat())
        .unwrap();
    assert!(child.wait().unwrap().success());
    drop(terminal);
    assert_eq!(
        bench.read("said"),
        b"show-ima-message: a message is awaited on standard input; to read one from a file, name it\n"
    );
    assert!(bench.read("shown").ends_with(b"\n\ntyped\n"));
}

#[test]
fn a_message_of_a_mailbox_is_whole_with_what_lies_beside_it() {
    let bench = Bench::new();
    for (name, octets) in [("a", "one"), ("b", ""), ("c", "three")] {
        bench.write(name, octets);
    }
    let arguments = [
        &PLAIN[..],
        &["--attach", "a", "--attach", "b", "--attach", "c"],
    ]
    .concat();
    let message = bench.run(MAKE, &arguments, "text").is(0).stdout;
    let inline = &message[..message.len() - "onethree".len()];
    bench.write("D", inline);
    bench.show(&["--verify", "D"], "").is(1);
    for (name, octets) in [("D.2", "one"), ("D.3", ""), ("D.4", "three")] {
        bench.write(name, octets);
    }
    let verdicts = "part 1 ok\npart 2 ok\npart 3 ok\npart 4 ok\n";
    assert_eq!(bench.show(&["--verify", "D"], "").is(0).text(), verdicts);
    assert!(bench.show(&["D"], "").is(0).text().ends_with("\n\ntext\n"));
    bench.show(&["--verify"], inline).is(1);
    bench.write("D.4", "threefour");
    bench.show(&["--verify", "D"], "").is(1);
    fs::remove_file(bench.path("D.4")).unwrap();
    std::os::unix::fs::symlink("c", bench.path("D.4")).unwrap();
    bench.show(&["--verify", "D"], "").is(2);
}

fn vectors(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/vectors")
        .join(kind);
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "ima"))
        .collect()
}

#[test]
fn every_vector_is_taken_or_refused_whatever_is_asked_for() {
    let bench = Bench::new();
    let modes = [
        &[][..],
        &["--verify"],
        &["--json"],
        &["--json", "--verify"],
        &["--extract", "."],
    ];
    let (accept, reject) = (vectors("accept"), vectors("reject"));
    assert!(accept.len() >= 24 && reject.len() >= 68);
    let vectors = accept
        .iter()
        .map(|path| (path, 0))
        .chain(reject.iter().map(|path| (path, 1)));
    for (path, code) in vectors {
        let octets = fs::read(path).unwrap();
        for arguments in modes {
            // What is extracted would stand in the way of the next.
            let bench = if arguments.first() == Some(&"--extract") {
                &Bench::new()
            } else {
                &bench
            };
            let answer: Answer = bench.show(arguments, &octets);
            assert_eq!(
                answer.code,
                Some(code),
                "{} {arguments:?}: {}",
                path.display(),
                answer.stderr
            );
            assert_eq!(answer.stderr.is_empty(), code == 0, "{}", path.display());
        }
        let named = bench.show(&["--verify", path.to_str().unwrap()], "");
        assert_eq!(named.code, Some(code), "{}", path.display());
    }
}
