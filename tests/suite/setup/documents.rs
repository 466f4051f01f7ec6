//! What is printed, the examples in etc/, and the manual pages.

use std::fs;

use super::place::{Place, displays, document, letter};
use crate::pages::examples;

#[test]
fn what_is_printed_can_be_run_as_it_stands() {
    let place = Place::new();
    let text = place.succeeds("server-setup \"it's here\" --host b.test --user Bob --user dave");
    let after = |heading: &str| {
        let (_, rest) = text
            .split_once(heading)
            .unwrap_or_else(|| panic!("{heading}\n{text}"));
        let indented = rest.lines().skip(1).skip_while(|line| line.is_empty());
        let lines: Vec<_> = indented
            .take_while(|line| line.starts_with("    "))
            .collect();
        lines.join("\n")
    };
    assert_eq!(
        place.succeeds(&after("\nexit status is 2, send the file letter.ima again")),
        "OK bob@b.test\n"
    );
    let shown = place.succeeds(&after("\nTo see what has arrived"));
    assert!(shown.contains("It works."), "{shown}");
    let servers = after("\nTo start the servers");
    let words = |line: &str| line.split_once("' ").unwrap().1.to_owned();
    let started: Vec<_> = servers.lines().map(words).collect();
    assert_eq!(started, ["server-receive", "server-post-office"]);
    assert!(servers.contains(r"it'\''s here'"), "{servers}");
    let logins = after("\nthat is made in the folder `take-away`");
    fs::write(place.path("secret"), "correct horse\n").unwrap();
    place.succeeds(&logins.replace("password bob@b.test", "password bob@b.test <secret"));
    let listed = place.succeeds("EMEMO_CONFIG_DIR=\"it's here\" server-user list | head -n 1");
    let bob = "bob@b.test passwords=1 certificates=sha256:";
    assert!(listed.starts_with(bob), "{listed}");
    assert!(place.path("take-away/bob@b.test.key").is_file());
    let fetch = after("\nThen to fetch the mail");
    let (by_password, by_certificate) = fetch.split_once('\n').unwrap();
    let begin = r"it'\''s here' fetch-mail ";
    assert!(by_password.ends_with(&format!("{begin}Mail")), "{fetch}");
    let pair = "--certificate take-away/bob@b.test.pem --key take-away/bob@b.test.key";
    assert!(
        by_certificate.ends_with(&format!("{begin}{pair} Mail")),
        "{fetch}"
    );
    // It leads to the server that would be started here.
    let config = place.read("it's here/fetch-mail.toml");
    assert!(
        config.contains("\"b.test\" = \"127.0.0.1:4110\"\n"),
        "{config}"
    );
    assert!(
        text.contains("Inboxes are there for dave@b.test too."),
        "{text}"
    );
    assert!(
        text.contains(
            "    _imdp._tcp.b.test. SRV 0 1 4025 mail.b.test.\n    \
             _imrp._tcp.b.test. SRV 0 1 4110 mail.b.test.\n"
        ),
        "{text}"
    );
    assert!(text.contains("    mail.b.test. A 192.0.2.25\n"), "{text}");
}

#[test]
fn the_comments_of_the_examples_stay() {
    let place = Place::new();
    place.succeeds(
        "server-setup d --host b.test --host c.test --user bob --peer a.test=127.0.0.1:1",
    );
    for name in [
        "server-receive.toml",
        "server-handle-incoming-mail.toml",
        "server-send-mail.toml",
        "server-post-office.toml",
        "fetch-mail.toml",
    ] {
        let written = place.read(&format!("d/{name}"));
        let lines: Vec<_> = written.lines().collect();
        let example = document(&format!("etc/{name}"));
        let comments: Vec<_> = example
            .lines()
            .filter(|line| line.starts_with('#'))
            .collect();
        assert!(comments.len() > 5);
        for comment in comments {
            assert!(lines.contains(&comment), "{name}: {comment}\n{written}");
        }
    }
    let send = place.read("d/server-send-mail.toml");
    assert!(
        send.contains("[hosts]\n\"a.test\" = \"127.0.0.1:1\"\n"),
        "{send}"
    );
    let routes = place.read("d/server-handle-incoming-mail.toml");
    let ours =
        "[routes]\n\"bob@b.test\" = { inbox = \"mail/b.test/bob/inbox\" }\n\"bob@c.test\" = ";
    assert!(routes.contains(ours), "{routes}");
}

#[test]
fn the_examples_in_the_manual_work() {
    let place = Place::new();
    let [renewal, public, domains, mail, password, _certbot, _lego] =
        &displays("man/server-setup.8")[..]
    else {
        panic!("seven examples, of which the last two are for an authority");
    };
    let (set_ups, start) = domains.rsplit_once('\n').unwrap();
    assert_eq!(start, "EMEMO_CONFIG_DIR=b.test server-receive");
    place.succeeds(set_ups);
    let server = place.serve("b.test");
    let config = place
        .read("a.test/server-send-mail.toml")
        .replace("127.0.0.1:4025", &server.address);
    fs::write(place.path("a.test/server-send-mail.toml"), config).unwrap();
    assert_eq!(place.succeeds(mail), "OK bob@b.test\n");
    let (set, start) = password.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(start, "EMEMO_CONFIG_DIR=b.test server-post-office");
    place.succeeds(&format!("echo secret | {set}"));

    let old = place.read("b.test/tls/b.test.pem");
    place.succeeds(renewal);
    assert_ne!(place.read("b.test/tls/b.test.pem"), old);
    assert_eq!(
        place.succeeds(&letter("b.test", "bob@b.test", "bob@b.test")),
        "OK bob@b.test\n"
    );

    let public = public
        .replace("/var/lib/", "")
        .replace("/etc/ssl/", "b.test/tls/");
    place.succeeds(&public);
    assert!(place.path("ememo/mail/b.test/postmaster/inbox").is_dir());
}

#[test]
fn the_configurations_in_the_manual_are_right() {
    let place = Place::new();
    place.succeeds(
        "server-setup d --host b.test --host lists.b.test --user bob; cp d/ca/ca.pem d/ca.pem",
    );
    // In the place of the system's store.
    let with_roots = "SSL_CERT_FILE=d/ca.pem";
    let received = displays("man/server-receive.toml.5");
    assert_eq!(received.len(), 2);
    for config in received {
        fs::write(place.path("d/server-receive.toml"), config).unwrap();
        drop(place.serve(&format!("d {with_roots}")));
    }
    let sent = examples("server-send-mail.toml.5");
    assert_eq!(sent.len(), 1);
    for config in sent {
        fs::write(place.path("d/server-send-mail.toml"), config).unwrap();
        let letter = letter(&format!("d {with_roots}"), "bob@b.test", "bob@b.test");
        assert_eq!(place.succeeds(&letter), "OK bob@b.test\n");
    }
}

#[test]
fn the_manual_has_the_keys_of_the_examples_and_the_options_of_the_help() {
    for name in [
        "server-receive.toml",
        "server-send-mail.toml",
        "server-post-office.toml",
    ] {
        let example = document(&format!("etc/{name}"));
        // What is commented out is at its default.
        let is_key = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let settings = example
            .lines()
            .filter_map(|line| match line.strip_prefix("# ") {
                Some(rest) => rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| is_key(key))
                    .then_some(rest),
                None => Some(line).filter(|line| !line.starts_with('#')),
            });
        let keys = settings
            .map(|line| line.split(' ').next().unwrap())
            .filter(|key| !key.is_empty());
        let mut keys: Vec<_> = keys.take_while(|key| *key != "[[identity]]").collect();
        keys.push("[[identity]]");
        let page = document(&format!("man/{name}.5"));
        let described = page.lines().filter_map(|line| line.strip_prefix(".It Ic "));
        let described: Vec<_> = described
            .map(|rest| rest.split(' ').next().unwrap())
            .collect();
        assert_eq!(described[..keys.len()], keys, "{name}");
    }
    let help = Place::new().succeeds("server-setup --help");
    let options = help.split_once("\nOptions:\n").unwrap().1.lines();
    let options = options.filter_map(|line| line.split_once(" --")?.1.split([' ', ',']).next());
    let page = document("man/server-setup.8");
    let described = page
        .lines()
        .filter_map(|line| line.strip_prefix(".It Fl ")?.split("Fl ").last());
    let described: Vec<_> = described
        .map(|rest| rest.split(' ').next().unwrap())
        .collect();
    assert_eq!(described, options.collect::<Vec<_>>());
}
