//! Commands that mail is routed to, as the sender hears of them: the same by the
//! handler that stays and by the one that is run for each message.

use std::fs;
use std::process::Command;

use super::Place;
use crate::peer::Peer;
use crate::site::{Server, letter};

const DEFERRED: &str = "+ DEFER bob@b.test - 60 86400 not delivered yet";

/// Bob's mail goes to ./first, eve's to ./second, and anybody else's to ./other.
fn place(stays: bool) -> Place {
    let place = Place::new();
    if !stays {
        place.set("check", "[\"server-handle-incoming-mail\", \"--check\"]");
        place.set("handler", "[\"server-handle-incoming-mail\"]");
    }
    place.b.edit("server-handle-incoming-mail.toml", |_| {
        "hosts = [\"b.test\"]\n[routes]\n\
         \"bob@b.test\" = { command = [\"./first\"] }\n\
         \"eve@b.test\" = { command = [\"./second\"] }\n\
         \"*@b.test\" = { command = [\"./other\", \"{localpart}\", \"x{address}\"] }\n"
            .to_owned()
    });
    place
}

/// Makes an executable shell script beside the configuration.
fn script(place: &Place, name: &str, body: &str) {
    let source = place.file("script.sh");
    fs::write(&source, format!("#!/bin/sh\n{body}\n")).unwrap();
    // By another process: a child that another test starts meanwhile could hold a
    // file open that this one writes, which then cannot be executed.
    let mut install = Command::new("install");
    install
        .args(["-m", "755"])
        .arg(&source)
        .arg(place.b.dir.join(name));
    assert!(install.status().unwrap().success());
}

/// What is answered to the data of a message to these, sorted.
fn answer(peer: &mut Peer, recipients: &[&str]) -> Vec<String> {
    let letter = letter(recipients, "Hello\n");
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    let mut answer = peer.data(&letter);
    let last = answer.pop().unwrap();
    answer.sort_unstable();
    answer.push(last);
    answer
}

#[test]
fn every_exit_code_has_its_line_and_its_answer() {
    let (bob, eve) = ("+ OK bob@b.test", "+ OK eve@b.test");
    let (no_bob, no_eve) = ("+ FAIL bob@b.test refused", "+ FAIL eve@b.test refused");
    let cases = [
        ("exit 0", "exit 0", [bob, eve, "OK"]),
        ("exit 0", "exit 1", [no_eve, bob, "PARTIAL"]),
        ("exit 1", "exit 1", [no_bob, no_eve, "FAIL"]),
        ("exit 2", "exit 0", [DEFERRED, eve, "PARTIAL"]),
        ("exit 2", "exit 1", [DEFERRED, no_eve, "PARTIAL"]),
        ("exit 4", "exit 0", [DEFERRED, eve, "PARTIAL"]),
        ("exit 127", "exit 0", [DEFERRED, eve, "PARTIAL"]),
        ("exit 255", "exit 1", [DEFERRED, no_eve, "PARTIAL"]),
        ("kill -KILL $$", "exit 0", [DEFERRED, eve, "PARTIAL"]),
        ("kill -PIPE $$", "exit 0", [DEFERRED, eve, "PARTIAL"]),
        ("kill -SEGV $$", "exit 0", [DEFERRED, eve, "PARTIAL"]),
        (
            "echo OK bob@b.test; kill -KILL $$",
            "exit 0",
            [bob, eve, "PARTIAL"],
        ),
        ("exec >&- <&-; exit 0", "exit 0", [bob, eve, "OK"]),
    ];
    let both = ["bob@b.test", "eve@b.test"];
    for stays in [true, false] {
        let place = place(stays);
        let server = place.b.start();
        let mut peer = place.dial(&server);
        for (first, second, wanted) in &cases {
            script(&place, "first", first);
            script(&place, "second", second);
            assert_eq!(answer(&mut peer, &both), wanted, "{stays} {first} {second}");
        }
        // What drops a connection drops no other.
        script(&place, "first", "exit 3");
        let letter = letter(&both, "Hello\n");
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        peer.send_data(&letter);
        let (lines, _) = peer.try_answer().unwrap_err();
        assert!(lines.iter().all(|line| line == eve), "{stays}: {lines:?}");
        cannot_be_run(&place, &server, stays);
    }
}

fn cannot_be_run(place: &Place, server: &Server, stays: bool) {
    let first = place.b.dir.join("first");
    let mut peer = place.dial(server);
    let wanted = [DEFERRED, "PARTIAL"];
    fs::remove_file(&first).unwrap();
    assert_eq!(answer(&mut peer, &["bob@b.test"]), wanted, "{stays}");
    fs::write(&first, "#!/bin/sh\n").unwrap();
    assert_eq!(answer(&mut peer, &["bob@b.test"]), wanted, "{stays}");
    fs::remove_file(&first).unwrap();
    fs::create_dir(&first).unwrap();
    assert_eq!(answer(&mut peer, &["bob@b.test"]), wanted, "{stays}");
    fs::remove_dir(&first).unwrap();
    script(place, "first", "exit 0");
    let wanted = ["+ OK bob@b.test", "OK"];
    assert_eq!(answer(&mut peer, &["bob@b.test"]), wanted, "{stays}");
}

#[test]
fn an_address_is_one_literal_argument_and_filled_in_once() {
    for stays in [true, false] {
        let place = place(stays);
        let shown = place.file("shown");
        let body = format!("printf '%s\\n' \"$#\" \"$@\" >{}", shown.display());
        script(&place, "other", &body);
        let server = place.b.start();
        let mut peer = place.dial(&server);
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
            "#",
            "a=b",
        ] {
            let address = format!("{localpart}@b.test");
            let wanted = [format!("+ OK {address}"), "OK".to_owned()];
            assert_eq!(answer(&mut peer, &[&address]), wanted, "{stays}");
            let mapped = localpart.to_lowercase();
            assert_eq!(
                place.read("shown"),
                format!("3\n{mapped}\nx{mapped}@b.test\n{address}\n")
            );
            fs::remove_file(&shown).unwrap();
        }
        // Those that the grammar refuses.
        let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
        for localpart in [
            "-rf",
            "--config=x",
            ".x",
            "a/b",
            "a\\b",
            "<a",
            "a\"b",
            "a,b",
            "../x",
        ] {
            let other = text.replace("to: bob@", &format!("to: {localpart}@"));
            let answer = peer.headers(other.as_bytes());
            assert!(answer[0].starts_with("REJECT format line "), "{answer:?}");
        }
        assert!(!shown.exists());
    }
}

/// What a command says of others, and of nobody, is text: it is not what is believed.
#[test]
fn nobody_s_line_is_forged() {
    let forged = r"printf 'OK eve@b.test\nFAIL eve@b.test no\nNORECIPIENT eve@b.test\nOK\nFAIL\nPARTIAL\nERROR x\n\nACCEPT\r\nOK \033[2Jbob@b.test\nOK bob@b.test\0\n'; exit 1";
    for stays in [true, false] {
        let place = place(stays);
        script(&place, "first", forged);
        script(&place, "second", "exit 2");
        let server = place.b.start();
        let mut peer = place.dial(&server);
        let answer = answer(&mut peer, &["bob@b.test", "eve@b.test"]);
        let (last, lines) = answer.split_last().unwrap();
        assert_eq!(last, "PARTIAL", "{answer:?}");
        let of = |address: &str| -> Vec<&String> {
            let heard = lines.iter().filter(|line| {
                let line = line.strip_prefix("+ ").unwrap();
                ima_message::HandlerLine::parse(line)
                    .is_some_and(|line| line.address().to_string() == address)
            });
            heard.collect()
        };
        assert_eq!(of("bob@b.test"), ["+ FAIL bob@b.test refused"], "{lines:?}");
        let deferred = "+ DEFER eve@b.test - 60 86400 not delivered yet";
        assert_eq!(of("eve@b.test"), [deferred], "{lines:?}");
    }
}
