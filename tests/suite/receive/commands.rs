//! The commands behind: what they are given, and what becomes of what they say.

use std::fs;
use std::time::Instant;

use super::{Place, digest};
use crate::peer::{Ending, split};
use crate::site::letter;

#[test]
fn every_exit_code_of_check_has_its_answer() {
    let cases = [
        ("exit 0", "ACCEPT"),
        ("exit 1", "REJECT recipient refused"),
        ("exit 2", "DEFER 300 "),
        ("exit 127", "DEFER 300 "),
        ("exit 4", "DEFER 300 "),
        ("kill -9 $$", "DEFER 300 "),
        ("kill -15 $$", "DEFER 300 "),
        // Its last line decides where it is an answer,
        (
            "echo REJECT policy we know you; exit 1",
            "REJECT policy we know you",
        ),
        (
            "echo REJECT policy we know you",
            "REJECT policy we know you",
        ),
        (
            "echo DEFER 3600 greylisted; exit 2",
            "DEFER 3600 greylisted",
        ),
        ("echo DEFER 3600 greylisted", "DEFER 3600 greylisted"),
        ("echo ACCEPT", "ACCEPT"),
        // but nothing is accepted that the exit code does not accept,
        ("echo ACCEPT; exit 1", "REJECT recipient "),
        ("echo ACCEPT; exit 2", "DEFER 300 "),
        ("echo ACCEPT; exit 127", "DEFER 300 "),
        ("echo ACCEPT; kill -9 $$", "DEFER 300 "),
        // nothing is refused for good by one that died or is not done,
        ("echo REJECT policy spam; exit 2", "DEFER 300 "),
        ("echo REJECT policy spam; exit 127", "DEFER 300 "),
        ("echo REJECT policy spam; kill -11 $$", "DEFER 300 "),
        // and nothing that nobody here can do.
        ("echo ACCEPT 1", "DEFER 300 "),
        ("echo ACCEPT 0", "DEFER 300 "),
        (
            "echo REDIRECT 192.0.2.7:4025 sha256:c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a8fee0df6ecf193",
            "DEFER 300 ",
        ),
    ];
    let place = Place::with("eval \"$(cat {dir}/script)\"", "exit 0");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    for (script, wanted) in cases {
        fs::write(place.file("script"), script).unwrap();
        let answer = peer.headers(&letter);
        assert_eq!(answer.len(), 1, "{script}: {answer:?}");
        assert!(answer[0].starts_with(wanted), "{script}: {answer:?}");
        if answer == ["ACCEPT"] {
            peer.say("ABORT");
            assert_eq!(peer.answer(), ["OK"]);
        }
    }
}

#[test]
fn lines_of_check_are_information_and_forge_nothing() {
    let place = Place::with(
        r"printf 'ACCEPT\nOK\n\nDEFER 1 x\rREJECT policy y\nNORECIPIENT nobody@b.test\n'; exit 1",
        "exit 0",
    );
    let server = place.b.start();
    let answer = place
        .dial(&server)
        .headers(&letter(&["nobody@b.test"], "Hello\n"));
    let wanted = [
        "+ ACCEPT",
        "+ OK",
        "+ DEFER 1 x\u{fffd}REJECT policy y",
        "+ NORECIPIENT nobody@b.test",
        "REJECT recipient no such recipient here",
    ];
    assert_eq!(answer, wanted);
}

#[test]
fn a_check_that_is_not_there_defers() {
    let place = Place::taking();
    fs::write(place.file("no-program"), "").unwrap();
    let not_executable = format!("[{:?}]", place.file("no-program"));
    for check in [
        "[\"no-such-program\"]",
        "[\"/no/such/program\"]",
        "[]",
        &not_executable,
    ] {
        place.set("check", check);
        let server = place.b.start();
        let letter = letter(&["bob@b.test"], "Hello\n");
        let answer = place.dial(&server).headers(&letter);
        assert_eq!(
            answer,
            ["DEFER 300 a fault here; try again later"],
            "{check}"
        );
        server.log.wait_for("event=check-failed");
    }
}

#[test]
fn every_exit_code_of_the_handler_has_its_answer() {
    let cases = [
        ("exit 0", "OK"),
        ("exit 1", "FAIL"),
        ("exit 2", "PARTIAL"),
        ("exit 127", "PARTIAL"),
        ("exit 77", "PARTIAL"),
        ("kill -9 $$", "PARTIAL"),
        ("kill -13 $$", "PARTIAL"),
        ("no-such-command", "PARTIAL"),
    ];
    let place = Place::with("exit 0", "eval \"$(cat {dir}/script)\"");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    for (script, wanted) in cases {
        fs::write(place.file("script"), script).unwrap();
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        assert_eq!(peer.data(&letter), [wanted], "{script}");
    }
    fs::write(
        place.file("script"),
        r"printf 'OK\nFAIL\nERROR x\nOK bob@b.test\nlast'; exit 1",
    )
    .unwrap();
    peer.headers(&letter);
    assert_eq!(
        peer.data(&letter),
        [
            "+ OK",
            "+ FAIL",
            "+ ERROR x",
            "+ OK bob@b.test",
            "+ last",
            "FAIL"
        ]
    );
}

#[test]
fn a_handler_that_is_not_there_leaves_it_unfinished() {
    let place = Place::taking();
    for handler in ["[\"no-such-program\"]", "[]"] {
        place.set("handler", handler);
        let server = place.b.start();
        assert_eq!(
            place
                .dial(&server)
                .deliver(&letter(&["bob@b.test"], "Hello\n")),
            "PARTIAL",
            "{handler}"
        );
        server.log.wait_for("event=handler-failed");
    }
}

#[test]
fn drop_closes_at_once() {
    for (check, handler) in [
        ("echo seen; exit 3", "exit 0"),
        ("exit 0", "echo seen; echo again; exit 3"),
    ] {
        let place = Place::with(check, handler);
        let server = place.b.start();
        let letter = letter(&["bob@b.test"], "Hello\n");
        let mut peer = place.dial(&server);
        peer.send_headers(&letter);
        let answered = match handler {
            "exit 0" => peer.try_answer(),
            _ => {
                assert_eq!(peer.answer(), ["ACCEPT"]);
                peer.send_data(&letter);
                peer.try_answer()
            }
        };
        let (lines, _) = answered.unwrap_err();
        assert!(lines.iter().all(|line| line.starts_with("+ ")), "{lines:?}");
        server.log.wait_for("reason=dropped");
        // The next connection is another's affair.
        assert!(place.dial(&server).try_line_after("DONE").is_err());
    }
}

impl crate::peer::Peer {
    fn try_line_after(&mut self, line: &str) -> Result<String, Ending> {
        self.say(line);
        self.try_line()
    }
}

#[test]
fn a_line_reaches_the_sender_when_it_is_written() {
    let place = Place::with("exit 0", "echo OK bob@b.test; read go <{dir}/go; echo $go");
    let go = place.gate("go");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    peer.send_data(&letter);
    assert_eq!(peer.line(), "+ OK bob@b.test");
    // The handler still waits, so nothing else can have been said.
    go.let_one_go();
    assert_eq!(peer.answer(), ["+ now", "OK"]);
}

#[test]
fn alive_is_said_every_20_seconds_and_check_has_25() {
    let place = Place::with("read go <{dir}/go", "exit 0");
    let go = place.gate("go");
    let stuck = place.b.start();
    place.set("check", place.script("exit 0"));
    place.set("handler", place.script("read go <{dir}/go"));
    let busy = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut checked = place.dial(&stuck);
    let mut handled = place.dial(&busy);
    handled.headers(&letter);

    let begin = Instant::now();
    checked.send_headers(&letter);
    handled.send_data(&letter);
    for peer in [&mut checked, &mut handled] {
        assert_eq!(peer.line(), "+ alive");
        let seconds = begin.elapsed().as_secs_f32();
        assert!((19.0..24.0).contains(&seconds), "{seconds}");
    }
    let answer = checked.answer();
    assert!(
        answer.last().unwrap().starts_with("DEFER 300 "),
        "{answer:?}"
    );
    let seconds = begin.elapsed().as_secs_f32();
    assert!((24.0..30.0).contains(&seconds), "{seconds}");
    // The handler has the time that its message has. Nobody else waits there now.
    go.let_one_go();
    assert_eq!(handled.answer(), ["OK"]);
}

#[test]
fn both_get_the_header_block_with_received_last() {
    let place = Place::with(
        "cat >{dir}/check; env >{dir}/check.env",
        "cat >{dir}/handler; env >{dir}/handler.env",
    );
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    let (block, data) = split(&letter);
    let block = String::from_utf8(block.to_vec()).unwrap();

    let check = place.read("check");
    let added = check.strip_prefix(block.trim_end_matches('\n')).unwrap();
    let added = added.strip_prefix("\nreceived: b.test ").unwrap();
    let (time, rest) = added.split_once(' ').unwrap();
    assert_eq!(
        rest,
        "from=a.test address=127.0.0.1 tls=TLSv1.3 author=host\n\n"
    );
    let time: jiff::Timestamp = time.parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(time);
    assert!((-2..60).contains(&age.as_secs()), "{time}");
    let handler = fs::read(place.file("handler")).unwrap();
    assert_eq!(handler, [check.as_bytes(), data].concat());

    let wanted = [
        format!("IMA_DIGEST={}", digest(&letter)),
        "IMA_PEER_DOMAIN=a.test".into(),
        "IMA_PEER_ADDRESS=127.0.0.1".into(),
        "IMA_AUTHOR=host".into(),
        format!("EMEMO_CONFIG_DIR={}", place.b.dir.display()),
    ];
    for file in ["check.env", "handler.env"] {
        let environment = place.read(file);
        for line in &wanted {
            assert!(
                environment.lines().any(|other| other == line),
                "{file}: {line}"
            );
        }
    }
}

/// Nobody would hear of it before mail comes, and all of that is deferred.
#[test]
fn a_command_that_is_not_there_is_told_of_at_the_start() {
    for (key, keys) in [
        ("stream", &["stream"][..]),
        ("handler", &["check", "handler"]),
    ] {
        let place = Place::new();
        for one in keys {
            let is_wrong = *one == key;
            place.set(
                one,
                if is_wrong {
                    "[\"nonesuch\"]"
                } else {
                    "[\"true\"]"
                },
            );
        }
        let server = place.b.start();
        let line = server.log.wait_for("event=command-not-found");
        for part in [
            "level=warn",
            "server-receive.toml",
            &format!("key={key}"),
            "nonesuch: there is no such program; looked for ",
        ] {
            assert!(line.contains(part), "{line}");
        }
        let text = server.log.text();
        assert_eq!(text.matches("event=command-not-found").count(), 1, "{text}");
    }
    let place = Place::new();
    let server = place.b.start();
    server.log.wait_for("event=listening");
    assert!(!server.log.text().contains("command-not-found"));
}

/// A command that is not done has its number or its signal in the log, beside the
/// digest of the message; a no is no fault, and is not there.
#[test]
fn how_a_command_failed_is_logged() {
    let place = Place::with(
        "eval \"$(cat {dir}/check)\"",
        "eval \"$(cat {dir}/handler)\"",
    );
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let digest = digest(&letter);
    let mut peer = place.dial(&server);
    for (script, level, status) in [
        ("exit 2", "warn", "exit status: 2"),
        ("exit 127", "error", "exit status: 127"),
        ("kill -9 $$", "error", "signal: 9 (SIGKILL)"),
    ] {
        for (event, check, handler) in [
            ("check-failed", script, "exit 0"),
            ("handler-failed", "exit 0", script),
        ] {
            fs::write(place.file("check"), check).unwrap();
            fs::write(place.file("handler"), handler).unwrap();
            if peer.headers(&letter) == ["ACCEPT"] {
                assert_eq!(peer.data(&letter), ["PARTIAL"]);
            }
            let says = format!(
                "level={level} program=server-receive event={event} digest={digest} \
                 command=/bin/sh status=\"{status}\""
            );
            server.log.wait_for(&says);
        }
    }
    let failed = server.log.text().matches("-failed ").count();
    for (check, handler, answer) in [
        (
            "echo DEFER 60 greylisted; exit 2",
            "",
            "DEFER 60 greylisted",
        ),
        ("exit 1", "", "REJECT recipient refused"),
        ("exit 0", "exit 1", "ACCEPT"),
    ] {
        fs::write(place.file("check"), check).unwrap();
        fs::write(place.file("handler"), handler).unwrap();
        assert_eq!(peer.headers(&letter), [answer]);
        if answer == "ACCEPT" {
            assert_eq!(peer.data(&letter), ["FAIL"]);
        }
    }
    peer.close();
    server.log.wait_for("event=closed");
    assert_eq!(server.log.text().matches("-failed ").count(), failed);
}
