//! What server-post-office(8) and server-post-office.toml(5) show is run.

use std::fs;
use std::process::{Command, Stdio};

use super::{Place, bob};
use crate::pages::{examples, root};
use crate::peer::Caller;
use crate::site::{Server, feed, program, stdout};

/// A command of the page, in the folder of the place, as a server.
fn started(place: &Place, example: &str) -> Server {
    let mut shell = Command::new("sh");
    let beside = program("server-post-office");
    let path = format!("{}:/usr/bin:/bin", beside.parent().unwrap().display());
    shell
        .args([
            "-ec",
            &example.replace("server-post-office", "exec server-post-office"),
        ])
        .current_dir(place.site.path())
        .env("PATH", path)
        .stdin(Stdio::null());
    place.b.start_with(shell)
}

#[test]
fn the_examples_of_the_page() {
    let place = Place::new();
    let [simple, logged, counted, filter, _, inetd] = &examples("server-post-office.8")[..] else {
        panic!("six examples");
    };
    assert_eq!(bob(&started(&place, simple)).lines("FOLDERS").len(), 2);

    let server = started(&place, &logged.replace("2>>b.log", ""));
    let mut caller = Caller::dial(server.address, None);
    assert_eq!(caller.log_in("nobody@b.test", "x"), "FAIL");
    assert_eq!(caller.log_in("bob@b.test", "x"), "FAIL");
    assert_eq!(caller.log_in_by_certificate("bob@b.test"), "FAIL");
    let mut other = bob(&server);
    assert_eq!(other.lines("FOLDERS").len(), 2);
    let log = server.log.wait_for_count("event=login-failed", 3) + "\n";
    fs::write(place.site.path().join("b.log"), &log).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-ec", counted]).current_dir(place.site.path());
    let output = feed(shell, b"");
    let lines: Vec<String> = stdout(&output)
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    assert_eq!(
        lines,
        ["2 127.0.0.1 bob@b.test", "1 127.0.0.1 nobody@b.test"]
    );

    // What they do is seen where fail2ban is at hand.
    for line in filter.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let ["cp", file, place] = words[..] else {
            panic!("{line}");
        };
        assert!(root().join("etc/fail2ban").join(file).is_file(), "{line}");
        assert_eq!(
            place,
            format!("/etc/fail2ban/{}/", file.split('/').next().unwrap())
        );
    }

    let lines = fs::read_to_string(root().join("etc/inetd.conf.example")).unwrap();
    assert!(lines.lines().any(|line| line == inetd.trim_end()));
}

#[test]
fn the_configuration_of_the_page() {
    let place = Place::new();
    let lists = place.site.host("lists.b.test", &[]);
    for file in ["lists.b.test.pem", "lists.b.test.key"] {
        let tls = |dir: &std::path::Path| dir.join("tls").join(file);
        fs::copy(tls(&lists.dir), tls(&place.b.dir)).unwrap();
    }
    let [example] = &examples("server-post-office.toml.5")[..] else {
        panic!("one example");
    };
    let config = format!("listen = [\"127.0.0.1:0\"]\n{example}");
    fs::write(place.b.dir.join("server-post-office.toml"), config).unwrap();
    // In the folder nobody can log in yet.
    let server = place.b.start_office();
    let mut caller = Caller::dial(server.address, None);
    assert_eq!(caller.log_in("bob@b.test", "open sesame"), "FAIL");
    fs::copy(
        place.b.dir.join("users.toml"),
        place.b.dir.join("users/bob@b.test.toml"),
    )
    .unwrap();
    place.b.edit("users/bob@b.test.toml", |text| {
        text.replace("\"mail/", "\"../mail/")
    });
    drop(fs::remove_file(place.b.dir.join("users/carol@b.test.toml")));
    let server = place.b.start_office();
    assert_eq!(bob(&server).lines("FOLDERS").len(), 2);
}
