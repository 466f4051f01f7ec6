//! What a command finds around it: three descriptors, and a bare environment.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::{Place, digest};
use crate::peer::Peer;
use crate::process::{network, terminate, wait};
use crate::site::{Server, letter, program, wait_until};

/// What is said of each message.
const FORGED: [&str; 5] = [
    "IMA_PEER_DOMAIN",
    "IMA_PEER_ADDRESS",
    "IMA_AUTHOR",
    "IMA_DIGEST",
    "IMA_RECIPIENT",
];

/// As from a careless shell: with more descriptors and variables.
fn careless(place: &Place, more: &[&str]) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" 7</dev/null 9>/dev/null"])
        .arg(program("server-receive"))
        .env("EMEMO_CONFIG_DIR", &place.b.dir)
        .envs([("SECRET", "x"), ("LD_PRELOAD_", "/x"), ("HOME", "/x")])
        .envs([("LANG", "C"), ("TZ", "UTC"), ("LISTEN_FDS_", "1")])
        .envs(more.iter().map(|name| (name, "forged")));
    place.b.start_with(command)
}

/// What ls(1) and env(1) of a command have said: the fourth descriptor is the folder
/// that ls reads, and nothing else of ours is there.
fn is_bare(place: &Place, has: &[String]) {
    assert_eq!(place.read("descriptors"), "0\n1\n2\n3\n");
    let environment = place.read("environment");
    let ours = ["PATH", "LANG", "TZ"];
    // What the shell itself sets.
    let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
    for line in environment.lines() {
        let (name, value) = line.split_once('=').unwrap();
        let passed_on = ours.contains(&name)
            || shells.contains(&name)
            || name.starts_with("EMEMO_")
            || name.starts_with("IMA_");
        assert!(passed_on && value != "forged", "{line}");
    }
    for line in has.iter().map(String::as_str).chain(["TZ=UTC", "LANG=C"]) {
        assert!(environment.lines().any(|other| other == line), "{line}");
    }
}

const NOTES: &str = "ls /proc/self/fd >{dir}/descriptors; env >{dir}/environment";

#[test]
fn of_a_handler_that_stays() {
    let script = "while read -r word octets; do head -c $octets >/dev/null; \
         if [ $word = DATA ]; then {notes}; echo OK; else echo ACCEPT; fi; done";
    let place = Place::staying(&script.replace("{notes}", NOTES));
    let server = careless(&place, &[]);
    // Another connection, and another message in hand.
    let mut other = place.dial(&server);
    let first = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(other.headers(&first), ["ACCEPT"]);
    let letter = letter(&["bob@b.test"], &"x".repeat(300_000));
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    is_bare(&place, &[]);
    let environment = place.read("environment");
    // It is asked about many messages.
    assert!(!environment.contains("IMA_"), "{environment}");
    assert_eq!(other.data(&first), ["OK"]);
}

/// A command that is routed to, behind the handler that stays and the one that is run
/// for each message, with folders and messages open in it.
#[test]
fn of_a_routed_command() {
    for stays in [true, false] {
        let place = Place::new();
        if !stays {
            place.set("check", "[\"server-handle-incoming-mail\", \"--check\"]");
            place.set("handler", "[\"server-handle-incoming-mail\"]");
        }
        let notes = NOTES.replace("{dir}", place.site.path().to_str().unwrap());
        let script = format!("cat >/dev/null; {notes}");
        place.b.edit("server-handle-incoming-mail.toml", |_| {
            format!(
                "hosts = [\"b.test\"]\n[routes]\n\
                 \"bob@b.test\" = {{ inbox = \"mail/b.test/bob/inbox\" }}\n\
                 \"*@b.test\" = {{ command = [\"/bin/sh\", \"-c\", {script:?}] }}\n"
            )
        });
        let server = careless(&place, &FORGED);
        let mut peer = place.dial(&server);
        for size in [6, 100_000, 1_000_000] {
            let recipients = ["bob@b.test", "Eve+x@b.test"];
            let letter = letter(&recipients, &"x".repeat(size));
            assert_eq!(peer.deliver(&letter), "OK");
            let wanted = [
                format!("IMA_DIGEST={}", digest(&letter)),
                "IMA_RECIPIENT=Eve+x@b.test".to_owned(),
                "IMA_PEER_DOMAIN=a.test".to_owned(),
                "IMA_PEER_ADDRESS=127.0.0.1".to_owned(),
                "IMA_AUTHOR=host".to_owned(),
            ];
            is_bare(&place, &wanted);
        }
    }
}

/// Under limits and signals of whoever starts it.
fn started_by(place: &Place, shell: &str) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell}; exec \"$0\"")])
        .arg(program("server-receive"))
        .env("EMEMO_CONFIG_DIR", &place.b.dir);
    place.b.start_with(command)
}

#[test]
fn what_outgrows_a_limit_for_files_is_a_fault_of_its_message_alone() {
    for place in [Place::taking(), Place::new()] {
        let server = started_by(&place, "ulimit -f 1000");
        let (small, large) = ("Hello\n".to_owned(), "x".repeat(3_000_000));
        let mut peer = place.dial(&server);
        for (text, outcome) in [(&small, "OK"), (&large, "PARTIAL"), (&small, "OK")] {
            let letter = letter(&["bob@b.test"], text);
            assert_eq!(peer.deliver(&letter), outcome);
        }
    }
}

#[test]
fn exit_statuses_come_also_where_those_of_others_are_ignored() {
    let place = Place::taking();
    let mut server = started_by(&place, "trap '' CHLD");
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
    terminate(&server.child);
    assert_eq!(wait(&mut server.child).code(), Some(0));
}

/// A collector of logs that has stopped, behind a pipe that is soon full.
#[test]
fn nobody_waits_for_a_log_that_nobody_reads() {
    let place = Place::new();
    let mut command = place.b.command("server-receive");
    let mut child = command
        .args(["--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0);
        if let Some((_, address)) = line.trim_end().split_once(" event=listening address=") {
            break address.parse().unwrap();
        }
    };
    let letter = letter(&["bob@b.test"], "Hello\n");
    let mut peer = Peer::dial(address, &place.a);
    // Some 700 octets of lines each: more than the pipes take.
    for _ in 0..400 {
        assert_eq!(peer.deliver(&letter), "OK");
    }
    peer.close();
    // Where somebody reads again, the log says what it lacks.
    let reader = std::thread::spawn(move || std::io::read_to_string(log).unwrap());
    let mut peer = Peer::dial(address, &place.a);
    assert_eq!(peer.deliver(&letter), "OK");
    peer.close();
    terminate(&child);
    assert_eq!(wait(&mut child).code(), Some(0));
    let log = reader.join().unwrap();
    assert!(log.contains(" event=log-lines-lost count="), "{log}");
    assert!(log.contains(" event=stopped "), "{log}");
}

#[test]
fn one_that_is_stopped_waits_for_no_log_either() {
    let place = Place::new();
    let (_reader, writer) = std::io::pipe().unwrap();
    // Full from the beginning.
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let mut command = place.b.command("server-receive");
    let mut child = command
        .args(["--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    drop(command);
    wait_until("the network process", || network(child.id()).is_some());
    terminate(&child);
    assert_eq!(wait(&mut child).code(), Some(0));
}
