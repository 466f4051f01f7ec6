//! The network process does what whoever has taken it over wants, and comes to nothing.

use std::fs;
use std::os::fd::AsFd as _;

use rustix::fs::{OFlags, fcntl_getfl};

use super::Place;
use crate::process::wait;
use crate::site::letter;
use crate::taken_over::{DENIED, EARLIER, does_not_own_the_log};

#[test]
fn one_that_was_taken_over_reads_no_key_and_no_file_and_runs_nothing() {
    let place = Place::new();
    place.set("handler", "[\"touch\", \"{dir}/ran\"]");
    let (key, inbox) = (place.b.dir.join("tls/b.test.key"), place.b.inbox("bob"));
    let secrets = [
        key.clone(),
        place.b.dir.join("server-receive.toml"),
        inbox.join("journal"),
        "/etc/passwd".into(),
    ];
    for file in &secrets {
        assert!(fs::metadata(file).is_ok(), "{}", file.display());
    }
    let before = secrets.clone().map(|file| fs::read(file).unwrap());
    fs::write(place.file("victim"), "").unwrap();
    let folder = place.file("victim").parent().unwrap().to_owned();
    let lines: Vec<_> = [&folder].into_iter().chain(&secrets).collect();
    let lines: Vec<_> = lines.iter().map(|path| path.to_str().unwrap()).collect();
    fs::write(place.file("log"), EARLIER).unwrap();
    let append = fs::OpenOptions::new()
        .append(true)
        .open(place.file("log"))
        .unwrap();
    let mut command = place.b.command("server-receive");
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("EMEMO_TAKEN_OVER", lines.join("\n"))
        .stderr(append.try_clone().unwrap());
    // It is killed for what it says last, and the server ends with it.
    let status = wait(&mut command.spawn().unwrap());
    let log = place.read("log");
    assert_eq!(status.code(), Some(2), "{log}");
    does_not_own_the_log(&log, "server-receive");
    let flags = fcntl_getfl(append.as_fd()).unwrap();
    assert!(!flags.contains(OFlags::NONBLOCK), "{flags:?}");
    let tried = log.lines().filter(|line| line.contains("event=taken-over"));
    let (mut allowed, mut denied) = (0, 0);
    for line in tried {
        let (attempt, outcome) = line.split_once(" outcome=").unwrap();
        if attempt.contains("attempt=\"allowed ") {
            assert_eq!(outcome, "done", "{line}");
            allowed += 1;
        } else {
            let refused = outcome.contains("Refused")
                || outcome.contains("NotStarted")
                || outcome.contains("Lost");
            assert!(DENIED.contains(&outcome) || refused, "{line}");
            denied += 1;
        }
    }
    assert!(allowed == 6 && denied > 62, "{allowed} {denied}: {log}");
    assert!(!place.file("ran").exists());
    assert_eq!(fs::read(place.file("victim")).unwrap(), b"");
    for (file, before) in secrets.iter().zip(before) {
        assert_eq!(fs::read(file).unwrap(), before, "{}", file.display());
    }
    // The next one serves.
    place.set("handler", "[\"server-handle-incoming-mail\"]");
    let server = place.b.start();
    let letter = letter(&["bob@b.test"], "Hello\n");
    assert_eq!(place.dial(&server).deliver(&letter), "OK");
}
