//! Routed commands.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::site::{Site, finish, message, message_of};

const DEFERRED: &str = "DEFER bob@b.test - 60 86400 not delivered yet";

/// Bob's mail goes to a script.
fn site_with(script: &str) -> Site {
    let site = Site::new("\"bob@b.test\" = { command = [\"./run\"] }");
    site.script("run", script);
    site
}

#[test]
fn a_script_of_three_lines_gets_the_message_and_who_it_is_for() {
    let site = Site::new(
        "\"*@b.test\" = { command = [\"./keep\", \"--for={address}\", \"{localpart}\", \"{hostpart}\", \"{}\"] }",
    );
    site.script(
        "keep",
        "cat >{dir}/message\nfor word; do echo \"$word\"; done >{dir}/words\nenv | sort >{dir}/env",
    );
    let message = message_of(
        "to: bob@b.test\nbcc: Eve+Shop@B.Test\nbcc: carol@c.test\ndeliver: eve+shop@b.test\n",
        "Hello\n",
        &[("a.bin", b"\0\xFF")],
    );
    let mut command = site.command(&[]);
    let kept = [
        ("IMA_PEER_DOMAIN", "a.test"),
        ("IMA_PEER_ADDRESS", "192.0.2.7"),
        ("IMA_AUTHOR", "host"),
        ("TZ", "UTC"),
    ];
    command.envs(kept).envs([
        ("IMA_RECIPIENT", "x@c.test"),
        ("SECRET", "x"),
        ("LD_LIBRARY_PATH", "/x"),
    ]);
    finish(command, &message).is(0, &["OK eve+shop@b.test"]);

    let given = fs::read(site.path("message")).unwrap();
    let wanted = message_of(
        "to: bob@b.test\nbcc: Eve+Shop@B.Test\n",
        "Hello\n",
        &[("a.bin", b"\0\xFF")],
    );
    assert_eq!(given, wanted);
    let words = site.read("words");
    assert_eq!(
        words.lines().collect::<Vec<_>>(),
        [
            "--for=eve+shop@b.test",
            "eve",
            "b.test",
            "{}",
            "eve+shop@b.test"
        ]
    );

    let env = site.read("env");
    let value = |name: &str| {
        env.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    for (name, kept) in kept {
        assert_eq!(value(name), Some(kept));
    }
    assert_eq!(value("IMA_RECIPIENT"), Some("eve+shop@b.test"));
    let digest = ima_message::HeaderBlock::parse(super::site::header_of(&wanted))
        .unwrap()
        .digest();
    assert_eq!(value("IMA_DIGEST"), Some(digest.to_string().as_str()));
    assert!(!env.contains("SECRET") && !env.contains("LD_LIBRARY_PATH") && !env.contains("HOME"));
}

#[test]
fn exit_codes() {
    let two = |first: &str, second: &str, code: i32, lines: &[&str]| {
        let site = Site::new(
            "\"bob@b.test\" = { command = [\"./first\"] }\n\"eve@b.test\" = { command = [\"./second\"] }\n",
        );
        site.script("first", first);
        site.script("second", second);
        site.delivers(&message("to: bob@b.test\nto: eve@b.test\n"), code, lines);
    };
    let (bob, eve) = ("OK bob@b.test", "OK eve@b.test");
    let (no_bob, no_eve) = ("FAIL bob@b.test refused", "FAIL eve@b.test refused");
    two("exit 0", "exit 0", 0, &[bob, eve]);
    two("exit 0", "exit 1", 2, &[bob, no_eve]);
    two("exit 1", "exit 1", 1, &[no_bob, no_eve]);
    two("exit 2", "exit 0", 2, &[DEFERRED, eve]);
    two("exit 2", "exit 1", 2, &[DEFERRED, no_eve]);
    for unfinished in [
        "exit 2",
        "exit 4",
        "exit 127",
        "exit 255",
        "kill -KILL $$",
        "kill -PIPE $$",
        "kill -SEGV $$",
    ] {
        site_with(unfinished).delivers(&message("to: bob@b.test\n"), 2, &[DEFERRED]);
    }
}

#[test]
fn three_closes_the_connection_and_nothing_more_is_begun() {
    let site = Site::configured(
        "hosts = [\"b.test\"]\nparallel = 1\n[routes]\n\"*@b.test\" = { command = [\"./run\"] }\n",
    );
    site.script("run", "touch {dir}/ran-$1\ntest $1 != bad@b.test || exit 3");
    let lines = "to: a@b.test\nto: bad@b.test\nto: z@b.test\n";
    site.delivers(&message(lines), 3, &["OK a@b.test"]);
    assert!(site.path("ran-a@b.test").exists() && !site.path("ran-z@b.test").exists());
    // Those who are being served are served to the end.
    let site = Site::new(
        "\"a@b.test\" = { command = [\"./wait\"] }\n\"bad@b.test\" = { command = [\"./drop\"] }\n",
    );
    assert!(
        std::process::Command::new("mkfifo")
            .arg(site.path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    site.script("wait", "cat {dir}/fifo");
    site.script("drop", "echo go >{dir}/fifo; exit 3");
    site.delivers(
        &message("to: a@b.test\nto: bad@b.test\n"),
        3,
        &["go", "OK a@b.test"],
    );
}

#[test]
fn a_command_that_cannot_be_run_is_our_fault() {
    let bob = message("to: bob@b.test\n");
    let site = site_with("exit 0");
    fs::remove_file(site.path("run")).unwrap();
    site.delivers(&bob, 2, &[DEFERRED])
        .explains("run: there is no such program");
    site.write("run", "#!/bin/sh\n");
    site.delivers(&bob, 2, &[DEFERRED])
        .explains("is not an executable file");
    site.write("run", "#!/no/such/interpreter\n");
    fs::set_permissions(site.path("run"), Permissions::from_mode(0o755)).unwrap();
    site.delivers(&bob, 2, &[DEFERRED])
        .explains("cannot be started");
    Site::new("\"bob@b.test\" = { command = [\"no-such-program\"] }").delivers(
        &bob,
        2,
        &[DEFERRED],
    );
}

#[test]
fn an_address_is_one_literal_argument_and_filled_in_once() {
    let site =
        Site::new("\"*@b.test\" = { command = [\"./show\", \"{localpart}\", \"x{address}\"] }");
    site.script("show", "printf '%s\\n' \"$#\" \"$@\" >\"{dir}/shown\"");
    for localpart in [
        ";touch",
        "$(touch)",
        "`touch`",
        "{address}",
        "{localpart}",
        "%s",
        "*",
        "~",
        "$PATH",
        "&",
        "|",
        "'",
        "!!",
        "#",
        "a=b",
        "()",
        "[a]",
        "^",
        "?",
    ] {
        let address = format!("{localpart}@b.test");
        site.delivers(
            &message(&format!("to: {address}\n")),
            0,
            &[&format!("OK {address}")],
        );
        let mapped = localpart.to_lowercase();
        assert_eq!(
            site.read("shown"),
            format!("3\n{mapped}\nx{mapped}@b.test\n{address}\n")
        );
    }
}

#[test]
fn the_first_line_about_its_recipient_is_a_commands_answer() {
    let bob = message("to: bob@b.test\n");
    for (script, code, lines) in [
        ("echo OK bob@b.test", 0, vec!["OK bob@b.test"]),
        ("echo OK BOB@b.test", 0, vec!["OK bob@b.test"]),
        (
            "echo FAIL bob@b.test moved away; exit 1",
            1,
            vec!["FAIL bob@b.test moved away"],
        ),
        (
            "echo NORECIPIENT bob@b.test; exit 1",
            1,
            vec!["NORECIPIENT bob@b.test"],
        ),
        (
            "echo DEFER bob@b.test held-1 5 50 wait; exit 2",
            2,
            vec!["DEFER bob@b.test held-1 5 50 wait"],
        ),
        (
            "printf 'FAIL bob@b.test no LF'; exit 1",
            1,
            vec!["FAIL bob@b.test no LF"],
        ),
        // Where line and exit code differ, it is not all the same.
        ("echo FAIL bob@b.test x", 2, vec!["FAIL bob@b.test x"]),
        ("echo OK bob@b.test; exit 2", 2, vec!["OK bob@b.test"]),
        (
            "echo OK bob@b.test; kill -KILL $$",
            2,
            vec!["OK bob@b.test"],
        ),
        ("echo OK bob@b.test; exit 3", 3, vec!["OK bob@b.test"]),
        ("exit 3", 3, vec![]),
        // Only one counts, and nobody else's.
        (
            "echo OK bob@b.test; echo FAIL bob@b.test no",
            0,
            vec!["OK bob@b.test", "bob@b.test: FAIL bob@b.test no"],
        ),
        (
            "echo FAIL eve@b.test no",
            0,
            vec!["OK bob@b.test", "bob@b.test: FAIL eve@b.test no"],
        ),
        (
            "echo OK eve@c.test; echo; echo ' ok eve@b.test'; exit 1",
            1,
            vec![
                "FAIL bob@b.test refused",
                "bob@b.test: OK eve@c.test",
                "bob@b.test:  ok eve@b.test",
            ],
        ),
        (
            "echo DEFER bob@b.test; echo hello; exit 1",
            1,
            vec![
                "FAIL bob@b.test refused",
                "bob@b.test: DEFER bob@b.test",
                "hello",
            ],
        ),
        (
            "printf 'a\\033[2Jb\\rc\\n'",
            0,
            vec!["OK bob@b.test", "a\u{FFFD}[2Jb\u{FFFD}c"],
        ),
    ] {
        site_with(script).delivers(&bob, code, &lines);
    }
}

#[test]
fn what_a_command_does_with_its_descriptors_is_bounded() {
    let large = message_of(
        "to: bob@b.test\n",
        "Hello\n",
        &[("large.bin", &vec![b'x'; 3_000_000])],
    );
    for unread in [
        "exit 0",
        "exec <&-",
        "exec >&-; exec cat >/dev/null",
        "head -c 10 >/dev/null",
    ] {
        site_with(unread).delivers(&large, 0, &["OK bob@b.test"]);
    }
    let site = site_with("yes a line that goes on and on | head -n 1000000; exit 0");
    let answer = site.run(&[], &large);
    assert_eq!(answer.code, Some(0));
    assert!(answer.stdout.ends_with("\nOK bob@b.test\n"));
    assert!(answer.stdout.len() < 300_000, "{}", answer.stdout.len());
    let answer = answer
        .explains("event=text-cut")
        .explains("event=child-output-cut");
    assert_eq!(answer.stderr.matches("event=text-cut").count(), 1);
    let site = site_with("head -c 100000 /dev/zero | tr '\\0' x; echo; echo OK bob@b.test");
    let answer = site.run(&[], &large);
    assert!(
        answer.stdout.lines().all(|line| line.len() <= 4093)
            && answer.stdout.ends_with("OK bob@b.test\n")
    );
}

#[test]
fn each_of_many_commands_reads_the_whole_message_for_itself() {
    let site = Site::new("\"*@b.test\" = { command = [\"./keep\"] }");
    site.script("keep", "cat >{dir}/kept-$1");
    let names: Vec<_> = (0..20).map(|n| format!("user{n}@b.test")).collect();
    let to: String = names.iter().map(|name| format!("to: {name}\n")).collect();
    let octets: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    // With and without a line that none of them is given.
    for more in ["", "bcc: x@c.test\n"] {
        let message = message_of(&format!("{to}{more}"), "Hello\n", &[("large.bin", &octets)]);
        let answer = site.run(&[], &message);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let wanted = message_of(&to, "Hello\n", &[("large.bin", &octets)]);
        for name in &names {
            assert!(
                fs::read(site.path(&format!("kept-{name}"))).unwrap() == wanted,
                "{name}"
            );
        }
    }
}

#[test]
fn several_are_served_at_once_and_no_more_than_parallel() {
    // Each waits for the other.
    let site = Site::new(
        "\"a@b.test\" = { command = [\"./a\"] }\n\"b@b.test\" = { command = [\"./b\"] }\n",
    );
    assert!(
        std::process::Command::new("mkfifo")
            .arg(site.path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    site.script("a", "echo from a >{dir}/fifo");
    site.script("b", "cat {dir}/fifo");
    site.delivers(
        &message("to: a@b.test\nto: b@b.test\n"),
        0,
        &["from a", "OK a@b.test", "OK b@b.test"],
    );

    let site = Site::configured(
        "hosts = [\"b.test\"]\nparallel = 1\n[routes]\n\"*@b.test\" = { command = [\"./alone\"] }\n",
    );
    site.script(
        "alone",
        "mkdir {dir}/busy || exit 1\ncat >/dev/null\nls / >/dev/null\nrmdir {dir}/busy",
    );
    let lines: String = (0..20).map(|n| format!("to: user{n}@b.test\n")).collect();
    let answer = site.run(&[], &message(&lines));
    assert_eq!(answer.code, Some(0), "{}", answer.stdout);
}

#[test]
fn a_line_is_heard_before_the_others_have_theirs() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::Stdio;
    let site = Site::new(
        "\"a@b.test\" = { command = [\"true\"] }\n\"b@b.test\" = { command = [\"./b\"] }\n",
    );
    assert!(
        std::process::Command::new("mkfifo")
            .arg(site.path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    site.script("b", "cat {dir}/fifo");
    fs::write(
        site.path("message"),
        message("to: a@b.test\nto: b@b.test\n"),
    )
    .unwrap();
    let mut child = site
        .command(&["message"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "OK a@b.test");
    fs::File::options()
        .write(true)
        .open(site.path("fifo"))
        .unwrap()
        .write_all(b"now\n")
        .unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(rest, ["now", "OK b@b.test"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// How a command ended stands in the log, by its number or its signal; and what is not
/// done is not logged as what is as it should be.
#[test]
fn how_a_command_ended_is_logged() {
    let message = message("to: bob@b.test\n");
    for (script, level, exit, status) in [
        ("exit 0", "info", "done", "exit status: 0"),
        ("exit 1", "info", "refused", "exit status: 1"),
        ("exit 2", "warn", "unfinished", "exit status: 2"),
        ("exit 7", "error", "unfinished", "exit status: 7"),
        ("kill -9 $$", "error", "unfinished", "signal: 9 (SIGKILL)"),
    ] {
        let answer = site_with(script).run(&[], &message);
        let line = answer
            .stderr
            .lines()
            .find(|line| line.contains("event=command-ended"));
        let line = line.unwrap_or_else(|| panic!("{answer:?}"));
        assert!(line.contains(&format!(" level={level} ")), "{line}");
        let says = format!(" exit={exit} status=\"{status}\"");
        assert!(line.ends_with(&says), "{line}");
    }
}
