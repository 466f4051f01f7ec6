//! What becomes of mail when DNS lies: at worst it waits.

use crate::peer::dns::{self, Dns, Record, Reply};
use crate::peer::{Identity, Receiver};
use crate::site::{Host, Site, code, letter, stderr, stdout};

const NAME: &str = "_imdp._tcp.b.test";

/// a.test with this DNS server.
fn sender(site: &Site, dns: &Dns) -> Host {
    let a = site.host("a.test", &[]);
    a.set("server-send-mail.toml", "dns", &dns.key());
    a.set("server-send-mail.toml", "connect-timeout", "\"2s\"");
    a
}

fn pointing_to(receiver: &Receiver) -> Dns {
    Dns::zone(vec![
        Record::srv(NAME, 0, 0, receiver.address.port(), b"mail.b.test"),
        Record::address("mail.b.test", "127.0.0.1"),
    ])
}

#[test]
fn mail_goes_where_srv_records_say() {
    let site = Site::new();
    site.host("b.test", &[]);
    let b = Receiver::taking(&Identity::made(&site, "b.test"));
    let dns = pointing_to(&b);
    let sent = sender(&site, &dns).send(&letter(&["bob@b.test"], "Hello\n"), &[]);
    assert_eq!(stdout(&sent), "OK bob@b.test\n", "{}", stderr(&sent));
    assert_eq!(code(&sent), 0);
    assert_eq!(b.words()[..2], ["HEADERS", "DATA"]);
}

#[test]
fn hosts_of_the_configuration_ask_nobody() {
    let site = Site::new();
    site.host("b.test", &[]);
    let b = Receiver::taking(&Identity::made(&site, "b.test"));
    let dns = Dns::start(|_| Reply::Code(dns::NXDOMAIN));
    let a = sender(&site, &dns);
    a.knows("b.test", b.address);
    let sent = a.send(&letter(&["bob@b.test"], "Hello\n"), &[]);
    assert_eq!(code(&sent), 0, "{}", stderr(&sent));
    assert_eq!(dns.asked(), []);
}

#[test]
fn a_server_that_dns_slips_in_is_told_nothing() {
    let site = Site::new();
    site.host("evil.test", &[]);
    let evil = Receiver::taking(&Identity::made(&site, "mail.b.test"));
    let dns = pointing_to(&evil);
    let sent = sender(&site, &dns).send(&letter(&["bob@b.test"], "Hello\n"), &[]);
    assert_eq!(code(&sent), 2);
    let line = stdout(&sent);
    assert!(line.starts_with("DEFER bob@b.test - 60 86400 "), "{line}");
    assert!(
        line.contains("is for mail.b.test, and not for b.test"),
        "{line}"
    );
    assert!(evil.lines().is_empty());
}

#[test]
fn no_lie_of_dns_is_a_final_no() {
    let site = Site::new();
    let a = site.host("a.test", &[]);
    a.set("server-send-mail.toml", "connect-timeout", "\"1s\"");
    let lies: Vec<(&str, Dns)> = vec![
        (
            "there is no such name",
            Dns::start(|_| Reply::Code(dns::NXDOMAIN)),
        ),
        ("SERVFAIL", Dns::start(|_| Reply::Code(dns::SERVFAIL))),
        (
            "takes no IMA mail",
            Dns::zone(vec![Record::srv(NAME, 0, 0, 0, b".")]),
        ),
        (
            "can be used",
            Dns::zone(vec![Record::srv(NAME, 0, 0, 0, b"b.test")]),
        ),
        ("it has no address", Dns::start(|_| Reply::Records(vec![]))),
        ("1 s", Dns::start(|_| Reply::Silence)),
        (
            "look-up of _imdp._tcp.b.test",
            Dns::start(|_| Reply::Octets(vec![0x80; 64])),
        ),
    ];
    for (words, dns) in lies {
        a.set("server-send-mail.toml", "dns", &dns.key());
        let sent = a.send(&letter(&["bob@b.test"], "Hello\n"), &[]);
        let line = stdout(&sent);
        assert_eq!(code(&sent), 2, "{words}: {line}");
        assert!(
            line.starts_with("DEFER bob@b.test - 60 86400 b.test"),
            "{line}"
        );
        assert!(line.contains(words), "{words}: {line}");
        assert_eq!(line.matches(char::is_control).collect::<Vec<_>>(), ["\n"]);
    }
}

#[test]
fn a_wrong_key_is_told_with_its_place() {
    let site = Site::new();
    let a = site.host("a.test", &[]);
    for (value, words) in [
        ("\"resolver\"", "\"resolver\" is not \"system\""),
        ("[]", "the list has 0 servers"),
        ("[\"127.0.0.1\"]", "\"127.0.0.1\" is not \"address:port\""),
        ("53", "\"system\" or a list of servers"),
    ] {
        a.set("server-send-mail.toml", "dns", value);
        let sent = a.send(&letter(&["bob@b.test"], "Hello\n"), &[]);
        let said = stderr(&sent);
        assert_eq!(code(&sent), 2, "{said}");
        assert!(said.contains("server-send-mail.toml, line "), "{said}");
        assert!(
            said.contains("`dns`") && said.contains(words),
            "{words}: {said}"
        );
    }
}
