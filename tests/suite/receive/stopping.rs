//! SIGTERM.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Place;
use super::handlers::is_gone;
use crate::peer::Ending;
use crate::peer::crowd::client_hello;
use crate::process::{network, pid, terminate, wait};
use crate::site::{letter, wait_until};

#[test]
fn the_message_in_hand_is_finished_and_no_other_begun() {
    let place = Place::with(
        "exit 0",
        "echo started; read go <{dir}/go; touch {dir}/$IMA_DIGEST",
    );
    let go = place.gate("go");
    let mut server = place.b.start();
    let in_hand = letter(&["bob@b.test"], "Hello\n");
    let mut idle = place.dial(&server);
    idle.say("KEYS b.test");
    assert_eq!(idle.answer(), ["OK"]);
    let mut busy = place.dial(&server);
    busy.headers(&in_hand);
    busy.send_data(&in_hand);
    assert_eq!(busy.line(), "+ started");

    terminate(&server.child);
    server.log.wait_for("event=stopping");
    assert_eq!(idle.rest(), (String::new(), Ending::Proper));
    let late = TcpStream::connect(server.address);
    go.let_one_go();
    assert_eq!(busy.answer(), ["OK"]);
    assert!(place.was_taken(&in_hand));
    // What was asked too late is not answered.
    let _ = busy.try_send(b"KEYS b.test\n");
    assert_eq!(busy.rest().0, "");
    assert_eq!(wait(&mut server.child).code(), Some(0));
    if let Ok(mut late) = late {
        let mut said = Vec::new();
        let _ = late.read_to_end(&mut said);
        assert_eq!(said, b"");
    }
    let stopped = server.log.wait_for("event=stopped");
    assert!(stopped.contains("cut-off=0"), "{stopped}");
}

#[test]
fn what_was_accepted_is_finished() {
    let place = Place::taking();
    let mut server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    terminate(&server.child);
    server.log.wait_for("event=stopping");
    // Whoever comes now is not kept waiting until that has its end.
    wait_until("a connection that is refused", || {
        TcpStream::connect(server.address).is_err()
    });
    assert_eq!(peer.data(&letter), ["OK"]);
    assert!(place.was_taken(&letter));
    assert_eq!(peer.rest(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut server.child).code(), Some(0));
}

/// As systemd tells it, which does not wait until everybody hears it.
#[test]
fn a_stop_at_the_start_is_one() {
    let place = Place::taking();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        for _ in 0..10 {
            let mut command = place.b.command("server-receive");
            command.stdin(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // Sooner than it is told what to do, if it can be.
            let list = format!("/proc/{0}/task/{0}/children", child.id());
            let begun = Instant::now();
            let network = loop {
                assert!(begun.elapsed() < Duration::from_secs(10));
                let children = fs::read_to_string(&list).unwrap();
                if let Some(Ok(network)) = children.split(' ').next().map(str::parse) {
                    break Pid::from_raw(network).unwrap();
                }
            };
            // It may hear it by now, or not.
            let _ = kill_process(network, signal);
            kill_process(pid(&child), signal).unwrap();
            let ended = wait(&mut child);
            let said = std::io::read_to_string(child.stderr.unwrap()).unwrap();
            assert_eq!(ended.code(), Some(0), "{said}");
        }
    }
}

/// It takes 40 seconds, and so runs only where EMEMO_LONG=1.
#[test]
#[allow(
    clippy::print_stdout,
    reason = "whoever reads the list sees that it did not run"
)]
fn a_network_process_that_does_not_end_is_killed() {
    if std::env::var_os("EMEMO_LONG").is_none_or(|value| value != "1") {
        return println!("skipped: EMEMO_LONG=1 runs it");
    }
    let place = Place::taking();
    let mut server = place.b.start();
    let network = network(server.child.id()).unwrap();
    let network = Pid::from_raw(network.try_into().unwrap()).unwrap();
    kill_process(network, Signal::STOP).unwrap();
    terminate(&server.child);
    let begin = Instant::now();
    while server.child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begin.elapsed() > Duration::from_secs(35));
    server.log.wait_for("event=network-process-does-not-end");
    assert_eq!(wait(&mut server.child).code(), Some(2));
}

#[test]
fn a_server_without_connections_ends_at_once() {
    let place = Place::taking();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut server = place.b.start();
        kill_process(pid(&server.child), signal).unwrap();
        assert_eq!(wait(&mut server.child).code(), Some(0), "{signal:?}");
        server.log.wait_for("event=stopped");
    }
}

/// A terminal that is closed ends none that nohup(1) has started.
#[test]
fn a_hangup_that_is_ignored_stays_so() {
    let place = Place::taking();
    let ours = place.b.command("server-receive");
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(ours.get_program());
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap());
    }
    let mut server = place.b.start_with(command);
    kill_process(pid(&server.child), Signal::HUP).unwrap();
    let mut peer = place.dial(&server);
    peer.say("KEYS b.test");
    assert_eq!(peer.answer(), ["OK"]);
    assert!(!server.log.text().contains("event=stopping"));
    terminate(&server.child);
    assert_eq!(wait(&mut server.child).code(), Some(0));
}

/// Whoever is in the middle of something that is no message yet is not waited for.
#[test]
fn slow_peers_hold_nobody_up() {
    let place = Place::taking();
    let mut server = place.b.start();
    let hello = client_hello();
    let shaking: Vec<TcpStream> = [0, 1, hello.len() / 2, hello.len()]
        .into_iter()
        .map(|said| {
            let mut socket = TcpStream::connect(server.address).unwrap();
            socket.write_all(&hello[..said]).unwrap();
            socket
        })
        .collect();
    let mut peers = [
        &b"K"[..],
        b"HEADERS",
        b"HEADERS 500\n",
        b"HEADERS 500\nima: 1\nfrom:",
    ]
    .map(|said| {
        let mut peer = place.dial(&server);
        peer.say("KEYS b.test");
        assert_eq!(peer.answer(), ["OK"]);
        peer.send(said);
        peer
    });
    let begin = Instant::now();
    terminate(&server.child);
    assert_eq!(wait(&mut server.child).code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    let stopped = server.log.wait_for("event=stopped");
    assert!(stopped.contains("cut-off=0"), "{stopped}");
    for peer in &mut peers {
        assert!(!peer.rest().0.contains("ACCEPT"));
    }
    drop(shaking);
}

/// Whose data do not come on is let go as ever.
#[test]
fn data_that_do_not_come_on_are_waited_for_as_ever() {
    let place = Place::taking();
    place.set("idle-timeout", "\"1s\"");
    let mut server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = place.dial(&server);
    assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    peer.send(b"DATA 6\nHel");
    let begin = Instant::now();
    terminate(&server.child);
    assert_eq!(wait(&mut server.child).code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(peer.rest().0, "");
    assert!(!place.was_taken(&letter));
}

/// It takes half a minute, and so runs only where EMEMO_LONG=1.
#[test]
#[allow(
    clippy::print_stdout,
    reason = "whoever reads the list sees that it did not run"
)]
fn a_handler_that_hangs_has_thirty_seconds() {
    if std::env::var_os("EMEMO_LONG").is_none_or(|value| value != "1") {
        return println!("skipped: EMEMO_LONG=1 runs it");
    }
    let once = Place::with("exit 0", "echo $$; sleep 1000");
    let stays = Place::staying(
        "while read -r word octets; do head -c $octets >/dev/null; \
         if [ $word = DATA ]; then echo + $$; sleep 1000; fi; echo ACCEPT; done",
    );
    std::thread::scope(|scope| {
        for place in [once, stays] {
            scope.spawn(move || {
                let mut server = place.b.start();
                let letter = letter(&["bob@b.test"], "Hello\n");
                let mut peer = place.dial(&server);
                assert_eq!(peer.headers(&letter), ["ACCEPT"]);
                peer.send_data(&letter);
                let pid = peer.line().split_off("+ ".len());
                let begin = Instant::now();
                terminate(&server.child);
                let (said, _) = peer.rest();
                assert!(said.is_empty() || said.ends_with("PARTIAL\n"), "{said}");
                assert_eq!(wait(&mut server.child).code(), Some(0));
                let seconds = begin.elapsed().as_secs_f32();
                assert!((29.0..45.0).contains(&seconds), "{seconds}");
                wait_until("its end", || is_gone(&pid));
            });
        }
    });
}
