//! Where a dialling ends, and how long it takes.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use ima_message::Hostpart;
use ima_proto::dial::{DialError, Dialler, Dns as Key, Hosts, Service};

use super::Dead;
use crate::peer::dns::{self, Dns, Question, Record, Reply, from_zone};
use crate::peer::nowhere;

const LONG: Duration = Duration::from_secs(20);
const NAME: &str = "_imdp._tcp.b.test";

fn dialler(dns: &Dns, within: Duration) -> Dialler {
    let key = Key::Servers(vec![dns.address]);
    Dialler::new(Hosts::default(), Service::IMDP, key, within)
}

fn b_test() -> Hostpart {
    Hostpart::parse("b.test").unwrap()
}

/// Where a connection to b.test went.
fn reached(dns: &Dns) -> SocketAddr {
    let stream = dialler(dns, LONG).dial(&b_test()).unwrap();
    stream.peer_addr().unwrap()
}

/// The error, and how long it took.
fn failure(dns: &Dns, within: Duration) -> (String, Duration) {
    let began = Instant::now();
    let error = dialler(dns, within).dial(&b_test()).unwrap_err();
    (error.to_string(), began.elapsed())
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Record {
    Record::srv(NAME, priority, weight, port, target.as_bytes())
}

fn local(name: &str) -> Record {
    Record::address(name, "127.0.0.1")
}

#[test]
fn srv_records_say_where_and_at_which_port() {
    let (_listener, address) = listener();
    let dns = Dns::zone(vec![
        srv(0, 0, address.port(), "Mail.b.test."),
        local("mail.b.test"),
        Record::address("b.test", "192.0.2.1"),
    ]);
    assert_eq!(reached(&dns), address);
    let asked: Vec<_> = dns.asked().into_iter().map(|q| (q.name, q.kind)).collect();
    assert_eq!(asked[0], (NAME.to_owned(), dns::SRV));
    // Both families, at once, and nothing else.
    assert_eq!(asked.len(), 3, "{asked:?}");
    for kind in [dns::A, dns::AAAA] {
        assert!(asked.contains(&("mail.b.test".to_owned(), kind)));
    }
}

#[test]
fn without_srv_records_the_domain_s_own_addresses_serve() {
    let listener = TcpListener::bind("127.83.1.1:4025").unwrap();
    let own = Record::address("b.test", "127.83.1.1");
    // The name of the SRV records does not exist, or has none.
    for more in [vec![], vec![Record::cname("x._imdp._tcp.b.test", "x.test")]] {
        let dns = Dns::zone([vec![own.clone()], more].concat());
        assert_eq!(reached(&dns), listener.local_addr().unwrap());
    }
    let empty = Dns::start(|question| match question.kind {
        dns::A => Reply::Records(vec![Record::address("b.test", "127.83.1.1")]),
        _ => Reply::Records(vec![]),
    });
    assert_eq!(reached(&empty), listener.local_addr().unwrap());
}

#[test]
fn a_smaller_priority_goes_first_and_a_dead_one_is_passed_by() {
    let (_first, first) = listener();
    let (_second, second) = listener();
    let zone = |port: u16| {
        Dns::zone(vec![
            srv(20, 100, second.port(), "mail.b.test"),
            srv(10, 0, port, "mail.b.test"),
            local("mail.b.test"),
        ])
    };
    for _ in 0..10 {
        assert_eq!(reached(&zone(first.port())), first);
    }
    // Nobody listens: at once. Nobody answers: 2 s.
    let began = Instant::now();
    assert_eq!(reached(&zone(nowhere().port())), second);
    assert!(began.elapsed() < Duration::from_millis(1500));
    let dead = Dead::new();
    let began = Instant::now();
    assert_eq!(reached(&zone(dead.address.port())), second);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(4),
        "{took:?}"
    );
}

#[test]
fn weights_are_chances() {
    // Both take their connections: no more than 128 can wait.
    let taking = || {
        let (listener, address) = listener();
        thread::spawn(move || listener.incoming().for_each(drop));
        address
    };
    let (heavy, light) = (taking(), taking());
    let dns = Dns::zone(vec![
        srv(10, 9, heavy.port(), "mail.b.test"),
        srv(10, 1, light.port(), "mail.b.test"),
        local("mail.b.test"),
    ]);
    let mut count = BTreeMap::new();
    for _ in 0..200 {
        *count.entry(reached(&dns)).or_insert(0) += 1;
    }
    // 2 of 11 lots, 36 on average; five standard deviations are 27.
    assert!((10..=64).contains(&count[&light]), "{count:?}");
    assert_eq!(count.len(), 2, "{count:?}");
}

#[test]
fn of_one_name_s_addresses_a_dead_one_costs_a_quarter_of_a_second() {
    let dead = Dead::new();
    // The same port, at another address of this machine.
    let good = SocketAddr::from(([127, 0, 0, 2], dead.address.port()));
    let _listener = TcpListener::bind(good).unwrap();
    let dns = Dns::zone(vec![
        srv(0, 0, good.port(), "mail.b.test"),
        Record::address("mail.b.test", "127.0.0.1"),
        Record::address("mail.b.test", "127.0.0.2"),
    ]);
    let began = Instant::now();
    assert_eq!(reached(&dns), good);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn ipv6_goes_first_and_its_silence_holds_nobody_up() {
    // A port that is free at one address may be another's at the other.
    let (_v6, _v4, port) = std::iter::repeat_with(|| {
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let port = v6.local_addr().unwrap().port();
        let v4 = TcpListener::bind(("127.0.0.1", port)).ok()?;
        Some((v6, v4, port))
    })
    .take(100)
    .flatten()
    .next()
    .expect("a port that is free at both");
    let zone = vec![
        srv(0, 0, port, "mail.b.test"),
        local("mail.b.test"),
        Record::address("mail.b.test", "::1"),
    ];
    assert!(reached(&Dns::zone(zone.clone())).is_ipv6());
    let mute = Dns::start(move |question| match question.kind {
        dns::AAAA => Reply::Silence,
        _ => from_zone(&zone, question),
    });
    let began = Instant::now();
    assert!(reached(&mute).is_ipv4());
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn aliases_are_followed_and_circles_are_not() {
    let (_listener, address) = listener();
    let chain = |length: usize| {
        let mut zone = vec![
            Record::cname(NAME, "srv.other.test"),
            Record::srv("srv.other.test", 0, 0, address.port(), b"m0.test"),
            local(&format!("m{length}.test")),
        ];
        for number in 0..length {
            let names = [number, number + 1].map(|number| format!("m{number}.test"));
            zone.push(Record::cname(&names[0], &names[1]));
        }
        Dns::zone(zone)
    };
    assert_eq!(reached(&chain(8)), address);
    let (error, took) = failure(&chain(9), LONG);
    assert!(
        error.contains("m0.test: the aliases (CNAME) lead"),
        "{error}"
    );
    assert!(took < Duration::from_secs(2));
    let circle = Dns::zone(vec![
        Record::cname(NAME, "x.test"),
        Record::cname("x.test", NAME),
    ]);
    let (error, took) = failure(&circle, LONG);
    assert!(
        error.contains("the aliases (CNAME) lead in a circle"),
        "{error}"
    );
    assert!(took < Duration::from_secs(2));
    assert!(circle.asked().len() < 20, "{}", circle.asked().len());
    // All of the circle in one answer.
    let both = Dns::start(|_| {
        Reply::Records(vec![
            Record::cname(NAME, "x.test"),
            Record::cname("x.test", NAME),
        ])
    });
    let (error, _) = failure(&both, LONG);
    assert!(error.contains("in a circle"), "{error}");
}

#[test]
fn each_fault_of_dns_is_told_for_what_it_is() {
    let code = |code| Dns::start(move |_| Reply::Code(code));
    let server = |dns: &Dns| dns.address.to_string();
    let nobody = code(dns::NXDOMAIN);
    let (error, _) = failure(&nobody, LONG);
    assert!(
        error.starts_with("b.test cannot be reached: b.test: there is no such name"),
        "{error}"
    );
    assert!(error.contains(&server(&nobody)), "{error}");
    assert!(error.contains("no SRV record _imdp._tcp.b.test"), "{error}");

    let sick = code(dns::SERVFAIL);
    let (error, took) = failure(&sick, LONG);
    assert!(
        error.contains("look-up of _imdp._tcp.b.test (SRV records)"),
        "{error}"
    );
    assert!(
        error.contains("SERVFAIL") && error.contains(&server(&sick)),
        "{error}"
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    // That there are no SRV records is not known, so the addresses do not serve.
    assert!(
        sick.asked()
            .iter()
            .all(|question| question.kind == dns::SRV)
    );

    let (error, _) = failure(&code(dns::REFUSED), LONG);
    assert!(error.contains("REFUSED"), "{error}");

    let empty = Dns::start(|_| Reply::Records(vec![]));
    let (error, _) = failure(&empty, LONG);
    assert!(error.contains("b.test: it has no address"), "{error}");

    let silent = Dns::start(|_| Reply::Silence);
    let (error, took) = failure(&silent, Duration::from_secs(1));
    assert!(
        error.contains("b.test") && error.contains(&server(&silent)),
        "{error}"
    );
    assert!(took < Duration::from_secs(3), "{took:?}");

    let gone = nowhere();
    let key = Key::Servers(vec![gone]);
    let dialler = Dialler::new(Hosts::default(), Service::IMDP, key, Duration::from_secs(2));
    let error = dialler.dial(&b_test()).unwrap_err().to_string();
    assert!(error.contains(&gone.to_string()), "{error}");
}

#[test]
fn answers_to_other_questions_and_noise_are_no_answers() {
    let (_listener, address) = listener();
    let port = address.port();
    let forged = Dns::start(move |_| Reply::WrongId(vec![srv(0, 0, port, "mail.b.test")]));
    let (error, took) = failure(&forged, Duration::from_secs(1));
    assert!(error.contains("b.test"), "{error}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    // An answer about other names gives nothing of b.test.
    let other = Dns::start(move |_| {
        Reply::Records(vec![
            Record::srv("_imdp._tcp.c.test", 0, 0, port, b"mail.b.test"),
            local("c.test"),
        ])
    });
    let (error, _) = failure(&other, LONG);
    assert!(error.contains("b.test: it has no address"), "{error}");
    for octets in [vec![], vec![0xFF; 500], vec![0xC0; 500], vec![0; 10]] {
        let noise = Dns::start(move |_| Reply::Octets(octets.clone()));
        let (error, took) = failure(&noise, Duration::from_secs(2));
        assert!(error.contains("b.test"), "{error}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
}

#[test]
fn a_long_answer_comes_by_tcp_and_a_giant_one_costs_nothing() {
    let (_listener, address) = listener();
    // Records that point to nobody, as many as a message of DNS holds.
    let giant = move |count: u16, last: Record| {
        let mut records: Vec<_> = (0..count)
            .map(|number| srv(5, number, 9, &format!("h{number}.test")))
            .collect();
        records.push(last);
        records
    };
    let few = giant(100, srv(1, 0, address.port(), "mail.b.test"));
    let zone = [few, vec![local("mail.b.test")]].concat();
    let dns = Dns::zone(zone);
    assert_eq!(reached(&dns), address);
    let is_srv_by_tcp = |question: &Question| question.over_tcp && question.kind == dns::SRV;
    assert!(dns.asked().iter().any(is_srv_by_tcp));

    let dns = Dns::zone(giant(1900, srv(5, 0, 9, "last.test")));
    let (error, took) = failure(&dns, LONG);
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(error.len() < 2000, "{}", error.len());
    assert!(error.contains("and 8 more"), "{error}");
    let addresses = dns.asked().iter().filter(|q| q.kind != dns::SRV).count();
    assert_eq!(addresses, 32);

    // As many addresses: eight of a family are tried.
    let many: Vec<_> = (0..=255u8)
        .map(|n| Record::address("mail.b.test", &format!("127.99.0.{n}")))
        .collect();
    let (_, port) = nowhere_at();
    let dns = Dns::zone([vec![srv(0, 0, port, "mail.b.test")], many].concat());
    let Err(DialError::Unreachable { attempts, .. }) = dialler(&dns, LONG).dial(&b_test()) else {
        panic!("it was reached");
    };
    assert_eq!(attempts.len(), 8, "{attempts:?}");
}

fn nowhere_at() -> (SocketAddr, u16) {
    let address = nowhere();
    (address, address.port())
}

#[test]
fn no_mail_and_useless_records_are_told() {
    let none = Dns::zone(vec![Record::srv(NAME, 0, 0, 0, b"."), local("b.test")]);
    let (error, _) = failure(&none, LONG);
    assert!(error.contains("b.test takes no IMA mail"), "{error}");
    let useless = Dns::zone(vec![
        srv(0, 0, 0, "mail.b.test"),
        Record::srv(NAME, 0, 0, 25, b"\x1b[31mred\x07.b.test"),
        local("mail.b.test"),
    ]);
    let (error, _) = failure(&useless, LONG);
    assert!(
        error.contains("none of the 2 SRV records of _imdp._tcp.b.test"),
        "{error}"
    );
    assert!(!error.contains(char::is_control), "{error:?}");
}

#[test]
fn addresses_of_no_machine_are_not_connected_to() {
    // A connection to 0.0.0.0 would reach this.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut zone = vec![srv(0, 0, port, "mail.b.test")];
    for address in [
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "ff02::1",
        "::ffff:0.0.0.0",
    ] {
        zone.push(Record::address("mail.b.test", address));
    }
    let (error, took) = failure(&Dns::zone(zone), LONG);
    for part in ["0.0.0.0:", "unspecified", "multicast", "broadcast"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(took < Duration::from_secs(2));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn names_of_dns_are_never_put_behind_others() {
    let dns = Dns::start(|_| Reply::Code(dns::NXDOMAIN));
    failure(&dns, LONG);
    for question in dns.asked() {
        assert!(
            ["b.test", NAME].contains(&question.name.as_str()),
            "{question:?}"
        );
    }
}

#[test]
fn one_silent_dns_server_of_two_holds_nobody_up() {
    let (_listener, address) = listener();
    let silent = Dns::start(|_| Reply::Silence);
    let good = Dns::zone(vec![
        srv(0, 0, address.port(), "mail.b.test"),
        local("mail.b.test"),
    ]);
    for servers in [
        [silent.address, good.address],
        [good.address, silent.address],
    ] {
        let key = Key::Servers(servers.to_vec());
        let began = Instant::now();
        let dialler = Dialler::new(Hosts::default(), Service::IMDP, key, LONG);
        let stream = dialler.dial(&b_test()).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn an_answer_that_is_only_to_be_had_by_tcp_and_does_not_come_is_bounded() {
    let dns = Dns::start(|question| match question.over_tcp {
        true => Reply::Silence,
        false => Reply::Records((0..200).map(|n| srv(0, n, 9, "mail.b.test")).collect()),
    });
    let (error, took) = failure(&dns, Duration::from_secs(2));
    assert!(error.contains("b.test"), "{error}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(dns.asked().iter().any(|question| question.over_tcp));
}
