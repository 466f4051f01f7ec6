//! What servers log of what strangers say: a line for an event, whose fields are the
//! server's own.

use std::fs;

use rcgen::{CertificateParams, DnType};

use crate::peer::{Caller, Identity, Peer};
use crate::post::{Entry, PASSWORD};
use crate::site::{Host, Server, Site, letter};

/// What would forge a field or a line, or move the terminal of whoever reads it.
const FORGERIES: [&str; 9] = [
    " event=login user=root",
    "\" event=login user=root",
    "\\\" event=login user=root",
    "\\\\\" event=login user=root",
    "=x event=login",
    "\u{202e}toor=resu",
    "\u{2066}\u{200f}\u{61c}",
    "\u{a0}event=login",
    "\u{3000}event=login user=root",
];
/// The same with what text cannot hold.
const BREAKS: [&str; 7] = [
    "\ntime=2026-11-22T09:30:02.123Z level=info program=x event=login user=root",
    "\r\nevent=login",
    "\r",
    "\0",
    "\u{1b}]0;owned\u{7}",
    "\u{9b}2J",
    "\u{2028}event=login",
];

/// A line as whoever reads the log takes it to pieces: key=value, or key="value" in
/// which a backslash stands before a quotation mark or another.
fn fields(line: &str) -> Vec<(String, String)> {
    let mut rest = line;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').unwrap_or_else(|| panic!("{line}"));
        let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            !key.is_empty() && key.chars().all(is_key),
            "{key:?}: {line}"
        );
        let mut value = String::new();
        let mut chars = behind.chars();
        if let Some(quoted) = behind.strip_prefix('"') {
            chars = quoted.chars();
            loop {
                match chars.next().unwrap_or_else(|| panic!("{line}")) {
                    '"' => break,
                    '\\' => value.extend(['\\', chars.next().unwrap()]),
                    c => value.push(c),
                }
            }
            let next = chars.next();
            assert!(next.is_none_or(|c| c == ' '), "{line}");
        } else {
            value.extend(chars.by_ref().take_while(|c| *c != ' '));
            assert!(!value.contains(['"', '=', '\\']), "{line}");
        }
        fields.push((key.to_owned(), value));
        rest = chars.as_str();
    }
    fields
}

/// Every line is the server's own, each event one of these, and nothing is hidden.
/// Gives how many lines there are.
fn is_sound(server: &Server, program: &str, events: &[&str]) -> usize {
    let log = server.log.text();
    for line in log.lines() {
        assert!(!line.contains(ima_program::escape::is_hidden), "{line:?}");
        let fields = fields(line);
        let keys: Vec<&str> = fields.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys[..4], ["time", "level", "program", "event"], "{line}");
        assert_eq!(fields[2].1, program, "{line}");
        assert!(events.contains(&&*fields[3].1), "{line}");
        let mut once = keys.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), keys.len(), "{line}");
        for key in ["user", "by"] {
            let value = fields.iter().find(|(name, _)| name == key);
            assert!(value.is_none_or(|(_, value)| value != "root"), "{line}");
        }
    }
    log.lines().count()
}

/// A client whose authority nobody knows, and whose certificate says all that.
fn stranger() -> Identity {
    let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
    let all = [FORGERIES.concat(), BREAKS.concat()].concat();
    params.distinguished_name.push(DnType::CommonName, &all);
    params
        .distinguished_name
        .push(DnType::OrganizationName, BREAKS.concat());
    Identity::self_signed_with(&params)
}

/// What a command prints comes from a message, for instance.
fn with_commands(site: &Site, b: &Host) {
    let all = site.path().join("all");
    fs::write(&all, [FORGERIES.join("\n"), BREAKS.join("\n")].join("\n")).unwrap();
    let cat = format!("cat {}\n", all.display());
    let refuse = "grep -q '^subject: No' && echo 'REJECT policy \u{202e}on' && exit 1\nexit 0\n";
    for (key, script) in [
        ("check", format!("{cat}{refuse}")),
        ("handler", format!("{cat}exit 1\n")),
    ] {
        let path = site.path().join(key);
        fs::write(&path, script).unwrap();
        b.set(
            "server-receive.toml",
            key,
            &format!("[\"/bin/sh\", {path:?}]"),
        );
    }
}

#[test]
fn of_what_a_sending_server_says() {
    let site = Site::new();
    let b = site.host("b.test", &["bob"]);
    with_commands(&site, &b);
    let a = Identity::made(&site, "a.test");
    let server = b.start();
    let text = String::from_utf8(letter(&["bob@b.test"], "Hello\n")).unwrap();
    let mut closed = 0;
    for forgery in FORGERIES.into_iter().chain(BREAKS) {
        for octets in [
            forgery.to_owned(),
            format!("HEADERS {forgery}"),
            format!("HEADERS 5 {forgery}"),
            format!("DATA 6{forgery}"),
            format!("KEYS {forgery}"),
            format!("STATUS {forgery}"),
        ] {
            let mut peer = Peer::dial(server.address, &a);
            peer.say(&octets);
            peer.say("DONE");
            peer.close();
            closed += 1;
        }
        let mut peer = Peer::dial(server.address, &a);
        for broken in [
            text.replace("to: bob@", &format!("to: bob{forgery}@")),
            text.replace("@a.test", &format!("@a.test{forgery}")),
            text.replace("ima: 1", &format!("ima: 1{forgery}")),
            text.replace("id: ", &format!("id: {forgery}")),
            text.replace("size: 6", &format!("size: 6{forgery}")),
            text.replace("\n\n", &format!("\n{forgery}: x\n\n")),
        ] {
            peer.headers(broken.as_bytes());
            if peer.try_send(b"ABORT\nABORT\n").is_ok() {
                peer.close();
            }
            peer = Peer::dial(server.address, &a);
            closed += 1;
        }
        let subject = format!("subject: No {forgery}");
        let refused = text.replace("subject: Lunch?", &subject);
        peer.headers(refused.as_bytes());
        peer.close();
        closed += 1;
    }
    let mut peer = Peer::dial(server.address, &a);
    let accepted = peer.headers(text.as_bytes());
    assert_eq!(accepted.last().unwrap(), "ACCEPT");
    assert!(accepted.len() > FORGERIES.len());
    assert_eq!(peer.data(text.as_bytes()).pop().unwrap(), "FAIL");
    peer.close();
    closed += 1;
    let _ = Peer::dial(server.address, &stranger()).try_line();
    server.log.wait_for("event=handshake-failed");
    crate::site::wait_until("all ends", || {
        server.log.text().matches("event=closed").count() == closed
    });
    let events = [
        "listening",
        "connected",
        "closed",
        "refused",
        "headers",
        "data",
        "handshake-failed",
    ];
    assert!(is_sound(&server, "server-receive", &events) > 2 * closed);
}

#[test]
fn of_what_a_client_of_the_post_office_says() {
    let site = Site::new();
    let b = site.host("b.test", &["bob"]);
    b.open_office(&[Entry::new("bob").with(&stranger())]);
    // A flood of wrong logins is another test's.
    b.set("server-post-office.toml", "max-failed-logins", "100");
    let server = b.start_office();
    let mut closed = 0;
    let mut sources = (1..=250).map(|number| [127, 0, 3, number].into());
    for forgery in FORGERIES.into_iter().chain(BREAKS) {
        for octets in [
            forgery.to_owned(),
            format!("LOGIN bob{forgery}@b.test CERTIFICATE\n"),
            format!("LOGIN bob@b.test{forgery} CERTIFICATE\n"),
            format!("LOGIN {forgery} PASSWORD 1\nx"),
            format!("LOGIN bob{forgery}@b.test PASSWORD 1\nx"),
        ] {
            let mut caller = Caller::dial_from(sources.next().unwrap(), server.address);
            caller.send(format!("{octets}DONE\n").as_bytes());
            caller.close();
            closed += 1;
        }
        let mut caller = Caller::dial(server.address, Some(&stranger()));
        assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
        for command in [
            format!("CREATE x{forgery}"),
            format!("SYNC {forgery} - list"),
            format!("FETCH {forgery} x"),
            format!("MOVE inbox {} {forgery}", "ab".repeat(32)),
            format!("FLAG inbox {} +{forgery}", "ab".repeat(32)),
            format!("STORE {forgery} 1\nx"),
            format!("WATCH {forgery}"),
            forgery.to_owned(),
        ] {
            // What breaks the rules is the end.
            if caller.try_send(format!("{command}\n").as_bytes()).is_err()
                || caller.try_answer().is_err()
            {
                caller.close();
                closed += 1;
                caller = Caller::dial(server.address, None);
                assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
            }
        }
        caller.close();
        closed += 1;
    }
    crate::site::wait_until("all ends", || {
        server.log.text().matches("event=closed").count() >= closed
    });
    let events = [
        "listening",
        "connected",
        "closed",
        "login",
        "login-failed",
        "created",
        "mailbox-fault",
    ];
    assert!(is_sound(&server, "server-post-office", &events) > closed);
}

/// Nobody who only writes a file beside the mailbox can write a line.
#[test]
fn of_what_lies_in_a_mailbox() {
    let site = Site::new();
    let b = site.host("b.test", &["bob"]);
    b.open_office(&[Entry::new("bob")]);
    let mailbox = b.mailbox("bob");
    for forgery in FORGERIES.into_iter().chain(BREAKS) {
        let name = forgery.replace(['/', '\0'], "");
        fs::create_dir_all(mailbox.join(format!("x{name}"))).unwrap();
    }
    let inbox = b.inbox("bob");
    let whole = fs::read_to_string(inbox.join("journal")).unwrap();
    let server = b.start_office();
    for forgery in FORGERIES.into_iter().chain(BREAKS) {
        fs::write(inbox.join("journal"), format!("{whole}add {forgery}\n")).unwrap();
        let mut caller = Caller::dial(server.address, None);
        assert_eq!(caller.log_in("bob@b.test", PASSWORD), "OK");
        caller.say("SYNC inbox - list");
        caller.rest();
    }
    server.log.wait_for("event=mailbox-fault");
    let events = ["listening", "connected", "closed", "login", "mailbox-fault"];
    assert!(is_sound(&server, "server-post-office", &events) > FORGERIES.len());
}
