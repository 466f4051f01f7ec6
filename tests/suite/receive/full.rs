//! Each limit, reached: a newcomer gets an answer or a proper end, and soon; who is
//! inside goes on; and when one leaves, a newcomer gets in.

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::SanType;

use super::Place;
use super::lasting::commands;
use crate::peer::{Ending, Identity, Peer, Step, client_config, connect_from, headers, split};
use crate::process::{kib, raise_descriptors, with_descriptors};
use crate::site::{large_letter, letter, wait_until};

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// How soon a newcomer hears of it, on whatever machine the tests run.
const SOON: Duration = Duration::from_secs(10);
/// What is said where all handlers are at work, and for how long it is waited.
const BUSY: &str = "DEFER 60 too many messages are being delivered here; try again later";
const PATIENCE: Duration = Duration::from_secs(4);

/// Whether a peer is inside; it says nothing before it is asked.
fn is_served(peer: &mut Peer) -> bool {
    let _ = peer.try_send(b"KEYS b.test\n");
    peer.try_line().is_ok_and(|line| line == "OK")
}

fn is_sent_away(mut peer: Peer) {
    let begin = Instant::now();
    assert_eq!(peer.rest(), (String::new(), Ending::Proper));
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

/// A certificate with these names, in their order.
pub fn named(place: &Place, names: &[&str]) -> Identity {
    Identity::adjusted(&place.site, names[0], |params| {
        let names = names.iter();
        params.subject_alt_names = names
            .map(|name| SanType::DnsName((*name).try_into().unwrap()))
            .collect();
    })
}

#[test]
fn connections_of_one_domain() {
    let place = Place::taking();
    place.set("max-connections-per-domain", "3");
    let server = place.b.start();
    let from = |source: [u8; 4], identity: &Identity| {
        Peer::dial_from(source.into(), server.address, identity)
    };
    // Neither further hosts, nor a wildcard, nor many names, nor addresses are more.
    let many = named(&place, &["mx.a.test", "b.test", "c.test", "d.test"]);
    let mut inside = [
        from([127, 0, 0, 1], &place.a),
        from([127, 0, 0, 2], &named(&place, &["*.lists.a.test"])),
        from([127, 0, 0, 3], &many),
    ];
    assert!(inside.iter_mut().all(is_served));
    for newcomer in [&place.a, &many, &named(&place, &["mx2.a.test"])] {
        is_sent_away(from([127, 0, 0, 4], newcomer));
    }
    let line = server.log.wait_for("event=too-many-connections");
    let says = "limit=max-connections-per-domain domain=a.test";
    assert!(line.contains(says), "{line}");
    // Whoever else the certificate names is not a.test.
    let mut c = from([127, 0, 0, 1], &Identity::made(&place.site, "c.test"));
    assert!(is_served(&mut c));
    assert!(inside.iter_mut().all(is_served));
    inside[0].close();
    wait_until("room", || is_served(&mut from([127, 0, 0, 4], &many)));
}

/// Whether the other has ended a connection on which nothing was said.
fn is_over(mut socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let outcome = socket.read(&mut [0; 1]);
    socket.set_nonblocking(false).unwrap();
    match outcome {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn handshakes_at_once() {
    let place = Place::taking();
    place.set("max-handshakes", "3");
    let server = place.b.start();
    let mut inside = place.dial(&server);
    assert!(is_served(&mut inside));
    let dial = || TcpStream::connect(server.address).unwrap();
    let elsewhere = connect_from(ELSEWHERE, server.address);
    let silent: Vec<TcpStream> = (0..4).map(|_| dial()).collect();
    let begin = Instant::now();
    wait_until("the oldest have given way", || {
        silent.iter().filter(|one| is_over(one)).count() == 2
    });
    assert!(begin.elapsed() < SOON);
    assert!(is_over(&silent[0]) && is_over(&silent[1]));
    // The flood of one address drives out none of another.
    assert!(!is_over(&elsewhere));
    let mut newcomer = place.dial(&server);
    assert!(is_served(&mut newcomer) && is_served(&mut inside));
    // One that has been in no hurry gets in when it makes its handshake.
    let late = Peer::over(elsewhere, client_config(Some(&place.a)));
    assert!(is_served(&mut late.unwrap()));
}

/// All places are taken by messages that wait.
fn is_busy(place: &Place, started: &str) {
    place.set("max-handlers", "2");
    let go = place.gate("go");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut waiting: Vec<Peer> = (0..2)
        .map(|_| {
            let mut peer = place.dial(&server);
            assert_eq!(peer.headers(&letter), ["ACCEPT"]);
            peer.send_data(&letter);
            assert_eq!(peer.line(), started);
            peer
        })
        .collect();
    let mut newcomer = place.dial(&server);
    for _ in 0..2 {
        let begin = Instant::now();
        assert_eq!(newcomer.headers(&letter), [BUSY]);
        let took = begin.elapsed();
        assert!(took >= PATIENCE && took < PATIENCE + SOON, "{took:?}");
    }
    assert_eq!(commands(&server), 2);
    let line = server.log.wait_for("event=too-many-handlers");
    assert!(line.contains("digest="), "{line}");
    // Other questions have their answers.
    assert!(is_served(&mut newcomer));
    newcomer.send_headers(&letter);
    for _ in &waiting {
        go.let_one_go();
    }
    for peer in &mut waiting {
        assert_eq!(peer.answer(), ["OK"]);
    }
    assert_eq!(newcomer.answer(), ["ACCEPT"]);
}

#[test]
fn handlers_that_are_run_for_a_message() {
    let script = "echo started; read go <{dir}/go";
    is_busy(&Place::with("exit 0", script), "+ started");
}

#[test]
fn handlers_that_stay() {
    is_busy(
        &Place::staying(
            "while read -r word octets; do head -c $octets >/dev/null; \
             if [ $word = DATA ]; then echo + started; read go <{dir}/go; echo OK; else echo ACCEPT; fi; done",
        ),
        "+ started",
    );
}

/// A check has been run, and then there is no place for the handler.
#[test]
fn data_for_which_there_is_no_handler_are_to_be_sent_again() {
    let place = Place::with("exit 0", "echo started; read go <{dir}/go");
    place.set("max-handlers", "1");
    let go = place.gate("go");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peers = [place.dial(&server), place.dial(&server)];
    for peer in &mut peers {
        assert_eq!(peer.headers(&letter), ["ACCEPT"]);
    }
    let [first, second] = &mut peers;
    first.send_data(&letter);
    assert_eq!(first.line(), "+ started");
    let begin = Instant::now();
    let (_, reason) = BUSY.split_once("60 ").unwrap();
    assert_eq!(
        second.data(&letter),
        [format!("+ {reason}"), "PARTIAL".into()]
    );
    assert!(begin.elapsed() < PATIENCE + SOON);
    go.let_one_go();
    assert_eq!(first.answer(), ["OK"]);
}

/// More peers than there may be handlers, and no peer that has to come again.
/// `EMEMO_CROWD` says how many peers, for as many handlers as usual, or else they are
/// 12 for 3; and then who has to come again is told so.
#[allow(
    clippy::print_stdout,
    reason = "how long it took is worth knowing, on machines of all kinds"
)]
#[test]
fn a_crowd_takes_turns() {
    let place = Place::new();
    for key in [
        "max-connections",
        "max-connections-per-address",
        "max-connections-per-domain",
        "max-handshakes",
    ] {
        place.set(key, "5000");
    }
    let asked = std::env::var("EMEMO_CROWD").ok();
    let (peers, handlers) = match &asked {
        Some(text) => (text.parse().unwrap(), 250),
        None => (12, 3),
    };
    place.set("max-handlers", handlers.to_string());
    raise_descriptors();
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    let begin = Instant::now();
    let most = AtomicUsize::new(0);
    let mut answers: Vec<String> = thread::scope(|scope| {
        let crowd: Vec<_> = (0..peers)
            .map(|_| {
                scope.spawn(|| {
                    let mut peer = place.dial(&server);
                    (0..5).map(|_| peer.deliver(&letter)).collect::<Vec<_>>()
                })
            })
            .collect();
        while !crowd.iter().all(thread::ScopedJoinHandle::is_finished) {
            most.fetch_max(commands(&server), Ordering::Relaxed);
            thread::yield_now();
        }
        crowd
            .into_iter()
            .flat_map(|peer| peer.join().unwrap())
            .collect()
    });
    let (all, took) = (answers.len(), begin.elapsed());
    answers.retain(|answer| answer != "OK");
    println!(
        "{all} messages of {peers} peers at {handlers} handlers, {most:?} at once: {took:?}, {} deferred",
        answers.len(),
    );
    assert!(most.into_inner() <= handlers);
    let may_defer = asked.is_some();
    assert!(
        answers.iter().all(|answer| may_defer && answer == BUSY),
        "{answers:?}"
    );
}

#[test]
fn few_descriptors_are_told_at_the_start_with_what_to_do() {
    let place = Place::taking();
    place.set("max-connections", "20");
    place.set("max-handshakes", "10");
    place.set("max-handlers", "5");
    // A socket and a message each; a socket, and one that ends; three pipes; others.
    let needed = 20 * 2 + 10 * 2 + 5 * 3 + 64;
    let server = with_descriptors(&place.b, "server-receive", needed - 1);
    let line = server.log.wait_for("event=few-descriptors");
    for part in [
        format!("limit={} needed={needed} ", needed - 1),
        format!("LimitNOFILE of systemd, ulimit -Hn) to {needed}"),
        "lower max-connections and max-handlers".to_owned(),
    ] {
        assert!(line.contains(&part), "{part:?} in {line}");
    }
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    assert_eq!(server.log.text().matches("few-descriptors").count(), 1);

    let enough = with_descriptors(&place.b, "server-receive", needed);
    assert_eq!(place.dial(&enough).deliver(&letter), "OK");
    let log = enough.log.text();
    assert!(!log.contains("descriptor"), "{log}");
}

/// What a connection may take, by the page, in KiB: with `stream`, and with handlers
/// that are run.
const STAYING: u64 = 8 << 10;
const RUN: u64 = 16 << 10;

/// How much memory the server takes for each of these connections, which have said
/// some of a message with a header block as large as there may be.
#[allow(
    clippy::print_stdout,
    reason = "how much it is, is worth knowing, on machines of all kinds"
)]
fn takes_no_more(what: &str, place: &Place, allowed: u64, says: impl Fn(&mut Peer, &[u8])) {
    const COUNT: u64 = 12;
    place.set("max-connections-per-address", "100");
    let server = place.b.start();
    let letter = large_letter();
    let mut first = place.dial(&server);
    assert!(is_served(&mut first));
    let before = kib(server.child.id(), "VmRSS");
    let held: Vec<Peer> = (0..COUNT)
        .map(|_| {
            let mut peer = place.dial(&server);
            says(&mut peer, &letter);
            peer
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
    assert!(most < COUNT * allowed, "{what}: {most} KiB");
    // They are all inside, and a further one is served.
    let ended = server.log.text().matches("event=closed").count();
    assert_eq!(ended, 0);
    assert!(is_served(&mut first));
    drop(held);
}

#[test]
fn memory_of_connections_with_half_a_header_block_and_half_a_record() {
    takes_no_more(
        "half a header block",
        &Place::taking(),
        STAYING,
        |peer, letter| {
            let command = headers(letter);
            peer.send(&command[..command.len() / 2]);
            peer.play(&[Step::HalfRecord(&[b'x'; 16 << 10])]);
        },
    );
}

/// The header block is accepted, and half of the data are there.
fn has_half_the_data(peer: &mut Peer, letter: &[u8]) {
    assert_eq!(peer.headers(letter), ["ACCEPT"]);
    peer.say(&format!("DATA {}", split(letter).1.len()));
    peer.send(b"Hel");
}

#[test]
fn memory_of_connections_with_half_a_message() {
    let place = Place::taking();
    takes_no_more("half a message", &place, RUN, has_half_the_data);
}

#[test]
fn memory_of_connections_with_half_a_message_at_a_handler_that_stays() {
    let place = Place::staying(
        "while read -r word octets; do head -c $octets >/dev/null; \
         [ $word = DATA ] && echo OK || echo ACCEPT; done",
    );
    takes_no_more(
        "half a message, and a handler",
        &place,
        STAYING,
        has_half_the_data,
    );
}
