//! What server-post-office counts.

use std::sync::Arc;

use super::Place;
use crate::peer::{Caller, Identity};
use crate::post::{Entry, PASSWORD};
use crate::site::{letter, wait_until};

const NAME: &str = "server-post-office";

#[test]
fn logins_and_what_users_do_are_counted() {
    let place = Place::new();
    let bob = Identity::self_signed("bob");
    place.b.write_users(&[Entry::new("bob").with(&bob)]);
    let server = place.start(NAME);
    let mut caller = Caller::dial(server.address, None);
    assert_eq!(caller.log_in("bob@b.test", "wrong"), "FAIL");
    assert_eq!(caller.log_in_by_certificate("bob@b.test"), "FAIL");
    assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
    let mut stored = Vec::new();
    for text in ["one\n", "two\n", "three\n"] {
        let letter = letter(&["bob@b.test"], text);
        caller.send(
            &[
                format!("STORE inbox {}\n", letter.len()).as_bytes(),
                &letter,
            ]
            .concat(),
        );
        let answer = caller.line();
        stored.push(answer.strip_prefix("OK ").expect(&answer).to_owned());
    }
    caller.ask(&format!("FETCH inbox {}", stored[0]));
    for command in [
        format!("FLAG inbox {} +seen", stored[0]),
        format!("FLAG inbox {} +flagged", stored[0]),
        "CREATE trash".to_owned(),
        format!("MOVE inbox {} trash", stored[1]),
        format!("DELETE inbox {}", stored[2]),
    ] {
        assert!(caller.lines(&command)[0].starts_with("OK"), "{command}");
    }
    // In the middle of a session.
    let open = "ememo_post_office_sessions_open";
    wait_until("the file tells of it", || place.read(NAME).get(open) == 1.0);
    let now = place.read(NAME);
    assert_eq!(now.get("ememo_post_office_messages_stored_total"), 3.0);
    caller.say("DONE");
    caller.rest();
    let mut caller = Caller::dial(server.address, Some(&bob));
    assert_eq!(caller.log_in_by_certificate("bob@b.test"), "OK");
    caller.say("NONSENSE");
    caller.rest();
    // Nobody, who says something odd.
    let mut caller = Caller::dial(server.address, None);
    caller.say("LOGIN x\"}@b.test 1 forged_total{a=\"b\"} 1");
    caller.rest();
    let log = Arc::clone(&server.log);
    let end = place.end(NAME, server);
    for (series, count) in [
        ("connections_total", 3),
        ("connections_open", 0),
        ("sessions_open", 0),
        ("handshake_seconds_count", 3),
        ("connections_ended_total{reason=\"done\"}", 1),
        ("connections_ended_total{reason=\"error\"}", 2),
        ("logins_total{by=\"password\",outcome=\"granted\"}", 1),
        ("logins_total{by=\"password\",outcome=\"wrong\"}", 1),
        ("logins_total{by=\"certificate\",outcome=\"granted\"}", 1),
        ("logins_total{by=\"certificate\",outcome=\"wrong\"}", 1),
        ("login_seconds_count{by=\"password\"}", 1),
        ("login_seconds_count{by=\"certificate\"}", 1),
        ("messages_sent_total", 1),
        ("messages_stored_total", 3),
        ("messages_flagged_total", 2),
        ("messages_moved_total", 1),
        ("messages_deleted_total", 1),
    ] {
        let counted = end.get(&format!("ememo_post_office_{series}"));
        assert_eq!(counted, f64::from(count), "{series}: {end:#?}");
    }
    let octets = end.get("ememo_post_office_sent_bytes_total");
    let logged = || {
        let text = log.text();
        let words = text
            .split(' ')
            .filter_map(|word| word.strip_prefix("octets="));
        words
            .map(|octets| octets.parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    };
    wait_until("all of the log", || logged().len() == 3);
    assert_eq!(octets, logged().iter().sum::<f64>());
    assert_eq!(end.series(), now.series());
}

#[test]
fn too_many_failures_and_too_many_connections_are_counted() {
    let place = Place::new();
    place
        .b
        .set("server-post-office.toml", "max-connections", "1");
    place
        .b
        .set("server-post-office.toml", "max-failed-logins", "20");
    let server = place.start(NAME);
    let mut inside = Caller::dial(server.address, None);
    assert_eq!(inside.log_in("bob@b.test", PASSWORD), "OK");
    let mut second = Caller::dial(server.address, None);
    let answer = second.log_in("bob@b.test", PASSWORD);
    assert!(answer.starts_with("ERROR too many connections"), "{answer}");
    let mut guesser = Caller::dial(server.address, None);
    let failures = (0..).take_while(|_| guesser.log_in("nobody@b.test", "x") == "FAIL");
    let failures = failures.count();
    let end = place.end(NAME, server);
    let logins = |outcome: &str| {
        end.get(&format!(
            "ememo_post_office_logins_total{{by=\"password\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(logins("granted"), 1.0);
    assert_eq!(logins("too_many_connections"), 1.0);
    assert_eq!(logins("wrong"), failures as f64);
    assert_eq!(logins("too_many_failures"), 1.0);
    let refused = "ememo_post_office_connections_refused_total{reason=\"max_connections\"}";
    assert_eq!(end.get(refused), 1.0);
    let ended = |reason: &str| {
        end.get(&format!(
            "ememo_post_office_connections_ended_total{{reason=\"{reason}\"}}"
        ))
    };
    // Who was right is not among those who were not.
    assert_eq!(ended("too_many_connections"), 1.0);
    assert_eq!(ended("no_login"), 1.0);
}

/// fetch-mail asks for the folders behind a login, in one round trip.
#[test]
fn who_is_wrong_and_asks_on_has_broken_no_rule() {
    let place = Place::new();
    let server = place.start(NAME);
    for (said, reason) in [
        ("LOGIN bob@b.test PASSWORD 1\nxFOLDERS\n", "no login"),
        ("FOLDERS\n", "LOGIN comes first"),
    ] {
        let mut caller = Caller::dial(server.address, None);
        caller.send(said.as_bytes());
        caller.rest();
        let line = server.log.wait_for(&format!("reason=\"{reason}\""));
        assert!(line.contains(" event=closed "), "{line}");
    }
    let end = place.end(NAME, server);
    for reason in ["no_login", "error"] {
        let series = format!("ememo_post_office_connections_ended_total{{reason=\"{reason}\"}}");
        assert_eq!(end.get(&series), 1.0, "{reason}");
    }
}
