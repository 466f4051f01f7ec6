//! How a user logs in.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use super::{Place, contents};
use crate::post::PASSWORD;
use crate::site::{Server, code, feed, program, stderr};

/// A server with a letter for bob, and what fetch-mail needs beside a password.
fn place() -> (Place, Server, String) {
    let place = Place::new();
    place.deliver("inbox", &place.letter("one\n", &[]));
    let server = place.b.start_office();
    let hosts = format!("[hosts]\n\"b.test\" = \"{}\"\n", server.address);
    (place, server, hosts)
}

/// A configuration with these lines on the password fetches bob's letter.
fn fetches(place: &Place, lines: &str, hosts: &str) -> Output {
    let _ = fs::remove_dir_all(place.mail());
    let output = with(place, lines, hosts).output().unwrap();
    let is_here =
        place.mail().join("inbox").exists() && contents(&place.mail().join("inbox")).1.len() == 1;
    assert_eq!(is_here, code(&output) == 0, "{lines}: {}", stderr(&output));
    output
}

fn with(place: &Place, lines: &str, hosts: &str) -> Command {
    place.configured(&format!("address = \"bob@b.test\"\n{lines}\n{hosts}"))
}

fn write_password(place: &Place, octets: &[u8], mode: u32) {
    let file = place.file("password");
    let _ = fs::remove_file(&file);
    fs::write(&file, octets).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn by_a_password_from_a_file_that_nobody_else_may_read() {
    let (place, _server, hosts) = place();
    let line = "password-file = \"password\"";
    for octets in [
        PASSWORD.to_owned(),
        format!("{PASSWORD}\nand a second line\n"),
    ] {
        write_password(&place, octets.as_bytes(), 0o600);
        let output = fetches(&place, line, &hosts);
        assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    }
    for (octets, mode, exit, said) in [
        (PASSWORD.as_bytes(), 0o640, 2, "chmod 600"),
        (PASSWORD.as_bytes(), 0o604, 2, "chmod 600"),
        (
            b"wrong",
            0o600,
            1,
            "b.test refuses the login of bob@b.test: the password is wrong, there is no such user, or too many logins failed lately: then wait some minutes",
        ),
        (
            format!("{PASSWORD}\r\n").as_bytes(),
            0o600,
            2,
            "/password: a password is text in UTF-8 without control characters: is there a carriage return",
        ),
        (b"open \xffsesame\n", 0o600, 2, "text in UTF-8"),
        (b"", 0o600, 2, "/password gives no password"),
        (b"\nopen sesame\n", 0o600, 2, "gives no password"),
        (&[b'x'; 1025], 0o600, 2, "1 to 1024 octets"),
    ] {
        write_password(&place, octets, mode);
        let output = fetches(&place, line, &hosts);
        assert_eq!(code(&output), exit, "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        assert!(!stderr(&output).contains(PASSWORD));
        // For nobody who is not let in a mailbox is made.
        assert!(!place.mail().exists());
    }
    fs::remove_file(place.file("password")).unwrap();
    let output = fetches(&place, line, &hosts);
    assert!(stderr(&output).contains("this password cannot be read"));

    // Neither is waited for, nor are its permissions to blame.
    let pipe = place.file("password");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let says = |said: &str| {
        let output = fetches(&place, line, &hosts);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    };
    says("/password: this is no regular file");
    fs::remove_file(&pipe).unwrap();
    fs::create_dir(&pipe).unwrap();
    says("/password: this is no regular file");
}

#[test]
fn a_login_that_is_refused_is_ended_as_the_protocol_wants_it() {
    let (place, server, hosts) = place();
    write_password(&place, b"wrong", 0o600);
    let output = fetches(&place, "password-file = \"password\"", &hosts);
    assert_eq!(code(&output), 1);
    let closed = server.log.wait_for("event=closed");
    assert!(!closed.contains("broke"), "{closed}");
}

/// Whom a prompt that somebody has left open would keep from their mail is cron.
#[test]
fn while_the_password_is_asked_for_another_run_fetches() {
    let (place, server, hosts) = place();
    place.fetch_well(server.address);
    place.deliver("inbox", &place.letter("two\n", &[]));
    let mut asking = crate::terminal::at(&with(&place, "", &hosts))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    let mut output = asking.stdout.take().unwrap();
    while !shown.ends_with(b"Password of bob@b.test: ") {
        let mut octet = [0];
        output.read_exact(&mut octet).unwrap();
        shown.extend(octet);
    }
    place.fetch_well(server.address);
    assert_eq!(contents(&place.mail().join("inbox")).1.len(), 2);
    let mut typing = asking.stdin.take().unwrap();
    typing.write_all(b"open sesame\n").unwrap();
    output.read_to_end(&mut shown).unwrap();
    drop(typing);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert_eq!(asking.wait().unwrap().code(), Some(0), "{shown}");
    assert!(shown.contains("nothing new"), "{shown}");
}

#[test]
fn by_a_password_that_a_command_prints() {
    let (place, _server, hosts) = place();
    for (command, exit, said) in [
        (r#"["printf", "open sesame"]"#, 0, ""),
        (r#"["echo", "open sesame"]"#, 0, ""),
        (r#"["sh", "-c", "echo open sesame; echo and more"]"#, 0, ""),
        // It has the user's environment, and no input.
        (
            r#"["sh", "-c", "test -n \"$SECRET\" && ! read x && echo \"$SECRET\""]"#,
            0,
            "",
        ),
        (r#"["echo", "wrong"]"#, 1, "refuses the login"),
        (r#"["echo", "$(echo open sesame)"]"#, 1, "refuses the login"),
        (r#"["false"]"#, 2, "password-command failed (exit status 1)"),
        (
            r#"["sh", "-c", "echo open sesame; exit 1"]"#,
            2,
            "failed (exit status 1)",
        ),
        (r#"["true"]"#, 2, "password-command gives no password"),
        (
            r#"["printf", "open\tsesame\n"]"#,
            2,
            "password-command: a password is text",
        ),
        (
            r#"["printf", "open sesame\r\n"]"#,
            2,
            "is there a carriage return at the end of the line?",
        ),
        (r#"["printf", "%1025s"]"#, 2, "1 to 1024 octets"),
        (r#"["no-such-program-here"]"#, 2, "there is no such program"),
        ("[]", 2, "a command is empty"),
        (r#""echo open sesame""#, 2, "a list, in [ ]"),
    ] {
        let _ = fs::remove_dir_all(place.mail());
        let mut fetch = with(&place, &format!("password-command = {command}"), &hosts);
        let output = fetch.env("SECRET", PASSWORD).output().unwrap();
        assert_eq!(code(&output), exit, "{command}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(said),
            "{command}: {}",
            stderr(&output)
        );
        assert!(
            exit != 0 || stderr(&output).is_empty(),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn by_a_certificate_that_the_server_knows() {
    let (place, _server, hosts) = place();
    let lines = "certificate = \"bob.pem\"\nkey = \"bob.key\"";
    assert_eq!(code(&fetches(&place, lines, &hosts)), 0);
    let other = crate::peer::Identity::self_signed("bob");
    fs::write(place.file("other.pem"), other.certificate_pem()).unwrap();
    place.write_key("other.key", &other);
    place.write_key("open.key", &place.bob);
    fs::set_permissions(place.file("open.key"), fs::Permissions::from_mode(0o640)).unwrap();
    for (lines, exit, said) in [
        (
            "certificate = \"other.pem\"\nkey = \"other.key\"",
            1,
            "refuses the login of bob@b.test: it does not know this certificate",
        ),
        (
            "certificate = \"bob.pem\"\nkey = \"open.key\"",
            2,
            "open.key: others than its owner may read this key: `chmod 600` mends that",
        ),
        (
            "certificate = \"bob.pem\"\nkey = \"other.key\"",
            2,
            "do not make a pair",
        ),
        (
            "certificate = \"bob.pem\"",
            2,
            "`certificate` is given without `key`",
        ),
        (
            "key = \"bob.key\"",
            2,
            "`key` is given without `certificate`",
        ),
        (
            "certificate = \"none.pem\"\nkey = \"bob.key\"",
            2,
            "none.pem",
        ),
    ] {
        let output = fetches(&place, lines, &hosts);
        assert_eq!(code(&output), exit, "{lines}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(said),
            "{lines}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn in_one_way_only_but_an_option_stands_over_the_file() {
    let (place, _server, hosts) = place();
    write_password(&place, PASSWORD.as_bytes(), 0o600);
    let file = "password-file = \"password\"";
    let command = "password-command = [\"false\"]";
    let output = fetches(&place, &format!("{file}\n{command}"), &hosts);
    assert_eq!(code(&output), 2);
    let said = "password-command and password-file are both given: name one way to log in";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));

    let mut options = with(&place, command, &hosts);
    options.arg("--password-file").arg(place.file("password"));
    assert_eq!(code(&options.output().unwrap()), 0);
    let mut options = with(&place, command, &hosts);
    options.arg("--certificate").arg(place.file("bob.pem"));
    let output = options.output().unwrap();
    assert!(
        code(&output) == 2 && stderr(&output).contains("--key"),
        "{}",
        stderr(&output)
    );
    options.arg("--key").arg(place.file("bob.key"));
    assert_eq!(code(&options.output().unwrap()), 0);
    options.arg("--password-file").arg(place.file("password"));
    let output = options.output().unwrap();
    assert!(stderr(&output).contains("--password-file and --certificate are both given"));
}

/// setsid(1) leaves it without a terminal, and script(1) gives it one.
#[test]
fn by_a_password_that_is_typed_unseen_where_there_is_a_terminal() {
    let (place, _server, hosts) = place();
    let fetch = with(&place, "", &hosts);
    let mut alone = Command::new("setsid");
    alone
        .arg("--wait")
        .arg(program("fetch-mail"))
        .args(fetch.get_args());
    let output = alone.stdin(Stdio::null()).output().unwrap();
    assert_eq!(code(&output), 2);
    let said = "there is no password, and no terminal to ask at: name --password-file, or in";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));

    for (typed, exit, says) in [
        ("open sesame\n", 0, "1 new message, "),
        ("wrong\n", 1, "refuses the login"),
        ("\n", 2, "no password was typed"),
        // Ctrl-D
        ("\u{4}", 2, "no password was typed"),
    ] {
        let _ = fs::remove_dir_all(place.mail());
        let output = feed(crate::terminal::at(&fetch), typed.as_bytes());
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(code(&output), exit, "{shown}");
        assert!(shown.contains("Password of bob@b.test: "), "{shown}");
        assert!(shown.contains(says), "{shown}");
    }
}
