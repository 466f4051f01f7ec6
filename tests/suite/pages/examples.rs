//! The examples of the pages are run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{document, examples, names_in};
use crate::site::{Site, code, feed, letter, letter_with, program, stderr, stdout};

/// How many displays the EXAMPLES of each page have, and where they are run.
/// Who adds one runs it too.
const EXAMPLES: &[(&str, usize, &str)] = &[
    ("fetch-mail.1", 4, "fetch"),
    ("fetch-mail.toml.5", 2, "fetch"),
    ("ima-handler.7", 7, "handle_incoming_mail and receive"),
    (
        "ima-mailbox.1",
        6,
        "the third here, two in mailbox_tool, the last in external; the others are for root and cron",
    ),
    ("ima-mailbox.5", 5, "here"),
    ("ima-message.5", 1, "make_show"),
    ("ima.7", 1, "here"),
    ("imdp.7", 7, "external"),
    ("imrp.7", 7, "office and external"),
    ("make-ima-key.1", 2, "make_show"),
    ("make-ima-message.1", 5, "make_show, and here"),
    ("server-check.8", 3, "check_host"),
    ("server-give-recipient.8", 2, "here"),
    ("server-handle-incoming-mail.8", 3, "handle_incoming_mail"),
    (
        "server-handle-incoming-mail.toml.5",
        3,
        "handle_incoming_mail",
    ),
    ("server-post-office.8", 6, "office, metrics and external"),
    ("server-post-office.toml.5", 1, "office"),
    ("server-receive.8", 5, "here and external"),
    ("server-receive.toml.5", 2, "setup"),
    ("server-send-mail.8", 5, "here"),
    ("server-send-mail.toml.5", 1, "setup"),
    ("server-setup.8", 6, "setup, the last two in external"),
    ("server-user.8", 4, "users"),
    ("server-users.toml.5", 1, "users"),
    ("show-ima-message.1", 5, "make_show"),
];

#[test]
fn every_example_is_run_somewhere() {
    let counted: BTreeMap<_, _> = names_in("man")
        .into_iter()
        .map(|name| (examples(&name).len(), name))
        .map(|(n, name)| (name, n))
        .collect();
    let known: BTreeMap<_, _> = EXAMPLES
        .iter()
        .map(|(name, count, _)| ((*name).to_owned(), *count))
        .collect();
    assert_eq!(counted, known);
}

/// A shell in a folder, with our programs before others.
fn shell(folder: &Path, script: &str) -> Command {
    let beside = program("server-receive");
    let beside = beside.parent().expect("a folder").display();
    let mut shell = Command::new("sh");
    shell
        .args(["-ec", script])
        .current_dir(folder)
        .env("PATH", format!("{beside}:/usr/bin:/bin"))
        .env_remove("EMEMO_CONFIG_DIR");
    shell
}

fn succeeds(folder: &Path, script: &str) -> Output {
    let output = feed(shell(folder, script), b"");
    assert_eq!(
        code(&output),
        0,
        "{script}\n{}{}",
        stdout(&output),
        stderr(&output)
    );
    output
}

/// alice, bob and carol at hosts of their own that one folder serves, and the
/// files that the examples speak of.
fn office() -> TempDir {
    let office = TempDir::new().expect("a folder");
    let hosts = "--host a.test --host b.test --host c.test";
    let users = "--user alice@a.test --user bob@b.test --user carol@c.test";
    succeeds(
        office.path(),
        &format!("server-setup office {hosts} {users} --ca ca"),
    );
    for name in [
        "letter.txt",
        "letter.html",
        "report.pdf",
        "photo.jpg",
        "notes.txt",
    ] {
        fs::write(office.path().join(name), format!("{name}\n")).expect("written");
    }
    succeeds(
        office.path(),
        "make-ima-key alice@a.test alice.key >alice.pub",
    );
    for name in ["message.ima", "one.ima", "two.ima"] {
        fs::write(office.path().join(name), letter(&["bob@b.test"], name)).expect("written");
    }
    office
}

#[test]
fn the_examples_of_make_ima_message_reach_people() {
    let is_external = std::env::var_os("EMEMO_EXTERNAL").is_some_and(|value| value == "1");
    let sends = examples("make-ima-message.1")
        .into_iter()
        .filter(|example| example.contains("server-send-mail"));
    // jq is not everywhere.
    let examples: Vec<_> = sends
        .filter(|example| is_external || !example.contains("jq "))
        .collect();
    assert!(examples.len() >= 3);
    for example in examples {
        let office = office();
        let output = succeeds(
            office.path(),
            &format!("export EMEMO_CONFIG_DIR=office\n{example}"),
        );
        let lines = stdout(&output);
        assert!(
            lines.lines().count() >= 1 && lines.lines().all(|line| line.starts_with("OK ")),
            "{lines}"
        );
    }
}

#[test]
fn the_examples_of_server_send_mail_send() {
    let examples = examples("server-send-mail.8");
    assert_eq!(examples.len(), 5);
    let site = Site::new();
    let (a, b, c) = (
        site.host("a.test", &[]),
        site.host("b.test", &["bob"]),
        site.host("c.test", &["carol"]),
    );
    let (at_b, at_c) = (b.start(), c.start());
    a.knows("b.test", at_b.address);
    a.knows("c.test", at_c.address);
    let office = office();
    let example = |number: usize| {
        let mut shell = shell(office.path(), &examples[number]);
        shell.env("EMEMO_CONFIG_DIR", &a.dir);
        feed(shell, b"")
    };

    let sent = example(0);
    let mut lines: Vec<String> = stdout(&sent).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        ["OK bob@b.test", "OK carol@c.test"],
        "{}",
        stderr(&sent)
    );
    assert_eq!((b.messages("bob").len(), c.messages("carol").len()), (1, 1));

    // What is sent again is the same, and nobody has it twice.
    let again = example(1);
    assert_eq!(stdout(&again).lines().count(), 2, "{}", stderr(&again));
    assert_eq!((b.messages("bob").len(), c.messages("carol").len()), (1, 1));

    // All have got it, so that grep finds nobody.
    let kept = example(2);
    assert_eq!(
        (code(&kept), stdout(&kept)),
        (1, String::new()),
        "{}",
        stderr(&kept)
    );
    assert_eq!(b.messages("bob").len(), 3);

    let one = office.path().join("one.ima");
    fs::write(&one, letter(&["bob@b.test", "dave@d.test"], "Once more\n")).expect("written");
    a.knows("d.test", "127.0.0.1:1");
    // The others were and are delivered; one.ima, the third, has a reader nobody finds.
    let stream = example(3);
    assert_eq!(stdout(&stream), "3\n", "{}", stderr(&stream));
    assert_eq!(b.messages("bob").len(), 4);
    let partial = example(4);
    let answer = stdout(&partial);
    assert_eq!(code(&partial), 0, "{}", stderr(&partial));
    assert!(
        answer.contains("OK bob@b.test\n") && answer.contains("DEFER dave@d.test - 60 "),
        "{answer}"
    );
    assert_eq!(b.messages("bob").len(), 5);
}

#[test]
fn the_examples_of_server_receive_serve() {
    let examples = examples("server-receive.8");
    let site = Site::new();
    let (a, b) = (site.host("a.test", &[]), site.host("b.test", &["bob"]));

    // To be killed it must not be a child of the shell.
    let server = b.start_with(shell(
        site.path(),
        &examples[0].replace("server-receive", "exec server-receive"),
    ));
    drop(server);

    let logged = examples[1]
        .replace("2>>b.log", "")
        .replace("server-receive", "exec server-receive");
    let server = b.start_with(shell(site.path(), &logged));
    a.knows("b.test", server.address);
    assert_eq!(code(&a.send(&letter(&["bob@b.test"], "Hello\n"), &[])), 0);
    assert_eq!(
        code(&a.send(&letter(&["nobody@b.test"], "Hello\n"), &[])),
        1
    );
    let mut stranger = TcpStream::connect(server.address).expect("a connection");
    stranger.write_all(b"Hello?\n").expect("written");
    server.log.wait_for("event=handshake-failed");
    fs::write(site.path().join("b.log"), server.log.text() + "\n").expect("written");
    let found = stdout(&succeeds(site.path(), &examples[2]));
    let lines: Vec<_> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{found}");
    assert!(
        lines[0].contains("REJECT recipient") && lines[1].contains("event=handshake-failed"),
        "{found}"
    );

    assert_eq!(
        document("etc/inetd.conf.example").lines().last(),
        examples[4].lines().next()
    );
}

#[test]
fn the_example_of_ima_leads_from_nothing_to_a_letter() {
    let folder = TempDir::new().expect("a folder");
    let output = succeeds(folder.path(), &examples("ima.7")[0]);
    let said = stdout(&output);
    assert!(
        said.contains("OK bob@b.test\n") && said.contains("Lunch at one?\n"),
        "{said}"
    );
}

/// What is typed at a prompt, and what goes on with it.
fn typed(example: &str) -> String {
    let lines = example
        .lines()
        .map(|line| line.strip_prefix("$ ").unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_is_typed_in_the_examples_of_mailboxes_works() {
    for (page, number) in [("ima-mailbox.1", 2), ("server-give-recipient.8", 0)] {
        let folder = TempDir::new().expect("a folder");
        fs::create_dir(folder.path().join("bob")).expect("made");
        succeeds(folder.path(), &typed(&examples(page)[number]));
        let messages = fs::read_dir(folder.path().join("bob/inbox/messages")).expect("messages");
        assert_eq!(messages.count(), 1, "{page}");
    }
}

#[test]
fn a_mailbox_is_read_as_its_page_says() {
    let examples = examples("ima-mailbox.5");
    let office = office();
    let path = |name: &str| office.path().join(name).display().to_string();
    let files = [
        "--attach",
        &path("photo.jpg"),
        "--attach",
        &path("report.pdf"),
    ];
    let attached = letter_with(&["bob@b.test"], "Hello\n", &files);
    fs::write(office.path().join("sent.ima"), &attached).expect("written");
    let inbox = "mkdir m\nima-mailbox create m/inbox\nserver-give-recipient m/inbox sent.ima\n";
    let reading = |before: &str, example: &str| {
        let script = format!("rm -rf m\n{inbox}cd m\n{before}\n{}", typed(example));
        stdout(&succeeds(office.path(), &script))
    };
    assert_eq!(reading("", &examples[0]), "1\n");
    reading(
        "d=$(sed -n 's/^add \\([0-9a-f]*\\) .*/\\1/p' inbox/journal)",
        &examples[1],
    );
    let again = fs::read(office.path().join("m/inbox/messages/message.ima")).expect("message.ima");
    assert_eq!(again, attached);
    assert_eq!(reading("", &examples[2]), "");
    assert_eq!(reading("", &examples[3]), "");
    let checked = format!("{}$ ima-mailbox check .\n", examples[4]);
    assert_eq!(reading("", &checked), "");
    let set = fs::read_to_string(office.path().join("m/mailbox.toml")).expect("mailbox.toml");
    assert_eq!(set, "quota = \"2GiB\"\n");
}
