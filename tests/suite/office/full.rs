//! Each limit of a post office, reached: a newcomer gets an answer or an end, and soon;
//! who is inside goes on; and when one leaves, a newcomer gets in.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::{Place, bob};
use crate::peer::{Caller, Step};
use crate::post::PASSWORD;
use crate::process::{kib, with_descriptors};
use crate::site::{large_letter, wait_until};

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// How soon a newcomer hears of it, on whatever machine the tests run.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn connections_without_a_login() {
    let place = Place::new();
    place.set("max-handshakes", "3");
    let server = place.b.start_office();
    let mut inside = bob(&server);
    let mut elsewhere = Caller::dial_from(ELSEWHERE, server.address);
    let mut silent: Vec<Caller> = (0..4).map(|_| Caller::dial(server.address, None)).collect();
    let begin = Instant::now();
    for one in &mut silent[..2] {
        assert!(one.try_line().is_err());
    }
    assert!(begin.elapsed() < SOON);
    // Neither those of other addresses nor those inside have given way.
    for caller in [&mut elsewhere, &mut silent[3]] {
        assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
        assert_eq!(caller.lines("FOLDERS").len(), 2);
    }
    assert_eq!(inside.lines("FOLDERS").len(), 2);
    // Whoever has logged in makes room for another.
    let mut newcomer = Caller::dial(server.address, None);
    assert_eq!(silent[2].log_in("bob@b.test", PASSWORD), "OK");
    assert_eq!(newcomer.log_in("bob@b.test", PASSWORD), "OK");
}

#[test]
fn few_descriptors_are_told_at_the_start_with_what_to_do() {
    let place = Place::new();
    place.set("max-connections", "5");
    place.set("max-handshakes", "10");
    // A socket and what a session needs; a socket, and one that ends; others.
    let needed = 5 * 17 + 10 * 2 + 64;
    let server = with_descriptors(&place.b, "server-post-office", needed - 1);
    let line = server.log.wait_for("event=few-descriptors");
    for part in [
        format!("limit={} needed={needed} ", needed - 1),
        "LimitNOFILE".to_owned(),
        "lower max-connections".to_owned(),
    ] {
        assert!(line.contains(&part), "{part:?} in {line}");
    }
    assert_eq!(bob(&server).lines("FOLDERS").len(), 2);

    let enough = with_descriptors(&place.b, "server-post-office", needed);
    assert_eq!(bob(&enough).lines("FOLDERS").len(), 2);
    let log = enough.log.text();
    assert!(!log.contains("descriptor"), "{log}");
}

/// What a connection may take, by the page.
const KIB: u64 = 16 << 10;

/// Sessions that have said this of a STORE, four of each user, take no more.
#[allow(
    clippy::print_stdout,
    reason = "how much it is, is worth knowing, on machines of all kinds"
)]
fn takes_no_more(what: &str, says: &[u8]) {
    const COUNT: u64 = 8;
    let place = Place::new();
    let server = place.b.start_office();
    let mut first = bob(&server);
    assert_eq!(first.lines("FOLDERS").len(), 2);
    let before = kib(server.child.id(), "VmRSS");
    let held: Vec<Caller> = (0..COUNT)
        .map(|number| {
            let mut caller = Caller::dial(server.address, None);
            let user = ["bob@b.test", "carol@b.test"][usize::from(number >= COUNT / 2)];
            assert_eq!(caller.log_in(user, PASSWORD), "OK");
            caller.send(says);
            caller.play(&[Step::HalfRecord(&[b'x'; 16 << 10])]);
            caller
        })
        .collect();
    let (mut most, mut since) = (0, Instant::now());
    wait_until("all has come in", || {
        let now = kib(server.child.id(), "VmHWM") - before;
        if now != most {
            (most, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    });
    println!("{what}: {} KiB for each of {COUNT}", most / COUNT);
    assert!(most < COUNT * KIB, "{what}: {most} KiB");
    assert_eq!(server.log.text().matches("event=closed").count(), 0);
    assert_eq!(first.lines("FOLDERS").len(), 2);
    drop(held);
}

#[test]
fn memory_of_sessions_that_store_half_a_header_block() {
    let letter = large_letter();
    let command = format!("STORE inbox {}\n", letter.len());
    let half = &letter[..letter.len() / 2];
    takes_no_more("half a header block", &[command.as_bytes(), half].concat());
}

#[test]
fn memory_of_sessions_that_store_half_a_message() {
    let letter = large_letter();
    let command = format!("STORE inbox {}\n", letter.len());
    let all_but_the_end = &letter[..letter.len() - 3];
    takes_no_more(
        "half a message",
        &[command.as_bytes(), all_but_the_end].concat(),
    );
}
