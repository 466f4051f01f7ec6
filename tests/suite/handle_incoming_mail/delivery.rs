//! Messages into inboxes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use ima_message::Digester;

use super::site::{Site, file_behind, finish, header_of, message, message_of};
use crate::process::within_kib;
use crate::site::wait_until;

const INBOXES: &str = "\"*@b.test\" = { inbox = \"mail/{localpart}/inbox\" }";

fn site_of(names: &[&str]) -> Site {
    let site = Site::new(INBOXES);
    names.iter().for_each(|name| site.inbox(name));
    site
}

#[test]
fn what_was_sent_is_what_is_stored_from_a_pipe_a_file_or_a_file_on_stdin() {
    let message = message_of(
        "to: bob@b.test\nx-other: kept\n",
        "Hello\n",
        &[("a.bin", b"\0\xFF"), ("b.bin", b"")],
    );
    let whole = String::from_utf8(header_of(&message).to_owned()).unwrap() + "Hello\n";
    type Run = fn(&Site, &[u8]) -> super::site::Answer;
    let runs: [Run; 5] = [
        |site, message| site.run(&[], message),
        |site, message| site.run(&["-"], message),
        |site, message| {
            fs::write(site.path("message.ima"), message).unwrap();
            site.run(&["message.ima"], b"")
        },
        |site, message| {
            fs::write(site.path("-message"), message).unwrap();
            site.run(&["--", "-message"], b"")
        },
        |site, message| {
            let mut command = site.command(&[]);
            command.stdin(file_behind(b"read by somebody else\n", message));
            command.output().unwrap().into()
        },
    ];
    for run in runs {
        let site = site_of(&["bob"]);
        run(&site, &message)
            .is(0, &["OK bob@b.test"])
            .explains("event=delivered");
        assert_eq!(site.messages("bob"), std::slice::from_ref(&whole));
        let folder = site.path("mail/bob/inbox/attachments");
        let mut attachments: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        attachments.sort();
        assert_eq!(attachments, [b"".to_vec(), b"\0\xFF".to_vec()]);
    }
}

#[test]
fn an_address_in_to_cc_and_bcc_or_in_two_spellings_is_served_once() {
    let site = site_of(&["bob", "eve"]);
    let message = message(
        "to: Bob@b.test\nto: bob@B.test Bob\ncc: bob@b.test\ncc: eve@b.test\nbcc: BOB@b.test\n",
    );
    site.delivers(&message, 0, &["OK Bob@b.test", "OK eve@b.test"]);
    assert_eq!(site.counts(&["bob", "eve"]), [1, 1]);
}

#[test]
fn a_message_given_twice_is_one_message() {
    let site = site_of(&["bob"]);
    let message = message("to: bob@b.test\n");
    let two = [0, 1].map(|_| {
        let mut command = site.command(&[]);
        command
            .stdin(file_behind(b"", &message))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    for child in two {
        super::site::Answer::from(child.wait_with_output().unwrap()).is(0, &["OK bob@b.test"]);
    }
    site.delivers(&message, 0, &["OK bob@b.test"])
        .explains("how=duplicate");
    assert_eq!(site.counts(&["bob"]), [1]);
}

#[test]
fn one_unknown_recipient_and_nobody_gets_anything() {
    let site = site_of(&["bob"]);
    let message = message("to: bob@b.test\nto: nobody@b.test\ncc: No.One@b.test\ncc: x@c.test\n");
    site.delivers(
        &message,
        1,
        &["NORECIPIENT nobody@b.test", "NORECIPIENT No.One@b.test"],
    );
    assert_eq!(site.counts(&["bob"]), [0]);
}

#[test]
fn recipients_of_other_hosts_are_passed_over() {
    let site = site_of(&["bob"]);
    site.delivers(
        &message("to: x@c.test\ncc: bob@b.test\n"),
        0,
        &["OK bob@b.test"],
    );
    assert_eq!(site.counts(&["bob"]), [1]);
    site.delivers(&message("to: x@c.test\n"), 1, &[])
        .explains("no recipient is of a host of ours");
}

#[test]
fn deliver_names_the_recipients_whatever_the_others_say() {
    let site = site_of(&["bob", "eve"]);
    site.delivers(
        &message("to: bob@b.test\ndeliver: eve@b.test\n"),
        0,
        &["OK eve@b.test"],
    );
    assert_eq!(site.counts(&["bob", "eve"]), [0, 1]);
    assert!(!site.messages("eve")[0].contains("deliver:"));
}

#[test]
fn nobody_sees_who_else_was_given_a_blind_copy() {
    let site = site_of(&["bob", "carol", "dave"]);
    let lines = "bcc: carol@b.test Carol\nto: bob@b.test\nbcc: Dave@b.test\nbcc: x@c.test\n";
    site.delivers(
        &message(lines),
        0,
        &["OK bob@b.test", "OK carol@b.test", "OK Dave@b.test"],
    );
    let bcc = |name: &str| -> Vec<String> {
        let messages = site.messages(name);
        assert_eq!(messages.len(), 1);
        messages[0]
            .lines()
            .filter(|line| line.starts_with("bcc"))
            .map(str::to_owned)
            .collect()
    };
    assert!(bcc("bob").is_empty());
    assert_eq!(bcc("carol"), ["bcc: carol@b.test Carol"]);
    assert_eq!(bcc("dave"), ["bcc: Dave@b.test"]);
}

#[test]
fn those_who_are_given_the_same_message_have_one_file_of_it() {
    let names = ["bob", "carol", "dave", "eve", "frank"];
    let lines =
        "to: bob@b.test\nbcc: dave@b.test\nto: carol@b.test\nbcc: eve@b.test\ncc: frank@b.test\n";
    // With a command beside the inboxes the message is kept before it is delivered.
    for routed in ["", "cc: grace@b.test\n"] {
        let site = Site::new(&format!(
            "\"grace@b.test\" = {{ command = [\"./take\"] }}\n{INBOXES}"
        ));
        site.script("take", "cat >/dev/null");
        names.iter().for_each(|name| site.inbox(name));
        let answer = site.run(&[], &message(&format!("{lines}{routed}")));
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let file = |name: &str| {
            let folder = site.path(&format!("mail/{name}/inbox/messages"));
            let mut entries = fs::read_dir(folder).unwrap();
            let metadata = entries.next().unwrap().unwrap().metadata().unwrap();
            assert!(entries.next().is_none());
            (metadata.ino(), metadata.nlink())
        };
        let [bob, carol, dave, eve, frank] = names.map(file);
        assert_eq!((bob, carol), (carol, frank));
        assert_eq!([bob.1, dave.1, eve.1], [3, 1, 1]);
        assert!(site.messages("dave")[0].contains("\nbcc: dave@b.test\n"));
        assert!(!site.messages("dave")[0].contains("eve"));
        assert!(!site.messages("bob")[0].contains("bcc"));
    }
}

#[test]
fn what_is_not_a_valid_message_is_refused_and_an_empty_input_is_not() {
    let site = Site::new("\"bob@b.test\" = { command = [\"./touch\"] }");
    site.script("touch", "cat >/dev/null; touch {dir}/was-run");
    let good = message("to: bob@b.test\n");
    let octets = String::from_utf8(good.clone()).unwrap();
    for (bad, why) in [
        (octets.replace("Hello", "Hallo"), "part 1"),
        (octets.replace("Hello\n", ""), "end 6 octets too early"),
        (octets.clone() + "x", "more data follow"),
        (
            octets.replace("id: 1@a.test\n", ""),
            "line 7, column 1: the field id is missing",
        ),
        (
            octets.replace("to: bob@b.test", "to: -rf@b.test"),
            "line 3, column 5",
        ),
        (
            octets.replace("to: bob@b.test", "to: --config=x@b.test"),
            "line 3, column 5",
        ),
        ("no message\n".to_owned(), "line 1"),
    ] {
        assert_ne!(bad, octets);
        site.delivers(bad.as_bytes(), 1, &[]).explains(why);
    }
    site.delivers(b"", 2, &[]).explains("empty");
    site.run(&["no-such-file"], b"")
        .is(2, &[])
        .explains("no-such-file: cannot be opened");
    site.run(&["."], b"").is(2, &[]);
    assert!(!site.path("was-run").exists());
    site.delivers(&good, 0, &["OK bob@b.test"]);
    assert!(site.path("was-run").exists());
}

#[test]
fn an_attachment_for_twenty_users_is_one_file() {
    let names: Vec<_> = (0..20).map(|n| format!("user{n}")).collect();
    let site = site_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let lines: String = names
        .iter()
        .map(|name| format!("to: {name}@b.test\n"))
        .collect();
    let answer = site.run(
        &[],
        &message_of(&lines, "Hello\n", &[("large.bin", &vec![7; 300_000])]),
    );
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let inodes: BTreeSet<_> = names
        .iter()
        .map(|name| {
            let mut folder =
                fs::read_dir(site.path(&format!("mail/{name}/inbox/attachments"))).unwrap();
            folder.next().unwrap().unwrap().metadata().unwrap().ino()
        })
        .collect();
    assert_eq!(inodes.len(), 1);
}

#[test]
fn an_inbox_that_does_not_exist_is_nobodys_only_where_its_disk_is_there() {
    let long = "ö".repeat(64);
    let site = Site::new(
        r#"
        "fixed@b.test" = { inbox = "mail/fixed/inbox" }
        "away@b.test" = { inbox = "no-disk/{localpart}/inbox" }
        "*@b.test" = { inbox = "mail/x-{localpart}-{localpart}/inbox" }
        "#,
    );
    site.write("mail/x-file-file", "a file where a mailbox might be");
    for nobody in ["eve", "file", &long] {
        let line = format!("NORECIPIENT {nobody}@b.test");
        site.delivers(&message(&format!("to: {nobody}@b.test\n")), 1, &[&line]);
    }
    for ours in ["fixed", "away"] {
        let line = format!("DEFER {ours}@b.test - 60 86400 the mailbox cannot take it now");
        site.delivers(&message(&format!("to: {ours}@b.test\n")), 2, &[&line])
            .explains("event=inbox-missing");
    }
    // A folder that is not one of a mailbox.
    fs::create_dir_all(site.path("mail/x-odd-odd/inbox")).unwrap();
    let line = "DEFER odd@b.test - 60 86400 the mailbox cannot take it now";
    site.delivers(&message("to: odd@b.test\n"), 2, &[line])
        .explains("event=not-delivered");
}

#[test]
fn a_fault_at_one_inbox_is_no_matter_for_the_others() {
    let site = site_of(&["bob", "eve"]);
    fs::remove_dir(site.path("mail/eve/inbox/tmp")).unwrap();
    let defer = "DEFER eve@b.test - 60 86400 the mailbox cannot take it now";
    site.delivers(
        &message("to: eve@b.test\nto: bob@b.test\n"),
        2,
        &["OK bob@b.test", defer],
    );
    assert_eq!(site.counts(&["bob"]), [1]);
}

#[test]
fn when_nobody_listens_the_deliveries_are_made_and_it_is_not_done() {
    let site = site_of(&["bob", "eve"]);
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = site.command(&[]);
    command
        .stdin(file_behind(
            b"",
            &message("to: bob@b.test\nto: eve@b.test\n"),
        ))
        .stdout(writer)
        .stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(site.counts(&["bob", "eve"]), [1, 1]);

    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = site.command(&["--check"]);
    command
        .stdin(file_behind(b"", &message("to: nobody@b.test\n")))
        .stdout(writer)
        .stderr(Stdio::piped());
    assert_eq!(
        command
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap()
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn a_wrong_configuration_or_usage_is_unfinished_and_says_where() {
    let good = message("to: bob@b.test\n");
    for (config, why) in [
        (
            "hosts = []\n",
            "line 1, column 9: `hosts`: the list is empty",
        ),
        (
            "hosts = [\"b\"]\n",
            "line 1, column 9: `hosts`: \"b\" is no host: a domain name has at least two labels",
        ),
        ("", "missing field `hosts`"),
        (
            "hosts = [\"b.test\"]\nparalel = 8\n",
            "line 2, column 1: `paralel`: unknown field `paralel`",
        ),
        (
            "hosts = [\"b.test\"]\nparallel = 0\n",
            "a whole number, 1 or more",
        ),
        (
            "hosts = [\"b.test\"]\n[routes]\n\"bob@b.test\" = { inbox = \"/{user}\" }\n",
            "line 3, column 16",
        ),
        (
            "hosts = [\"b.test\"]\n[routes]\n\"bob@c.test\" = { inbox = \"x\" }\n",
            "\"bob@c.test\" is for a host that is not in `hosts`",
        ),
        (
            "hosts = [\"b.test\"]\n[routes]\n\"bob@b.test\" = { alias = [\"bob@b.test\"] }\n",
            "bob@b.test → bob@b.test",
        ),
    ] {
        let site = Site::configured(config);
        let file = site
            .path("server-handle-incoming-mail.toml")
            .display()
            .to_string();
        site.delivers(&good, 2, &[])
            .explains(why)
            .explains(&format!("server-handle-incoming-mail: {file}"));
        site.run(&["--check"], &good).is(2, &[]).explains(why);
    }
    let site = site_of(&["bob"]);
    site.run(&["--config", "none.toml"], &good)
        .is(2, &[])
        .explains("none.toml: there is no such file");
    site.run(&["--chekc"], &good).is(2, &[]).explains("--chekc");
    site.run(&["a", "b"], &good).is(2, &[]);
    site.write("other.toml", "hosts = [\"c.test\"]\n");
    site.run(&["--config", "other.toml"], &good)
        .is(1, &[])
        .explains("no recipient is of a host of ours");
    let mut command = site.command(&[]);
    command
        .env_remove("EMEMO_CONFIG_DIR")
        .args(["--config", "server-handle-incoming-mail.toml"]);
    finish(command, &good).is(0, &["OK bob@b.test"]);
}

#[test]
fn a_mailbox_that_is_full_by_its_quota_takes_mail_later() {
    let site = site_of(&["bob", "eve"]);
    let message = message("to: bob@b.test\nto: eve@b.test\n");
    let set = |quota: usize| {
        site.write("mail/bob/mailbox.toml", &format!("quota = {quota}\n"));
    };
    let defer = "DEFER bob@b.test - 60 86400 the mailbox cannot take it now";
    set(message.len() - 1);
    site.run(&["--check"], header_of(&message))
        .is(2, &[defer])
        .explains("by its quota");
    site.delivers(&message, 2, &[defer, "OK eve@b.test"])
        .explains("by its quota");
    assert_eq!(site.counts(&["bob", "eve"]), [0, 1]);
    let give = |code| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server-give-recipient"));
        command.arg(site.path("mail/bob/inbox"));
        finish(command, &message).is(code, &[])
    };
    give(2).explains("delete mail");
    set(message.len());
    site.run(&["--check"], header_of(&message)).is(0, &[]);
    give(0);
    // It is there now, and needs no room.
    give(0);
    site.run(&["--check"], header_of(&message)).is(0, &[]);
    let lines = ["OK bob@b.test", "OK eve@b.test"];
    site.delivers(&message, 0, &lines);
    assert_eq!(site.counts(&["bob", "eve"]), [1, 1]);
}

/// Once each folder had all of it in memory for itself, its attributes one by one.
#[test]
fn the_largest_header_block_takes_no_memory_for_each_recipient() {
    let names: Vec<String> = (0..60).map(|number| format!("u{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let site = site_of(&names);
    let to: String = names
        .iter()
        .map(|name| format!("to: {name}@b.test\n"))
        .collect();
    let empty = sha256(b"");
    let key = |number: usize| format!(" {number:x}=1");
    let attributes: String = (0..1350).map(key).collect();
    let parts: String = (0..120)
        .map(|part| format!("part: a/b 0 sha256:{empty}{attributes} name=f{part}\n"))
        .collect();
    let message = format!(
        "ima: 1\nfrom: alice@a.test\n{to}date: 2026-11-22T09:30:00Z\nid: 1@a.test\n{parts}size: 0\n\n"
    );
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("OK {name}@b.test"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let command = within_kib(&site.command(&[]), 64 << 10);
    finish(in_folder(command, &site), message.as_bytes()).is(0, &lines);
}

fn in_folder(mut command: Command, site: &Site) -> Command {
    command.current_dir(site.path(""));
    command
}

fn sha256(octets: &[u8]) -> String {
    let mut digester = Digester::new();
    digester.update(octets);
    digester.finish().to_string()
}

/// Folders that are open keep a file system from being unmounted.
#[test]
fn a_handler_that_stays_and_is_asked_nothing_lets_its_folders_go() {
    let site = site_of(&["bob"]);
    let mut command = site.command(&["--stream"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut handler = command.spawn().unwrap();
    let mut questions = handler.stdin.take().unwrap();
    let mut answers = BufReader::new(handler.stdout.take().unwrap()).lines();
    let descriptors = format!("/proc/{}/fd", handler.id());
    let is_open = || {
        let links = fs::read_dir(&descriptors).unwrap();
        let mut targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
        targets.any(|target| target.ends_with("inbox/messages"))
    };
    let message = message("to: bob@b.test\n");
    let block = header_of(&message);
    // It is kept open once nothing has changed in it for some seconds.
    wait_until("the folder stays open", || {
        writeln!(questions, "HEADERS {}", block.len()).unwrap();
        questions.write_all(block).unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "ACCEPT");
        questions.write_all(b"ABORT\n").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "OK");
        is_open()
    });
    wait_until("it is let go", || !is_open());
    drop(questions);
    assert!(handler.wait().unwrap().success());
}
