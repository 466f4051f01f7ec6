//! What make-ima-message writes.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use ima_message::{DateTime, Digester, HeaderBlock, Part};

use super::bench::{Bench, MAKE, PLAIN, fields, finish};

fn digest(octets: &[u8]) -> String {
    let mut digester = Digester::new();
    digester.update(octets);
    digester.finish().to_string()
}

#[test]
fn every_option_has_its_field_and_the_fields_their_order() {
    let bench = Bench::new();
    bench.write("letter.txt", "Dear Bob,\n");
    bench.write("letter.html", "<p>Dear Bob,</p>\n");
    bench.write("photo.JPG", b"\xff\xd8\xff");
    bench.write("10:30 notes", "nine");
    let answer = bench.run(
        MAKE,
        &[
            "--attach",
            "photo.JPG",
            "--attach",
            "10:30 notes:text/x-notes",
            "--bcc",
            "eve@e.test",
            "--bcc",
            "Dave <dave@d.test>",
            "--header",
            "x-mood=cheerful = yes",
            "--header",
            "keywords=lunch",
            "--references",
            "0@b.test",
            "--references",
            "1@b.test",
            "--in-reply-to",
            "1@b.test",
            "--id",
            "2@a.test",
            "--date",
            "2026-11-22T10:30:00+01:00",
            "--subject",
            "-- Lunch?",
            "--reply-to",
            "office@a.test",
            "--reply-to",
            "alice@home.test",
            "--cc",
            "carol@c.test",
            "--to",
            "bob@b.test Bob Ng",
            "--to",
            "Bo <bo@b.test>",
            "--from",
            "Alice <alice@a.test>",
            "--html",
            "letter.html",
            "--text",
            "letter.txt",
        ],
        "not read",
    );
    let wanted = format!(
        "ima: 1\nfrom: alice@a.test Alice\nto: bob@b.test Bob Ng\nto: bo@b.test Bo\ncc: carol@c.test\n\
         reply-to: office@a.test\nreply-to: alice@home.test\nsubject: -- Lunch?\n\
         date: 2026-11-22T10:30:00+01:00\nid: 2@a.test\nin-reply-to: 1@b.test\n\
         references: 0@b.test\nreferences: 1@b.test\nx-mood: cheerful = yes\nkeywords: lunch\n\
         part: text/plain 10 sha256:{}\npart: text/html 17 sha256:{} alternative-of=1\n\
         part: image/jpeg 3 sha256:{} name=photo.JPG\npart: text/x-notes 4 sha256:{} name=10:30 notes\n\
         size: 34\nbcc: eve@e.test\nbcc: dave@d.test Dave\n\nDear Bob,\n<p>Dear Bob,</p>\n",
        digest(b"Dear Bob,\n"),
        digest(b"<p>Dear Bob,</p>\n"),
        digest(b"\xff\xd8\xff"),
        digest(b"nine"),
    );
    let wanted = [wanted.as_bytes(), b"\xff\xd8\xffnine"].concat();
    assert_eq!(answer.is(0).stdout, wanted);
}

#[test]
fn the_text_is_standard_input_octet_for_octet() {
    let bench = Bench::new();
    let text = "a\r\n\0\tü\u{feff}\u{1b}[0m no line end";
    for arguments in [&[][..], &["--text", "-"]] {
        let message = bench.message(arguments, text);
        assert!(message.ends_with(format!("\n\n{text}").as_bytes()));
    }
}

#[test]
fn standard_input_may_be_a_file_that_somebody_has_begun_to_read() {
    let bench = Bench::new();
    let mut file = File::open(bench.write("file", "before\nbehind\n")).unwrap();
    file.seek(SeekFrom::Start(7)).unwrap();
    let output = bench.command(MAKE, &PLAIN).stdin(file).output().unwrap();
    assert!(output.stdout.ends_with(b"size: 7\n\nbehind\n"));
}

#[test]
fn an_empty_text_makes_no_part() {
    let bench = Bench::new();
    bench.write("a.html", "<p>");
    bench.write("empty.pdf", "");
    assert!(
        bench
            .message(&[], "")
            .ends_with(b"id: 1@a.test\nsize: 0\n\n")
    );
    let html = bench.message(&["--html", "a.html", "--attach", "empty.pdf"], "");
    let nothing = digest(b"");
    assert_eq!(
        fields(&html, "part"),
        [
            format!("text/html 3 sha256:{}", digest(b"<p>")),
            format!("application/pdf 0 sha256:{nothing} name=empty.pdf"),
        ]
    );
}

#[test]
fn the_html_may_be_standard_input_where_the_text_is_not() {
    let bench = Bench::new();
    bench.write("text", "Hi\n");
    let message = bench.message(&["--text", "text", "--html", "-"], "<p>Hi");
    assert!(message.ends_with(b"\n\nHi\n<p>Hi"));
}

#[test]
fn a_pipe_can_be_attached_and_two_files_of_one_name() {
    let bench = Bench::new();
    bench.write("a.png", "first");
    std::fs::create_dir(bench.path("other")).unwrap();
    bench.write("other/a.png", "second");
    assert!(
        Command::new("mkfifo")
            .arg(bench.path("fifo.mp3"))
            .status()
            .unwrap()
            .success()
    );
    // More than stays in memory.
    let octets = vec![b'x'; 300_000];
    let (fifo, written) = (bench.path("fifo.mp3"), octets.clone());
    let writer = thread::spawn(move || {
        let mut fifo = File::options().write(true).open(fifo).unwrap();
        fifo.write_all(&written).unwrap();
    });
    let arguments = [
        "--attach",
        "a.png",
        "--attach",
        "other/a.png",
        "--attach",
        "fifo.mp3",
    ];
    let message = bench.message(&arguments, "");
    writer.join().unwrap();
    assert_eq!(
        fields(&message, "part"),
        [
            format!("image/png 5 sha256:{} name=a.png", digest(b"first")),
            format!("image/png 6 sha256:{} name=a.png", digest(b"second")),
            format!("audio/mpeg 300000 sha256:{} name=fifo.mp3", digest(&octets)),
        ]
    );
    bench.show(&["--verify"], &message).is(0);
}

#[test]
fn a_thousand_parts_and_no_more() {
    let bench = Bench::new();
    bench.write("a", "x");
    let arguments = ["--attach", "a"].repeat(1000);
    let message = bench.message(&arguments, "");
    assert_eq!(fields(&message, "part").len(), 1000);
    assert_eq!(
        bench
            .show(&["--verify"], &message)
            .is(0)
            .text()
            .lines()
            .count(),
        1000
    );
    let answer = bench.make(&arguments, "one more").is(2);
    assert!(answer.stdout.is_empty());
    assert!(
        answer
            .stderr
            .starts_with("make-ima-message: --attach \"a\": too many fields")
    );
}

#[test]
fn by_default_it_is_now_here_and_has_a_new_id() {
    let bench = Bench::new();
    let make = |zone: &str| {
        let mut command =
            bench.command(MAKE, &["--from", "alice@bücher.test", "--to", "bob@b.test"]);
        finish(command.env("TZ", zone).spawn().unwrap(), "")
            .is(0)
            .stdout
    };
    let seconds = || {
        std::time::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs()
            .try_into()
            .unwrap()
    };
    let mut ids = Vec::new();
    for (zone, offset) in [
        ("UTC", "+00:00"),
        ("XYZ-05:45", "+05:45"),
        ("no such zone", "+00:00"),
    ] {
        let before: i64 = seconds();
        let header = HeaderBlock::read(&mut &*make(zone)).unwrap();
        let date: &DateTime = header.date();
        assert!(date.as_str().ends_with(offset), "{zone}: {date}");
        assert!(
            (before..=seconds()).contains(&date.unix_seconds()),
            "{zone}: {date}"
        );
        let (token, host) = header.id().as_str().split_once('@').unwrap();
        assert_eq!((token.len(), host), (36, "xn--bcher-kva.test"));
        assert_eq!(token.as_bytes()[14], b'7', "a UUID of version 7");
        ids.push(header.id().clone());
    }
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn signatures_are_over_the_letter_and_stand_last() {
    let bench = Bench::new();
    let keys = [
        bench.key("alice@a.test", "alice.key"),
        bench.key("a.test", "host.key"),
    ];
    bench.write("keys", keys.concat());
    let arguments = [
        "--sign",
        "alice.key",
        "--bcc",
        "eve@e.test",
        "--sign",
        "host.key",
    ];
    let message = bench.message(&arguments, "Hi\n");
    let header = HeaderBlock::read(&mut &*message).unwrap();
    let last: Vec<_> = header.fields().map(|(name, ..)| name).skip(7).collect();
    assert_eq!(last, ["bcc", "signature", "signature"]);
    let verdicts = bench
        .show(&["--verify", "--keys", "keys"], &message)
        .is(0)
        .text();
    assert_eq!(
        verdicts,
        "part 1 ok\nsignature alice@a.test valid\nsignature a.test valid\n"
    );
}

#[test]
fn the_type_is_found_by_the_suffix_and_never_by_what_is_in_a_file() {
    let bench = Bench::new();
    for (name, media_type) in [
        ("a.pdf", "application/pdf"),
        ("b.tar.gz", "application/gzip"),
        ("c", "application/octet-stream"),
        ("d.unheard-of", "application/octet-stream"),
    ] {
        bench.write(name, "%PDF-1.7");
        let message = bench.message(&["--attach", name], "");
        let part = Part::parse(&fields(&message, "part")[0], 1).unwrap();
        assert_eq!(part.media_type().as_str(), media_type);
    }
}

#[test]
fn at_a_terminal_it_says_what_is_awaited() {
    let bench = Bench::new();
    let command = format!("{MAKE} --from a@a.test --to b@b.test >message 2>said");
    let mut script = bench.command("script", &["-qec", &command, "/dev/null"]);
    let mut child = script.stdout(Stdio::null()).spawn().unwrap();
    let mut terminal = child.stdin.take().unwrap();
    terminal.write_all(b"typed\n\x04").unwrap();
    assert!(child.wait().unwrap().success());
    drop(terminal);
    let mut said = String::new();
    File::open(bench.path("said"))
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(
        said,
        "make-ima-message: type the text of the message, and Ctrl-D on a line of its own to end it\n"
    );
    assert!(bench.read("message").ends_with(b"\n\ntyped\n"));
}
