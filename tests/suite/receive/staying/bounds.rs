//! How much time, memory and how many processes they may take.

use std::fs;
use std::time::{Duration, Instant};

use super::{TAKES, act, hello, place};
use crate::peer::Peer;
use crate::process::descriptors;
use crate::receive::handlers::is_gone;
use crate::receive::lasting::commands;
use crate::site::{letter, wait_until};

#[test]
fn one_that_hangs_is_killed_with_its_group() {
    let hang = "sleep 1000 & echo + $! $$; wait";
    for (headers, data) in [
        (hang, ""),
        ("echo ACCEPT", hang),
        ("echo + $$; exec >&-; wait; sleep 1000", ""),
    ] {
        let place = place(headers, data);
        place.set("message-timeout", "\"1s\"");
        let server = place.b.start();
        let letter = hello();
        let mut peer = place.dial(&server);
        let begin = Instant::now();
        peer.send_headers(&letter);
        let answer = if data.is_empty() {
            // The time of the message is over, and so is the connection.
            peer.try_answer().unwrap_err().0
        } else {
            assert_eq!(peer.answer(), ["ACCEPT"]);
            let answer = peer.data(&letter);
            assert_eq!(answer.last().unwrap(), "PARTIAL");
            answer
        };
        assert!(begin.elapsed() < Duration::from_secs(10));
        let pids = answer[0].strip_prefix("+ ").unwrap();
        for pid in pids.split(' ') {
            wait_until("its end", || is_gone(pid));
        }
    }
}

#[test]
fn one_that_reads_nothing_is_killed() {
    let place = place("echo ACCEPT", "echo $$ >{dir}/hangs; sleep 1000");
    place.set("message-timeout", "\"1s\"");
    let server = place.b.start();
    let large = letter(&["bob@b.test"], &"x".repeat(1 << 20));
    let mut peer = place.dial(&server);
    // 64 seconds are added for its size; the server ends before.
    assert_eq!(peer.headers(&large), ["ACCEPT"]);
    peer.send_data(&large);
    wait_until("it hangs", || place.file("hangs").exists());
    assert_eq!(peer.answer(), ["PARTIAL"]);
    server
        .log
        .wait_for("error=\"it read nothing for 30 seconds\"");
    let pid = place.read("hangs");
    wait_until("its end", || is_gone(pid.trim()));
}

#[test]
fn one_that_floods_is_cut_off_at_a_mebibyte() {
    let place = place("exec yes '+ 0123456789 0123456789'", "");
    let server = place.b.start();
    let answer = place.dial(&server).headers(&hello());
    let octets: usize = answer.iter().map(|line| line.len() + 1).sum();
    assert!(
        ((1 << 20) - 4096..=(1 << 20) + 4096).contains(&octets),
        "{octets}"
    );
    assert!(answer.last().unwrap().starts_with("DEFER 300 "));
    wait_until("its end", || commands(&server) == 0);
}

#[test]
fn alive_is_said_every_20_seconds_and_headers_have_25() {
    let place = place("read go <{dir}/go", TAKES);
    let go = place.gate("go");
    let server = place.b.start();
    let mut peer = place.dial(&server);
    let begin = Instant::now();
    peer.send_headers(&hello());
    assert_eq!(peer.line(), "+ alive");
    let seconds = begin.elapsed().as_secs_f32();
    assert!((19.0..24.0).contains(&seconds), "{seconds}");
    assert_eq!(peer.answer(), ["DEFER 300 a fault here; try again later"]);
    let seconds = begin.elapsed().as_secs_f32();
    assert!((24.0..30.0).contains(&seconds), "{seconds}");
    drop(go);
}

#[test]
fn two_hundred_messages_leave_nothing_behind() {
    let place = place("echo ACCEPT", TAKES);
    let server = place.b.start();
    let letter = hello();
    let mut lasting = place.dial(&server);
    assert_eq!(lasting.deliver(&letter), "OK");
    let some = descriptors(&server.child);
    for number in 0..200 {
        match number % 4 {
            0 => assert_eq!(place.dial(&server).deliver(&letter), "OK"),
            1 => {
                act(&place, "echo OK", TAKES);
                assert_ne!(lasting.deliver(&letter), "OK");
                act(&place, "echo ACCEPT", TAKES);
            }
            _ => assert_eq!(lasting.deliver(&letter), "OK"),
        }
    }
    wait_until("one is left", || commands(&server) == 1);
    wait_until("their descriptors", || descriptors(&server.child) == some);
}

#[test]
fn many_at_once_have_a_handler_each() {
    let place = place(
        "echo ACCEPT",
        "head -c $octets >/dev/null; mkfifo {dir}/go.$$; echo + $$; read go <{dir}/go.$$; echo OK",
    );
    let server = place.b.start();
    let letter = hello();
    let mut peers: Vec<Peer> = (0..16).map(|_| place.dial(&server)).collect();
    let mut pids = Vec::new();
    for peer in &mut peers {
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
        peer.send_data(&letter);
        pids.push(peer.line().split_off("+ ".len()));
    }
    assert_eq!(commands(&server), 16);
    for (peer, pid) in peers.iter_mut().zip(pids) {
        fs::write(place.file(&format!("go.{pid}")), "now\n").unwrap();
        assert_eq!(peer.answer(), ["OK"]);
    }
    wait_until("no more than a few are kept", || commands(&server) <= 12);
}
