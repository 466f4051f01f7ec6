//! Whoever guesses passwords.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Place;
use crate::peer::{Caller, Ending, login};
use crate::post::PASSWORD;
use crate::process::kib;
use crate::site::Server;

/// Addresses of this machine, one for each guesser.
fn source(number: u8) -> IpAddr {
    IpAddr::from([127, 0, 1, number])
}

/// How long the answer to a wrong login takes.
fn failure(server: &Server, source: IpAddr, user: &str) -> Duration {
    let mut caller = Caller::dial_from(source, server.address);
    let begin = Instant::now();
    assert_eq!(caller.log_in(user, "not this one"), "FAIL");
    begin.elapsed()
}

/// The medians of what failures take, in seconds: by a wrong password and by an
/// unknown user.
fn medians() -> (f64, f64) {
    let place = Place::new();
    let server = place.b.start_office();
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for number in 1..=15 {
        wrong.push(failure(&server, source(number), "bob@b.test"));
        unknown.push(failure(&server, source(number), "nobody@b.test"));
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    (median(wrong), median(unknown))
}

#[test]
#[allow(
    clippy::print_stdout,
    reason = "how long it took is worth knowing, on machines of all kinds"
)]
fn an_unknown_user_costs_what_a_wrong_password_costs() {
    // On a machine so busy that a check takes about 300 ms, one median may be
    // 300 ms and the other 600: such a thing does not last.
    let is_same = (0..3).any(|_| {
        let (wrong, unknown) = medians();
        println!("a wrong password: {wrong:.4} s, an unknown user: {unknown:.4} s");
        assert!(wrong.min(unknown) >= 0.3);
        (wrong / unknown - 1.0).abs() < 0.05
    });
    assert!(is_same);
}

const LATER: &str = "ERROR too many failed logins; try again later\n";

#[test]
fn many_guesses_are_slowed_down_and_others_are_not() {
    let place = Place::new();
    let server = place.b.start_office();
    let begin = Instant::now();
    let guess = login("bob@b.test", "not this one").repeat(3);
    let mut guessers: Vec<Caller> = (0..200)
        .map(|_| {
            let mut caller = Caller::dial(server.address, None);
            caller.send(&guess);
            caller
        })
        .collect();
    // Meanwhile, from elsewhere.
    let asked = Instant::now();
    let mut carol = Caller::dial_from(source(1), server.address);
    assert_eq!(carol.log_in("carol@b.test", PASSWORD), "OK");
    let mut bob = Caller::dial_from(source(2), server.address);
    assert_eq!(bob.log_in("bob@b.test", PASSWORD), "OK");
    let took = asked.elapsed();
    for guesser in &mut guessers {
        let (said, _) = guesser.rest();
        let failures = said.strip_suffix(LATER).unwrap_or(&said);
        let all = "FAIL\n".repeat(3);
        assert!(all.starts_with(failures), "{said}");
        assert!(
            failures.len() == all.len() || said.len() > failures.len(),
            "{said}"
        );
    }
    assert!(
        begin.elapsed() > Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    assert!(took < Duration::from_secs(6), "{took:?}");
    let log = server.log.wait_for_count("event=closed", 200);
    let looked_at = log
        .matches("reason=\"no such user, or not their password\"")
        .count();
    let refused = log.matches("reason=\"too many failed logins\"").count();
    assert!(looked_at <= 11, "{looked_at}");
    assert!((190..=200).contains(&refused), "{refused}");
}

#[test]
fn whoever_is_refused_is_told_to_come_later_known_or_not() {
    let place = Place::new();
    place.set("max-failed-logins", "11");
    let server = place.b.start_office();
    for (number, user) in [(1, "bob@b.test"), (2, "nobody@b.test")] {
        let mut caller = Caller::dial_from(source(number), server.address);
        caller.send(&login(user, "not this one").repeat(10));
        for _ in 0..10 {
            assert_eq!(caller.line(), "FAIL");
        }
        // Right or not is not looked at.
        let asked = Instant::now();
        caller.send_login(user, PASSWORD);
        assert_eq!(caller.rest(), (LATER.to_owned(), Ending::Proper));
        assert!(asked.elapsed() >= Duration::from_secs(3));
    }
    server.log.wait_for("reason=\"no login\"");
}

#[test]
fn wrong_passwords_take_no_memory_that_stays() {
    let place = Place::new();
    let server = place.b.start_office();
    let guess = login("bob@b.test", "not this one");
    let mut guessers: Vec<Caller> = (10..130)
        .map(|number| {
            let mut caller = Caller::dial_from(source(number), server.address);
            caller.send(&guess);
            caller
        })
        .collect();
    for guesser in &mut guessers {
        assert_eq!(guesser.line(), "FAIL");
    }
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let resident = kib(server.child.id(), "VmRSS") / 1024;
    // Both processes have the program in memory.
    let most = 19 * cores + 60;
    assert!(
        resident < most,
        "{resident} MiB resident, and {most} are enough"
    );
}
