//! Handlers that stay: scripts that keep the contract, and scripts that break it.

mod bounds;
mod floods;

use std::fs;

use super::Place;
use super::handlers::is_gone;
use super::lasting::commands;
use crate::peer::{Cut, split};
use crate::process::{terminate, wait};
use crate::site::{Server, letter, letter_octets, wait_until};

/// Does at HEADERS what `{dir}/headers` says, and at DATA, once it has read them,
/// what `{dir}/data` says. It notes down each process, and what it was told.
const SCRIPT: &str = r#"echo $$ >>{dir}/pids
while read -r word octets; do
    echo $word >>{dir}/told
    case $word in
    HEADERS) head -c $octets >{dir}/block; eval "$(cat {dir}/headers)" ;;
    DATA) eval "$(cat {dir}/data)" ;;
    ABORT) echo OK ;;
    esac
done
echo end >>{dir}/told"#;

const TAKES: &str = "head -c $octets >{dir}/taken; echo OK";

fn place(headers: &str, data: &str) -> Place {
    let place = Place::staying(SCRIPT);
    act(&place, headers, data);
    place
}

fn act(place: &Place, headers: &str, data: &str) {
    let dir = place.site.path().to_str().unwrap();
    for (name, script) in [("headers", headers), ("data", data)] {
        fs::write(place.file(name), script.replace("{dir}", dir)).unwrap();
    }
}

fn pids(place: &Place) -> Vec<String> {
    let pids = fs::read_to_string(place.file("pids")).unwrap_or_default();
    pids.lines().map(str::to_owned).collect()
}

fn told(place: &Place) -> Vec<String> {
    place.read("told").lines().map(str::to_owned).collect()
}

fn hello() -> Vec<u8> {
    letter(&["bob@b.test"], "Hello\n")
}

#[test]
fn one_process_serves_many_messages_on_many_connections() {
    let place = place(
        "echo + looked up; echo ACCEPT",
        "head -c $octets >{dir}/taken; echo + OK bob@b.test; echo OK",
    );
    let server = place.b.start();
    assert_eq!(pids(&place).len(), 0, "nothing is started in advance");
    let letter = hello();
    for _ in 0..3 {
        let mut peer = place.dial(&server);
        for _ in 0..3 {
            assert_eq!(peer.headers(&letter), ["+ looked up", "ACCEPT"]);
            assert_eq!(peer.data(&letter), ["+ OK bob@b.test", "OK"]);
        }
        peer.close();
    }
    assert_eq!(pids(&place).len(), 1);
    assert_eq!(fs::read(place.file("taken")).unwrap(), split(&letter).1);
    let block = place.read("block");
    let added = " from=a.test address=127.0.0.1 tls=TLSv1.3 author=host\n\n";
    assert!(block.contains("\nreceived: b.test ") && block.ends_with(added));
}

#[test]
fn the_script_in_the_manual_keeps_each_message_once() {
    let place = Place::new();
    let examples = crate::pages::examples("ima-handler.7");
    let find = |begin: &str| {
        examples
            .iter()
            .find(|text| text.starts_with(begin))
            .unwrap()
    };
    fs::write(place.file("script"), find("#!/bin/sh\n# keep-all ")).unwrap();
    // By another process, or it could be open for writing in a child of another test.
    let mut install = std::process::Command::new("install");
    install.args(["-m", "755"]).arg(place.file("script"));
    let installed = install.arg(place.b.dir.join("keep-all")).status();
    assert!(installed.unwrap().success());
    let folder = place.file("all");
    fs::create_dir(&folder).unwrap();
    let (key, value) = find("stream = ").trim_end().split_once(" = ").unwrap();
    place.set(
        key,
        value.replace("/srv/mail/all", folder.to_str().unwrap()),
    );

    let server = place.b.start();
    let mut peer = place.dial(&server);
    let count = || {
        let names = fs::read_dir(&folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.len() == 64).count()
    };
    for (kept, size) in [(1, 6), (2, 60_000), (3, 300_000)] {
        let other = letter(&["bob@b.test"], &"y".repeat(size));
        let letter = letter(&["bob@b.test", "eve@b.test"], &"x".repeat(size));
        assert_eq!(peer.deliver(&letter), "OK");
        assert_eq!(peer.deliver(&letter), "OK", "and again");
        assert_eq!(count(), kept);
        // One that is cut off is not kept.
        let mut cut = place.dial(&server);
        assert_eq!(cut.headers(&other), ["ACCEPT"]);
        let most = &split(&other).1[..size - 1];
        cut.send(&[format!("DATA {size}\n").as_bytes(), most].concat());
        let closed = server.log.text().matches("event=closed").count();
        cut.cut(Cut::Fin);
        wait_until("its end", || {
            server.log.text().matches("event=closed").count() > closed
        });
        assert_eq!(count(), kept);
    }
    let kept = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept: Vec<_> = kept.filter_map(|path| fs::read(path).ok()).collect();
    let last = letter_octets(kept.iter().find(|kept| kept.len() > 300_000).unwrap());
    assert!(last.ends_with(&[b'x'; 300_000]));
}

#[test]
fn what_is_answered_to_headers() {
    let place = place("", TAKES);
    let server = place.b.start();
    let letter = hello();
    let mut peer = place.dial(&server);
    for (script, wanted) in [
        ("echo ACCEPT", &["ACCEPT"][..]),
        (
            "echo REJECT policy we know you",
            &["REJECT policy we know you"],
        ),
        ("echo DEFER 3600 greylisted", &["DEFER 3600 greylisted"]),
        (
            "echo + NORECIPIENT eve@b.test; echo + OK; echo REJECT recipient nobody",
            &[
                "+ NORECIPIENT eve@b.test",
                "+ OK",
                "REJECT recipient nobody",
            ],
        ),
        // Nobody here can do that,
        (
            "echo ACCEPT 1",
            &["DEFER 300 a fault here; try again later"],
        ),
        (
            "echo REDIRECT 192.0.2.7:4025 sha256:c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a8fee0df6ecf193",
            &["DEFER 300 a fault here; try again later"],
        ),
    ] {
        act(&place, script, TAKES);
        assert_eq!(peer.headers(&letter), wanted, "{script}");
        if wanted == ["ACCEPT"] {
            peer.say("ABORT");
            assert_eq!(peer.answer(), ["OK"]);
        }
    }
    // and those that were accepted are forgotten.
    assert_eq!(
        told(&place).iter().filter(|word| *word == "ABORT").count(),
        2
    );
    assert_eq!(pids(&place).len(), 1);
}

#[test]
fn one_that_breaks_the_rules_is_replaced_and_refuses_nothing_for_good() {
    let place = place("", TAKES);
    let server = place.b.start();
    let letter = hello();
    let mut peer = place.dial(&server);
    for (headers, data) in [
        ("exit 0", ""),
        ("exit 1", ""),
        ("exit 127", ""),
        ("kill -9 $$", ""),
        ("echo OK", ""),
        ("echo accept", ""),
        ("echo +", ""),
        ("printf 'ACCEPT\\r\\n'", ""),
        ("echo REJECT", ""),
        ("printf REJECT' policy x'; exit 2", ""),
        ("exec >&-; exit 0", ""),
        ("printf 'ACCEPT\\nACCEPT\\n'", "head -c $octets; echo OK"),
        ("printf 'ACCEPT\\n+ OK bob@b.test\\n'", TAKES),
        ("echo ACCEPT", "exit 0"),
        ("echo ACCEPT", "head -c $octets >/dev/null; exit 1"),
        ("echo ACCEPT", "head -c $octets >/dev/null; kill -9 $$"),
        ("echo ACCEPT", "head -c $octets >/dev/null; echo ACCEPT"),
        (
            "echo ACCEPT",
            "head -c $octets >/dev/null; echo OK bob@b.test",
        ),
        // It has not read them.
        ("echo ACCEPT", "exec <&-; echo OK; exit 0"),
    ] {
        let before = pids(&place);
        act(&place, headers, data);
        let answer = peer.headers(&letter);
        if data.is_empty() {
            let last = answer.last().unwrap();
            assert_eq!(last, "DEFER 300 a fault here; try again later", "{headers}");
        } else {
            assert_eq!(answer, ["ACCEPT"], "{headers}");
            let answer = peer.data(&letter);
            assert_eq!(answer, ["PARTIAL"], "{headers}; {data}");
        }
        act(&place, "echo ACCEPT", TAKES);
        assert_eq!(peer.deliver(&letter), "OK", "after {headers}; {data}");
        let after = pids(&place);
        // One that ends in order as it is asked is given a second chance.
        let more = before.is_empty() || headers.ends_with("exit 0");
        let wanted = before.len() + 1 + usize::from(more);
        assert_eq!(after.len(), wanted, "{headers}; {data}");
    }
    server.log.wait_for("event=handler-failed");
    wait_until("no zombie", || commands(&server) == 1);
}

/// How it ended stands in the log, by its number or its signal.
#[test]
fn one_that_dies_in_the_middle_is_logged_with_its_end() {
    let place = place("echo ACCEPT", "kill -9 $$");
    let server = place.b.start();
    let letter = hello();
    let mut peer = place.dial(&server);
    for (headers, data, why) in [
        ("echo ACCEPT", "kill -9 $$", "signal: 9 (SIGKILL)"),
        ("exit 7", "", "exit status: 7"),
    ] {
        act(&place, headers, data);
        if peer.headers(&letter) == ["ACCEPT"] {
            assert_eq!(peer.data(&letter), ["PARTIAL"]);
        }
        let says = format!("error=\"it ended in the middle of a message, with {why}\"");
        let line = server.log.wait_for(&says);
        assert!(line.contains(" level=error "), "{line}");
    }
}

#[test]
fn one_that_answers_unread_data_is_not_believed() {
    let place = place("echo ACCEPT", "echo OK; sleep 1000");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], &"x".repeat(50_000));
    let mut peer = place.dial(&server);
    for _ in 0..3 {
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        assert_eq!(peer.data(&letter), ["PARTIAL"]);
    }
    server
        .log
        .wait_for("error=\"it answered before it had read what it was given\"");
    wait_until("its end", || commands(&server) == 0);
}

#[test]
fn one_that_speaks_after_its_answer_is_not_asked_again() {
    let place = place(
        "echo ACCEPT",
        "head -c $octets >{dir}/taken; printf 'OK\\nOK\\n'",
    );
    let server = place.b.start();
    let letter = hello();
    let mut peer = place.dial(&server);
    for asked in 1..4 {
        assert_eq!(peer.deliver(&letter), "OK");
        assert_eq!(pids(&place).len(), asked);
    }
    server
        .log
        .wait_for("error=\"it spoke before it was asked\"");
}

#[test]
fn one_that_ends_in_order_is_replaced_without_a_word() {
    let place = place(
        "echo ACCEPT",
        "head -c $octets >{dir}/taken; echo OK; exit 0",
    );
    let server = place.b.start();
    let letter = hello();
    let mut peer = place.dial(&server);
    for asked in 1..20 {
        assert_eq!(peer.deliver(&letter), "OK", "{asked}");
        assert_eq!(pids(&place).len(), asked);
    }
    assert!(!server.log.text().contains("handler-failed"));
    wait_until("all are reaped", || commands(&server) == 0);
}

#[test]
fn three_drops_the_connection() {
    for (headers, data) in [
        ("echo + seen; exit 3", ""),
        (
            "echo ACCEPT",
            "head -c $octets >/dev/null; echo + seen; exit 3",
        ),
    ] {
        let place = place(headers, data);
        let server = place.b.start();
        let letter = hello();
        let mut peer = place.dial(&server);
        peer.send_headers(&letter);
        if !data.is_empty() {
            assert_eq!(peer.answer(), ["ACCEPT"]);
            peer.send_data(&letter);
        }
        let (lines, _) = peer.try_answer().unwrap_err();
        assert!(lines.iter().all(|line| line == "+ seen"), "{lines:?}");
        server.log.wait_for("reason=dropped");
        assert!(!server.log.text().contains("handler-failed"));
        act(&place, "echo ACCEPT", TAKES);
        assert_eq!(place.dial(&server).deliver(&letter), "OK");
    }
}

#[test]
fn it_never_has_the_whole_of_a_message_that_is_wrong_or_cut_off() {
    let place = place("echo ACCEPT", TAKES);
    let server = place.b.start();
    for size in [6, 60_000, 300_000] {
        let letter = letter(&["bob@b.test"], &"x".repeat(size));
        let mut peer = place.dial(&server);
        let mut wrong = letter.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        assert_eq!(peer.data(&wrong).last().unwrap(), "FAIL");
        assert_taken_is_less(&place, size);
        for cut in [Cut::CloseNotify, Cut::Fin, Cut::Reset] {
            let mut peer = place.dial(&server);
            assert_eq!(peer.headers(&letter), ["ACCEPT"]);
            let (_, data) = split(&letter);
            peer.send(&[format!("DATA {size}\n").as_bytes(), &data[..size - 1]].concat());
            let closed = server.log.text().matches("event=closed").count();
            peer.cut(cut);
            wait_until("its end", || {
                server.log.text().matches("event=closed").count() > closed
            });
            assert_taken_is_less(&place, size);
        }
        // The connection on which data were wrong goes on.
        assert_eq!(peer.deliver(&letter), "OK");
        assert_eq!(fs::read(place.file("taken")).unwrap().len(), size);
        fs::remove_file(place.file("taken")).unwrap();
    }
    // What it was not told of, it need not be ended for.
    assert!(!server.log.text().contains("handler-failed"));
}

fn assert_taken_is_less(place: &Place, size: usize) {
    let taken = fs::read(place.file("taken")).unwrap_or_default();
    assert!(taken.len() < size, "{} of {size}", taken.len());
}

#[test]
fn at_the_end_of_the_server_it_ends_in_order() {
    let place = place("echo ACCEPT", TAKES);
    let mut server: Server = place.b.start();
    let mut peer = place.dial(&server);
    assert_eq!(peer.deliver(&hello()), "OK");
    terminate(&server.child);
    assert_eq!(wait(&mut server.child).code(), Some(0));
    assert_eq!(told(&place).last().unwrap(), "end");
    assert!(is_gone(&pids(&place)[0]));
}

#[test]
fn only_one_contract_is_configured() {
    for other in ["check", "handler"] {
        let place = Place::staying(SCRIPT);
        place.set(other, "[\"true\"]");
        let output = place.b.command("server-receive").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("server-receive.toml: stream stands beside"),
            "{said}"
        );
    }
}

#[test]
fn one_that_is_not_there_defers() {
    let place = Place::new();
    for stream in ["[\"no-such-program\"]", "[]"] {
        place.set("stream", stream);
        let server = place.b.start();
        let answer = place.dial(&server).headers(&hello());
        assert_eq!(
            answer,
            ["DEFER 300 a fault here; try again later"],
            "{stream}"
        );
        server.log.wait_for("event=handler-failed");
    }
}
