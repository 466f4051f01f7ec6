//! Who gets in.

use std::time::{Duration, Instant};

use super::{Place, bob};
use crate::peer::{Caller, Ending, login};
use crate::post::PASSWORD;
use crate::site::wait_until;

#[test]
fn a_password_or_a_certificate_opens_the_mailbox() {
    let place = Place::new();
    let digest = place.deliver("Hello\n", &[]);
    let server = place.b.start_office();
    let by_password = bob(&server).lines("FOLDERS");
    let mut caller = Caller::dial(server.address, Some(&place.bob));
    assert_eq!(caller.log_in_by_certificate("Bob@B.test"), "OK");
    assert_eq!(caller.lines("FOLDERS"), by_password);
    assert!(
        by_password[0].starts_with("+ inbox 1 1 "),
        "{by_password:?}"
    );
    assert!(caller.lines("SYNC inbox - list")[0].contains(&digest));
    caller.ask(&format!("FETCH inbox {digest}"));
    caller.say("DONE");
    assert_eq!(caller.rest(), (String::new(), Ending::Proper));

    let mut others = Caller::dial(server.address, Some(&place.bob));
    assert_eq!(others.log_in("carol@b.test", PASSWORD), "OK");
    assert!(others.lines("FOLDERS")[0].starts_with("+ inbox 0 0 0 "));

    server
        .log
        .wait_for("event=login address=127.0.0.1 user=bob@b.test by=password");
    server
        .log
        .wait_for("event=login address=127.0.0.1 user=bob@b.test by=certificate");
    server
        .log
        .wait_for("event=login address=127.0.0.1 user=carol@b.test by=password");
    let closed = server.log.wait_for("messages=1 ");
    assert!(
        closed.contains("event=closed address=127.0.0.1 user=bob@b.test "),
        "{closed}"
    );
    assert!(
        !closed.contains("octets=0") && !closed.contains("reason="),
        "{closed}"
    );
    assert!(!server.log.text().contains(PASSWORD));
}

#[test]
fn whoever_cannot_prove_it_learns_nothing_and_is_logged() {
    let place = Place::new();
    let server = place.b.start_office();
    let refused = |identity, say: &dyn Fn(&mut Caller) -> String| {
        let mut caller = Caller::dial(server.address, identity);
        let begin = Instant::now();
        assert_eq!(say(&mut caller), "FAIL");
        assert!(begin.elapsed() >= Duration::from_millis(300));
    };
    let none = None;
    refused(none, &|caller| caller.log_in("bob@b.test", "open sesamE"));
    refused(none, &|caller| caller.log_in("nobody@b.test", PASSWORD));
    refused(none, &|caller| caller.log_in("bob+tag@b.test", PASSWORD));
    refused(none, &|caller| {
        caller.log_in("bob@b.test", &"x".repeat(1024))
    });
    refused(none, &|caller| caller.log_in_by_certificate("bob@b.test"));
    refused(Some(&place.bob), &|caller| {
        caller.log_in_by_certificate("carol@b.test")
    });
    refused(Some(&place.bob), &|caller| {
        caller.log_in_by_certificate("nobody@b.test")
    });
    let log = server.log.wait_for_count("event=login-failed", 7);
    let failures: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("event=login-failed"))
        .collect();
    for (failure, says) in failures.iter().zip([
        "by=password user=bob@b.test reason=\"no such user, or not their password\"",
        "by=password user=nobody@b.test reason=\"no such user, or not their password\"",
        "by=password user=bob+tag@b.test reason=\"no such user, or not their password\"",
        "by=password user=bob@b.test reason=",
        "by=certificate user=bob@b.test reason=\"no certificate was shown\"",
        "by=certificate user=carol@b.test reason=\"no such user, or not their certificate\"",
        "by=certificate user=nobody@b.test reason=",
    ]) {
        assert!(
            failure.contains(&format!("login-failed address=127.0.0.1 {says}")),
            "{failure}"
        );
    }
    assert!(
        failures[5].contains(" certificate=sha256:"),
        "{}",
        failures[5]
    );
    assert!(!log.contains("sesam"), "{log}");
}

#[test]
fn the_right_password_after_a_wrong_one() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut caller = Caller::dial(server.address, None);
    // All at once: the answers come in the order of the questions.
    caller.send(
        &[
            login("bob@b.test", "x"),
            login("bob@b.test", PASSWORD),
            b"FOLDERS\n".to_vec(),
        ]
        .concat(),
    );
    assert_eq!([caller.line(), caller.line()], ["FAIL", "OK"]);
    assert!(caller.line().starts_with("+ inbox "));
    assert_eq!(caller.line(), "OK");
}

#[test]
fn three_failures_are_the_end() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut caller = Caller::dial(server.address, Some(&place.carol));
    let begin = Instant::now();
    caller.send_login("bob@b.test", "x");
    caller.say("LOGIN bob@b.test CERTIFICATE");
    caller.send_login("nobody@b.test", "x");
    caller.send_login("bob@b.test", PASSWORD);
    assert_eq!(
        caller.rest(),
        ("FAIL\nFAIL\nFAIL\n".to_owned(), Ending::Proper)
    );
    assert!(begin.elapsed() >= Duration::from_millis(900));
    server.log.wait_for("reason=\"no login\"");

    place.set("max-failed-logins", "1");
    let server = place.b.start_office();
    let mut caller = Caller::dial(server.address, None);
    caller.send_login("bob@b.test", "x");
    assert_eq!(caller.rest(), ("FAIL\n".to_owned(), Ending::Proper));
}

#[test]
fn login_comes_first_and_once() {
    let place = Place::new();
    let server = place.b.start_office();
    let digest = "ab".repeat(32);
    for command in [
        "FOLDERS".to_owned(),
        "SYNC inbox - list".to_owned(),
        "SYNC .. - list".to_owned(),
        format!("FETCH inbox {digest}"),
        format!("PART inbox {digest} 0"),
    ] {
        let mut caller = Caller::dial(server.address, None);
        caller.say(&command);
        let (said, ending) = caller.rest();
        assert_eq!(
            (&*said, ending),
            ("ERROR LOGIN comes first\n", Ending::Proper),
            "{command}"
        );
    }
    let mut caller = bob(&server);
    caller.send_login("carol@b.test", PASSWORD);
    assert_eq!(
        caller.rest(),
        ("ERROR LOGIN comes once\n".to_owned(), Ending::Proper)
    );
}

#[test]
fn a_password_in_single_octets() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut caller = Caller::dial(server.address, None);
    caller.set_pieces(1, 1);
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    assert_eq!(caller.lines("FOLDERS").len(), 2);
}

#[test]
fn users_are_read_again_while_it_runs() {
    let place = Place::new();
    let server = place.b.start_office();
    let mut held = bob(&server);
    place.b.write_users(&[place.entry_of_carol()]);
    let gets_in = |user: &str, identity| {
        Caller::dial(server.address, Some(identity)).log_in_by_certificate(user) == "OK"
    };
    wait_until("bob is unknown", || !gets_in("bob@b.test", &place.bob));
    assert!(gets_in("carol@b.test", &place.carol));
    // Who is in stays in.
    assert_eq!(held.lines("FOLDERS").len(), 2);

    // A file that is wrong changes nothing, and is logged.
    let users = place.b.dir.join("users.toml");
    let right = std::fs::read_to_string(&users).unwrap();
    std::fs::write(&users, "[bob\n").unwrap();
    wait_until("the file was looked at", || {
        assert!(gets_in("carol@b.test", &place.carol));
        server.log.text().contains("event=users-not-read-again")
    });
    std::fs::write(&users, right.replace("carol@", "dave@")).unwrap();
    wait_until("dave is known", || gets_in("dave@b.test", &place.carol));
    assert!(!gets_in("carol@b.test", &place.carol));
}
