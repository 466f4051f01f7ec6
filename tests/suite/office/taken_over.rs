//! The network process does what whoever has taken it over wants, and comes to nothing.

use std::fs;
use std::net::TcpStream;
use std::process::Child;

use rustls::server::ParsedCertificate;

use super::{Place, bob};
use crate::process::wait;
use crate::site::wait_until;
use crate::taken_over::{DENIED, EARLIER, does_not_own_the_log};

/// What is asked of the monitor in vain.
const REFUSED: [&str; 12] = [
    "enter without a login",
    "hear before its time that a password is wrong",
    "enter with a wrong password",
    "guess on where three logins have failed",
    "enter without a certificate",
    "enter with somebody's certificate",
    "hear before its time that a password is right",
    "enter with a right password and a wrong one",
    "enter once more than may be in",
    "read a journal that is not open",
    "hear of folders that are not watched",
    "go on after the end",
];

/// Does not outlive a test that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn one_that_was_taken_over_reads_no_key_and_no_mailbox_but_that_of_who_is_in() {
    let place = Place::new();
    place.set("max-connections", "1");
    place.deliver("Hello\n", &[]);
    let victim = place.site.path().join("victim");
    fs::write(&victim, "what may be lost").unwrap();
    let secrets = [
        place.b.dir.join("tls/b.test.key"),
        place.b.dir.join("users.toml"),
        place.b.dir.join("server-post-office.toml"),
        place.b.inbox("bob").join("journal"),
        place.b.inbox("carol").join("journal"),
        victim.clone(),
    ];
    let before = secrets.clone().map(|file| fs::read(file).unwrap());
    let certificate = &place.bob.chain()[0];
    let key = ParsedCertificate::try_from(certificate).unwrap();
    let key = key.subject_public_key_info();
    let digits: String = key.iter().map(|octet| format!("{octet:02x}")).collect();
    let folder = place.site.path().display().to_string();
    let mut lines = vec![folder, format!("/key:{digits}")];
    lines.extend(secrets.iter().map(|path| path.display().to_string()));
    lines.push("/etc/passwd".to_owned());
    let log = place.site.path().join("log");
    fs::write(&log, EARLIER).unwrap();
    let append = fs::OpenOptions::new().append(true).open(&log).unwrap();
    let mut command = place.b.command("server-post-office");
    command
        .env("EMEMO_TAKEN_OVER", lines.join("\n"))
        .stderr(append);
    let mut server = Killed(command.spawn().unwrap());
    let mut address = String::new();
    wait_until("an address", || {
        let log = fs::read_to_string(&log).unwrap();
        let found = log.split_once("event=listening address=");
        let line = found.and_then(|(_, behind)| behind.split_once('\n'));
        address = line.unwrap_or_default().0.to_owned();
        !address.is_empty()
    });
    let _connection = TcpStream::connect(&address).unwrap();
    // It is killed for what it says last, and the server ends with it.
    assert_eq!(wait(&mut server.0).code(), Some(2));
    let log = fs::read_to_string(&log).unwrap();
    does_not_own_the_log(&log, "server-post-office");
    let tried = log.lines().filter(|line| line.contains("event=taken-over"));
    let (mut allowed, mut denied, mut refused) = (0, 0, 0);
    for line in tried {
        let (attempt, outcome) = line.split_once(" outcome=").unwrap();
        if attempt.contains("attempt=\"allowed ") {
            assert_eq!(outcome, "done", "{line}");
            allowed += 1;
        } else if outcome.starts_with("\"Refused") || outcome == "Refused" {
            assert!(
                REFUSED.iter().any(|known| attempt.contains(known)),
                "{line}"
            );
            refused += 1;
        } else {
            assert!(DENIED.contains(&outcome), "{line}");
            denied += 1;
        }
    }
    assert_eq!((allowed, refused), (9, REFUSED.len()), "{log}");
    assert!(denied > 82, "{denied}: {log}");
    for (file, before) in secrets.iter().zip(before) {
        assert_eq!(fs::read(file).unwrap(), before, "{}", file.display());
    }
    // The next one serves, and everything is as it was.
    let server = place.b.start_office();
    let told = bob(&server).lines("FOLDERS");
    assert!(matches!(&told[..], [inbox, ok] if inbox.starts_with("+ inbox 1 1 ") && ok == "OK"));
    wait_until("the end", || server.log.text().contains("event=closed"));
}
