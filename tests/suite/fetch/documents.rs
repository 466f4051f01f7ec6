//! The examples of the pages, and the lines of etc/.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use super::{Place, contents};
use crate::pages::{examples, root};
use crate::post::PASSWORD;
use crate::site::{Server, code, feed, program, stderr, stdout};

/// A server with a letter, and a home with a configuration of these lines that
/// finds it.
fn home(lines: &str) -> (Place, Server) {
    let place = Place::new();
    place.deliver("inbox", &place.letter("Shall we have lunch?\n", &[]));
    let server = place.b.start_office();
    write_config(&place, &server, lines);
    (place, server)
}

fn write_config(place: &Place, server: &Server, lines: &str) {
    let dir = place.file(".config/ememo");
    fs::create_dir_all(&dir).unwrap();
    for name in ["bob.pem", "bob.key"] {
        fs::copy(place.file(name), dir.join(name)).unwrap();
    }
    let ca = place.site.ca().join("ca.pem");
    let mut text = format!("roots = [{ca:?}]\n{lines}");
    if !text.contains("[hosts]") {
        text += "[hosts]\n\"b.test\" = \"127.0.0.1:4110\"\n";
    }
    let text = text.replace("127.0.0.1:4110", &server.address.to_string());
    fs::write(dir.join("fetch-mail.toml"), text).unwrap();
}

/// Runs a script at home.
fn at_home(place: &Place, script: &str) -> Output {
    let beside = program("fetch-mail");
    let beside = beside.parent().unwrap().display();
    let bin = place.file("bin");
    let mut shell = Command::new("sh");
    shell
        .args(["-ec", script])
        .current_dir(place.site.path())
        .env("HOME", place.site.path())
        .env("PATH", format!("{}:{beside}:/usr/bin:/bin", bin.display()))
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("EMEMO_CONFIG_DIR");
    feed(shell, b"")
}

#[test]
fn the_examples_of_fetch_mail_fetch() {
    let examples = examples("fetch-mail.1");
    let (place, server) = home("");
    let output = at_home(&place, &examples[0]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 1);

    place.deliver("inbox", &place.letter("And dinner?\n", &[]));
    let by_certificate = "address = \"bob@b.test\"\ncertificate = \"bob.pem\"\nkey = \"bob.key\"\n";
    write_config(&place, &server, by_certificate);
    let output = at_home(&place, &examples[1]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(
        shown.contains("And dinner?\n") && !shown.contains("lunch"),
        "{shown}"
    );

    place.deliver("inbox", &place.letter("And breakfast?\n", &[]));
    let output = at_home(&place, &examples[2]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert!(stdout(&output).ends_with(" alice@a.test Lunch?\n"));
    assert_eq!(stdout(&output).lines().count(), 1);
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 3);

    let crontab = fs::read_to_string(root().join("etc/crontab.example")).unwrap();
    assert!(crontab.contains(&examples[3]), "{crontab}");
}

#[test]
fn the_examples_of_its_configuration_fetch() {
    for (number, example) in examples("fetch-mail.toml.5").into_iter().enumerate() {
        let (place, _server) = home(&example);
        // A keyring that knows one password.
        let tool = place.file("bin/secret-tool");
        fs::create_dir(place.file("bin")).unwrap();
        let asked = "lookup mail bob@b.test";
        let script = format!("#!/bin/sh\n[ \"$*\" = \"{asked}\" ] && echo '{PASSWORD}'\n");
        fs::write(&tool, script).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let output = at_home(&place, "fetch-mail mail");
        assert_eq!(code(&output), 0, "{number}: {}", stderr(&output));
        assert_eq!(contents(&place.mail().join("inbox")).1.len(), 1);
    }
}

/// As systemd starts it.
#[test]
fn the_command_of_the_unit_fetches_into_the_users_home() {
    let unit = fs::read_to_string(root().join("etc/systemd/fetch-mail.service")).unwrap();
    let command = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let by_certificate = "address = \"bob@b.test\"\ncertificate = \"bob.pem\"\nkey = \"bob.key\"\n";
    let (place, _server) = home(by_certificate);
    let home = place.site.path().display().to_string();
    let script = command.replace("/usr/local/bin/", "").replace("%h", &home);
    let output = at_home(&place, &script);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 1);
}
