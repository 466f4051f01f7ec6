//! Sessions that watch, and what they cost; and how they end.

use std::fs;
use std::process::Command;

use super::{bob, token, watch};
use crate::fetch::Place;
use crate::peer::{Caller, Ending};
use crate::process::{descriptors, inetd, terminate, threads, wait};
use crate::site::{program, wait_until};

/// Sessions at once.
const CROWD: usize = 20;

#[test]
fn a_stop_ends_those_who_wait_at_once() {
    let place = Place::new();
    let mut server = place.b.start_office();
    let mut crowd: Vec<Caller> = (0..CROWD).map(|_| bob(&place, &server)).collect();
    for caller in &mut crowd {
        watch(caller, "inbox");
    }
    // Whoever is told waits again.
    place.deliver("inbox", &place.letter("Hello\n", &[]));
    for caller in &mut crowd {
        assert_eq!(caller.line(), "+ changed inbox");
    }
    terminate(&server.child);
    for caller in &mut crowd {
        assert_eq!(caller.rest(), (String::new(), Ending::Proper));
    }
    assert_eq!(wait(&mut server.child).code(), Some(0));
    let stopped = server.log.wait_for("event=stopped");
    assert!(stopped.contains("cut-off=0"), "{stopped}");
}

#[test]
fn those_who_are_gone_leave_nothing_behind() {
    let place = Place::new();
    let server = place.b.start_office();
    // The first WATCH brings what the process keeps.
    let mut first = bob(&place, &server);
    watch(&mut first, "inbox");
    place.deliver("inbox", &place.letter("Hello\n", &[]));
    assert_eq!(first.line(), "+ changed inbox");
    let (had_threads, had_descriptors) = (threads(&server.child), descriptors(&server.child));
    let mut crowd: Vec<Caller> = (0..CROWD).map(|_| bob(&place, &server)).collect();
    for caller in &mut crowd {
        watch(caller, "inbox");
    }
    place.deliver("inbox", &place.letter("Hello again\n", &[]));
    for caller in &mut crowd {
        assert_eq!(caller.line(), "+ changed inbox");
    }
    // In the one process a connection, in the other the mailbox; and in each of them the
    // way to the other, and what it is woken by.
    let each = (descriptors(&server.child) - had_descriptors).div_ceil(CROWD);
    assert!(each <= 6, "{each} descriptors for each");
    drop(crowd);
    wait_until("the threads' end", || threads(&server.child) == had_threads);
    wait_until("the descriptors' end", || {
        descriptors(&server.child) == had_descriptors
    });
    // Nobody watches any more, but for the first.
    first.say("");
    assert_eq!(first.line(), "OK");
    let watched = || {
        let inside = fs::read_dir(format!("/proc/{}/fdinfo", server.child.id())).unwrap();
        let texts = inside.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
        let lines = texts.map(|text| text.matches("inotify wd:").count());
        lines.sum::<usize>()
    };
    assert_eq!(watched(), 0);
    watch(&mut first, "inbox");
    wait_until("a watch", || watched() == 1);
}

#[test]
fn a_server_of_inetd_watches_too() {
    let place = Place::new();
    let mut command = place.b.command("server-post-office");
    command.arg("--inetd");
    let (mut child, socket) = inetd(command);
    let mut caller = Caller::over(socket, Some(&place.bob)).unwrap();
    assert_eq!(caller.log_in_by_certificate("bob@b.test"), "OK");
    watch(&mut caller, "inbox");
    place.deliver("inbox", &place.letter("Hello\n", &[]));
    assert_eq!(caller.line(), "+ changed inbox");
    terminate(&child);
    assert_eq!(caller.rest(), (String::new(), Ending::Proper));
    assert_eq!(wait(&mut child).code(), Some(0));
}

/// In a user namespace the test can take away what inotify needs.
#[test]
fn where_the_system_has_nothing_left_to_watch_with_the_session_goes_on() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let place = Place::new();
        let script = format!("echo 0 > /proc/sys/user/{limit} && exec \"$0\" \"$@\"");
        let unshared = |program: &std::path::Path| {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "sh", "-c", &script]);
            command.arg(program);
            command
        };
        let probe = unshared("true".as_ref()).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            // This machine allows no user namespaces.
            return;
        }
        let mut command = unshared(&program("server-post-office"));
        command.env("EMEMO_CONFIG_DIR", &place.b.dir);
        let server = place.b.start_with(command);
        let mut caller = bob(&place, &server);
        for _ in 0..2 {
            let inbox = token(&mut caller, "inbox");
            assert_eq!(
                caller.lines(&format!("WATCH inbox {inbox}")),
                ["FAIL cannot watch now; try again later"]
            );
        }
        let line = server.log.wait_for("event=cannot-watch");
        let sysctl = limit.replace("inotify", "user");
        assert!(line.contains(&format!("fs.inotify.{sysctl}")), "{line}");
        // Once is enough.
        server.log.wait_for_count("cannot-watch", 1);
    }
}
