//! The manual pages: their examples are run, their options are the program's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::bench::{Answer, Bench, KEY, MAKE, SHOW};

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name)).unwrap()
}

/// The literal displays of a section of a manual page, without its escapes.
fn displays(name: &str, section: &str) -> Vec<String> {
    let page = page(name);
    let section = page
        .split("\n.Sh ")
        .find_map(|text| text.strip_prefix(section))
        .unwrap();
    let displays = section.split("\n.Bd -literal").skip(1);
    displays
        .map(|display| {
            let body = display
                .split_once('\n')
                .unwrap()
                .1
                .split_once("\n.Ed")
                .unwrap()
                .0;
            format!("{}\n", body.replace("\\&", "").replace("\\e", "\\"))
        })
        .collect()
}

/// A bench with what the examples speak of, and in `bin` a stand-in for the
/// program that sends: it stores its standard input as `sent.ima`.
fn bench() -> Bench {
    let bench = Bench::new();
    for name in [
        "letter.txt",
        "letter.html",
        "report.pdf",
        "photo.jpg",
        "notes.txt",
    ] {
        bench.write(name, format!("{name}\n"));
    }
    bench.key("alice@a.test", "alice.key");
    let public = bench.run(KEY, &["--public", "alice.key"], "").is(0).text();
    bench.write("keys", public);
    let signed = bench.message(&["--sign", "alice.key", "--attach", "photo.jpg"], "Hello\n");
    bench.write("message.ima", signed);
    fs::create_dir(bench.path("bin")).unwrap();
    let sender = bench.write("bin/server-send-mail", "#!/bin/sh\ncat >sent.ima\n");
    fs::set_permissions(sender, fs::Permissions::from_mode(0o755)).unwrap();
    bench
}

/// Whether an example can be run: jq is not everywhere, and a program that is
/// missing is a fault only where EMEMO_EXTERNAL=1.
fn is_possible(example: &str) -> bool {
    !example.contains("jq ") || std::env::var_os("EMEMO_EXTERNAL").is_some_and(|value| value == "1")
}

fn run(bench: &Bench, example: &str) -> Answer {
    let script = format!("PATH=\"$PWD/bin:$PATH\"\nset -e\n{example}");
    bench.shell(&script, SHOW, "")
}

#[test]
fn the_examples_of_make_ima_message_send_what_they_say() {
    let examples = displays("make-ima-message.1", "EXAMPLES");
    assert!(examples.len() >= 4);
    for example in examples.into_iter().filter(|example| is_possible(example)) {
        let bench = bench();
        run(&bench, &example).is(0);
        let written = ["sent.ima", "draft.ima"]
            .iter()
            .find(|name| bench.path(name).exists());
        bench.show(&["--verify", written.unwrap()], "").is(0);
    }
}

#[test]
fn the_examples_of_show_ima_message_work() {
    let examples = displays("show-ima-message.1", "EXAMPLES");
    assert!(examples.len() >= 4);
    for example in examples.into_iter().filter(|example| is_possible(example)) {
        let answer = run(&bench(), &example).is(0);
        assert!(!answer.stdout.is_empty(), "{example}");
    }
}

#[test]
fn the_examples_of_make_ima_key_work() {
    let examples = displays("make-ima-key.1", "EXAMPLES");
    assert!(examples.len() >= 2);
    for example in examples {
        let bench = bench();
        fs::remove_file(bench.path("alice.key")).unwrap();
        if example.contains("--public") {
            bench.key("alice@a.test", "alice.key");
        }
        run(&bench, &example).is(0);
    }
}

#[test]
fn the_message_in_ima_message_5_is_one() {
    let examples = displays("ima-message.5", "EXAMPLES");
    let bench = Bench::new();
    assert_eq!(examples.len(), 1);
    let shown = bench.show(&["--verify"], &examples[0]).is(0).text();
    assert!(
        shown.starts_with("part 1 ok\n") && shown.contains("signature alice@a.test "),
        "{shown}"
    );
}

#[test]
fn the_limits_in_ima_message_5_are_those_that_hold() {
    use ima_message::limits;
    let text = page("ima-message.5");
    for (limit, words) in [
        (limits::MAX_LINE, "8192 octets"),
        (limits::MAX_BLOCK, "1048576 octets"),
        (limits::MAX_ADDRESSES, "10000"),
        (limits::MAX_PARTS, "1000"),
        (limits::MAX_SIGNATURES, "16"),
        (limits::MAX_MAILERS, "8"),
        (limits::MAX_ADDRESS, "320 octets"),
        (limits::MAX_ID, "255 octets"),
        (limits::MAX_FILE_NAME, "255 octets"),
    ] {
        assert!(words.starts_with(&limit.to_string()), "{words}");
        assert!(text.contains(words), "{words}");
    }
}

#[test]
fn help_and_manual_name_the_same_options() {
    for (program, page_name) in [
        (MAKE, "make-ima-message.1"),
        (SHOW, "show-ima-message.1"),
        (KEY, "make-ima-key.1"),
    ] {
        let output = Command::new(program).arg("--help").output().unwrap();
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        let name = |rest: &str| -> String {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
                .collect()
        };
        let options = help
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("--"));
        let in_help: Vec<_> = options.map(name).collect();
        let page = page(page_name);
        let items = page
            .lines()
            .filter_map(|line| line.strip_prefix(".It Fl Fl "));
        let in_page: Vec<_> = items.map(name).collect();
        assert!(in_help.len() >= 2, "{help}");
        assert_eq!(in_page, in_help, "{page_name}");
    }
}
