//! How much one client, and how much all of them may have.

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Place, bob};
use crate::peer::crowd::{among_dribblers, among_silent_peers, among_slow_and_silent_peers};
use crate::peer::{Caller, Ending, connect_from};
use crate::post::PASSWORD;
use crate::site::{code, stderr, wait_until};

const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

#[test]
fn a_login_comes_in_time() {
    let place = Place::new();
    place.set("login-timeout", "\"1s\"");
    let server = place.b.start_office();
    for said in [
        "",
        "LOGIN bob@b.test PASS",
        "LOGIN bob@b.test PASSWORD 11\nopen",
    ] {
        let begin = Instant::now();
        let mut caller = Caller::dial(server.address, None);
        caller.send(said.as_bytes());
        assert_eq!(
            caller.rest(),
            ("ERROR no login in time\n".to_owned(), Ending::Proper)
        );
        assert!(begin.elapsed() >= Duration::from_secs(1));
    }
    // Who is in is in.
    let mut caller = bob(&server);
    let begin = Instant::now();
    wait_until("more than a second", || {
        begin.elapsed() > Duration::from_millis(1500)
    });
    assert_eq!(caller.lines("FOLDERS").len(), 2);
}

#[test]
fn one_that_sends_an_octet_now_and_then_gets_no_more_time() {
    let place = Place::new();
    place.set("login-timeout", "\"1s\"");
    let server = place.b.start_office();
    let mut caller = Caller::dial(server.address, None);
    let begin = Instant::now();
    let mut next = Duration::ZERO;
    wait_until("the end", || {
        if begin.elapsed() >= next {
            next += Duration::from_millis(200);
            return caller.try_send(b"L").is_err();
        }
        server.log.text().contains("event=closed")
    });
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(caller.rest().0, "ERROR no login in time\n");
}

#[test]
fn an_idle_client_is_let_go() {
    let place = Place::new();
    place.set("idle-timeout", "\"1s\"");
    let server = place.b.start_office();
    let mut caller = bob(&server);
    assert_eq!(caller.lines("FOLDERS").len(), 2);
    let begin = Instant::now();
    let in_time = "ERROR no command in time\n";
    assert_eq!(caller.rest(), (in_time.to_owned(), Ending::Proper));
    assert!(begin.elapsed() >= Duration::from_millis(900));
    let mut caller = bob(&server);
    caller.send(b"FOLDERS");
    assert_eq!(caller.rest().0, in_time);
}

#[test]
fn connections_in_all_and_from_one_address() {
    let place = Place::new();
    place.set("max-connections", "3");
    place.set("max-connections-per-address", "2");
    let server = place.b.start_office();
    let elsewhere = || Caller::dial_from(ELSEWHERE, server.address);
    // Those without a login take nobody's place.
    let mut waiting: Vec<Caller> = (0..9).map(|_| Caller::dial(server.address, None)).collect();
    let (mut one, mut two) = (bob(&server), bob(&server));
    let later = "ERROR too many connections; try again later\n";
    let mut here = Caller::dial(server.address, Some(&place.bob));
    here.say("LOGIN bob@b.test CERTIFICATE");
    assert_eq!(here.rest(), (later.to_owned(), Ending::Proper));
    let mut three = elsewhere();
    assert_eq!(three.log_in("bob@b.test", PASSWORD), "OK");
    let mut four = elsewhere();
    four.send_login("bob@b.test", PASSWORD);
    assert_eq!(four.rest(), (later.to_owned(), Ending::Proper));
    server
        .log
        .wait_for("event=too-many-connections address=127.0.0.1");
    server
        .log
        .wait_for("event=too-many-connections address=127.0.0.2");
    // Those that are there are not disturbed, and one that goes makes room.
    for caller in [&mut one, &mut two, &mut three] {
        assert_eq!(caller.lines("FOLDERS").len(), 2);
    }
    two.close();
    wait_until("room", || {
        elsewhere().log_in("bob@b.test", PASSWORD) == "OK"
    });
    for caller in &mut waiting {
        assert_eq!(caller.log_in("bob@b.test", "not this one"), "FAIL");
    }
}

#[test]
fn those_who_never_log_in_push_out_each_other_and_nobody_else() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut held = bob(&server);
    let mut silent: Vec<Caller> = (0..300)
        .map(|_| Caller::dial(server.address, None))
        .collect();
    for source in [ELSEWHERE, IpAddr::from([127, 0, 0, 1])] {
        let mut caller = Caller::dial_from(source, server.address);
        assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    }
    assert_eq!(held.lines("FOLDERS").len(), 2);
    // The oldest gave way, and the newest are there.
    assert!(silent[0].try_line().is_err());
    let newest = silent.last_mut().unwrap();
    assert_eq!(newest.log_in("bob@b.test", PASSWORD), "OK");
    assert!(!server.log.text().contains("too-many-connections"));
}

#[test]
fn a_limit_of_nothing_is_refused_where_it_stands() {
    let place = Place::new();
    let file = "server-post-office.toml";
    let right = fs::read_to_string(place.b.dir.join(file)).unwrap();
    for (key, value, says) in [
        ("max-connections", "0", "1 or more"),
        ("max-connections-per-address", "0", "1 or more"),
        ("max-handshakes", "0", "1 or more"),
        ("max-failed-logins", "0", "1 or more"),
        ("login-timeout", "\"0s\"", "a time of 0"),
        ("idle-timeout", "\"0ms\"", "a time of 0"),
    ] {
        place.set(key, value);
        let output = place.b.command("server-post-office").output().unwrap();
        let said = stderr(&output);
        assert_eq!(code(&output), 2, "{said}");
        assert!(said.contains(file) && said.contains(", line "), "{said}");
        assert!(said.contains(key) && said.contains(says), "{said}");
        fs::write(place.b.dir.join(file), &right).unwrap();
    }
}

#[test]
fn two_thousand_that_never_speak_leave_a_good_one_served() {
    let place = Place::new();
    let server = place.b.start_office();
    among_silent_peers(server.address, |source| {
        let mut caller = Caller::dial_from(source, server.address);
        assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    });
}

#[test]
fn those_that_speak_an_octet_now_and_then_leave_a_good_one_served() {
    let place = Place::new();
    let server = place.b.start_office();
    among_dribblers(server.address, |source| {
        let socket = connect_from(source, server.address);
        let mut caller = Caller::over(socket, Some(&place.bob)).unwrap();
        assert_eq!(caller.log_in_by_certificate("bob@b.test"), "OK");
    });
}

#[test]
fn a_good_one_among_slow_and_silent_ones_is_served_at_once() {
    let place = Place::new();
    let server = place.b.start_office();
    among_slow_and_silent_peers(server.address, |_, source| {
        let socket = connect_from(source, server.address);
        let mut caller = Caller::over(socket, Some(&place.bob)).unwrap();
        assert_eq!(caller.log_in_by_certificate("bob@b.test"), "OK");
        assert_eq!(caller.lines("FOLDERS").len(), 2);
    });
}
