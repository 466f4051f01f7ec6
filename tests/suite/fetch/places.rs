//! Where the configuration and the mailbox are.

use std::fs;
use std::process::Command;

use super::{Place, contents, folder};
use crate::peer::office::Office;
use crate::site::{Server, code, program, stderr};

fn served() -> (Place, Server) {
    let place = Place::new();
    place.deliver("inbox", &place.letter("one\n", &[]));
    let server = place.b.start_office();
    (place, server)
}

/// fetch-mail with no configuration at all, in a home of its own.
fn bare(place: &Place) -> Command {
    let mut command = Command::new(program("fetch-mail"));
    command
        .env_remove("EMEMO_CONFIG_DIR")
        .env_remove("XDG_CONFIG_HOME")
        .env("HOME", place.file("home"))
        .env("SSL_CERT_FILE", place.site.ca().join("ca.pem"));
    command
}

#[test]
fn options_alone_are_enough() {
    let (place, server) = served();
    let mut command = bare(&place);
    command
        .args([
            "--address",
            "bob@b.test",
            "--server",
            &server.address.to_string(),
        ])
        .arg("--certificate")
        .arg(place.file("bob.pem"))
        .arg("--key")
        .arg(place.file("bob.key"))
        .arg(place.mail());
    let output = command.output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 1);
}

#[test]
fn a_server_that_was_named_by_an_option_is_said_to_be() {
    let place = Place::new();
    let mut command = bare(&place);
    command
        .args(["--address", "bob@b.test", "--server"])
        .arg(crate::peer::nowhere().to_string())
        .arg("--certificate")
        .arg(place.file("bob.pem"))
        .arg("--key")
        .arg(place.file("bob.key"))
        .arg(place.mail());
    let output = command.output().unwrap();
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.ends_with(" (found in --server)\n"), "{said}");
}

#[test]
fn the_configuration_is_looked_for_in_the_users_own_folder() {
    let (place, server) = served();
    let text = format!(
        "address = \"bob@b.test\"\ncertificate = \"../bob.pem\"\nkey = \"../bob.key\"\n\
         [hosts]\n\"b.test\" = \"{}\"\n",
        server.address
    );
    for (variable, value, dir) in [
        ("HOME", "home", "home/.config/ememo"),
        ("XDG_CONFIG_HOME", "xdg", "xdg/ememo"),
        ("EMEMO_CONFIG_DIR", "chosen", "chosen"),
    ] {
        let _ = fs::remove_dir_all(place.mail());
        let depth = "../".repeat(dir.split('/').count());
        fs::create_dir_all(place.file(dir)).unwrap();
        let text = text.replace("../", &depth);
        fs::write(place.file(dir).join("fetch-mail.toml"), text).unwrap();
        let mut command = bare(&place);
        command.env(variable, place.file(value)).arg(place.mail());
        let output = command.output().unwrap();
        assert_eq!(code(&output), 0, "{variable}: {}", stderr(&output));
        fs::remove_dir_all(place.file(dir)).unwrap();
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let place = Place::new();
    let mut nothing = bare(&place);
    let output = nothing.arg(place.mail()).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("whose mail? Name the address: --address bob@b.test"));

    for (options, said) in [
        (
            &["--config", "/nowhere"][..],
            "/nowhere: there is no such file: fetch-mail.toml(5) says how to write it",
        ),
        (&["--address", "bob"], "bob"),
        (
            &["--server", "b.test"],
            "--server \"b.test\" is not ADDRESS:PORT",
        ),
        (
            &["--server", "/x:1"],
            "--server \"/x:1\" is not ADDRESS:PORT",
        ),
        (&["--address", "bob@b.test", "--folder", "../x"], "--folder"),
        (
            &["--address", "bob@b.test", "--since", "yesterday"],
            "a date is written like 2026-11-22",
        ),
        (
            &["--download-only", "--delete-after-fetch"],
            "cannot be used with",
        ),
        (&["--headers-only", "--watch"], "cannot be used with"),
        (&[], "DIRECTORY"),
    ] {
        let mut command = bare(&place);
        let is_whole = !options.is_empty();
        command.args(
            ["--address", "bob@b.test"]
                .iter()
                .filter(|_| !options.contains(&"--address")),
        );
        command.args(options);
        command.args(is_whole.then(|| place.mail()));
        let output = command.output().unwrap();
        assert_eq!(code(&output), 2, "{options:?}");
        assert!(
            stderr(&output).contains(said),
            "{options:?}: {}",
            stderr(&output)
        );
    }
    assert!(!place.mail().exists());
}

#[test]
fn the_directory_is_a_mailbox_of_this_account_or_made() {
    let place = Place::new();
    let letters = [place.letter("one\n", &[])];
    let office = Office::start(&place.identity(), &[folder("inbox", &letters)], |_, s| s);
    let says = |said: &str| {
        let output = place.fetch(office.address);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    };
    // A directory of something else.
    fs::create_dir(place.mail()).unwrap();
    fs::write(place.mail().join("thesis.tex"), "x").unwrap();
    says("this is no mailbox (\"thesis.tex\" is in it)");
    assert_eq!(fs::read_dir(place.mail()).unwrap().count(), 1);
    fs::remove_dir_all(place.mail()).unwrap();
    fs::write(place.mail(), "x").unwrap();
    says("mail");
    fs::remove_file(place.mail()).unwrap();

    // One that can be reached by a link.
    fs::create_dir(place.file("disk")).unwrap();
    std::os::unix::fs::symlink(place.file("disk"), place.mail()).unwrap();
    place.fetch_well(office.address);
    assert!(place.file("disk/inbox/journal").exists());

    // Another account's.
    let mut carol = place.command(office.address);
    carol.args(["--address", "carol@b.test"]);
    let output = carol.output().unwrap();
    assert_eq!(code(&output), 2);
    let said = "holds the mail of bob@b.test: name another directory for carol@b.test";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
    // The same in another spelling is the same.
    let mut bob = place.command(office.address);
    bob.args(["--address", "BOB@B.test"]);
    assert_eq!(code(&bob.output().unwrap()), 0);

    let state = place.mail().join(".fetch-mail/state");
    fs::write(&state, "fetch-mail 2\naddress bob@b.test\nfolder inbox x\n").unwrap();
    says("state, line 3: not as fetch-mail writes it: remove the file, and nothing is lost");
    fs::remove_file(state).unwrap();
    place.fetch_well(office.address);

    // A directory whose parent is missing is a disk that is not mounted.
    fs::remove_file(place.mail()).unwrap();
    std::os::unix::fs::symlink(place.file("nowhere/mail"), place.mail()).unwrap();
    says("mail");
    assert!(!place.file("nowhere").exists());
}
