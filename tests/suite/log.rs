//! What the programs say of what they do, a line an event.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use ima_message::HeaderBlock;

use crate::fetch::Place;
use crate::site::{Site, code, feed, program, run, stderr, wait_until};

type Fields = BTreeMap<String, String>;

/// The fields of a line, of either form.
fn fields(form: &str, line: &str) -> Fields {
    if form == "json" {
        return serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let words = line.split(' ').filter_map(|word| word.split_once('='));
    words
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn a_message_is_followed_through_all_programs_by_its_digest() {
    let place = Place::new();
    let a = place.site.host("a.test", &["alice"]);
    let inbox = place.file("carol/inbox");
    let made = run("ima-mailbox", &["create".as_ref(), inbox.as_os_str()], b"");
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    place.b.edit("server-handle-incoming-mail.toml", |text| {
        let route = format!(
            "\"carol@b.test\" = {{ command = [\"server-give-recipient\", \"{}\", \"-\"] }}\n",
            inbox.display()
        );
        text.replacen("[routes]\n", &format!("[routes]\n{route}"), 1)
    });
    for form in ["text", "json"] {
        let logged = |name| {
            let mut command = place.b.command(name);
            command.args(["--log", form]);
            place.b.start_with(command)
        };
        let receiver = logged("server-receive");
        a.knows("b.test", receiver.address);
        let letter = crate::site::letter(&["bob@b.test", "carol@b.test"], form);
        let digest = HeaderBlock::read(&mut &letter[..])
            .unwrap()
            .digest()
            .to_string();
        let sent = a.send(&letter, &["--log", form]);
        assert_eq!(code(&sent), 0, "{}", stderr(&sent));
        let office = logged("server-post-office");
        let mut fetch = place.command(office.address);
        let fetched = fetch.args(["--log", form]).output().unwrap();
        assert_eq!(code(&fetched), 0, "{}", stderr(&fetched));
        let told = [
            ("server-send-mail", "sent"),
            ("server-receive", "headers"),
            ("server-receive", "data"),
            ("server-handle-incoming-mail", "delivered"),
            ("server-give-recipient", "delivered"),
            ("fetch-mail", "fetched"),
        ];
        let told = told.map(|(program, event)| (program.to_owned(), event.to_owned()));
        wait_until("all have told of it", || {
            let logs = [
                stderr(&sent),
                receiver.log.text(),
                office.log.text(),
                stderr(&fetched),
            ];
            let lines = logs.iter().flat_map(|log| log.lines());
            let all = lines.map(|line| fields(form, line));
            let mut found = BTreeSet::new();
            for mut fields in all {
                let mut take = |key| fields.remove(key).unwrap_or_else(|| panic!("no {key}"));
                let [program, event] = ["program", "event"].map(&mut take);
                let _ = ["time", "level"].map(&mut take);
                if fields.get("digest") == Some(&digest) {
                    found.insert((program, event));
                }
            }
            told.iter().all(|one| found.contains(one))
        });
    }
}

#[test]
fn a_form_that_is_none_is_refused() {
    let output = run("server-receive", &["--log", "xml"], b"");
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("a log is text or json"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_variable_that_names_no_form_is_told_of_once() {
    let place = Place::new();
    let inbox = place.file("carol/inbox");
    let made = run("ima-mailbox", &["create".as_ref(), inbox.as_os_str()], b"");
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let letter = crate::site::letter(&["carol@b.test"], "Hello\n");
    let given = |form: &str| {
        let mut command = Command::new(program("server-give-recipient"));
        command.arg(&inbox).arg("-").env("EMEMO_LOG", form);
        let output = feed(command, &letter);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        stderr(&output)
    };
    let said = given("jsno");
    let [wrong, delivered] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    assert!(
        wrong.ends_with(
            "level=warn program=server-give-recipient event=unknown-log-form \
             variable=EMEMO_LOG value=jsno advice=\"a log is text or json\""
        ),
        "{wrong}"
    );
    assert!(delivered.contains(" event=delivered "), "{delivered}");
    assert_eq!(given(""), "");
}

/// cron would mail what it says.
#[test]
fn mail_for_a_host_of_this_machine_is_silent_where_no_log_is_wanted() {
    let site = Site::new();
    let a = site.host("a.test", &["alice"]);
    let letter = crate::site::letter(&["alice@a.test"], "Hello\n");
    let sent = |options: &[&str]| {
        let sent = a.send(&letter, options);
        assert_eq!(code(&sent), 0, "{}", stderr(&sent));
        stderr(&sent)
    };
    assert_eq!(sent(&[]), "");
    let told = sent(&["--log", "text"]);
    assert!(
        told.contains("program=server-handle-incoming-mail event=delivered "),
        "{told}"
    );
}
